#include "writer.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <algorithm>
#include <cerrno>
#include <ctime>

#include "tree.hpp"

namespace strata::layer {
namespace {

// What the kernel takes in one call, so that whatever is made can be named.
constexpr std::size_t longest_path = 4095;
constexpr std::size_t longest_name = 255;
constexpr unsigned permission_bits = 07777;
constexpr unsigned implicit_mode = 0755;
// Of a path in a container, besides its bytes.
constexpr std::size_t node_size = 64;

Status failed(long result, const char* call) { return Status(static_cast<int>(-result), call); }

// The layer's own fault.
Status refuse(std::string_view reason, int error = EINVAL) { return Status::with_detail("layer", "", reason, error); }

Status named(const Status& status, std::string_view path) {
  if (*status.detail() != '\0') return Status::with_detail(status.call(), path, status.detail(), status.error());
  return Status(status.error(), status.call(), path);
}

std::string shown(std::string_view path) { return path.empty() ? "." : std::string(path); }

Status set_times_of(int descriptor, Timestamp mtime) {
  const timespec time{static_cast<time_t>(mtime.seconds), static_cast<long>(mtime.nanoseconds)};
  const timespec times[2] = {time, time};
  const int result = sys::utimensat(descriptor, nullptr, times, 0);
  return result < 0 ? failed(result, "utimensat") : Status();
}

// What is below a path, in a sorted container of paths: '0' follows '/'.
template <class Container>
auto first_below(Container& paths, const std::string& path) {
  return path.empty() ? paths.begin() : paths.lower_bound(path + "/");
}
template <class Container>
auto end_below(Container& paths, const std::string& path) {
  return path.empty() ? paths.end() : paths.lower_bound(path + "0");
}
template <class Container>
void erase_with_below(Container& ret_paths, const std::string& path) {
  ret_paths.erase(path);
  ret_paths.erase(first_below(ret_paths, path), end_below(ret_paths, path));
}

}  // namespace

Result<std::unique_ptr<LayerWriter>> LayerWriter::open(const std::string& directory, const std::vector<std::string>& lower, Mode mode,
                                                       std::size_t remembered_limit) {
  Result<Merged> merged = Merged::open(lower);
  if (merged.failed()) return merged.status();
  std::unique_ptr<LayerWriter> writer(new LayerWriter(std::move(merged.value()), mode, remembered_limit));
  Result<Fd> root = open_directory(AT_FDCWD, directory.c_str());
  if (root.failed()) return root.status();
  writer->levels_.push_back({"", std::move(root.value())});
  if (mode == Mode::flat) return writer;
  Result<Found> below = writer->lower_.find({});
  if (below.failed()) return below.status();
  STRATA_TRY(writer->describe_implicit(below.value()));
  return writer;
}

Status LayerWriter::apply(const std::uint8_t* data, std::size_t size) {
  RecordReader record(data, size);
  while (record.next()) {
    Status status = apply_record(record);
    if (!status.failed() && remembered_ > remembered_limit_) status = refuse("the directories of the layer have too many and too long paths", E2BIG);
    if (!status.failed()) continue;
    if (record.kind() == RecordKind::data) return named(status, file_ == nullptr ? "" : file_->path);
    return named(status, shown(record.kind() == RecordKind::entry ? record.entry().path : record.path()));
  }
  return record.damaged() ? Status(EBADMSG, "records") : Status();
}

Result<LayerSummary> LayerWriter::finish() {
  STRATA_TRY(close_file());
  STRATA_TRY(remove_idle_whiteouts());
  for (const auto& [path, last] : last_) {
    Status status = walk(split(path));
    if (!status.failed() && !last.default_acl.empty()) status = set_attributes(here(), {{std::string(default_acl), last.default_acl}});
    if (!status.failed()) status = set_times_of(here(), last.mtime);
    if (status.failed()) return named(status, shown(path));
  }
  return summary_;
}

Status LayerWriter::apply_record(RecordReader& record) {
  if (record.kind() == RecordKind::data) return apply_data(record);
  STRATA_TRY(close_file());
  summary_.entries++;
  switch (record.kind()) {
    case RecordKind::whiteout: return apply_whiteout(record.path());
    case RecordKind::opaque: return apply_opaque(record.path());
    default: return apply_entry(record);
  }
}

// --- the way to a path ---------------------------------------------------------------------------------------------------------------------------

std::string LayerWriter::path_of(const std::string& name) const {
  std::string path;
  for (std::size_t i = 1; i < levels_.size(); i++) {
    if (i > 1) path += '/';
    path += levels_[i].name;
  }
  if (!path.empty() && !name.empty()) path += '/';
  return path + name;
}

Status LayerWriter::walk_to_parent(std::string_view path, std::string& ret_name) {
  std::vector<std::string> names = split(path);
  ret_name.clear();
  if (!names.empty() && names.back() != "..") {
    ret_name = std::move(names.back());
    names.pop_back();
  }
  if (ret_name.size() > longest_name) return refuse("its name is longer than 255 bytes", ENAMETOOLONG);
  STRATA_TRY(walk(std::move(names)));
  if (path_of(ret_name).size() > longest_path) return refuse("its path is longer than 4095 bytes", ENAMETOOLONG);
  return {};
}

// What we have open is used again as far as the ways are the same: those names are directories.
Status LayerWriter::walk(std::vector<std::string> names) {
  std::size_t same = 0;
  while (same < names.size() && same + 1 < levels_.size() && names[same] == levels_[same + 1].name) same++;
  levels_.resize(same + 1);
  names.erase(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(same));
  std::reverse(names.begin(), names.end());
  int links = 0;
  while (!names.empty()) {
    const std::string name = std::move(names.back());
    names.pop_back();
    if (name != "..") {
      STRATA_TRY(step(name, names, links));
    } else if (levels_.size() > 1) {
      levels_.pop_back();
    }
  }
  return {};
}

Status LayerWriter::enter(const std::string& name) {
  Result<Fd> opened = open_directory(here(), name.c_str());
  if (opened.failed()) return opened.status();
  levels_.push_back({name, std::move(opened.value())});
  return {};
}

// `ret_rest`: what comes after `name`, the next at the end.
Status LayerWriter::step(const std::string& name, std::vector<std::string>& ret_rest, int& ret_links) {
  const int descriptor = sys::openat(here(), name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (descriptor >= 0) {
    levels_.push_back({name, Fd(descriptor)});
    return {};
  }
  if (descriptor == -ENOENT) return step_below(name, ret_rest, ret_links);
  if (descriptor == -ENAMETOOLONG) return refuse("a name on its way is longer than 255 bytes", ENAMETOOLONG);
  if (descriptor != -ENOTDIR && descriptor != -ELOOP) return failed(descriptor, "open");
  struct statx status {};
  if (const int result = status_of(here(), name.c_str(), status); result < 0) return failed(result, "statx");
  if (is_symlink(status)) {
    Result<std::string> target = link_target(here(), name.c_str());
    if (target.failed()) return target.status();
    return expand(target.value(), ret_rest, ret_links);
  }
  if (mode_ == Mode::flat || !is_whiteout(status)) return refuse("/" + path_of(name) + " is not a directory", ENOTDIR);
  STRATA_TRY(clear(name));
  STRATA_TRY(make_implicit(name, {}));
  return make_opaque(".");
}

// Nothing of the name is here: perhaps a lower layer has it.
Status LayerWriter::step_below(const std::string& name, std::vector<std::string>& ret_rest, int& ret_links) {
  Result<Found> found = find_lower(name);
  if (found.failed()) return found.status();
  const Found& lower = found.value();
  if (!lower.exists() || is_directory(lower.status)) return make_implicit(name, lower);
  if (!is_symlink(lower.status)) return refuse("/" + path_of(name) + " is not a directory in a layer below", ENOTDIR);
  Result<std::string> target = link_target(lower.directory.get(), lower.name.c_str());
  if (target.failed()) return target.status();
  return expand(target.value(), ret_rest, ret_links);
}

Status LayerWriter::expand(const std::string& target, std::vector<std::string>& ret_rest, int& ret_links) {
  if (++ret_links > most_links) return refuse("too many symbolic links are on its way", ELOOP);
  std::vector<std::string> names = split(target);
  if (target.starts_with('/')) levels_.resize(1);
  ret_rest.insert(ret_rest.end(), std::make_move_iterator(names.rbegin()), std::make_move_iterator(names.rend()));
  return {};
}

Result<Found> LayerWriter::find_lower(const std::string& name) const {
  if (lower_.layers().empty()) return Found{};
  std::vector<std::string> names;
  for (std::size_t i = 1; i < levels_.size(); i++) {
    Result<bool> opaque = is_opaque(levels_[i].fd.get());
    if (opaque.failed()) return opaque.status();
    if (opaque.value()) return Found{};
    names.push_back(levels_[i].name);
  }
  names.push_back(name);
  return lower_.find(names, names.size() - 1);
}

// A directory that no entry has named so far, as a lower layer has it if one does.
Status LayerWriter::make_implicit(const std::string& name, const Found& lower) {
  if (path_of(name).size() > longest_path) return refuse("its path is longer than 4095 bytes", ENAMETOOLONG);
  if (const int result = sys::mkdirat(here(), name.c_str(), 0700); result < 0) return failed(result, "mkdirat");
  STRATA_TRY(enter(name));
  return describe_implicit(lower);
}

Status LayerWriter::describe_implicit(const Found& lower) {
  const std::string path = path_of("");
  Last last{{}, "", true};
  if (lower.exists()) {
    last.mtime = mtime_of(lower.status);
    STRATA_TRY(copy_directory_attributes(lower.directory.get(), lower.name.c_str(), lower.status, here(), ".", last.default_acl));
  } else {
    STRATA_TRY(set_owner_and_mode(here(), ".", 0, 0, implicit_mode));
  }
  last_[path] = std::move(last);
  remember(path);
  made(path);
  return {};
}

// --- entries -------------------------------------------------------------------------------------------------------------------------------------

Status LayerWriter::apply_entry(RecordReader& record) {
  const Entry& entry = record.entry();
  if (entry.type == EntryType::hardlink) return make_hardlink(entry);
  std::string name;
  STRATA_TRY(walk_to_parent(entry.path, name));
  if (entry.type == EntryType::directory) return make_directory(record, name);
  if (name.empty()) return refuse("only a directory can be there", EISDIR);
  STRATA_TRY(entry.type == EntryType::file ? make_file(record, name) : make_other(record, name));
  made(path_of(name));
  return {};
}

void LayerWriter::made(const std::string& path) {
  if (mode_ == Mode::flat && made_.insert(path).second) remember(path);
}

void LayerWriter::remember(const std::string& path) { remembered_ += path.size() + node_size; }

Status LayerWriter::clear(const std::string& name) {
  STRATA_TRY(remove_node(here(), name.c_str()));
  const std::string path = path_of(name);
  erase_with_below(last_, path);
  erase_with_below(made_, path);
  erase_with_below(whiteouts_, path);
  return {};
}

Attributes LayerWriter::take_attributes(RecordReader& record) {
  Attributes attributes;
  std::string_view name;
  std::string_view value;
  while (record.next_attribute(name, value)) {
    if (is_overlay_attribute(name) || is_of_machine(name)) {
      summary_.dropped++;
    } else {
      attributes.push_back({std::string(name), std::string(value)});
    }
  }
  return attributes;
}

Status LayerWriter::set_attributes(int descriptor, const Attributes& attributes) {
  for (const Attribute& attribute : attributes) {
    const int result = sys::fsetxattr(descriptor, attribute.name.c_str(), attribute.value.data(), attribute.value.size(), 0);
    if (result == -EOPNOTSUPP) {
      summary_.unsupported++;
    } else if (result < 0) {
      return failed(result, "fsetxattr");
    }
  }
  return {};
}

Status LayerWriter::make_directory(RecordReader& record, const std::string& name) {
  bool hides = false;
  if (!name.empty()) {
    int result = sys::mkdirat(here(), name.c_str(), 0700);
    if (result == -EEXIST) {
      struct statx status {};
      if (const int found = status_of(here(), name.c_str(), status); found < 0) return failed(found, "statx");
      if (!is_directory(status)) {
        hides = mode_ == Mode::overlay && is_whiteout(status);
        STRATA_TRY(clear(name));
        result = sys::mkdirat(here(), name.c_str(), 0700);
      } else {
        result = 0;
      }
    }
    if (result < 0) return failed(result, "mkdirat");
    STRATA_TRY(enter(name));
  }
  if (hides) STRATA_TRY(make_opaque("."));
  // What an earlier entry, or a layer below, has given it.
  if (mode_ == Mode::overlay && last_.count(path_of("")) != 0) STRATA_TRY(remove_attributes(here()));
  return describe_directory(record);
}

Status LayerWriter::describe_directory(RecordReader& record) {
  const Entry& entry = record.entry();
  STRATA_TRY(set_owner_and_mode(here(), ".", entry.uid, entry.gid, entry.mode & permission_bits));
  Last last{entry.mtime, "", false};
  Attributes attributes = take_attributes(record);
  const auto inherited = std::find_if(attributes.begin(), attributes.end(), [](const Attribute& one) { return one.name == default_acl; });
  if (inherited != attributes.end()) {
    last.default_acl = std::move(inherited->value);
    attributes.erase(inherited);
  }
  STRATA_TRY(set_attributes(here(), attributes));
  const std::string path = path_of("");
  if (last_.insert_or_assign(path, std::move(last)).second) remember(path);
  made(path);
  return {};
}

Status LayerWriter::make_file(RecordReader& record, const std::string& name) {
  constexpr int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  int descriptor = sys::openat(here(), name.c_str(), flags, 0600);
  if (descriptor == -EEXIST) {
    STRATA_TRY(clear(name));
    descriptor = sys::openat(here(), name.c_str(), flags, 0600);
  }
  if (descriptor < 0) return failed(descriptor, "open");
  const Entry& entry = record.entry();
  summary_.size += entry.size;
  file_.reset(
      new File{Fd(descriptor), std::string(entry.path), entry.mode, entry.uid, entry.gid, entry.mtime, entry.size, 0, take_attributes(record)});
  return {};
}

Status LayerWriter::apply_data(RecordReader& record) {
  if (file_ == nullptr) return Status(EBADMSG, "records");
  std::string_view data = record.data();
  std::uint64_t offset = record.offset();
  if (offset > file_->size || data.size() > file_->size - offset) return refuse("it has more contents than its size says");
  while (!data.empty()) {
    const long count = sys::pwrite(file_->fd.get(), data.data(), data.size(), static_cast<std::int64_t>(offset));
    if (count == -EINTR) continue;
    if (count < 0) return failed(count, "write");
    data.remove_prefix(static_cast<std::size_t>(count));
    offset += static_cast<std::uint64_t>(count);
  }
  file_->written = std::max(file_->written, offset);
  return {};
}

Status LayerWriter::close_file() {
  if (file_ == nullptr) return {};
  const std::unique_ptr<File> file = std::move(file_);
  const int descriptor = file->fd.get();
  Status status;
  if (file->written != file->size) {
    if (const int result = sys::ftruncate(descriptor, static_cast<std::int64_t>(file->size)); result < 0) status = failed(result, "ftruncate");
  }
  // The owner before the rest: chown(2) clears setuid and file capabilities, and so does writing.
  if (!status.failed()) {
    if (const int result = sys::fchownat(descriptor, "", file->uid, file->gid, AT_EMPTY_PATH); result < 0) status = failed(result, "fchown");
  }
  if (!status.failed()) {
    if (const int result = sys::fchmod(descriptor, file->mode & permission_bits); result < 0) status = failed(result, "fchmod");
  }
  if (!status.failed()) status = set_attributes(descriptor, file->attributes);
  if (!status.failed()) status = set_times_of(descriptor, file->mtime);
  return status.failed() ? named(status, file->path) : status;
}

Status LayerWriter::make_other(RecordReader& record, const std::string& name) {
  const Entry& entry = record.entry();
  const std::string link(entry.link);
  unsigned type = 0;
  switch (entry.type) {
    case EntryType::symlink: type = S_IFLNK; break;
    case EntryType::character: type = S_IFCHR; break;
    case EntryType::block: type = S_IFBLK; break;
    default: type = S_IFIFO; break;
  }
  if (type == S_IFCHR && entry.major == 0 && entry.minor == 0) return refuse("a character device 0:0, which is how overlayfs hides a name");
  if (type == S_IFLNK && (link.empty() || link.size() > longest_path)) return refuse("a symbolic link has 1 to 4095 bytes");
  const auto make = [&] {
    if (type == S_IFLNK) return sys::symlinkat(link.c_str(), here(), name.c_str());
    return sys::mknodat(here(), name.c_str(), type | (entry.mode & permission_bits), makedev(entry.major, entry.minor));
  };
  int result = make();
  if (result == -EEXIST) {
    STRATA_TRY(clear(name));
    result = make();
  }
  if (result < 0) return failed(result, type == S_IFLNK ? "symlinkat" : "mknodat");
  STRATA_TRY(set_owner_and_mode(here(), name.c_str(), entry.uid, entry.gid, type | (entry.mode & permission_bits)));
  for (const Attribute& attribute : take_attributes(record)) {
    STRATA_TRY(set_attribute(here(), name.c_str(), attribute.name, attribute.value, summary_.unsupported));
  }
  return set_times(here(), name.c_str(), entry.mtime);
}

// Attributes are the target's, and have come with it. A target in a lower layer is brought up first.
Status LayerWriter::make_hardlink(const Entry& entry) {
  std::string target;
  STRATA_TRY(walk_to_parent(entry.link, target));
  struct statx status {};
  int result = target.empty() ? -EISDIR : status_of(here(), target.c_str(), status);
  if (result == -ENOENT) {
    Result<Found> found = find_lower(target);
    if (found.failed()) return found.status();
    const Found& lower = found.value();
    if (lower.exists()) status = lower.status;
    if (lower.exists() && !is_directory(status)) {
      STRATA_TRY(copy_node(lower.directory.get(), lower.name.c_str(), status, here(), target.c_str()));
      if (is_regular(status)) summary_.size += status.stx_size;
    }
    if (lower.exists()) result = 0;
  }
  const std::string where = "the hard link's target " + std::string(entry.link);
  if (result == -ENOENT || (result == 0 && mode_ == Mode::overlay && is_whiteout(status))) return refuse(where + " does not exist", ENOENT);
  if (result == -EISDIR || (result == 0 && is_directory(status))) return refuse(where + " is a directory", EISDIR);
  if (result < 0) return failed(result, "statx");
  const std::string target_path = path_of(target);
  const long copy = sys::fcntl(here(), F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return failed(copy, "fcntl");
  const Fd directory(static_cast<int>(copy));

  std::string name;
  STRATA_TRY(walk_to_parent(entry.path, name));
  if (name.empty()) return refuse("only a directory can be there", EISDIR);
  const std::string path = path_of(name);
  made(path);
  if (path == target_path) return {};
  int linked = sys::linkat(directory.get(), target.c_str(), here(), name.c_str(), 0);
  if (linked == -EEXIST) {
    STRATA_TRY(clear(name));
    made(path);
    linked = sys::linkat(directory.get(), target.c_str(), here(), name.c_str(), 0);
    if (linked == -ENOENT) return refuse(where + " was in what it replaces", ENOENT);
  }
  return linked < 0 ? failed(linked, "linkat") : Status();
}

// --- what hides the layers below -----------------------------------------------------------------------------------------------------------------

Status LayerWriter::make_whiteout(const std::string& name) {
  if (const int result = sys::mknodat(here(), name.c_str(), S_IFCHR, 0); result < 0) return failed(result, "mknodat");
  const auto [path, fresh] = whiteouts_.insert(path_of(name));
  if (fresh) remember(*path);
  return set_times(here(), name.c_str(), {});
}

// Overlayfs lists a whiteout as a name, which then is not there, in a directory that only one layer has: so those that hide nothing go. What they
// hide is known when the last opaque directory is.
Status LayerWriter::remove_idle_whiteouts() {
  for (const std::string& path : whiteouts_) {
    std::string name;
    STRATA_TRY(walk_to_parent(path, name));
    Result<Found> found = find_lower(name);
    if (found.failed()) return named(found.status(), path);
    if (found.value().exists()) continue;
    if (const int result = sys::unlinkat(here(), name.c_str(), 0); result < 0) return Status(-result, "unlinkat", path);
  }
  return {};
}

Status LayerWriter::make_opaque(const std::string& name) {
  Result<Fd> directory = open_directory(here(), name.c_str());
  if (directory.failed()) return directory.status();
  int result = sys::fsetxattr(directory.value().get(), opaque_attribute, "y", 1, 0);
  if (result == -EPERM) result = sys::fsetxattr(directory.value().get(), user_opaque_attribute, "y", 1, 0);
  return result < 0 ? failed(result, "fsetxattr") : Status();
}

Status LayerWriter::make_plain(const std::string& path, bool with_itself) {
  std::vector<std::string> paths;
  if (const auto itself = last_.find(path); with_itself && itself != last_.end() && itself->second.implicit) paths.push_back(path);
  for (auto at = first_below(last_, path); at != end_below(last_, path); ++at) {
    if (at->second.implicit && at->first != path) paths.push_back(at->first);
  }
  for (const std::string& one : paths) {
    STRATA_TRY(walk(split(one)));
    STRATA_TRY(remove_attributes(here()));
    STRATA_TRY(set_owner_and_mode(here(), ".", 0, 0, implicit_mode));
    last_[one] = {{}, "", true};
  }
  return {};
}

Status LayerWriter::apply_whiteout(std::string_view path) {
  std::string name;
  STRATA_TRY(walk_to_parent(path, name));
  if (name.empty()) return refuse("a whiteout of a directory that cannot go", EISDIR);
  if (mode_ == Mode::flat) return remove_older(name);
  struct statx status {};
  const int result = status_of(here(), name.c_str(), status);
  if (result == -ENOENT) return make_whiteout(name);
  if (result < 0) return failed(result, "statx");
  // This layer has something else there, which stays.
  if (!is_directory(status)) return {};
  STRATA_TRY(make_opaque(name));
  return make_plain(path_of(name), true);
}

Status LayerWriter::apply_opaque(std::string_view path) {
  STRATA_TRY(walk(split(path)));
  const std::string where = path_of("");
  if (mode_ == Mode::overlay) {
    if (where.empty()) return hide_lower_root();
    STRATA_TRY(make_opaque("."));
    return make_plain(where, false);
  }
  Result<Fd> directory = open_directory(here(), ".");
  if (directory.failed()) return directory.status();
  return remove_older_below(std::move(directory.value()), where);
}

// Overlayfs does not ask whether a layer's root is opaque.
Status LayerWriter::hide_lower_root() {
  for (const Fd& layer : lower_.layers()) {
    Result<Fd> root = open_directory(layer.get(), ".");
    if (root.failed()) return root.status();
    TreeWalk names(std::move(root.value()));
    for (;;) {
      Result<TreeWalk::Step> step = names.next();
      if (step.failed()) return step.status();
      if (step.value() == TreeWalk::Step::end) break;
      const std::string name = names.name();
      Result<Found> found = lower_.find({name});
      if (found.failed()) return found.status();
      if (found.value().exists()) STRATA_TRY(apply_whiteout(name));
    }
  }
  return {};
}

Status LayerWriter::remove_older(const std::string& name) {
  const std::string path = path_of(name);
  struct statx status {};
  const int result = status_of(here(), name.c_str(), status);
  if (result == -ENOENT) return {};
  if (result < 0) return failed(result, "statx");
  if (is_directory(status)) {
    Result<Fd> directory = open_same_mount(here(), name.c_str());
    if (directory.failed()) return directory.status();
    STRATA_TRY(remove_older_below(std::move(directory.value()), path));
  }
  if (made_.count(path) != 0) return {};
  const int removed = sys::unlinkat(here(), name.c_str(), is_directory(status) ? AT_REMOVEDIR : 0);
  return removed < 0 && removed != -ENOTEMPTY ? failed(removed, "unlinkat") : Status();
}

Status LayerWriter::remove_older_below(Fd directory, const std::string& path) {
  TreeWalk walk(std::move(directory));
  for (;;) {
    Result<TreeWalk::Step> step = walk.next();
    if (step.failed()) return step.status();
    if (step.value() == TreeWalk::Step::end) return {};
    const bool left = step.value() == TreeWalk::Step::left;
    if (!left && walk.is_directory()) {
      STRATA_TRY(walk.enter());
      continue;
    }
    if (made_.count(path.empty() ? walk.path() : path + "/" + walk.path()) != 0) continue;
    const int removed = sys::unlinkat(walk.directory(), walk.name(), left ? AT_REMOVEDIR : 0);
    // A directory stays with what this layer has brought into it.
    if (removed < 0 && removed != -ENOTEMPTY) return failed(removed, "unlinkat");
  }
}

}  // namespace strata::layer
