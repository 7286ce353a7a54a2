#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <map>

#include "tree.hpp"

namespace strata::layer {
namespace {

// As much as can be read, up to the size.
Result<std::size_t> read_part(int descriptor, char* part, std::size_t size, std::int64_t offset) {
  std::size_t done = 0;
  while (done < size) {
    const long count = sys::pread(descriptor, part + done, size - done, offset + static_cast<std::int64_t>(done));
    if (count == -EINTR) continue;
    if (count < 0) return Status(static_cast<int>(-count), "read");
    if (count == 0) break;
    done += static_cast<std::size_t>(count);
  }
  return done;
}

Result<bool> same_contents(int first, int second, const char* name) {
  const Fd a(sys::openat(first, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  const Fd b(sys::openat(second, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!a.valid()) return Status(-a.get(), "open", name);
  if (!b.valid()) return Status(-b.get(), "open", name);
  std::array<char, 64 * 1024> part_a;
  std::array<char, 64 * 1024> part_b;
  for (std::int64_t at = 0;;) {
    Result<std::size_t> size_a = read_part(a.get(), part_a.data(), part_a.size(), at);
    if (size_a.failed()) return size_a.status();
    Result<std::size_t> size_b = read_part(b.get(), part_b.data(), part_b.size(), at);
    if (size_b.failed()) return size_b.status();
    const std::size_t size = size_a.value();
    if (size != size_b.value() || std::memcmp(part_a.data(), part_b.data(), size) != 0) return false;
    if (size < part_a.size()) return true;
    at += static_cast<std::int64_t>(size);
  }
}

// Those that overlayfs sets are compared too: a layer's opaque directories.
Result<Attributes> sorted_attributes(int directory, const char* name, bool opened) {
  Result<Attributes> attributes = attributes_of(directory, name);
  if (attributes.failed()) return attributes;
  if (opened) {
    Result<Fd> itself = open_directory(directory, name);
    if (itself.failed()) return itself.status();
    Result<bool> opaque = is_opaque(itself.value().get());
    if (opaque.failed()) return opaque.status();
    if (opaque.value()) attributes.value().push_back({opaque_attribute, "y"});
  }
  std::sort(attributes.value().begin(), attributes.value().end(), [](const Attribute& a, const Attribute& b) { return a.name < b.name; });
  return attributes;
}

std::string in_octal(unsigned mode) {
  std::string digits;
  for (; mode != 0; mode /= 8) digits.insert(digits.begin(), static_cast<char>('0' + mode % 8));
  return "0" + digits;
}

class Comparison {
 public:
  // How the node of a name differs, "" if it does not.
  Result<std::string> node(int first, int second, const char* name) {
    struct statx a {};
    struct statx b {};
    if (const int result = status_of(first, name, a); result < 0) return Status(-result, "statx", name);
    if (const int result = status_of(second, name, b); result < 0) return Status(-result, "statx", name);
    if (((a.stx_mode ^ b.stx_mode) & S_IFMT) != 0) return std::string("it is of another type");
    if (a.stx_mode != b.stx_mode) return "its mode is " + in_octal(a.stx_mode & 07777U) + " and " + in_octal(b.stx_mode & 07777U);
    if (a.stx_uid != b.stx_uid || a.stx_gid != b.stx_gid) return std::string("it has another owner or group");
    if (a.stx_mtime.tv_sec != b.stx_mtime.tv_sec || a.stx_mtime.tv_nsec != b.stx_mtime.tv_nsec) return std::string("it was modified at another time");
    if (a.stx_rdev_major != b.stx_rdev_major || a.stx_rdev_minor != b.stx_rdev_minor) return std::string("it is another device");
    Result<Attributes> attributes_a = sorted_attributes(first, name, is_directory(a));
    if (attributes_a.failed()) return attributes_a.status();
    Result<Attributes> attributes_b = sorted_attributes(second, name, is_directory(b));
    if (attributes_b.failed()) return attributes_b.status();
    if (attributes_a.value() != attributes_b.value()) return std::string("it has other extended attributes");
    if (is_directory(a)) return std::string();
    if (a.stx_nlink != b.stx_nlink || !same_inode(a, b)) return std::string("it has other hard links");
    if (is_symlink(a)) return symlink(first, second, name);
    if (!is_regular(a)) return std::string();
    if (a.stx_size != b.stx_size) return "its size is " + std::to_string(a.stx_size) + " and " + std::to_string(b.stx_size);
    Result<bool> same = same_contents(first, second, name);
    if (same.failed()) return same.status();
    return std::string(same.value() ? "" : "it has other contents");
  }

 private:
  static Result<std::string> symlink(int first, int second, const char* name) {
    Result<std::string> a = link_target(first, name);
    if (a.failed()) return a;
    Result<std::string> b = link_target(second, name);
    if (b.failed()) return b;
    return std::string(a.value() == b.value() ? "" : "it leads elsewhere");
  }

  // Names of one file in the first tree are names of one file in the second.
  bool same_inode(const struct statx& a, const struct statx& b) {
    if (a.stx_nlink == 1) return true;
    const auto [there, fresh] = linked_.try_emplace(a.stx_ino, b.stx_ino);
    const auto [back, fresh_back] = linked_back_.try_emplace(b.stx_ino, a.stx_ino);
    return fresh == fresh_back && there->second == b.stx_ino && back->second == a.stx_ino;
  }

  std::map<std::uint64_t, std::uint64_t> linked_;
  std::map<std::uint64_t, std::uint64_t> linked_back_;
};

Result<TreeWalk> begin(const std::string& path) {
  Result<Fd> root = open_directory(AT_FDCWD, path.c_str());
  if (root.failed()) return root.status();
  return TreeWalk(std::move(root.value()), TreeWalk::Order::sorted);
}

std::optional<Difference> difference(const std::string& path, std::string reason) { return Difference{"/" + path, std::move(reason)}; }

}  // namespace

Result<std::optional<Difference>> compare_trees(const std::string& first, const std::string& second) {
  Result<TreeWalk> walk_a = begin(first);
  if (walk_a.failed()) return walk_a.status();
  Result<TreeWalk> walk_b = begin(second);
  if (walk_b.failed()) return walk_b.status();
  TreeWalk& a = walk_a.value();
  TreeWalk& b = walk_b.value();
  Comparison comparison;
  Result<std::string> root = comparison.node(a.directory(), b.directory(), ".");
  if (root.failed()) return root.status();
  if (!root.value().empty()) return difference("", root.value());
  for (;;) {
    Result<TreeWalk::Step> step_a = a.next();
    if (step_a.failed()) return step_a.status();
    Result<TreeWalk::Step> step_b = b.next();
    if (step_b.failed()) return step_b.status();
    const bool entry_a = step_a.value() == TreeWalk::Step::entry;
    const bool entry_b = step_b.value() == TreeWalk::Step::entry;
    if (entry_a && (!entry_b || std::string_view(a.name()) < b.name())) return difference(a.path(), "it is only in the first");
    if (entry_b && (!entry_a || std::string_view(b.name()) < a.name())) return difference(b.path(), "it is only in the second");
    if (step_a.value() == TreeWalk::Step::end) return std::optional<Difference>();
    if (!entry_a) continue;
    Result<std::string> found = comparison.node(a.directory(), b.directory(), a.name());
    if (found.failed()) return found.status();
    if (!found.value().empty()) return difference(a.path(), found.value());
    if (!a.is_directory()) continue;
    STRATA_TRY(a.enter());
    STRATA_TRY(b.enter());
  }
}

}  // namespace strata::layer
