// The log of a container: one JSON object on a line for each line of its output, in Docker's form
// {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.000000006Z"}. A line that is longer than a record, or that the program's end cuts
// short, is in records without \n. Bytes that are not UTF-8 become U+FFFD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../core/fd.hpp"

namespace strata::keeper {

class Log {
 public:
  static constexpr std::size_t longest_line = 16 * 1024;

  // In this directory (which outlives the log), as container.log, container.log.1 and so on, `max_files` of them, each begun anew when the one before
  // has `max_size` bytes (0: never).
  void begin(int directory, std::int64_t max_size, int max_files);

  enum Stream { output, errors };
  void add(Stream stream, std::string_view bytes);
  // Writes what is not a whole line yet: the program has ended.
  void finish();

 private:
  struct Line {
    char text[longest_line];
    std::size_t size = 0;
  };

  // Each byte can become six, and then there is what stands around them.
  static constexpr std::size_t largest_record = 6 * longest_line + 128;

  void add_record(Stream stream, std::string_view text, std::string_view time);
  void write_out();
  void rotate();
  void open();

  int directory_ = -1;
  std::int64_t max_size_ = 0;
  int max_files_ = 1;
  Fd file_;
  std::int64_t size_ = 0;  // of the file
  Line lines_[2];
  // Whole records only.
  char records_[largest_record];
  std::size_t filled_ = 0;
};

}  // namespace strata::keeper
