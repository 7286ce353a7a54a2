// Work that is done on another thread, and the promise for its outcome.
#pragma once

#include <functional>
#include <utility>

#include <napi.h>

#include "completions.hpp"
#include "engine.hpp"

namespace strata::addon {

using face::Conversion;
using face::Failure;
using face::Outcome;

// Resolves with the outcome's value, or rejects with its failure.
template <class Value>
void settle(const Napi::Promise::Deferred& deferred, Outcome<Value>& outcome) {
  Engine js(deferred.Env());
  Conversion values(js);
  if (outcome.failure) {
    deferred.Reject(values.write(*outcome.failure));
  } else {
    deferred.Resolve(values.write(outcome.value));
  }
}

class Task : public Completion {
 public:
  // On the other thread.
  virtual void execute() = 0;
  // Instead of execute, when there is no thread for it.
  virtual void fail(const Status& status) = 0;
};

template <class Value>
class Promised final : public Task {
 public:
  using Work = std::function<Outcome<Value>()>;

  Promised(Napi::Env env, Work work) : deferred_(Napi::Promise::Deferred::New(env)), work_(std::move(work)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

  void execute() override { outcome_ = work_(); }
  void fail(const Status& status) override { outcome_.failure.emplace(status); }
  void settle(Napi::Env /*env*/) override { addon::settle(deferred_, outcome_); }

 private:
  Napi::Promise::Deferred deferred_;
  Work work_;
  Outcome<Value> outcome_;
};

}  // namespace strata::addon
