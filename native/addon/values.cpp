#include "values.hpp"

#include <cerrno>
#include <climits>
#include <cmath>

namespace strata::addon {

void Arguments::refuse(const std::string& what) const {
  if (!failed()) throw_failure(info_.Env(), Status(EINVAL, "strata.node", what));
}

std::string Arguments::text(std::size_t index) {
  const Napi::Value value = info_[index];
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  refuse("argument " + std::to_string(index));
  return {};
}

std::string Arguments::path_of(Napi::Value value) {
  if (!value.IsString()) {
    refuse("not a string");
    return {};
  }
  std::string text = value.As<Napi::String>().Utf8Value();
  if (text.find('\0') != std::string::npos) refuse(text.c_str());
  return text;
}

std::vector<std::string> Arguments::paths_of(Napi::Value value) {
  std::vector<std::string> texts;
  if (!value.IsArray()) {
    refuse("not an array");
    return texts;
  }
  const Napi::Array array = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); i++) texts.push_back(path_of(array[i]));
  return texts;
}

int Arguments::integer_of(Napi::Value value) {
  const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : NAN;
  if (number >= INT_MIN && number <= INT_MAX && std::trunc(number) == number) return static_cast<int>(number);
  refuse("not a 32-bit integer");
  return -1;
}

std::uint64_t Arguments::big(std::size_t index) {
  const Napi::Value value = info_[index];
  bool lossless = false;
  const std::uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
  if (!lossless) refuse("argument " + std::to_string(index));
  return number;
}

std::vector<std::uint8_t> Arguments::bytes(std::size_t index) {
  const Napi::Value value = info_[index];
  if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
    const Napi::Uint8Array array = value.As<Napi::Uint8Array>();
    return {array.Data(), array.Data() + array.ByteLength()};
  }
  refuse("argument " + std::to_string(index));
  return {};
}

std::vector<int> Arguments::integers(std::size_t index) {
  std::vector<int> numbers;
  const Napi::Value value = info_[index];
  if (!value.IsArray()) {
    refuse("argument " + std::to_string(index));
    return numbers;
  }
  const Napi::Array array = value.As<Napi::Array>();
  for (std::uint32_t i = 0; i < array.Length(); i++) numbers.push_back(integer_of(array[i]));
  return numbers;
}

host::Command Arguments::command(std::size_t index) {
  host::Command command;
  if (!info_[index].IsObject()) {
    refuse("argument " + std::to_string(index));
    return command;
  }
  const Napi::Object object = info_[index].As<Napi::Object>();
  command.path = path_of(object.Get("path"));
  command.args = paths_of(object.Get("args"));
  command.env = paths_of(object.Get("env"));
  const Napi::Value input = object.Get("stdin");
  if (input.IsString()) {
    command.input = input.As<Napi::String>().Utf8Value();
  } else {
    refuse("stdin");
  }
  command.timeout = integer_of(object.Get("timeout"));
  return command;
}

Napi::Value to_value(Napi::Env env, Nothing&) { return env.Undefined(); }
Napi::Value to_value(Napi::Env env, bool& value) { return Napi::Boolean::New(env, value); }
Napi::Value to_value(Napi::Env env, int& value) { return Napi::Number::New(env, value); }
Napi::Value to_value(Napi::Env env, std::string& text) { return Napi::String::New(env, text); }

Napi::Value to_value(Napi::Env env, std::vector<std::string>& texts) {
  Napi::Array array = Napi::Array::New(env, texts.size());
  for (std::uint32_t i = 0; i < texts.size(); i++) array.Set(i, Napi::String::New(env, texts[i]));
  return array;
}

Napi::Value to_value(Napi::Env env, Fd& descriptor) {
  if (!descriptor.valid()) return env.Undefined();
  return Napi::Number::New(env, descriptor.release());
}

Napi::Value to_value(Napi::Env env, std::pair<Fd, Fd>& descriptors) {
  Napi::Array array = Napi::Array::New(env, 2);
  array.Set(0U, to_value(env, descriptors.first));
  array.Set(1U, to_value(env, descriptors.second));
  return array;
}

Napi::Value to_value(Napi::Env env, host::ExitStatus& status) {
  if (!status.known) return Napi::String::New(env, "unknown");
  Napi::Object object = Napi::Object::New(env);
  object.Set("code", Napi::Number::New(env, status.code));
  if (status.signal != 0) object.Set("signal", Napi::Number::New(env, status.signal));
  return object;
}

Napi::Value to_value(Napi::Env env, host::CommandResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("status", to_value(env, result.status));
  object.Set("timedOut", Napi::Boolean::New(env, result.timed_out));
  object.Set("stdout", Napi::String::New(env, result.output));
  object.Set("stderr", Napi::String::New(env, result.errors));
  return object;
}

Napi::Value to_value(Napi::Env env, Launched& launched) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("pid", Napi::Number::New(env, launched.pid));
  object.Set("startTime", Napi::BigInt::New(env, launched.start_time));
  object.Set("pidfd", Napi::Number::New(env, launched.pidfd));
  object.Set("sync", Napi::Number::New(env, launched.sync));
  object.Set("at", Napi::String::New(env, launched.at_hooks ? "hooks" : "ready"));
  return object;
}

}  // namespace strata::addon
