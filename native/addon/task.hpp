// Work that is done on another thread, and the promise for its outcome.
#pragma once

#include <functional>
#include <utility>

#include <napi.h>

#include "completions.hpp"
#include "failure.hpp"
#include "values.hpp"

namespace strata::addon {

class Task : public Completion {
 public:
  // On the other thread.
  virtual void execute() = 0;
  // Instead of execute, when there is no thread for it.
  virtual void fail(const Status& status) = 0;
};

// Resolves with the value of `Work` (a function that returns an Outcome<Value>), or rejects with its failure.
template <class Value>
class Promised final : public Task {
 public:
  using Work = std::function<Outcome<Value>()>;

  Promised(Napi::Env env, Work work) : deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

  void execute() override { outcome_ = work_(); }
  void fail(const Status& status) override { outcome_.failure.emplace(status); }
  void settle(Napi::Env env) override {
    if (outcome_.failure) {
      deferred_.Reject(failure_object(env, *outcome_.failure));
    } else {
      deferred_.Resolve(to_value(env, outcome_.value));
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
  Work work_;
  Outcome<Value> outcome_;
};

}  // namespace strata::addon
