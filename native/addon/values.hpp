// Conversion between JavaScript's values and the core's.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include <napi.h>

#include "../core/fd.hpp"
#include "../core/host/command.hpp"
#include "../core/host/process.hpp"
#include "failure.hpp"

namespace strata::addon {

// The arguments of a call. What cannot be converted is thrown as a failure with EINVAL, and `failed` tells to return at once; node.ts, the only
// caller, gives every argument with its type.
class Arguments {
 public:
  explicit Arguments(const Napi::CallbackInfo& info) : info_(info) {}

  std::string text(std::size_t index);
  // Text without NUL: the kernel would take what is before it for the whole.
  std::string path(std::size_t index) { return path_of(info_[index]); }
  std::vector<std::string> paths(std::size_t index) { return paths_of(info_[index]); }
  int integer(std::size_t index) { return integer_of(info_[index]); }
  std::uint64_t big(std::size_t index);
  std::vector<std::uint8_t> bytes(std::size_t index);
  std::vector<int> integers(std::size_t index);
  host::Command command(std::size_t index);

  [[nodiscard]] bool failed() const { return info_.Env().IsExceptionPending(); }

 private:
  std::string path_of(Napi::Value value);
  std::vector<std::string> paths_of(Napi::Value value);
  int integer_of(Napi::Value value);
  void refuse(const std::string& what) const;

  const Napi::CallbackInfo& info_;
};

Napi::Value to_value(Napi::Env env, Nothing& nothing);
Napi::Value to_value(Napi::Env env, bool& value);
Napi::Value to_value(Napi::Env env, int& value);
Napi::Value to_value(Napi::Env env, std::string& text);
Napi::Value to_value(Napi::Env env, std::vector<std::string>& texts);
// Hands the descriptor over; an invalid one is undefined.
Napi::Value to_value(Napi::Env env, Fd& descriptor);
Napi::Value to_value(Napi::Env env, std::pair<Fd, Fd>& descriptors);
// { code, signal? }, or 'unknown'.
Napi::Value to_value(Napi::Env env, host::ExitStatus& status);
Napi::Value to_value(Napi::Env env, host::CommandResult& result);
Napi::Value to_value(Napi::Env env, Launched& launched);

// What a synchronous function returns; a failure is thrown.
template <class Value>
Napi::Value give(Napi::Env env, Result<Value> result) {
  if (!result.failed()) return to_value(env, result.value());
  throw_failure(env, result.status());
  return env.Undefined();
}

inline Napi::Value give(Napi::Env env, const Status& status) {
  if (status.failed()) throw_failure(env, status);
  return env.Undefined();
}

}  // namespace strata::addon
