#include "scan.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

#include <linux/stat.h>

#include "../fd.hpp"
#include "../host/utf8.hpp"
#include "records.hpp"

namespace strata::layer {
namespace {

// What no path can exceed that somebody is to unpack again.
constexpr std::size_t path_limit = 4095;
constexpr std::size_t batch_size = 1 << 20;
constexpr std::size_t part_size = 1 << 18;
constexpr unsigned permission_bits = 07777;

bool starts_with(std::string_view text, std::string_view start) { return text.substr(0, start.size()) == start; }

Status failure(int result, const char* call, std::string_view path) { return {-result, call, path}; }

int status_of_open(int fd, struct statx& ret_status) {
  return sys::statx(fd, "", AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH, STATX_BASIC_STATS, &ret_status);
}

Fd try_directory(int parent, const char* name) { return Fd(sys::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)); }

// The value of an extended attribute of a descriptor that may be O_PATH; no value if there is none.
Result<std::string> attribute_of(int fd, const char* name) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  for (std::size_t size = 256;; size = 65536) {
    std::string value(size, '\0');
    const long length = sys::getxattr(self.c_str(), name, value.data(), size);
    if (length == -ERANGE && size < 65536) continue;
    if (length < 0) return failure(static_cast<int>(length), "getxattr", name);
    value.resize(static_cast<std::size_t>(length));
    return value;
  }
}

bool is_device_whiteout(const struct statx& status) { return S_ISCHR(status.stx_mode) && status.stx_rdev_major == 0 && status.stx_rdev_minor == 0; }

// What overlayfs notes in extended attributes, which are others where it is mounted with `userxattr`.
class Marks {
 public:
  explicit Marks(bool user) : prefix_(user ? "user.overlay." : "trusted.overlay.") {}

  // The first character of the value; NUL if there is none.
  [[nodiscard]] char of(int fd, const char* name) const {
    char value[256] = {};
    const long length = sys::fgetxattr(fd, (prefix_ + name).c_str(), value, sizeof value);
    return length > 0 ? value[0] : '\0';
  }

  // Is it one that overlayfs has written? It gives those of the container with the same beginning a longer one.
  [[nodiscard]] bool is_note(std::string_view name) const { return starts_with(name, prefix_) && !starts_with(name, prefix_ + "overlay."); }

  [[nodiscard]] bool has(int fd, const char* name) const { return sys::fgetxattr(fd, (prefix_ + name).c_str(), nullptr, 0) >= 0; }

  // A device; or, for those who may not make any, an empty file with an attribute.
  [[nodiscard]] bool is_whiteout(int directory, const char* name, const struct statx& status) const {
    if (is_device_whiteout(status)) return true;
    if (!S_ISREG(status.stx_mode) || status.stx_size != 0) return false;
    // Not opened: a container that runs could put a device in its place meanwhile.
    const std::string path = "/proc/self/fd/" + std::to_string(directory) + "/" + name;
    return sys::lgetxattr(path.c_str(), (prefix_ + "whiteout").c_str(), nullptr, 0) >= 0;
  }

 private:
  std::string prefix_;
};

// All that go into an archive, by name. `ret_dropped`: those that cannot.
Result<Attributes> attributes_for_archive(int fd, const Marks& marks, std::vector<std::string>* ret_dropped) {
  const std::string self = "/proc/self/fd/" + std::to_string(fd);
  std::string names(1024, '\0');
  long size = sys::listxattr(self.c_str(), names.data(), names.size());
  if (size == -ERANGE) {
    names.resize(65536);
    size = sys::listxattr(self.c_str(), names.data(), names.size());
  }
  if (size == -EOPNOTSUPP) return Attributes();
  if (size < 0) return failure(static_cast<int>(size), "listxattr", "");
  Attributes found;
  for (const char* at = names.c_str(); at < names.c_str() + size; at += std::strlen(at) + 1) {
    const std::string name = at;
    if (starts_with(name, "trusted.overlay.") || is_of_machine(name) || marks.is_note(name)) continue;
    // The equals sign ends a name in an archive. The other is taken for overlayfs's own by whoever mounts the layer for an ordinary user.
    if (starts_with(name, "user.overlay.") || name.find('=') != std::string::npos) {
      if (ret_dropped != nullptr) ret_dropped->push_back(name);
      continue;
    }
    Result<std::string> value = attribute_of(fd, at);
    if (value.failed() && value.status().error() == ENODATA) continue;
    if (value.failed()) return value.status();
    found.push_back({name, std::move(value.value())});
  }
  std::sort(found.begin(), found.end(), [](const Attribute& a, const Attribute& b) { return a.name < b.name; });
  return found;
}

