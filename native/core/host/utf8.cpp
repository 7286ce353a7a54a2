#include "utf8.hpp"

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace strata::host {
namespace {

// What begins at some place of a text: a whole character, or as much of one as there is, one byte at least.
struct Sequence {
  std::size_t length;
  bool whole;
};

// The second byte's bounds exclude overlong forms, surrogates and what lies above U+10FFFF (Unicode 15, table 3-7).
Sequence sequence(const unsigned char* at, std::size_t left) {
  const unsigned char lead = at[0];
  if (lead < 0x80) return {1, true};
  if (lead < 0xc2 || lead > 0xf4) return {1, false};
  const std::size_t length = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
  unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
  unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
  for (std::size_t i = 1; i < length; i++) {
    if (i == left || at[i] < low || at[i] > high) return {i, false};
    low = 0x80;
    high = 0xbf;
  }
  return {length, true};
}

}  // namespace

bool is_utf8(std::string_view text) {
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  std::size_t left = text.size();
  while (left > 0) {
    // Eight ASCII characters at a time: configurations are little else.
    std::uint64_t word;
    if (left >= sizeof word) {
      std::memcpy(&word, at, sizeof word);
      if ((word & 0x8080808080808080) == 0) {
        at += sizeof word;
        left -= sizeof word;
        continue;
      }
    }
    const auto [length, whole] = sequence(at, left);
    if (!whole) return false;
    at += length;
    left -= length;
  }
  return true;
}

std::string as_utf8(std::string_view text) {
  std::string copy;
  const auto* at = reinterpret_cast<const unsigned char*>(text.data());
  const unsigned char* end = at + text.size();
  while (at < end) {
    const auto [length, whole] = sequence(at, static_cast<std::size_t>(end - at));
    if (whole) {
      copy.append(reinterpret_cast<const char*>(at), length);
    } else {
      copy += "\xef\xbf\xbd";
    }
    at += length;
  }
  return copy;
}

std::string characters_of_bytes(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (const char byte : bytes) {
    const auto value = static_cast<unsigned char>(byte);
    if (value < 0x80) {
      text += byte;
    } else {
      text += static_cast<char>(0xc0 | (value >> 6));
      text += static_cast<char>(0x80 | (value & 0x3f));
    }
  }
  return text;
}

Result<std::string> bytes_of_characters(std::string_view text) {
  std::string bytes;
  bytes.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); i++) {
    const auto lead = static_cast<unsigned char>(text[i]);
    if (lead < 0x80) {
      bytes += text[i];
    } else if ((lead == 0xc2 || lead == 0xc3) && i + 1 < text.size()) {
      bytes += static_cast<char>((lead << 6) | (static_cast<unsigned char>(text[++i]) & 0x3f));
    } else {
      return Status(EILSEQ, "strata", "bytes");
    }
  }
  return bytes;
}

}  // namespace strata::host
