#include <fcntl.h>
#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "merged.hpp"
#include "tree.hpp"

namespace strata::layer {
namespace {

// A directory of the merged view that is still to be copied: its path below the copy's root, and the layers that have a part of it.
struct Pending {
  std::string path;
  std::vector<std::size_t> layers;
};

// What the merged view has under a name.
struct Name {
  struct statx status {};
  std::vector<std::size_t> layers;  // more than one for a directory; none for what is hidden
  bool complete = false;            // the layers below have no part in it
};

struct Times {
  std::string path;
  Timestamp mtime;
  std::string default_acl;
};

class Copy {
 public:
  // `sources`: the directory in the layers, top to bottom.
  Copy(std::vector<Fd> sources, Fd target) : sources_(std::move(sources)), target_(std::move(target)) {}

  Status run() {
    Pending root;
    for (std::size_t i = 0; i < sources_.size(); i++) root.layers.push_back(i);
    pending_.push_back(std::move(root));
    while (!pending_.empty()) {
      const Pending next = std::move(pending_.back());
      pending_.pop_back();
      if (const Status status = directory(next); status.failed()) return Status(status.error(), status.call(), next.path + "/" + status.path());
    }
    for (const Times& one : times_) {
      Result<Fd> opened = open_below(target_.get(), one.path);
      if (opened.failed()) return opened.status();
      std::uint64_t unsupported = 0;
      if (!one.default_acl.empty()) STRATA_TRY(set_attribute(opened.value().get(), ".", default_acl, one.default_acl, unsupported));
      STRATA_TRY(set_times(opened.value().get(), ".", one.mtime));
    }
    return {};
  }

 private:
  Status directory(const Pending& one) {
    Result<Fd> opened = open_below(target_.get(), one.path);
    if (opened.failed()) return opened.status();
    const int target = opened.value().get();
    std::map<std::string, Name> names;
    std::map<std::size_t, Fd> parts;
    for (const std::size_t layer : one.layers) {
      Result<Fd> part = open_below(sources_[layer].get(), one.path);
      if (part.failed()) return part.status();
      STRATA_TRY(read_names(part.value().get(), layer, layer != one.layers.back(), names));
      parts.emplace(layer, std::move(part.value()));
    }
    const int top = parts.begin()->second.get();
    struct statx status {};
    if (const int result = status_of(top, ".", status); result < 0) return Status(-result, "statx");
    Times times{one.path, mtime_of(status), ""};
    STRATA_TRY(copy_directory_attributes(top, ".", status, target, ".", times.default_acl));
    times_.push_back(std::move(times));
    for (auto& [name, found] : names) {
      if (found.layers.empty()) continue;
      const std::string path = one.path.empty() ? name : one.path + "/" + name;
      if (is_directory(found.status)) {
        if (const int result = sys::mkdirat(target, name.c_str(), 0700); result < 0) return Status(-result, "mkdirat", name);
        pending_.push_back({path, std::move(found.layers)});
      } else {
        STRATA_TRY(node(parts[found.layers.front()].get(), name, found.status, target, path));
      }
    }
    return {};
  }

  // `more`: there are layers below, which an opaque directory hides.
  static Status read_names(int part, std::size_t layer, bool more, std::map<std::string, Name>& ret_names) {
    Result<Fd> again = open_directory(part, ".");
    if (again.failed()) return again.status();
    TreeWalk walk(std::move(again.value()));
    for (;;) {
      Result<TreeWalk::Step> step = walk.next();
      if (step.failed()) return step.status();
      if (step.value() == TreeWalk::Step::end) return {};
      const auto [at, fresh] = ret_names.try_emplace(walk.name());
      Name& name = at->second;
      if (name.complete) continue;
      struct statx status {};
      if (const int result = status_of(part, walk.name(), status); result < 0) return Status(-result, "statx", walk.name());
      if (fresh) name.status = status;
      name.complete = !is_directory(status);
      if (fresh ? !is_whiteout(status) : is_directory(status)) name.layers.push_back(layer);
      if (name.complete || !more) continue;
      Result<Fd> inner = open_directory(part, walk.name());
      if (inner.failed()) return inner.status();
      Result<bool> opaque = is_opaque(inner.value().get());
      if (opaque.failed()) return opaque.status();
      name.complete = opaque.value();
    }
  }

  Status node(int from, const std::string& name, const struct statx& status, int target, const std::string& path) {
    if (status.stx_nlink == 1) return copy_node(from, name.c_str(), status, target, name.c_str());
    const std::uint64_t device = std::uint64_t{status.stx_dev_major} << 32 | status.stx_dev_minor;
    const auto [first, fresh] = linked_.try_emplace({device, status.stx_ino}, path);
    if (fresh) return copy_node(from, name.c_str(), status, target, name.c_str());
    const std::size_t slash = first->second.rfind('/');
    Result<Fd> parent = open_below(target_.get(), slash == std::string::npos ? "" : first->second.substr(0, slash));
    if (parent.failed()) return parent.status();
    const std::string other = slash == std::string::npos ? first->second : first->second.substr(slash + 1);
    const int result = sys::linkat(parent.value().get(), other.c_str(), target, name.c_str(), 0);
    return result < 0 ? Status(-result, "linkat", name) : Status();
  }

  std::vector<Fd> sources_;
  Fd target_;
  std::vector<Pending> pending_;
  std::vector<Times> times_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> linked_;
};

}  // namespace

Result<bool> copy_layered(const std::vector<std::string>& layers, const std::string& path, const std::string& destination) {
  Result<Merged> merged = Merged::open(layers);
  if (merged.failed()) return merged.status();
  Result<Found> found = merged.value().resolve(path);
  if (found.failed()) return Status(found.status().error(), found.status().call(), path);
  if (!found.value().exists()) return false;
  if (!is_directory(found.value().status)) return Status(ENOTDIR, "open", path);
  Result<std::vector<Fd>> sources = merged.value().directories(split(found.value().path));
  if (sources.failed()) return sources.status();
  Result<Fd> target = open_directory(AT_FDCWD, destination.c_str());
  if (target.failed()) return target.status();
  STRATA_TRY(Copy(std::move(sources.value()), std::move(target.value())).run());
  return true;
}

}  // namespace strata::layer
