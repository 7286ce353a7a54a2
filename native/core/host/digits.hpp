// Bytes as people read them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace strata::host {

inline std::string hexadecimal(std::span<const std::uint8_t> bytes) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += digits[byte / 16];
    text += digits[byte % 16];
  }
  return text;
}

}  // namespace strata::host
