#include "merged.hpp"

#include <fcntl.h>
#include <algorithm>
#include <cerrno>

#include "../host/file.hpp"
#include "../host/utf8.hpp"

namespace strata::layer {

std::vector<std::string> split(std::string_view path) {
  std::vector<std::string> names;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view name(path.data() + at, end - at);
    if (!name.empty() && name != ".") names.emplace_back(name);
    at = end + 1;
  }
  return names;
}

std::string join(const std::vector<std::string>& names) {
  std::string path;
  for (const std::string& name : names) {
    if (!path.empty()) path += '/';
    path += name;
  }
  return path;
}

Result<Merged> Merged::open(const std::vector<std::string>& layers) {
  Merged merged;
  for (const std::string& layer : layers) {
    const int descriptor = sys::openat(AT_FDCWD, layer.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (descriptor < 0) return Status(-descriptor, "open", layer);
    merged.layers_.emplace_back(descriptor);
  }
  return merged;
}

namespace {

Result<Fd> duplicate(int descriptor) {
  const long copy = sys::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
  if (copy < 0) return Status(static_cast<int>(-copy), "fcntl");
  return Fd(static_cast<int>(copy));
}

Result<Found> found_at(int directory, const std::string& name, const struct statx& status, std::size_t depth) {
  Result<Fd> copy = duplicate(directory);
  if (copy.failed()) return copy.status();
  return Found{std::move(copy.value()), name, status, depth, ""};
}

}  // namespace

Result<Found> Merged::find(const std::vector<std::string>& names, std::size_t known) const {
  for (const Fd& layer : layers_) {
    if (names.empty()) {
      struct statx status {};
      if (const int result = status_of(layer.get(), ".", status); result < 0) return Status(-result, "statx");
      return found_at(layer.get(), ".", status, 0);
    }
    Fd opened;
    int directory = layer.get();
    bool hides = false;
    for (std::size_t i = 0; i < names.size(); i++) {
      struct statx status {};
      const int result = status_of(directory, names[i].c_str(), status);
      if (result == -ENOENT) break;
      if (result < 0) return Status(-result, "statx", names[i]);
      // What is no directory hides a directory of the layers below, and goes for nothing below one.
      if (is_whiteout(status) || (!is_directory(status) && i < known)) return Found{};
      if (!is_directory(status) || i + 1 == names.size()) return found_at(directory, names[i], status, i + 1);
      known = std::max(known, i + 1);
      Result<Fd> below = open_directory(directory, names[i].c_str());
      if (below.failed()) return below.status();
      opened = std::move(below.value());
      directory = opened.get();
      Result<bool> opaque = is_opaque(directory);
      if (opaque.failed()) return opaque.status();
      hides |= opaque.value();
    }
    if (hides) break;
  }
  return Found{};
}

Result<std::vector<Fd>> Merged::directories(const std::vector<std::string>& names) const {
  std::vector<Fd> parts;
  for (const Fd& layer : layers_) {
    Result<Fd> directory = open_directory(layer.get(), ".");
    bool hides = false;
    for (std::size_t i = 0; i < names.size() && !directory.failed(); i++) {
      directory = open_directory(directory.value().get(), names[i].c_str());
      if (directory.failed()) break;
      Result<bool> opaque = is_opaque(directory.value().get());
      if (opaque.failed()) return opaque.status();
      hides |= opaque.value();
    }
    if (!directory.failed()) {
      parts.push_back(std::move(directory.value()));
    } else if (const int error = directory.status().error(); error == ENOTDIR || error == ELOOP) {
      break;  // a whiteout, or something else that hides those below
    } else if (error != ENOENT) {
      return directory.status();
    }
    if (hides) break;
  }
  return parts;
}

Result<Found> Merged::resolve(std::string_view path) const {
  std::vector<std::string> done;  // directories
  std::vector<std::string> rest = split(path);
  int links = 0;
  for (;;) {
    const auto dots = std::find(rest.begin(), rest.end(), "..");
    std::vector<std::string> names = done;
    names.insert(names.end(), rest.begin(), dots);
    Result<Found> found = find(names, done.size());
    if (found.failed() || !found.value().exists()) return found;
    const std::size_t depth = found.value().depth;
    if (depth > done.size() && is_symlink(found.value().status)) {
      if (++links > most_links) return Status(ELOOP, "open", path);
      Result<std::string> target = link_target(found.value().directory.get(), found.value().name.c_str());
      if (target.failed()) return target.status();
      std::vector<std::string> next = split(target.value());
      const auto used = static_cast<std::ptrdiff_t>(depth - done.size());
      next.insert(next.end(), rest.begin() + used, rest.end());
      done.assign(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(depth) - 1);
      if (target.value().starts_with('/')) done.clear();
      rest = std::move(next);
      continue;
    }
    if (depth < names.size()) return Found{};
    if (dots == rest.end()) {
      found.value().path = join(names);
      return found;
    }
    if (!is_directory(found.value().status)) return Found{};
    if (!names.empty()) names.pop_back();
    done = std::move(names);
    rest.erase(rest.begin(), dots + 1);
  }
}

Result<std::optional<std::string>> read_layered(const std::vector<std::string>& layers, const std::string& path, std::uint64_t limit) {
  Result<Merged> merged = Merged::open(layers);
  if (merged.failed()) return merged.status();
  Result<Found> found = merged.value().resolve(path);
  if (found.failed()) return Status(found.status().error(), found.status().call(), path);
  if (!found.value().exists()) return std::optional<std::string>();
  if (!is_regular(found.value().status)) return Status(is_directory(found.value().status) ? EISDIR : EINVAL, "open", path);
  if (found.value().status.stx_size > limit) return Status(EFBIG, "read", path);
  const int descriptor = sys::openat(found.value().directory.get(), found.value().name.c_str(), O_RDONLY | O_NOFOLLOW | O_NOCTTY | O_CLOEXEC);
  if (descriptor < 0) return Status(-descriptor, "open", path);
  const Fd file(descriptor);
  std::string text(static_cast<std::size_t>(found.value().status.stx_size), '\0');
  std::size_t size = 0;
  while (size < text.size()) {
    const long count = sys::read(descriptor, text.data() + size, text.size() - size);
    if (count == -EINTR) continue;
    if (count < 0) return Status(static_cast<int>(-count), "read", path);
    if (count == 0) break;
    size += static_cast<std::size_t>(count);
  }
  text.resize(size);
  return std::optional(host::as_utf8(text));
}

}  // namespace strata::layer