Status read_names(int directory, std::vector<std::string>& ret_names) {
  alignas(sys::DirectoryEntry) char buffer[32 * 1024];
  for (;;) {
    const long size = sys::getdents64(directory, buffer, sizeof buffer);
    // ENOENT: the directory has been removed since it was opened.
    if (size == 0 || size == -ENOENT) break;
    if (size < 0) return failure(static_cast<int>(size), "getdents64", "");
    for (long at = 0; at < size;) {
      const auto* entry = reinterpret_cast<const sys::DirectoryEntry*>(buffer + at);
      at += entry->length;
      const std::string_view name = entry->name;
      if (name != "." && name != "..") ret_names.emplace_back(name);
    }
  }
  std::sort(ret_names.begin(), ret_names.end());
  return {};
}

// Without slashes at the ends, doubled ones and dots.
std::string cleaned(std::string_view path) {
  std::string clean;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t slash = std::min(path.find('/', at), path.size());
    const std::string_view part = path.substr(at, slash - at);
    if (!part.empty() && part != ".") clean.append(clean.empty() ? "" : "/").append(part);
    at = slash + 1;
  }
  return clean;
}

// A directory of the upper one, and where the walk is in it.
struct Level {
  Fd directory;
  struct statx status {};
  // The same directory in the layers that contribute to it, top to bottom.
  std::vector<Fd> lower;
  std::vector<std::string> gone;
  std::vector<std::string> names;
  std::size_t next_gone = 0;
  std::size_t next_name = 0;
  std::size_t path_size = 0;
  // Nothing of the layers is seen in it, or in what is below it.
  bool opaque = false;
  // Its own record waits until it is known whether anything in it has changed.
  bool announced = false;
  bool changed = false;
  // Nothing but its time has.
  bool only_time = false;
  bool existed = false;
  // Something in it was left out for being the place of a mount.
  bool left_out = false;
};

// What the layers have under a name.
struct Below {
  bool exists = false;
  bool is_directory = false;
  std::vector<Fd> directories;
};

// `layer`: the directory in one layer. False if it hides the layers that follow.
Result<bool> look_in(int layer, const char* name, const Marks& marks, Below& ret_below) {
  Fd directory = try_directory(layer, name);
  if (directory.get() == -ENOENT) return true;
  if (directory.get() == -ENOTDIR || directory.get() == -ELOOP) {
    struct statx status {};
    if (const int result = status_of(layer, name, status); result < 0) return failure(result, "statx", name);
    if (!ret_below.exists) ret_below.exists = !marks.is_whiteout(layer, name, status);
    return false;
  }
  if (!directory.valid()) return failure(directory.get(), "openat", name);
  const bool hides = marks.of(directory.get(), "opaque") == 'y';
  ret_below.exists = true;
  ret_below.is_directory = true;
  ret_below.directories.push_back(std::move(directory));
  return !hides;
}

Result<Below> look_below(const std::vector<Fd>& lower, const char* name, const Marks& marks) {
  Below below;
  for (const Fd& layer : lower) {
    Result<bool> more = look_in(layer.get(), name, marks, below);
    if (more.failed()) return more.status();
    if (!more.value()) break;
  }
  return below;
}

}  // namespace

// Whom the walk tells.
class Receiver {
 public:
  Receiver() = default;
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;
  virtual ~Receiver() = default;
  virtual Status gone(const std::string& path) = 0;
  // `fd`: may be O_PATH. `link`: the path of the same file's first name, empty for the first.
  virtual Status entry(const std::string& path, int fd, const struct statx& status, bool existed, const std::string& link) = 0;
};

