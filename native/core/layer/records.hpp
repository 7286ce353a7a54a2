// Entries of a layer on their way from and to TypeScript. The twin is src/layer/records.ts, which describes the form.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "inode.hpp"

namespace strata::layer {

enum class RecordKind : std::uint32_t { entry = 1, data, whiteout, opaque };

enum class EntryType : std::uint32_t { file, directory, symlink, hardlink, character, block, fifo };

// Texts are parts of the batch.
struct Entry {
  EntryType type = EntryType::file;
  unsigned mode = 0;
  unsigned uid = 0;
  unsigned gid = 0;
  unsigned major = 0;
  unsigned minor = 0;
  Timestamp mtime;
  std::uint64_t size = 0;
  std::string_view path;
  std::string_view link;
};

// A view of a batch that somebody else has made: everything is checked.
class RecordReader {
 public:
  RecordReader(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  // Goes to the next record; false at the end of the batch, or where it is damaged.
  bool next();
  [[nodiscard]] bool damaged() const { return damaged_; }

  [[nodiscard]] RecordKind kind() const { return kind_; }
  // The path of a whiteout or an opaque directory.
  [[nodiscard]] std::string_view path() const { return text_; }
  // Of a data record.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] std::string_view data() const { return text_; }
  // Of an entry; the attributes come one by one.
  [[nodiscard]] const Entry& entry() const { return entry_; }
  bool next_attribute(std::string_view& ret_name, std::string_view& ret_value);

 private:
  template <class Number>
  Number number();
  std::string_view text(std::size_t size);
  void read_entry();

  const std::uint8_t* at_;
  const std::uint8_t* end_;
  const std::uint8_t* record_end_ = nullptr;
  const std::uint8_t* attribute_ = nullptr;
  std::uint32_t attributes_left_ = 0;
  RecordKind kind_ = RecordKind::entry;
  std::uint64_t offset_ = 0;
  std::string_view text_;
  Entry entry_;
  bool damaged_ = false;
};

}  // namespace strata::layer
