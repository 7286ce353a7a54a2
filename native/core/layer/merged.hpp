// Layers as overlayfs shows them, one over the other, without a mount: which of them has what is at a path.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "inode.hpp"

namespace strata::layer {

// What is at a path: a node that is not empty has a directory of one layer and a name in it; the root has the name ".".
struct Found {
  Fd directory;
  std::string name;
  struct statx status {};
  // So many components of the path lead there; fewer than it has if the node is no directory.
  std::size_t depth = 0;
  // From the root, without a leading slash.
  std::string path;
  [[nodiscard]] bool exists() const { return directory.valid(); }
};

class Merged {
 public:
  // Top to bottom.
  static Result<Merged> open(const std::vector<std::string>& layers);

  // What the names, each one component, lead to without a symbolic link being followed. The first `known` of them are directories for sure: so a
  // layer above has it.
  Result<Found> find(const std::vector<std::string>& names, std::size_t known = 0) const;
  // What a path leads to, symbolic links inside the root followed, the last one too. ELOOP for too many of them.
  Result<Found> resolve(std::string_view path) const;

  // The parts of which a directory consists, top to bottom. Its names are directories.
  Result<std::vector<Fd>> directories(const std::vector<std::string>& names) const;

  [[nodiscard]] const std::vector<Fd>& layers() const { return layers_; }

 private:
  std::vector<Fd> layers_;
};

// Components without `.` and empty ones.
std::vector<std::string> split(std::string_view path);
std::string join(const std::vector<std::string>& names);

// As the kernel's MAXSYMLINKS.
constexpr int most_links = 40;

// A file of the merged view as text; what is not UTF-8 in it is replaced. Nothing if it is not there. EFBIG: it has more bytes than `limit`; EINVAL:
// it is no file.
Result<std::optional<std::string>> read_layered(const std::vector<std::string>& layers, const std::string& path, std::uint64_t limit);

// Copies a directory of the merged view, with everything, into an empty directory. False if there is nothing at the path. ENOTDIR.
Result<bool> copy_layered(const std::vector<std::string>& layers, const std::string& path, const std::string& destination);

}  // namespace strata::layer
