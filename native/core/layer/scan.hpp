// Reads what a container has changed: its upper directory against the layers below. Only the upper directory is walked, by descriptor; of the
// layers only what bears the same names is looked at. What comes out is in the order of an archive: depth first, each directory before its
// contents, in it first what is gone, names by their bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "../error.hpp"

namespace strata::layer {

struct ScanOptions {
  std::string upper;
  // Top to bottom.
  std::vector<std::string> lower;
  // Absolute paths in the container. What is empty there, and in no layer, was made to be mounted on, and is left out.
  std::vector<std::string> destinations;
  // Later times of modification become this one, in seconds since 1970; negative for none.
  std::int64_t latest = -1;
  // The overlay is mounted with `userxattr`.
  bool user_attributes = false;
};

// What an archive cannot hold is left out, and counted; one of each is named.
struct ScanResult {
  std::uint64_t sockets = 0;
  std::string socket;
  std::uint64_t attributes = 0;
  std::string attribute;
};

class Walk;
class Records;

// The changes with their contents.
class Scan {
 public:
  Scan();
  Scan(const Scan&) = delete;
  Scan& operator=(const Scan&) = delete;
  ~Scan();

  // Opens the directories.
  Status begin(const ScanOptions& options);
  // More records (src/layer/records.ts), about a mebibyte; none at the end.
  Result<std::string> next();
  // Whole once `next` has returned none.
  [[nodiscard]] const ScanResult& result() const;

 private:
  std::unique_ptr<Records> records_;
  std::unique_ptr<Walk> walk_;
};

// The changes alone: `A`, `C` or `D` for added, changed and deleted, and the absolute path. In it a backslash is doubled, and \xNN stands for a
// control character and for each byte that is not UTF-8.
Result<std::vector<std::string>> list_changes(const std::string& upper, const std::vector<std::string>& lower,
                                              const std::vector<std::string>& destinations, bool user_attributes);

}  // namespace strata::layer
