// Files of a directory that came from somebody else.
#pragma once

#include <string>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

// Opens a regular file below a directory for reading: symbolic links are followed inside of it, and nothing but a file is opened, for with a device
// that alone can have consequences. `path` is relative. An invalid descriptor if there is none; what leads out, or is no file, is a failure with a
// detail.
Result<Fd> open_beneath(const std::string& directory, const std::string& path);

}  // namespace strata::host
