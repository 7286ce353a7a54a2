// What a keeper and those who are attached to its container say to each other over a stream socket: frames of one byte for the kind, four for the
// size (little-endian, as all our machines are), and so many bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace strata::attach {

// To the keeper.
constexpr std::uint8_t input = 'i';
constexpr std::uint8_t end_of_input = 'e';
constexpr std::uint8_t resize = 'r';  // WindowSize of native/core/host/terminal.hpp
// From the keeper.
constexpr std::uint8_t output = 'o';
constexpr std::uint8_t errors = 'E';
constexpr std::uint8_t lost = 'l';    // u64: so many bytes of output were left out, because they were not read in time
constexpr std::uint8_t exited = 'x';  // i32: as wait(2) reports it, -1 if nobody knows

constexpr std::size_t header_size = 5;
// Of what follows the header.
constexpr std::size_t largest = 16 * 1024;

inline void write_header(char* at, std::uint8_t kind, std::uint32_t size) {
  *at = static_cast<char>(kind);
  std::memcpy(at + 1, &size, sizeof size);
}

inline std::uint32_t size_in(const char* header) {
  std::uint32_t size;
  std::memcpy(&size, header + 1, sizeof size);
  return size;
}

}  // namespace strata::attach
