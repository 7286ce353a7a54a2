// Failures on their way to JavaScript: plain objects { operation, syscall, errno, path, detail }, from which node.ts makes errors.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <napi.h>

#include "../core/error.hpp"
#include "../core/launch.hpp"

namespace strata::addon {

struct Failure {
  int operation = -1;
  int error = 0;
  std::string call;
  std::string path;
  std::string detail;

  explicit Failure(const Status& status) : error(status.error()), call(status.call()), path(status.path()), detail(status.detail()) {}
  explicit Failure(const LaunchFailure& failure)
      : operation(failure.operation), error(failure.error), call(failure.call.view()), path(failure.path.view()), detail(failure.detail.view()) {}
};

// The value of work that was done on another thread, or why there is none.
template <class Value>
struct Outcome {
  std::optional<Failure> failure;
  Value value{};

  Outcome() = default;
  explicit Outcome(Value result) : value(std::move(result)) {}
  explicit Outcome(Failure reason) : failure(std::move(reason)) {}
  explicit Outcome(Result<Value> result) {
    if (result.failed()) {
      failure.emplace(result.status());
    } else {
      value = std::move(result.value());
    }
  }
};

struct Nothing {};

Napi::Object failure_object(Napi::Env env, const Failure& failure);
void throw_failure(Napi::Env env, const Status& status);

}  // namespace strata::addon
