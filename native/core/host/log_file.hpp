// Reading logs, line by line and from behind.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

// A file to be read; an invalid descriptor if there is none. Symbolic links are not followed.
Result<Fd> open_log(const std::string& path);
// Whether that is the file at `path` still.
Result<bool> is_file_at(int descriptor, const std::string& path);

struct Lines {
  std::string text;
  std::uint64_t next = 0;  // where in the file they end
};

// Whole lines from there on, at most `limit` bytes of them; none if there is no whole one yet. EFBIG if one is longer.
Result<Lines> read_lines(int descriptor, std::uint64_t offset, std::size_t limit);

struct LastLines {
  std::uint64_t offset = 0;
  int found = 0;
};

// Where the last `count` lines begin, or so many as there are.
Result<LastLines> last_lines(int descriptor, int count);

}  // namespace strata::host
