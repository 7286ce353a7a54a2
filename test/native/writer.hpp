// The wire form of plans and seccomp profiles, as src/plan/writer.ts makes it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

class Writer {
 public:
  Writer& u32(std::uint32_t value) {
    for (int i = 0; i < 4; i++) bytes_.push_back(static_cast<std::uint8_t>(value >> (8 * i)));
    return *this;
  }
  Writer& u64(std::uint64_t value) { return u32(static_cast<std::uint32_t>(value)).u32(static_cast<std::uint32_t>(value >> 32)); }
  Writer& text(const std::string& value) {
    u32(static_cast<std::uint32_t>(value.size()));
    bytes_.insert(bytes_.end(), value.begin(), value.end());
    bytes_.push_back(0);
    return *this;
  }
  [[nodiscard]] const std::vector<std::uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<std::uint8_t> bytes_;
};
