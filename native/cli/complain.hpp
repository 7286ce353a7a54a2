// The program's own words, where JavaScript is not there to say them.
#pragma once

#include <unistd.h>
#include <cstring>
#include <string>

#include "../core/error.hpp"
#include "../core/host/file.hpp"

namespace strata::cli {

// One line on standard error; the exit status for it.
inline int complain(const std::string& text) {
  (void)host::write_all(STDERR_FILENO, "strata: " + text + "\n");
  return 1;
}

// What a failure says: its own words, or which call failed on which path, and how.
inline std::string words_of(const Status& status) {
  if (*status.detail() != '\0') return status.detail();
  return std::string(status.call()) + " " + status.path() + ": " + std::strerror(status.error());
}

}  // namespace strata::cli
