#include "plan.hpp"

#include <cerrno>

#include "text.hpp"

namespace strata {
namespace {

struct Description {
  OpCode code;
  const char* name;
  const char* fields;
};

constexpr Description descriptions[] = {
#define STRATA_DESCRIBE(name, code, text, fields) {OpCode::name, text, fields},
    STRATA_OPERATIONS(STRATA_DESCRIBE)
#undef STRATA_DESCRIBE
};

const Description* describe(std::uint32_t code) {
  for (const Description& description : descriptions) {
    if (static_cast<std::uint32_t>(description.code) == code) return &description;
  }
  return nullptr;
}

bool no_nul_inside(Text text) { return text.size == 0 || std::memchr(text.data, 0, text.size) == nullptr; }

// Reads one field of type `type` and says whether it was well formed.
bool check_field(Cursor& cursor, std::string_view type) {
  if (type == "u32") {
    cursor.u32();
  } else if (type == "u64") {
    cursor.u64();
  } else if (type == "bool") {
    if (cursor.u32() > 1) cursor.fail();
  } else if (type == "string") {
    if (!no_nul_inside(cursor.text())) cursor.fail();
  } else if (type == "bytes") {
    cursor.bytes();
  } else if (type == "strings") {
    const std::uint32_t count = cursor.u32();
    for (std::uint32_t i = 0; i < count && !cursor.failed(); i++) {
      if (!no_nul_inside(cursor.text())) cursor.fail();
    }
  } else if (type == "u32s") {
    const std::uint32_t count = cursor.u32();
    for (std::uint32_t i = 0; i < count && !cursor.failed(); i++) cursor.u32();
  }
  return !cursor.failed();
}

bool check_fields(Cursor cursor, std::string_view fields) {
  while (!fields.empty()) {
    const std::size_t comma = fields.find(',');
    const std::string_view field = head(fields, comma);
    fields = comma == std::string_view::npos ? std::string_view{} : tail(fields, comma + 1);
    if (!check_field(cursor, tail(field, field.find(':') + 1))) return false;
  }
  return cursor.at_end();
}

}  // namespace

Text Cursor::text() {
  const std::uint32_t size = u32();
  if (failed_ || left() < std::size_t{size} + 1 || at_[size] != 0) {
    failed_ = true;
    return {};
  }
  const Text text{reinterpret_cast<const char*>(at_), size};
  at_ += std::size_t{size} + 1;
  return text;
}

Bytes Cursor::bytes() {
  const std::uint32_t size = u32();
  if (failed_ || left() < size) {
    failed_ = true;
    return {};
  }
  const Bytes bytes{at_, size};
  at_ += size;
  return bytes;
}

TextList Fields::texts() {
  const std::uint32_t count = cursor_.u32();
  TextList list{count, cursor_};
  for (std::uint32_t i = 0; i < count; i++) cursor_.text();
  return list;
}

Fields::Numbers Fields::u32s() {
  const std::uint32_t count = cursor_.u32();
  Numbers numbers{count, cursor_};
  for (std::uint32_t i = 0; i < count; i++) cursor_.u32();
  return numbers;
}

Result<Plan> Plan::open(const std::uint8_t* data, std::size_t size) {
  const Status bad(EBADMSG, "plan");
  Cursor cursor(data, size);
  if (cursor.u32() != plan_magic || cursor.u32() != plan_version || cursor.u32() != size) return bad;
  Plan plan;
  plan.count_ = cursor.u32();
  if (cursor.failed()) return bad;
  plan.size_ = cursor.left();
  plan.first_ = data + (size - plan.size_);
  for (std::uint32_t i = 0; i < plan.count_; i++) {
    const Description* description = describe(cursor.u32());
    const Bytes payload = cursor.bytes();
    if (cursor.failed() || description == nullptr || !check_fields(Cursor(payload.data, payload.size), description->fields)) return bad;
  }
  if (!cursor.at_end()) return bad;
  return plan;
}

Op Plan::Iterator::next() {
  index_++;
  const auto code = static_cast<OpCode>(cursor_.u32());
  const Bytes payload = cursor_.bytes();
  return {code, payload.data, payload.size};
}

const char* op_name(OpCode code) {
  const Description* description = describe(static_cast<std::uint32_t>(code));
  return description == nullptr ? "" : description->name;
}

std::size_t wire_table(char* buffer, std::size_t size) {
  std::size_t length = 0;
  const auto put = [&](std::string_view text) {
    for (const char c : text) {
      if (length + 1 < size) buffer[length] = c;
      length++;
    }
  };
  for (const Description& description : descriptions) {
    TextBuilder<12> code;
    code.add_number(static_cast<std::uint64_t>(description.code));
    put(code.view());
    put(" ");
    put(description.name);
    put(" ");
    put(description.fields);
    put("\n");
  }
  if (size > 0) buffer[length < size ? length : size - 1] = '\0';
  return length;
}

}  // namespace strata