class Walk {
 public:
  Walk(Receiver& receiver, const std::vector<std::string>& destinations, bool user_attributes) : receiver_(receiver), marks_(user_attributes) {
    for (const std::string& destination : destinations) {
      const std::string path = cleaned(destination);
      destinations_.insert(path);
      for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1))
        ancestors_.insert(path.substr(0, slash));
    }
  }

  Status begin(const std::string& upper, const std::vector<std::string>& lower) {
    Fd root = try_directory(AT_FDCWD, upper.c_str());
    if (!root.valid()) return failure(root.get(), "openat", upper);
    Below below{true, true, {}};
    for (const std::string& layer : lower) {
      Fd directory = try_directory(AT_FDCWD, layer.c_str());
      if (!directory.valid()) return failure(directory.get(), "openat", layer);
      below.directories.push_back(std::move(directory));
    }
    return enter(std::move(root), std::move(below), false);
  }

  // One name further; false at the end.
  Result<bool> step() {
    if (levels_.empty()) return false;
    Level& level = levels_.back();
    path_.resize(level.path_size);
    if (level.next_gone < level.gone.size()) {
      STRATA_TRY(name(level.gone[level.next_gone++]));
      STRATA_TRY(announce());
      STRATA_TRY(receiver_.gone(path_));
    } else if (level.next_name < level.names.size()) {
      // A copy: the level moves when another is added.
      const std::string next = level.names[level.next_name++];
      STRATA_TRY(name(next));
      STRATA_TRY(visit(next));
    } else {
      STRATA_TRY(leave());
    }
    return !levels_.empty();
  }

 private:
  Status name(std::string_view component) {
    if (!path_.empty()) path_ += '/';
    path_ += component;
    return path_.size() > path_limit ? Status(ENAMETOOLONG, "scan", path_) : Status();
  }

  Status enter(Fd directory, Below below, bool opaque) {
    Level level;
    level.path_size = path_.size();
    if (const int result = status_of_open(directory.get(), level.status); result < 0) return failure(result, "statx", path_);
    if (marks_.has(directory.get(), "redirect")) {
      return Status::with_detail("scan", path_, "was renamed by an overlay with redirect_dir=on, which a layer cannot say");
    }
    level.opaque = opaque || marks_.of(directory.get(), "opaque") == 'y';
    level.existed = below.exists;
    STRATA_TRY(compare(directory.get(), below, level));
    level.directory = std::move(directory);
    level.lower = std::move(below.directories);
    STRATA_TRY(read(level));
    levels_.push_back(std::move(level));
    return {};
  }

  // Is the directory itself another than the topmost layer has?
  Status compare(int directory, const Below& below, Level& level) {
    level.changed = true;
    if (!below.is_directory || below.directories.empty()) return {};
    const int before = below.directories.front().get();
    struct statx old {};
    if (const int result = status_of_open(before, old); result < 0) return failure(result, "statx", path_);
    const struct statx& now = level.status;
    if (now.stx_mode != old.stx_mode || now.stx_uid != old.stx_uid || now.stx_gid != old.stx_gid) return {};
    Result<Attributes> old_attributes = attributes_for_archive(before, marks_, nullptr);
    if (old_attributes.failed()) return old_attributes.status();
    Result<Attributes> new_attributes = attributes_for_archive(directory, marks_, nullptr);
    if (new_attributes.failed()) return new_attributes.status();
    if (old_attributes.value() != new_attributes.value()) return {};
    level.only_time = now.stx_mtime.tv_sec != old.stx_mtime.tv_sec || now.stx_mtime.tv_nsec != old.stx_mtime.tv_nsec;
    level.changed = level.only_time;
    return {};
  }

  // Names of what there is, and of what is gone.
  Status read(Level& level) {
    std::vector<std::string> all;
    STRATA_TRY(read_names(level.directory.get(), all));
    for (std::string& each : all) {
      struct statx status {};
      const int result = status_of(level.directory.get(), each.c_str(), status);
      if (result == -ENOENT) continue;
      if (result < 0) return failure(result, "statx", each);
      if (!marks_.is_whiteout(level.directory.get(), each.c_str(), status)) {
        level.names.push_back(std::move(each));
      } else if (!level.opaque) {
        // One that hides nothing would say nothing.
        Result<Below> below = look_below(level.lower, each.c_str(), marks_);
        if (below.failed()) return below.status();
        if (below.value().exists) level.gone.push_back(std::move(each));
      }
    }
    return level.opaque ? read_hidden(level) : Status();
  }

  // layer.md wants whiteouts one by one rather than a mark that all is hidden.
  Status read_hidden(Level& level) {
    std::set<std::string> seen(level.names.begin(), level.names.end());
    for (const Fd& layer : level.lower) {
      const Fd again = try_directory(layer.get(), ".");
      if (!again.valid()) return failure(again.get(), "openat", path_);
      std::vector<std::string> names;
      STRATA_TRY(read_names(again.get(), names));
      for (const std::string& each : names) {
        if (!seen.insert(each).second) continue;
        struct statx status {};
        if (const int result = status_of(layer.get(), each.c_str(), status); result < 0) return failure(result, "statx", each);
        if (!marks_.is_whiteout(layer.get(), each.c_str(), status)) level.gone.push_back(each);
      }
    }
    std::sort(level.gone.begin(), level.gone.end());
    return {};
  }

  Status visit(const std::string& name) {
    const Level& level = levels_.back();
    const int directory = level.directory.get();
    Result<Below> found = look_below(level.lower, name.c_str(), marks_);
    if (found.failed()) return found.status();
    Below& below = found.value();
    struct statx status {};
    const int result = status_of(directory, name.c_str(), status);
    // Gone meanwhile: whoever did not pause the container has to live with it.
    if (result == -ENOENT) return {};
    if (result < 0) return failure(result, "statx", path_);
    if (S_ISDIR(status.stx_mode)) {
      Fd inner = try_directory(directory, name.c_str());
      if (inner.get() == -ENOENT) return {};
      if (!inner.valid()) return failure(inner.get(), "openat", path_);
      return enter(std::move(inner), std::move(below), level.opaque);
    }
    Fd file(sys::openat(directory, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (file.get() == -ENOENT) return {};
    if (!file.valid()) return failure(file.get(), "openat", path_);
    // What is held now is what is told of; it may be another than a moment ago.
    if (const int again = status_of_open(file.get(), status); again < 0) return failure(again, "statx", path_);
    if (S_ISDIR(status.stx_mode)) return {};
    const bool regular = S_ISREG(status.stx_mode);
    if (regular) {
      // Opened only now that it is known to be no device, for which that could be an order.
      file = Fd(sys::openat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(file.get())).c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
      if (!file.valid()) return failure(file.get(), "openat", path_);
    }
    if (regular && marks_.has(file.get(), "metacopy")) {
      return Status::with_detail("scan", path_, "has its contents in a layer below: an overlay with metacopy=on made it");
    }
    if (regular && status.stx_size == 0 && !below.exists && destinations_.count(path_) != 0) {
      levels_.back().left_out = true;
      return {};
    }
    STRATA_TRY(announce());
    std::string link;
    if (status.stx_nlink > 1) {
      const auto [first, added] = links_.emplace(status.stx_ino, path_);
      if (!added) link = first->second;
    }
    return receiver_.entry(path_, file.get(), status, below.exists, link);
  }

  Status leave() {
    Level& level = levels_.back();
    // The root has a time of its own wherever the layer goes.
    const bool of_root = level.only_time && level.path_size == 0;
    if (!level.announced && level.changed && !of_root) {
      const bool made = !level.existed && (destinations_.count(path_) != 0 || (level.left_out && ancestors_.count(path_) != 0));
      const bool touched = level.only_time && level.left_out;
      if (!made && !touched) {
        STRATA_TRY(announce());
      } else if (levels_.size() > 1) {
        levels_[levels_.size() - 2].left_out = true;
      }
    }
    levels_.pop_back();
    return {};
  }

  // Tells of the directories on the way, once.
  Status announce() {
    if (levels_.back().announced) return {};
    for (Level& level : levels_) {
      if (level.announced) continue;
      level.announced = true;
      // The root is there in any case.
      if (level.path_size == 0 && !level.changed) continue;
      STRATA_TRY(receiver_.entry(path_.substr(0, level.path_size), level.directory.get(), level.status, level.existed, {}));
    }
    return {};
  }

  Receiver& receiver_;
  Marks marks_;
  std::set<std::string> destinations_;
  std::set<std::string> ancestors_;
  std::vector<Level> levels_;
  std::string path_;
  std::unordered_map<std::uint64_t, std::string> links_;
};

namespace {

EntryType type_of(unsigned mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR: return EntryType::directory;
    case S_IFLNK: return EntryType::symlink;
    case S_IFCHR: return EntryType::character;
    case S_IFBLK: return EntryType::block;
    case S_IFIFO: return EntryType::fifo;
    default: return EntryType::file;
  }
}

template <class Number>
void put(std::string& batch, Number number) {
  batch.append(reinterpret_cast<const char*>(&number), sizeof number);
}

void put_text(std::string& batch, std::string_view text) {
  put(batch, static_cast<std::uint32_t>(text.size()));
  batch.append(text);
}

// A header whose length is filled in by `end_record`.
std::size_t begin_record(std::string& batch, RecordKind kind) {
  put(batch, static_cast<std::uint32_t>(kind));
  put(batch, std::uint32_t{0});
  return batch.size();
}

void end_record(std::string& batch, std::size_t begin) {
  const auto size = static_cast<std::uint32_t>(batch.size() - begin);
  std::memcpy(batch.data() + begin - sizeof size, &size, sizeof size);
}

std::string_view last_name(std::string_view path) { return path.substr(path.rfind('/') + 1); }

void append_escaped(std::string& text, std::string_view path) {
  for (std::size_t at = 0; at < path.size();) {
    const auto byte = static_cast<unsigned char>(path[at]);
    const std::size_t size = byte < 0x80 ? 1 : byte < 0xe0 ? 2 : byte < 0xf0 ? 3 : 4;
    const std::string_view character = path.substr(at, size);
    // U+0080 to U+009F are control characters too.
    const bool control = byte < 0x20 || byte == 0x7f || (byte == 0xc2 && character.size() == 2 && static_cast<unsigned char>(character[1]) < 0xa0);
    if (!control && host::is_utf8(character)) {
      text.append(byte == '\\' ? "\\\\" : character);
      at += size;
    } else {
      constexpr char digits[] = "0123456789abcdef";
      text.append("\\x").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
      at++;
    }
  }
}

class List final : public Receiver {
 public:
  Status gone(const std::string& path) override { return add('D', path); }
  Status entry(const std::string& path, int /*fd*/, const struct statx& /*status*/, bool existed, const std::string& /*link*/) override {
    return path.empty() ? Status() : add(existed ? 'C' : 'A', path);
  }
  [[nodiscard]] std::vector<std::string>& changes() { return changes_; }

 private:
  Status add(char kind, const std::string& path) {
    std::string change{kind, '/'};
    append_escaped(change, path);
    changes_.push_back(std::move(change));
    return {};
  }

  std::vector<std::string> changes_;
};

}  // namespace

