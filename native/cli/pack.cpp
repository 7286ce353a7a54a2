#include "pack.hpp"

#include <cstdint>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "engine.hpp"

namespace strata::cli {
namespace {

// The lists of a plan lie in each other twice at most.
constexpr int deepest = 4;

class Packer {
 public:
  explicit Packer(JSContext* context) : context_(context), js_(context) { bytes_.reserve(16384); }

  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

  // False if a value has no form on the wire.
  bool list(const Value& values, int depth) {
    const std::uint32_t length = js_.length(values);
    for (std::uint32_t i = 0; i < length; i++) {
      if (!one(js_.element(values, i), depth)) return false;
    }
    return true;
  }

 private:
  bool one(const Value& value, int depth) {
    const JSValueConst raw = value.get();
    if (JS_IsString(raw)) return text(value);
    if (JS_IsNumber(raw)) return number(value);
    if (JS_IsBool(raw)) return put<std::uint32_t>(JS_VALUE_GET_BOOL(raw) ? 1 : 0);
    if (JS_IsBigInt(context_, raw)) return wide(value);
    if (js_.is_array(value)) return depth < deepest && sized(value, depth + 1);
    const auto bytes = js_.bytes_of(value);
    return bytes && put(static_cast<std::uint32_t>(bytes->size())) && append(bytes->data(), bytes->size());
  }

  bool number(const Value& value) {
    const double number = js_.number_of(value).value_or(-1);
    if (!(number >= 0 && number <= std::numeric_limits<std::uint32_t>::max())) return false;
    const auto whole = static_cast<std::uint32_t>(number);
    return whole == number && put(whole);
  }

  // Nearly all are masks, and small ones are kept as they are.
  bool wide(const Value& value) {
    if (JS_VALUE_GET_TAG(value.get()) == JS_TAG_SHORT_BIG_INT) {
      const std::int64_t number = JS_VALUE_GET_SHORT_BIG_INT(value.get());
      return number >= 0 && put(static_cast<std::uint64_t>(number));
    }
    const auto number = js_.bigint_of(value);
    return number && put(*number);
  }

  // With a NUL behind it, and none within.
  bool text(const Value& value) {
    const auto text = js_.text_of(value);
    if (!text || text->find('\0') != std::string::npos) return false;
    return put(static_cast<std::uint32_t>(text->size())) && append(text->c_str(), text->size() + 1);
  }

  // With its length in bytes before it.
  bool sized(const Value& values, int depth) {
    const std::size_t at = bytes_.size();
    put<std::uint32_t>(0);
    if (!list(values, depth)) return false;
    const auto size = static_cast<std::uint32_t>(bytes_.size() - at - sizeof(std::uint32_t));
    std::memcpy(bytes_.data() + at, &size, sizeof size);
    return true;
  }

  // Little-endian, as all our machines are.
  template <class Number>
  bool put(Number number) {
    return append(&number, sizeof number);
  }

  bool append(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
    return true;
  }

  JSContext* context_;
  Engine js_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

JSValue pack(JSContext* context, JSValueConst /*receiver*/, int count, JSValueConst* values) {
  if (count != 1) return JS_UNDEFINED;
  Packer packer(context);
  const bool fit = packer.list(Value(context, JS_DupValue(context, values[0])), 0);
  if (JS_HasException(context)) return JS_EXCEPTION;
  if (!fit) return JS_UNDEFINED;
  const Value buffer(context, JS_NewArrayBufferCopy(context, packer.bytes().data(), packer.bytes().size()));
  if (JS_IsException(buffer.get())) return JS_EXCEPTION;
  // The engine looks at offset and length whatever their number is said to be.
  JSValueConst arguments[] = {buffer.get(), JS_UNDEFINED, JS_UNDEFINED};
  return JS_NewTypedArray(context, 3, arguments, JS_TYPED_ARRAY_UINT8);
}

}  // namespace strata::cli
