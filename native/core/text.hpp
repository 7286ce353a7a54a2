// Pieces of text. std::string_view::substr could throw, and with it half of libstdc++ would be linked into strata-init.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace strata {

// The first `count` characters, all if there are fewer.
inline std::string_view head(std::string_view text, std::size_t count) { return {text.data(), count < text.size() ? count : text.size()}; }

// What follows the first `count` characters.
inline std::string_view tail(std::string_view text, std::size_t count) {
  return count < text.size() ? std::string_view(text.data() + count, text.size() - count) : std::string_view();
}

// Text that is put together in place; what does not fit is cut.
template <std::size_t Size>
class TextBuilder {
 public:
  TextBuilder& add(std::string_view text) {
    for (const char c : text) {
      if (size_ + 1 < Size) text_[size_++] = c;
    }
    text_[size_] = '\0';
    return *this;
  }

  TextBuilder& add_number(std::uint64_t number) {
    char digits[20];
    std::size_t at = sizeof digits;
    do {
      digits[--at] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0);
    return add({digits + at, sizeof digits - at});
  }

  [[nodiscard]] const char* c_str() const { return text_; }
  [[nodiscard]] std::string_view view() const { return {text_, size_}; }

 private:
  char text_[Size] = {};
  std::size_t size_ = 0;
};

}  // namespace strata