class Records final : public Receiver {
 public:
  Records(std::int64_t latest, bool user_attributes) : latest_(latest), marks_(user_attributes) {}

  Status gone(const std::string& path) override {
    STRATA_TRY(check_name(path));
    const std::size_t begin = begin_record(batch_, RecordKind::whiteout);
    batch_.append(path);
    end_record(batch_, begin);
    return {};
  }

  Status entry(const std::string& path, int fd, const struct statx& status, bool existed, const std::string& link) override {
    STRATA_TRY(check_name(path));
    if (S_ISSOCK(status.stx_mode)) {
      if (result_.sockets++ == 0) result_.socket = path;
      return {};
    }
    const bool symlink = S_ISLNK(status.stx_mode);
    Result<std::string> target = symlink ? link_target(fd, "") : Result<std::string>(link);
    if (target.failed()) return {target.status().error(), target.status().call(), path};
    // The first name has them.
    Result<Attributes> attributes = link.empty() ? kept_attributes(fd) : Result<Attributes>(Attributes());
    if (attributes.failed()) return {attributes.status().error(), attributes.status().call(), path};
    put_entry(path, status, existed, link.empty() ? type_of(status.stx_mode) : EntryType::hardlink, target.value(), attributes.value());
    if (!link.empty() || !S_ISREG(status.stx_mode) || status.stx_size == 0) return {};
    const long duplicate = sys::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (duplicate < 0) return failure(static_cast<int>(duplicate), "fcntl", path);
    file_ = Fd(static_cast<int>(duplicate));
    path_ = path;
    size_ = status.stx_size;
    offset_ = 0;
    sparse_ = status.stx_blocks * 512 < size_;
    return {};
  }

