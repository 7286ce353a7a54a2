// Pieces of text. std::string_view::substr could throw, and with it half of libstdc++ would be linked into strata-init.
#pragma once

#include <cstddef>
#include <string_view>

namespace strata {

// The first `count` characters, all if there are fewer.
inline std::string_view head(std::string_view text, std::size_t count) { return {text.data(), count < text.size() ? count : text.size()}; }

// What follows the first `count` characters.
inline std::string_view tail(std::string_view text, std::size_t count) {
  return count < text.size() ? std::string_view(text.data() + count, text.size() - count) : std::string_view();
}

}  // namespace strata
