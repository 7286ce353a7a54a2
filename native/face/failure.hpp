// Failures on their way to JavaScript, and the outcomes of work that may be done on another thread: texts here are copies.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include "../core/error.hpp"
#include "../core/launch.hpp"

namespace strata::face {

// JavaScript sees a plain object { operation, syscall, errno, path, detail }, from which src/host/native.ts makes an error.
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

struct Nothing {};

// A value, or why there is none.
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

}  // namespace strata::face
