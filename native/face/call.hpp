// How a C++ function is called from JavaScript: which values its parameters need, and what comes of it. Nothing here knows an engine.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <vector>

#include "../core/fd.hpp"
#include "../core/host/command.hpp"
#include "failure.hpp"

namespace strata::face {

// Text without NUL: the kernel would take what is before it for the whole. It is what a parameter of type `const std::string&` gets; one of type
// `std::string_view` gets any text.
struct Path {
  std::string text;
  operator const std::string&() const { return text; }  // NOLINT(google-explicit-constructor): it stands for the parameter
};

// A descriptor of our own for what a descriptor of the caller's stands for: work on another thread outlasts the call, and the caller may close
// its descriptor meanwhile, whose number could be another's next.
struct Duplicate {
  std::shared_ptr<Fd> owned;  // shared, for work is copied on its way to its thread
  [[nodiscard]] int get() const { return owned->get(); }
};

using Bytes = std::vector<std::uint8_t>;

// A plan in the form of core/plan.hpp. TypeScript has it as values, code and payload in turn (src/plan/encode.ts).
struct PlanBytes {
  Bytes bytes;
};

// Bytes are characters up to U+00FF.
struct Packet {
  std::string bytes;
  Fd descriptor;
};

// What is kept of an argument while the function runs.
template <class Parameter>
struct Argument {
  using Type = std::remove_cv_t<std::remove_reference_t<Parameter>>;
};
template <>
struct Argument<const std::string&> {
  using Type = Path;
};
template <>
struct Argument<std::string_view> {
  using Type = std::string;
};

template <class Function>
struct Signature;

template <class Returned, class... Parameters>
struct Signature<Returned (*)(Parameters...)> {
  using Arguments = std::tuple<typename Argument<Parameters>::Type...>;
};

inline Outcome<Nothing> outcome(const Status& status) { return status.failed() ? Outcome<Nothing>(Failure(status)) : Outcome<Nothing>(); }
template <class Value>
Outcome<Value> outcome(Result<Value> result) {
  return Outcome<Value>(std::move(result));
}
template <class Value>
Outcome<Value> outcome(Outcome<Value> finished) {
  return finished;
}
template <class Value>
Outcome<Value> outcome(Value value) {
  return Outcome<Value>(std::move(value));
}

// Calls `Function` with arguments that have been read.
template <auto Function>
auto call(const typename Signature<decltype(Function)>::Arguments& arguments) {
  using Returned = decltype(std::apply(Function, arguments));
  if constexpr (std::is_void_v<Returned>) {
    std::apply(Function, arguments);
    return Outcome<Nothing>();
  } else {
    return outcome(std::apply(Function, arguments));
  }
}

}  // namespace strata::face
