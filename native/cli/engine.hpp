// QuickJS as face/values.hpp wants it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <quickjs/quickjs.h>

#include "../face/values.hpp"

namespace strata::cli {

// An owned reference to a JavaScript value.
class Value {
 public:
  Value(JSContext* context, JSValue value) : context_(context), value_(value) {}
  Value(const Value& other) : context_(other.context_), value_(JS_DupValue(other.context_, other.value_)) {}
  Value(Value&& other) noexcept : context_(other.context_), value_(std::exchange(other.value_, JS_UNDEFINED)) {}
  Value& operator=(Value other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Value() { JS_FreeValue(context_, value_); }

  [[nodiscard]] JSValueConst get() const { return value_; }
  [[nodiscard]] JSValue release() { return std::exchange(value_, JS_UNDEFINED); }

 private:
  JSContext* context_;
  JSValue value_;
};

// A value that could not be made for want of memory is an exception, which `set` and `append` pass on as a missing property and the caller's
// caller finds pending.
class Engine {
 public:
  using Value = cli::Value;

  explicit Engine(JSContext* context) : context_(context) {}

  Value undefined() { return own(JS_UNDEFINED); }
  Value boolean(bool flag) { return own(JS_NewBool(context_, flag)); }
  Value number(double number) { return own(JS_NewFloat64(context_, number)); }
  Value bigint(std::uint64_t number) { return own(JS_NewBigUint64(context_, number)); }
  // What is not UTF-8, a file's name or what a program has printed, QuickJS would decode in a way of its own.
  Value text(std::string_view text);
  // A Uint8Array with a copy of them.
  Value bytes(std::string_view bytes);
  Value object() { return own(JS_NewObject(context_)); }
  Value array() { return own(JS_NewArray(context_)); }
  void set(Value& object, const char* key, Value&& value) { JS_SetPropertyStr(context_, object.get(), key, value.release()); }
  void append(Value& array, std::uint32_t index, Value&& value) { JS_SetPropertyUint32(context_, array.get(), index, value.release()); }

  std::optional<bool> boolean_of(const Value& value);
  std::optional<double> number_of(const Value& value);
  std::optional<std::uint64_t> bigint_of(const Value& value);
  // UTF-8; what is no character in JavaScript's text, half a surrogate pair, becomes U+FFFD as in Node.
  std::optional<std::string> text_of(const Value& value);
  std::optional<face::Bytes> bytes_of(const Value& value);
  bool is_array(const Value& value) { return JS_IsArray(context_, value.get()) > 0; }
  std::uint32_t length(const Value& array);
  Value element(const Value& array, std::uint32_t index) { return own(JS_GetPropertyUint32(context_, array.get(), index)); }
  Value property(const Value& object, const char* key) { return own(JS_GetPropertyStr(context_, object.get(), key)); }

 private:
  Value own(JSValue value) { return {context_, value}; }

  JSContext* context_;
};

}  // namespace strata::cli
