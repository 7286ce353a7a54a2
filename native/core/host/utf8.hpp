// Is a text UTF-8? What crosses to TypeScript must be: JavaScript engines replace what they cannot decode, silently.
#pragma once

#include <string>
#include <string_view>

#include "../error.hpp"

namespace strata::host {

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. NUL is a character like any other.
bool is_utf8(std::string_view text);
// The text with U+FFFD for every piece of it that is not: as Node decodes, and with it whoever follows the Encoding standard.
std::string as_utf8(std::string_view text);
// Any bytes as a text with one character, up to U+00FF, for each of them, and back: EILSEQ if there is another character.
std::string characters_of_bytes(std::string_view bytes);
Result<std::string> bytes_of_characters(std::string_view text);

}  // namespace strata::host
