#include "records.hpp"

#include <cstring>

namespace strata::layer {
namespace {

constexpr std::uint32_t nanoseconds_in_second = 1000000000;

// A name of a file system ends at a NUL, and so would only its beginning be meant.
bool has_nul(std::string_view text) { return text.find('\0') != std::string_view::npos; }

}  // namespace

// 0 and damaged where the record has no more.
template <class Number>
Number RecordReader::number() {
  Number value{};
  if (damaged_ || static_cast<std::size_t>(record_end_ - at_) < sizeof value) {
    damaged_ = true;
    return value;
  }
  std::memcpy(&value, at_, sizeof value);
  at_ += sizeof value;
  return value;
}

std::string_view RecordReader::text(std::size_t size) {
  if (damaged_ || static_cast<std::size_t>(record_end_ - at_) < size) {
    damaged_ = true;
    return {};
  }
  const std::string_view text(reinterpret_cast<const char*>(at_), size);
  at_ += size;
  return text;
}

bool RecordReader::next() {
  if (damaged_) return false;
  if (record_end_ != nullptr) at_ = record_end_;
  if (at_ == end_) return false;
  record_end_ = end_;
  const auto kind = number<std::uint32_t>();
  const auto size = number<std::uint32_t>();
  if (damaged_ || static_cast<std::size_t>(end_ - at_) < size) {
    damaged_ = true;
    return false;
  }
  record_end_ = at_ + size;
  kind_ = static_cast<RecordKind>(kind);
  switch (kind_) {
    case RecordKind::entry: read_entry(); break;
    case RecordKind::data:
      offset_ = number<std::uint64_t>();
      text_ = text(static_cast<std::size_t>(record_end_ - at_));
      break;
    case RecordKind::whiteout:
    case RecordKind::opaque:
      text_ = text(size);
      if (has_nul(text_)) damaged_ = true;
      break;
    default: damaged_ = true;
  }
  return !damaged_;
}

void RecordReader::read_entry() {
  const auto type = number<std::uint32_t>();
  number<std::uint32_t>();  // whether it existed: for whoever reads a scan
  entry_.type = static_cast<EntryType>(type);
  entry_.mode = number<std::uint32_t>();
  entry_.uid = number<std::uint32_t>();
  entry_.gid = number<std::uint32_t>();
  entry_.mtime.nanoseconds = number<std::uint32_t>();
  entry_.major = number<std::uint32_t>();
  entry_.minor = number<std::uint32_t>();
  entry_.mtime.seconds = number<std::int64_t>();
  entry_.size = number<std::uint64_t>();
  entry_.path = text(number<std::uint32_t>());
  entry_.link = text(number<std::uint32_t>());
  attributes_left_ = number<std::uint32_t>();
  attribute_ = at_;
  if (type > static_cast<std::uint32_t>(EntryType::fifo) || entry_.mtime.nanoseconds >= nanoseconds_in_second) damaged_ = true;
  if (has_nul(entry_.path) || has_nul(entry_.link)) damaged_ = true;
  // All attributes are looked at before the first is told.
  const std::uint32_t count = attributes_left_;
  std::string_view name;
  std::string_view value;
  while (!damaged_ && next_attribute(name, value)) {
  }
  if (at_ != record_end_) damaged_ = true;
  at_ = attribute_;
  attributes_left_ = count;
}

bool RecordReader::next_attribute(std::string_view& ret_name, std::string_view& ret_value) {
  if (attributes_left_ == 0) return false;
  attributes_left_--;
  ret_name = text(number<std::uint32_t>());
  ret_value = text(number<std::uint32_t>());
  if (has_nul(ret_name)) damaged_ = true;
  return !damaged_;
}

}  // namespace strata::layer
