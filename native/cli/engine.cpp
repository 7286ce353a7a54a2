#include "engine.hpp"

#include <charconv>
#include <cstddef>

#include "../core/host/utf8.hpp"

namespace strata::cli {

Value Engine::text(std::string_view text) {
  if (host::is_utf8(text)) return own(JS_NewStringLen(context_, text.data(), text.size()));
  const std::string decoded = host::as_utf8(text);
  return own(JS_NewStringLen(context_, decoded.data(), decoded.size()));
}

Value Engine::bytes(std::string_view bytes) {
  const Value buffer = own(JS_NewArrayBufferCopy(context_, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
  if (JS_IsException(buffer.get())) return own(JS_EXCEPTION);
  // The place of the first and the number are read in any case.
  JSValueConst arguments[] = {buffer.get(), JS_UNDEFINED, JS_UNDEFINED};
  return own(JS_NewTypedArray(context_, 3, arguments, JS_TYPED_ARRAY_UINT8));
}

std::optional<bool> Engine::boolean_of(const Value& value) {
  if (!JS_IsBool(value.get())) return std::nullopt;
  return JS_ToBool(context_, value.get()) > 0;
}

std::optional<double> Engine::number_of(const Value& value) {
  double number = 0;
  if (!JS_IsNumber(value.get()) || JS_ToFloat64(context_, &number, value.get()) < 0) return std::nullopt;
  return number;
}

// Through its digits if it is not a small one: JS_ToBigInt64 would keep 64 bits of a larger one without a word.
std::optional<std::uint64_t> Engine::bigint_of(const Value& value) {
  if (JS_VALUE_GET_TAG(value.get()) == JS_TAG_SHORT_BIG_INT) {
    const std::int64_t number = JS_VALUE_GET_SHORT_BIG_INT(value.get());
    return number >= 0 ? std::optional(static_cast<std::uint64_t>(number)) : std::nullopt;
  }
  if (!JS_IsBigInt(context_, value.get())) return std::nullopt;
  std::size_t length = 0;
  const char* digits = JS_ToCStringLen(context_, &length, value.get());
  if (digits == nullptr) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(digits, digits + length, number);
  const bool whole = error == std::errc() && end == digits + length;
  JS_FreeCString(context_, digits);
  return whole ? std::optional(number) : std::nullopt;
}

std::optional<std::string> Engine::text_of(const Value& value) {
  if (!JS_IsString(value.get())) return std::nullopt;
  std::size_t length = 0;
  const char* text = JS_ToCStringLen(context_, &length, value.get());
  if (text == nullptr) return std::nullopt;
  std::string copy(text, length);
  JS_FreeCString(context_, text);
  // QuickJS writes a lone surrogate as if it were a character: ED A0 80 to ED BF BF, as long as U+FFFD.
  for (std::size_t at = copy.find('\xed'); at != std::string::npos; at = copy.find('\xed', at + 1)) {
    if (static_cast<unsigned char>(copy[at + 1]) >= 0xa0) copy.replace(at, 3, "\xef\xbf\xbd");
  }
  return copy;
}

std::optional<face::Bytes> Engine::bytes_of(const Value& value) {
  std::size_t offset = 0;
  std::size_t length = 0;
  const Value buffer = own(JS_GetTypedArrayBuffer(context_, value.get(), &offset, &length, nullptr));
  std::size_t size = 0;
  const std::uint8_t* data = JS_IsException(buffer.get()) ? nullptr : JS_GetArrayBuffer(context_, &size, buffer.get());
  if (data == nullptr || offset + length > size) return std::nullopt;
  return face::Bytes(data + offset, data + offset + length);
}

std::uint32_t Engine::length(const Value& array) {
  std::uint32_t length = 0;
  JS_ToUint32(context_, &length, property(array, "length").get());
  return length;
}

}  // namespace strata::cli