  [[nodiscard]] bool is_full() const { return batch_.size() >= batch_size; }
  [[nodiscard]] bool has_contents() const { return file_.valid(); }
  [[nodiscard]] std::string take() { return std::exchange(batch_, {}); }
  [[nodiscard]] const ScanResult& result() const { return result_; }

  // A part of the file of the last entry. What cannot be read any more, because the file has become shorter, counts as a hole.
  Status put_contents() {
    std::uint64_t end = size_;
    if (sparse_) {
      const std::int64_t data = sys::lseek(file_.get(), static_cast<std::int64_t>(offset_), SEEK_DATA);
      if (data < 0 && data != -ENXIO) return failure(static_cast<int>(data), "lseek", path_);
      offset_ = data < 0 ? size_ : std::min(size_, std::max(offset_, static_cast<std::uint64_t>(data)));
      const std::int64_t hole = data < 0 ? -1 : sys::lseek(file_.get(), data, SEEK_HOLE);
      // One that has just come where data was does not stop us.
      if (hole > static_cast<std::int64_t>(offset_)) end = std::min(size_, static_cast<std::uint64_t>(hole));
    }
    const std::size_t wanted = static_cast<std::size_t>(std::min<std::uint64_t>(end - std::min(offset_, end), part_size));
    if (wanted > 0) {
      const std::size_t begin = begin_record(batch_, RecordKind::data);
      put(batch_, offset_);
      const std::size_t at = batch_.size();
      batch_.resize(at + wanted);
      const long count = sys::pread(file_.get(), batch_.data() + at, wanted, static_cast<std::int64_t>(offset_));
      if (count < 0) return failure(static_cast<int>(count), "pread", path_);
      batch_.resize(count == 0 ? begin - 8 : at + static_cast<std::size_t>(count));
      if (count > 0) end_record(batch_, begin);
      offset_ = count == 0 ? size_ : offset_ + static_cast<std::uint64_t>(count);
    }
    if (offset_ >= size_) file_.reset();
    return {};
  }

