#include "log.hpp"

#include <fcntl.h>
#include <unistd.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

#include "../core/text.hpp"
#include "clock.hpp"

namespace strata::keeper {
namespace {

using Name = TextBuilder<40>;

Name name_of(int number) {
  Name name;
  name.add("container.log");
  if (number > 0) name.add(".").add_number(static_cast<std::uint64_t>(number));
  return name;
}

// How many bytes the UTF-8 sequence at the beginning has, 0 if there is none. `ret_cut`: it could go on beyond the end.
std::size_t sequence(std::string_view text, bool& ret_cut) {
  const auto byte = [&](std::size_t at) { return static_cast<unsigned char>(text[at]); };
  ret_cut = false;
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  std::size_t size = 0;
  // The second byte's range keeps out what is too long, surrogates, and what is beyond U+10FFFF.
  unsigned least = 0x80;
  unsigned most = 0xbf;
  if (first >= 0xc2 && first <= 0xdf) {
    size = 2;
  } else if (first >= 0xe0 && first <= 0xef) {
    size = 3;
    if (first == 0xe0) least = 0xa0;
    if (first == 0xed) most = 0x9f;
  } else if (first >= 0xf0 && first <= 0xf4) {
    size = 4;
    if (first == 0xf0) least = 0x90;
    if (first == 0xf4) most = 0x8f;
  } else {
    return 0;
  }
  for (std::size_t at = 1; at < size; at++) {
    if (at == text.size()) {
      ret_cut = true;
      return 0;
    }
    if (byte(at) < least || byte(at) > most) return 0;
    least = 0x80;
    most = 0xbf;
  }
  return size;
}

// How much of a full line can be written without cutting a character in two.
std::size_t whole_characters(std::string_view text) {
  for (std::size_t back = 1; back <= 3 && back < text.size(); back++) {
    bool cut = false;
    const std::size_t start = text.size() - back;
    if ((static_cast<unsigned char>(text[start]) & 0xc0) == 0x80) continue;
    sequence(tail(text, start), cut);
    return cut ? start : text.size();
  }
  return text.size();
}

char* append(char* at, std::string_view text) {
  std::memcpy(at, text.data(), text.size());
  return at + text.size();
}

char* append_escaped(char* at, std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  while (!text.empty()) {
    const char c = text[0];
    if (static_cast<unsigned char>(c) >= 0x80) {
      bool cut = false;
      const std::size_t size = sequence(text, cut);
      at = size == 0 ? append(at, "\\ufffd") : append(at, head(text, size));
      text = tail(text, size == 0 ? 1 : size);
      continue;
    }
    if (c == '"' || c == '\\') {
      *at++ = '\\';
      *at++ = c;
    } else if (c == '\n') {
      at = append(at, "\\n");
    } else if (c == '\r') {
      at = append(at, "\\r");
    } else if (c == '\t') {
      at = append(at, "\\t");
    } else if (static_cast<unsigned char>(c) < 0x20) {
      at = append(at, "\\u00");
      *at++ = digits[static_cast<unsigned char>(c) / 16];
      *at++ = digits[static_cast<unsigned char>(c) % 16];
    } else {
      *at++ = c;
    }
    text = tail(text, 1);
  }
  return at;
}

}  // namespace

void Log::begin(int directory, std::int64_t max_size, int max_files) {
  directory_ = directory;
  max_size_ = max_size;
  max_files_ = max_files;
  open();
}

void Log::open() {
  file_ = Fd(sys::openat(directory_, name_of(0).c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  size_ = file_.valid() ? std::max<std::int64_t>(sys::lseek(file_.get(), 0, SEEK_END), 0) : 0;
}

void Log::add(Stream stream, std::string_view bytes) {
  if (directory_ < 0) return;
  const Timestamp time = now();
  Line& line = lines_[stream];
  while (!bytes.empty()) {
    const std::size_t room = longest_line - line.size;
    const std::string_view piece = head(bytes, room);
    const std::size_t end = piece.find('\n');
    const std::size_t taken = end == std::string_view::npos ? piece.size() : end + 1;
    // A line that is all there need not be copied first.
    if (line.size == 0 && end != std::string_view::npos) {
      add_record(stream, head(piece, taken), time.view());
    } else {
      std::memcpy(line.text + line.size, piece.data(), taken);
      line.size += taken;
      if (end != std::string_view::npos || line.size == longest_line) {
        const std::string_view text(line.text, line.size);
        const std::size_t whole = end != std::string_view::npos ? text.size() : whole_characters(text);
        add_record(stream, head(text, whole), time.view());
        line.size -= whole;
        std::memmove(line.text, line.text + whole, line.size);
      }
    }
    bytes = tail(bytes, taken);
  }
  write_out();
}

void Log::finish() {
  if (directory_ < 0) return;
  const Timestamp time = now();
  for (const Stream stream : {output, errors}) {
    Line& line = lines_[stream];
    if (line.size > 0) add_record(stream, {line.text, line.size}, time.view());
    line.size = 0;
  }
  write_out();
}

void Log::add_record(Stream stream, std::string_view text, std::string_view time) {
  if (sizeof records_ - filled_ < 6 * text.size() + 128) write_out();
  if (max_size_ > 0 && size_ + static_cast<std::int64_t>(filled_) >= max_size_) {
    write_out();
    if (size_ >= max_size_) rotate();
  }
  char* at = append(records_ + filled_, "{\"log\":\"");
  at = append_escaped(at, text);
  at = append(at, stream == output ? "\",\"stream\":\"stdout\",\"time\":\"" : "\",\"stream\":\"stderr\",\"time\":\"");
  at = append(at, time);
  at = append(at, "\"}\n");
  filled_ = static_cast<std::size_t>(at - records_);
}

// What a full disk does not take is lost, but what is in the file stays whole records.
void Log::write_out() {
  if (filled_ == 0) return;
  if (!file_.valid()) open();
  std::size_t done = 0;
  while (file_.valid() && done < filled_) {
    const long count = sys::write(file_.get(), records_ + done, filled_ - done);
    if (count == -EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  if (done == filled_) {
    size_ += static_cast<std::int64_t>(done);
  } else if (file_.valid() && done > 0) {
    (void)sys::ftruncate(file_.get(), size_);
  }
  filled_ = 0;
}

void Log::rotate() {
  file_.reset();
  if (max_files_ == 1) (void)sys::unlinkat(directory_, name_of(0).c_str(), 0);
  for (int number = max_files_ - 1; number > 0; number--) {
    (void)sys::renameat2(directory_, name_of(number - 1).c_str(), directory_, name_of(number).c_str(), 0);
  }
  open();
}

}  // namespace strata::keeper
