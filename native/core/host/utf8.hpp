// Is a text UTF-8? What crosses to TypeScript must be: JavaScript engines replace what they cannot decode, silently.
#pragma once

#include <string>
#include <string_view>

namespace strata::host {

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. NUL is a character like any other.
bool is_utf8(std::string_view text);
// The text with U+FFFD for every piece of it that is not: as Node decodes, and with it whoever follows the Encoding standard.
std::string as_utf8(std::string_view text);

}  // namespace strata::host
