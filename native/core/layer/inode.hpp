// What is at one name of a directory: its kind, its attributes, a copy of it. A node is named by the descriptor of its directory and its name there,
// which is one component; nothing here follows a symbolic link.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <linux/stat.h>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::layer {

struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;
};

struct Attribute {
  std::string name;
  std::string value;
  bool operator==(const Attribute&) const = default;
};
using Attributes = std::vector<Attribute>;

// How overlayfs marks a directory that hides those of the layers below; the other is for root of a user namespace, who may not write the first.
constexpr const char* opaque_attribute = "trusted.overlay.opaque";
constexpr const char* user_opaque_attribute = "user.overlay.opaque";
// What entries made below a directory would inherit: it is given to a directory last.
constexpr std::string_view default_acl = "system.posix_acl_default";

// Does the attribute mean something to overlayfs?
bool is_overlay_attribute(std::string_view name);
// Is it a label or a measurement of a security module? They are the machine's, and no part of an image.
bool is_of_machine(std::string_view name);
// The character device 0:0, by which overlayfs hides a name of the layers below.
bool is_whiteout(const struct statx& status);
bool is_directory(const struct statx& status);
bool is_regular(const struct statx& status);
bool is_symlink(const struct statx& status);
Result<bool> is_opaque(int directory);
Timestamp mtime_of(const struct statx& status);

// 0 or a negative errno.
int status_of(int directory, const char* name, struct statx& ret_status);

// The directory itself, to be read.
Result<Fd> open_directory(int directory, const char* name);
// `path` below `root`, without a symbolic link or a dot on its way; "" is the root.
Result<Fd> open_below(int root, const std::string& path);

// All of a node but those of overlayfs and of the machine.
Result<Attributes> attributes_of(int directory, const char* name);
// EOPNOTSUPP is told by `ret_unsupported`, which counts.
Status set_attribute(int directory, const char* name, std::string_view attribute, std::string_view value, std::uint64_t& ret_unsupported);

// Those that a directory itself has go, but those of overlayfs and of the machine.
Status remove_attributes(int directory);

Result<std::string> link_target(int directory, const char* name);
Status set_times(int directory, const char* name, Timestamp mtime);
// Owner first: chown(2) clears setuid and file capabilities.
Status set_owner_and_mode(int directory, const char* name, unsigned uid, unsigned gid, unsigned mode);

// Copies the contents of a file, holes as holes.
Status copy_contents(int from, int to, std::uint64_t size);
// Makes a copy of a node that is not a directory, with everything that belongs to it, where nothing is yet.
Status copy_node(int from, const char* from_name, const struct statx& status, int to, const char* to_name);
// Gives a directory what another has but its times and its default ACL, which is told.
Status copy_directory_attributes(int from, const char* from_name, const struct statx& status, int to, const char* to_name,
                                 std::string& ret_default_acl);

}  // namespace strata::layer
