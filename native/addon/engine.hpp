// Node-API as face/values.hpp wants it.
#pragma once

#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

#include <napi.h>

#include "../face/values.hpp"

namespace strata::addon {

class Engine {
 public:
  using Value = Napi::Value;

  explicit Engine(Napi::Env env) : env_(env) {}

  Value undefined() { return env_.Undefined(); }
  Value boolean(bool flag) { return Napi::Boolean::New(env_, flag); }
  Value number(double number) { return Napi::Number::New(env_, number); }
  Value bigint(std::uint64_t number) { return Napi::BigInt::New(env_, number); }
  Value text(std::string_view text) { return Napi::String::New(env_, text.data(), text.size()); }
  // A Uint8Array with a copy of them.
  Value bytes(std::string_view bytes) {
    auto array = Napi::Uint8Array::New(env_, bytes.size());
    std::memcpy(array.Data(), bytes.data(), bytes.size());
    return {env_, array};
  }
  Value object() { return Napi::Object::New(env_); }
  Value array() { return Napi::Array::New(env_); }
  void set(Value& object, const char* key, const Value& value) { object.As<Napi::Object>().Set(key, value); }
  void append(Value& array, std::uint32_t index, const Value& value) { array.As<Napi::Array>().Set(index, value); }

  std::optional<bool> boolean_of(const Value& value) { return value.IsBoolean() ? std::optional(value.As<Napi::Boolean>().Value()) : std::nullopt; }
  std::optional<double> number_of(const Value& value) {
    return value.IsNumber() ? std::optional(value.As<Napi::Number>().DoubleValue()) : std::nullopt;
  }
  std::optional<std::uint64_t> bigint_of(const Value& value) {
    bool lossless = false;
    const std::uint64_t number = value.IsBigInt() ? value.As<Napi::BigInt>().Uint64Value(&lossless) : 0;
    return lossless ? std::optional(number) : std::nullopt;
  }
  std::optional<std::string> text_of(const Value& value) {
    return value.IsString() ? std::optional(value.As<Napi::String>().Utf8Value()) : std::nullopt;
  }
  std::optional<face::Bytes> bytes_of(const Value& value) {
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array) return std::nullopt;
    const auto array = value.As<Napi::Uint8Array>();
    return face::Bytes(array.Data(), array.Data() + array.ByteLength());
  }
  bool is_array(const Value& value) { return value.IsArray(); }
  std::uint32_t length(const Value& array) { return array.As<Napi::Array>().Length(); }
  Value element(const Value& array, std::uint32_t index) { return array.As<Napi::Array>().Get(index); }
  Value property(const Value& object, const char* key) { return object.IsObject() ? object.As<Napi::Object>().Get(key) : undefined(); }

 private:
  Napi::Env env_;
};

}  // namespace strata::addon
