// Records as src/layer/records.ts makes them, and what becomes of them in a directory.
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace harness {

// The types in the order of their numbers.
enum class Type : std::uint32_t { file, directory, symlink, hardlink, character, block, fifo };

struct Node {
  Type type = Type::file;
  std::string path;
  std::string link = "";
  unsigned mode = 0644;
  unsigned uid = 0;
  unsigned gid = 0;
  unsigned major = 0;
  unsigned minor = 0;
  std::int64_t seconds = 1;
  std::uint32_t nanoseconds = 0;
  std::uint64_t size = 0;
  std::vector<std::pair<std::string, std::string>> attributes = {};
};

class Batch {
 public:
  Batch& entry(const Node& node) {
    std::string body;
    for (const std::uint32_t word :
         {static_cast<std::uint32_t>(node.type), 0U, node.mode, node.uid, node.gid, node.nanoseconds, node.major, node.minor}) {
      put(body, word);
    }
    put(body, node.seconds);
    put(body, node.size);
    text(body, node.path);
    text(body, node.link);
    put(body, static_cast<std::uint32_t>(node.attributes.size()));
    for (const auto& [name, value] : node.attributes) {
      text(body, name);
      text(body, value);
    }
    return record(1, body);
  }
  Batch& data(std::uint64_t offset, const std::string& bytes) {
    std::string body;
    put(body, offset);
    return record(2, body + bytes);
  }
  Batch& whiteout(const std::string& path) { return record(3, path); }
  Batch& opaque(const std::string& path) { return record(4, path); }

  Batch& file(const std::string& path, const std::string& contents) {
    entry({.path = path, .size = contents.size()});
    return contents.empty() ? *this : data(0, contents);
  }
  Batch& directory(const std::string& path, unsigned mode = 0755) { return entry({.type = Type::directory, .path = path, .mode = mode}); }
  Batch& symlink(const std::string& path, const std::string& target) { return entry({.type = Type::symlink, .path = path, .link = target}); }
  Batch& hardlink(const std::string& path, const std::string& target) { return entry({.type = Type::hardlink, .path = path, .link = target}); }
  Batch& record(std::uint32_t kind, const std::string& body) {
    put(bytes_, kind);
    put(bytes_, static_cast<std::uint32_t>(body.size()));
    bytes_ += body;
    return *this;
  }

  [[nodiscard]] const std::uint8_t* data() const { return reinterpret_cast<const std::uint8_t*>(bytes_.data()); }
  [[nodiscard]] std::size_t size() const { return bytes_.size(); }

 private:
  template <class Number>
  static void put(std::string& bytes, Number number) {
    bytes.append(reinterpret_cast<const char*>(&number), sizeof number);
  }
  static void text(std::string& bytes, const std::string& text) {
    put(bytes, static_cast<std::uint32_t>(text.size()));
    bytes += text;
  }

  std::string bytes_;
};

inline std::string attribute(const std::string& path, const char* name) {
  char value[256];
  const ssize_t size = lgetxattr(path.c_str(), name, value, sizeof value);
  return size < 0 ? "" : std::string(value, static_cast<std::size_t>(size));
}

// In one line: type and mode, owner, time, and contents, target or device. "" if nothing is there.
inline std::string shown(const std::string& path) {
  struct stat status {};
  if (lstat(path.c_str(), &status) != 0) return "";
  const std::map<unsigned, char> types = {{S_IFREG, 'f'}, {S_IFDIR, 'd'}, {S_IFLNK, 'l'}, {S_IFCHR, 'c'}, {S_IFBLK, 'b'}, {S_IFIFO, 'p'}};
  std::ostringstream line;
  line << types.at(status.st_mode & S_IFMT) << std::oct << (status.st_mode & 07777U) << std::dec << ' ' << status.st_uid << ':' << status.st_gid
       << ' ' << status.st_mtim.tv_sec << '.' << status.st_mtim.tv_nsec;
  if (S_ISCHR(status.st_mode) || S_ISBLK(status.st_mode)) line << ' ' << major(status.st_rdev) << ',' << minor(status.st_rdev);
  if (S_ISREG(status.st_mode)) line << ' ' << std::ifstream(path).rdbuf();
  if (S_ISLNK(status.st_mode)) {
    char target[4096];
    const ssize_t size = readlink(path.c_str(), target, sizeof target);
    line << ' ' << std::string(target, size < 0 ? 0 : static_cast<std::size_t>(size));
  }
  return line.str();
}

inline bool is_there(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

inline std::string contents(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

}  // namespace harness
