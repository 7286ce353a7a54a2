// Walks through a directory whose contents are somebody else's: any depth, any names. Nothing but the same mount is entered.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "inode.hpp"

namespace strata::layer {

// Goes through a tree in depth, without recursion and with a bounded number of descriptors. The names of a directory are read before the first of
// them is told, so that they may be removed.
class TreeWalk {
 public:
  enum class Order { any, sorted };
  enum class Step {
    entry,  // a name; enter() goes into it, if it is a directory
    left,   // a directory that was entered: all in it has been told
    end,
  };

  TreeWalk() = default;
  explicit TreeWalk(Fd root, Order order = Order::any) : order_(order) { levels_.push_back({std::move(root), {}, {}, 0, 0, 0}); }

  Result<Step> next();
  // Into the directory that next() has told. EXDEV: something is mounted there.
  Status enter();

  // Of what next() has told: its directory and its name there.
  [[nodiscard]] int directory() const { return levels_.back().fd.get(); }
  [[nodiscard]] const char* name() const { return name_.name.c_str(); }
  [[nodiscard]] bool is_directory() const { return name_.is_directory; }
  // From the root, without a leading slash.
  [[nodiscard]] std::string path() const;

 private:
  struct Name {
    std::string name;
    bool is_directory = false;
  };
  struct Level {
    Fd fd;  // closed while it is far above
    std::string name;
    std::vector<Name> names;
    std::size_t at;
    std::uint64_t device;
    std::uint64_t inode;
  };

  Status read_names(Level& ret_level) const;
  Status reopen_parent();

  Order order_ = Order::any;
  std::vector<Level> levels_;
  bool begun_ = false;
  Name name_;
};

// The directory at a name, if no other mount begins there: EXDEV.
Result<Fd> open_same_mount(int directory, const char* name);

// Removes a directory with all that is in it, or whatever else is there; nothing there is not an error. EBUSY for what is a mount point.
Status remove_tree(const std::string& path);
// The same, for what is at a name of an open directory.
Status remove_node(int directory, const char* name);

// Bytes of the files below a directory, those with several names once.
Result<double> disk_usage(const std::string& path);

// Brings a directory with all that is in it to the disk, file by file, which does not wait for what others write there. False, and nothing is done,
// if it has more than `most` entries, or something whose attributes no fsync(2) of its own can bring there: a link, a device.
Result<bool> sync_tree(const std::string& path, unsigned most);

struct Difference {
  std::string path;
  std::string reason;
};

// The first difference of two trees, by path; none if they have the same entries with the same contents and attributes, times of access left out.
Result<std::optional<Difference>> compare_trees(const std::string& first, const std::string& second);

}  // namespace strata::layer