 private:
  static Status check_name(const std::string& path) {
    if (!starts_with(last_name(path), ".wh.")) return {};
    return Status::with_detail("scan", path, "cannot be in a layer, where a name that begins with .wh. says that something is gone");
  }

  Result<Attributes> kept_attributes(int fd) {
    std::vector<std::string> dropped;
    Result<Attributes> attributes = attributes_for_archive(fd, marks_, &dropped);
    if (!dropped.empty() && result_.attributes == 0) result_.attribute = dropped.front();
    result_.attributes += dropped.size();
    return attributes;
  }

  void put_entry(const std::string& path, const struct statx& status, bool existed, EntryType type, std::string_view target,
                 const Attributes& attributes) {
    const bool device = type == EntryType::character || type == EntryType::block;
    const bool late = latest_ >= 0 && status.stx_mtime.tv_sec >= latest_;
    const std::size_t begin = begin_record(batch_, RecordKind::entry);
    put(batch_, static_cast<std::uint32_t>(type));
    put(batch_, std::uint32_t{existed});
    put(batch_, std::uint32_t{status.stx_mode & permission_bits});
    put(batch_, std::uint32_t{status.stx_uid});
    put(batch_, std::uint32_t{status.stx_gid});
    put(batch_, std::uint32_t{late ? 0 : status.stx_mtime.tv_nsec});
    put(batch_, std::uint32_t{device ? status.stx_rdev_major : 0});
    put(batch_, std::uint32_t{device ? status.stx_rdev_minor : 0});
    put(batch_, std::int64_t{late ? latest_ : status.stx_mtime.tv_sec});
    put(batch_, std::uint64_t{type == EntryType::file ? status.stx_size : 0});
    put_text(batch_, path);
    put_text(batch_, target);
    put(batch_, static_cast<std::uint32_t>(attributes.size()));
    for (const auto& [name, value] : attributes) {
      put_text(batch_, name);
      put_text(batch_, value);
    }
    end_record(batch_, begin);
  }

  std::int64_t latest_;
  Marks marks_;
  ScanResult result_;
  std::string batch_;
  Fd file_;
  std::string path_;
  std::uint64_t size_ = 0;
  std::uint64_t offset_ = 0;
  bool sparse_ = false;
};

Scan::Scan() = default;
Scan::~Scan() = default;

Status Scan::begin(const ScanOptions& options) {
  records_.reset(new Records(options.latest, options.user_attributes));
  walk_.reset(new Walk(*records_, options.destinations, options.user_attributes));
  return walk_->begin(options.upper, options.lower);
}

Result<std::string> Scan::next() {
  for (bool more = true; more && !records_->is_full();) {
    if (records_->has_contents()) {
      STRATA_TRY(records_->put_contents());
      continue;
    }
    Result<bool> stepped = walk_->step();
    if (stepped.failed()) return stepped.status();
    more = stepped.value() || records_->has_contents();
  }
  return records_->take();
}

const ScanResult& Scan::result() const { return records_->result(); }

Result<std::vector<std::string>> list_changes(const std::string& upper, const std::vector<std::string>& lower,
                                              const std::vector<std::string>& destinations, bool user_attributes) {
  List list;
  Walk walk(list, destinations, user_attributes);
  STRATA_TRY(walk.begin(upper, lower));
  for (;;) {
    Result<bool> more = walk.step();
    if (more.failed()) return more.status();
    if (!more.value()) break;
  }
  return std::move(list.changes());
}

}  // namespace strata::layer
