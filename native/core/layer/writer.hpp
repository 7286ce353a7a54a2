// Applies the entries of one layer to a directory (design rule 9). The layer is hostile: paths may say anything, in any order. Every step is made
// from an open directory to one name in it, and no symbolic link is followed but by ourselves, inside the root.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "merged.hpp"
#include "records.hpp"

namespace strata::layer {

struct LayerSummary {
  std::uint64_t entries = 0;  // whiteouts and opaque directories included
  std::uint64_t size = 0;     // bytes of file content
  std::uint64_t dropped = 0;  // attributes that are overlayfs's own, or the machine's
  std::uint64_t unsupported = 0;
};

enum class Mode {
  overlay,  // whiteouts as overlayfs has them
  flat,     // whiteouts are carried out; there is no lower layer
};

// Paths are resolved in what overlayfs would show of this layer over the lower ones. What is missing on the way is made: as a lower layer has it, or
// 0755, of root and of 1970, so that the same layer always gives the same tree.
class LayerWriter {
 public:
  // Bytes of the paths that wait for `finish`. An entry of few bytes can name thousands of directories that have paths of kilobytes each.
  static constexpr std::size_t most_remembered = std::size_t{512} << 20;

  // `lower`: top to bottom.
  static Result<std::unique_ptr<LayerWriter>> open(const std::string& directory, const std::vector<std::string>& lower, Mode mode,
                                                   std::size_t remembered_limit = most_remembered);

  // A batch of records (records.hpp). A failure has the path of the entry; with a detail it is the layer's own fault. After one there is nothing
  // more to be done here.
  Status apply(const std::uint8_t* data, std::size_t size);
  // What waits for the last entry: the times of directories.
  Result<LayerSummary> finish();

 private:
  // A directory on the way to where we are, the root first.
  struct Level {
    std::string name;
    Fd fd;
  };
  // What a directory gets when nothing more is made in it.
  struct Last {
    Timestamp mtime;
    std::string default_acl;
    bool implicit;  // no entry has named it
  };
  // The file whose contents are coming.
  struct File {
    Fd fd;
    std::string path;
    unsigned mode;
    unsigned uid;
    unsigned gid;
    Timestamp mtime;
    std::uint64_t size;
    std::uint64_t written;  // where the last of the contents ended
    Attributes attributes;
  };

  LayerWriter(Merged lower, Mode mode, std::size_t remembered_limit) : lower_(std::move(lower)), mode_(mode), remembered_limit_(remembered_limit) {}

  Status apply_record(RecordReader& record);
  Status apply_entry(RecordReader& record);
  Status apply_data(RecordReader& record);
  Status apply_whiteout(std::string_view path);
  Status apply_opaque(std::string_view path);

  // The way to a path: `levels_` is it then. `ret_name` is "" for what is a directory in any case: the root, or what `..` leads to.
  Status walk_to_parent(std::string_view path, std::string& ret_name);
  Status walk(std::vector<std::string> names);
  Status step(const std::string& name, std::vector<std::string>& ret_rest, int& ret_links);
  Status step_below(const std::string& name, std::vector<std::string>& ret_rest, int& ret_links);
  Status make_implicit(const std::string& name, const Found& lower);
  Status describe_implicit(const Found& lower);
  Status expand(const std::string& target, std::vector<std::string>& ret_rest, int& ret_links);
  Status enter(const std::string& name);
  Result<Found> find_lower(const std::string& name) const;
  [[nodiscard]] int here() const { return levels_.back().fd.get(); }
  // Of a name here.
  [[nodiscard]] std::string path_of(const std::string& name) const;

  Status make_directory(RecordReader& record, const std::string& name);
  Status make_file(RecordReader& record, const std::string& name);
  Status make_other(RecordReader& record, const std::string& name);
  Status make_hardlink(const Entry& entry);
  Status describe_directory(RecordReader& record);
  Attributes take_attributes(RecordReader& record);
  Status set_attributes(int descriptor, const Attributes& attributes);
  Status close_file();
  // Makes room for another node.
  Status clear(const std::string& name);
  void made(const std::string& path);
  void remember(const std::string& path);

  // What the layers below do not show any longer, nothing here takes its attributes from.
  Status make_plain(const std::string& path, bool with_itself);
  Status make_whiteout(const std::string& name);
  Status make_opaque(const std::string& name);
  Status remove_idle_whiteouts();
  Status hide_lower_root();
  // Whatever this layer has not brought itself.
  Status remove_older(const std::string& name);
  Status remove_older_below(Fd directory, const std::string& path);

  Merged lower_;
  Mode mode_;
  std::vector<Level> levels_;
  std::map<std::string, Last> last_;  // by path
  std::set<std::string> made_;        // paths, in flat mode
  std::set<std::string> whiteouts_;   // paths, in overlay mode
  std::size_t remembered_limit_;
  std::size_t remembered_ = 0;
  std::unique_ptr<File> file_;
  LayerSummary summary_;
};

}  // namespace strata::layer
