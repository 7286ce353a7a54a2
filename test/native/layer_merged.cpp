// Several layers looked at as overlayfs would show them, and trees of somebody else removed, measured and compared.
#include "core/layer/merged.hpp"

#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <algorithm>
#include <cerrno>
#include <functional>
#include <random>
#include <set>

#include "batch.hpp"
#include "core/layer/tree.hpp"
#include "core/layer/writer.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::layer;
using harness::attribute;
using harness::contents;
using harness::is_there;
using harness::shown;
using harness::test;

namespace {

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
void directories(const std::string& path) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1))
    mkdir(path.substr(0, slash).c_str(), 0755);
  mkdir(path.c_str(), 0755);
}
void link_to(const std::string& target, const std::string& path) { CHECK(symlink(target.c_str(), path.c_str()) == 0); }
void whiteout(const std::string& path) { CHECK(mknod(path.c_str(), S_IFCHR, 0) == 0); }
void opaque(const std::string& path) { CHECK(setxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0); }

// Runs `body` in mounts of its own. Whether it returned true.
bool with_own_mounts(const std::function<bool()>& body) {
  const pid_t child = fork();
  if (child == 0) {
    const bool passed = unshare(CLONE_NEWNS) == 0 && mount("", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 && body();
    std::fflush(stdout);
    _exit(passed ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && status == 0;
}

std::string read(const std::vector<std::string>& layers, const std::string& path, std::uint64_t limit = 1000) {
  Result<std::optional<std::string>> text = read_layered(layers, path, limit);
  return text.failed() ? std::to_string(text.status().error()) : text.value().value_or("none");
}

// Three layers, each with something that the one below has too.
std::vector<std::string> make_stack(const harness::Scratch& scratch, const std::string& name) {
  const std::string root = scratch / name;
  for (const char* path : {"/1/etc", "/1/a/b/c", "/1/o/p", "/1/w", "/2/a/b", "/2/o", "/2/etc", "/3/a/f"}) directories(root + path);
  write(root + "/1/etc/passwd", "root\xff\n");
  write(root + "/1/a/b/c/one", "1");
  write(root + "/1/a/b/x", "below");
  write(root + "/1/a/f", "a file");
  write(root + "/1/o/p/hidden", "");
  write(root + "/1/w/hidden", "");
  write(root + "/2/o/new", "new");
  opaque(root + "/2/o");
  whiteout(root + "/2/w");
  whiteout(root + "/2/a/b/x");
  link_to("/etc", root + "/2/a/to-etc");
  link_to("../../../../../etc/./passwd", root + "/2/a/b/up");
  link_to("loop", root + "/2/loop");
  link_to("a/to-etc/../a/b", root + "/3/through");
  write(root + "/3/a/f/inside", "inside");
  return {root + "/3", root + "/2", root + "/1"};
}

void reading(const harness::Scratch& scratch) {
  const std::vector<std::string> layers = make_stack(scratch, "reading");
  test("a file is found where overlayfs would show it", [&] {
    CHECK(read(layers, "etc/passwd") == "root\xef\xbf\xbd\n");
    CHECK(read(layers, "/a/b/c/one") == "1" && read(layers, "o/new") == "new" && read(layers, "a/f/inside") == "inside");
    for (const char* path : {"nothing", "a/b/x", "o/p/hidden", "w/hidden", "w", "etc/passwd/x", "a/b/c/one/..", "o/new/../new"})
      CHECK(read(layers, path) == "none");
  });
  test("links and dots stay inside", [&] {
    CHECK(read(layers, "a/to-etc/passwd") == read(layers, "etc/passwd") && read(layers, "../a/../../a/b/up") == read(layers, "etc/passwd"));
    CHECK(read(layers, "through/c/one") == "1" && read(layers, "through/../to-etc/passwd") == read(layers, "etc/passwd"));
    CHECK(read(layers, "loop") == std::to_string(ELOOP));
  });
  test("what is no file, or too long", [&] {
    CHECK(read(layers, "etc") == std::to_string(EISDIR) && read(layers, "") == std::to_string(EISDIR));
    CHECK(read(layers, "etc/passwd", 5) == std::to_string(EFBIG));
    CHECK(read({scratch / "no layer"}, "etc/passwd") == std::to_string(ENOENT));
  });
}

void copying(const harness::Scratch& scratch) {
  test("a copy is what overlayfs shows, with everything", [&] {
    const std::vector<std::string> layers = make_stack(scratch, "copying");
    const std::string& bottom = layers[2];
    CHECK(chown((bottom + "/a/b/c/one").c_str(), 5, 6) == 0 && chmod((bottom + "/a/b/c/one").c_str(), 04711) == 0);
    CHECK(setxattr((bottom + "/a/b/c/one").c_str(), "user.a", "b", 1, 0) == 0);
    CHECK(link((bottom + "/a/b/c/one").c_str(), (bottom + "/etc/two").c_str()) == 0);
    CHECK(mknod((bottom + "/etc/fifo").c_str(), S_IFIFO | 0600, 0) == 0);
    CHECK(truncate((bottom + "/etc/passwd").c_str(), 5000000) == 0);
    CHECK(chmod((layers[1] + "/a/b").c_str(), 02750) == 0);
    const timespec old[2] = {{5, 6}, {7, 8}};
    for (const std::string& path : {bottom + "/a/b/c/one", layers[1] + "/a/b", layers[0]}) utimensat(AT_FDCWD, path.c_str(), old, 0);
    const std::string copy = scratch / "copy";
    mkdir(copy.c_str(), 0700);
    CHECK(copy_layered(layers, "/", copy).value());
    CHECK(with_own_mounts([&] {
      const std::string merged = scratch / "merged";
      mkdir(merged.c_str(), 0755);
      const std::string options = "lowerdir=" + layers[0] + ":" + layers[1] + ":" + layers[2];
      if (mount("overlay", merged.c_str(), "overlay", MS_RDONLY, options.c_str()) != 0) return false;
      Result<std::optional<Difference>> found = compare_trees(merged, copy);
      if (!found.failed() && found.value()) std::printf("# %s: %s\n", found.value()->path.c_str(), found.value()->reason.c_str());
      return !found.failed() && !found.value();
    }));
    CHECK(shown(copy + "/a/b/c/one") == "f4711 5:6 7.8 1" && attribute(copy + "/a/b/c/one", "user.a") == "b");
    CHECK(shown(copy + "/a/b") == "d2750 0:0 7.8" && shown(copy).substr(shown(copy).size() - 3) == "7.8");
    CHECK(attribute(copy + "/o", "trusted.overlay.opaque").empty() && !is_there(copy + "/w"));
    struct stat status {};
    CHECK(stat((copy + "/etc/passwd").c_str(), &status) == 0 && status.st_size == 5000000 && status.st_blocks < 100);
  });

  test("a part of it, by a path with links", [&] {
    const std::vector<std::string> layers = make_stack(scratch, "part");
    const std::string copy = scratch / "part-copy";
    mkdir(copy.c_str(), 0700);
    CHECK(copy_layered(layers, "a/to-etc/../through", copy).value());
    CHECK(contents(copy + "/c/one") == "1" && !is_there(copy + "/x") && shown(copy + "/up").substr(0, 4) == "l777");
    CHECK(!copy_layered(layers, "w/hidden", copy).value());
    CHECK(copy_layered(layers, "etc/passwd", copy).status().error() == ENOTDIR);
    CHECK(copy_layered(layers, "through", copy).status().error() == EEXIST);
  });
}

void trees(const harness::Scratch& scratch) {
  test("a tree of any depth is removed, and nothing that a link leads to", [&] {
    const std::string root = scratch / "deep";
    directories(scratch / "outside");
    write(scratch / "outside/f", "");
    mkdir(root.c_str(), 0755);
    link_to(scratch / "outside", root + "/link");
    int at = open(root.c_str(), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 3000; i++) {
      CHECK(mkdirat(at, "a directory", 0) == 0 && symlinkat("..", at, "back") == 0);
      const int next = openat(at, "a directory", O_RDONLY | O_DIRECTORY);
      close(at);
      at = next;
    }
    close(at);
    CHECK(disk_usage(root).value() == 0);
    CHECK(!remove_tree(root).failed() && !is_there(root) && is_there(scratch / "outside/f"));
    CHECK(!remove_tree(root).failed() && !remove_tree(root + "/nor/this").failed());
  });

  test("files and links are removed themselves; what cannot be meant is not", [&] {
    write(scratch / "file", "");
    link_to("outside", scratch / "link");
    CHECK(!remove_tree(scratch / "file").failed() && !remove_tree(scratch / "link").failed());
    CHECK(!is_there(scratch / "file") && shown(scratch / "link").empty() && is_there(scratch / "outside/f"));
    for (const char* path : {"", "/", "outside/", "outside/.", "outside/.."}) CHECK(remove_tree(scratch / path).error() == EINVAL);
  });

  test("what is mounted in a tree is not entered", [&] {
    CHECK(with_own_mounts([&] {
      const std::string root = scratch / "mounts";
      directories(root + "/a/mount");
      if (mount((scratch / "outside").c_str(), (root + "/a/mount").c_str(), nullptr, MS_BIND, nullptr) != 0) return false;
      const bool kept = remove_tree(root).error() == EBUSY && is_there(scratch / "outside/f") && is_there(root + "/a/mount/f");
      const bool top = remove_tree(root + "/a/mount").error() == EBUSY && is_there(scratch / "outside/f");
      return umount(("" + root + "/a/mount").c_str()) == 0 && kept && top && !remove_tree(root).failed();
    }));
  });

  test("a file with several names is counted once", [&] {
    const std::string root = scratch / "usage";
    directories(root + "/d");
    write(root + "/a", "12345");
    write(root + "/d/b", "123");
    CHECK(link((root + "/a").c_str(), (root + "/d/c").c_str()) == 0);
    CHECK(disk_usage(root).value() == 8);
    CHECK(disk_usage(scratch / "nothing").status().error() == ENOENT);
  });

  test("trees differ in whatever there is", [&] {
    const std::string a = scratch / "compare-a";
    const std::string b = scratch / "compare-b";
    const auto fill = [](const std::string& root) {
      directories(root + "/d/e");
      write(root + "/d/f", "contents");
      link_to("target", root + "/l");
      mknod((root + "/null").c_str(), S_IFCHR | 0600, makedev(1, 3));
      CHECK(link((root + "/d/f").c_str(), (root + "/d/g").c_str()) == 0);
      write(root + "/z", "");
    };
    const struct {
      const char* path;
      std::function<void(const std::string&)> change;
    } changes[] = {
        {"", [](const std::string& root) { chmod(root.c_str(), 0700); }},
        {"d/f", [](const std::string& root) { write(root + "/d/f", "Contents"); }},
        {"d/f", [](const std::string& root) { write(root + "/d/f", "more contents"); }},
        {"d/f", [](const std::string& root) { chmod((root + "/d/f").c_str(), 04644); }},
        {"d/f", [](const std::string& root) { chown((root + "/d/f").c_str(), 1, 0); }},
        {"d/f", [](const std::string& root) { setxattr((root + "/d/f").c_str(), "user.a", "", 0, 0); }},
        {"d/f", [](const std::string& root) { link((root + "/d/f").c_str(), (root + "/zz").c_str()); }},
        {"d/e", [](const std::string& root) { opaque(root + "/d/e"); }},
        {"d/e", [](const std::string& root) { rmdir((root + "/d/e").c_str()); }},
        {"d/e",
         [](const std::string& root) {
           rmdir((root + "/d/e").c_str());
           write(root + "/d/e", "");
         }},
        {"d/g",
         [](const std::string& root) {
           unlink((root + "/d/g").c_str());
           link((root + "/z").c_str(), (root + "/d/g").c_str());
           write(root + "/h", "");
           link((root + "/d/f").c_str(), (root + "/h2").c_str());
         }},
        {"d/new", [](const std::string& root) { write(root + "/d/new", ""); }},
        {"l",
         [](const std::string& root) {
           unlink((root + "/l").c_str());
           link_to("Target", root + "/l");
         }},
        {"null",
         [](const std::string& root) {
           unlink((root + "/null").c_str());
           mknod((root + "/null").c_str(), S_IFCHR | 0600, makedev(1, 5));
         }},
        {"z",
         [](const std::string& root) {
           const timespec old[2] = {{1, 0}, {1, 1}};
           utimensat(AT_FDCWD, (root + "/z").c_str(), old, 0);
         }},
        {"zz", [](const std::string& root) { write(root + "/zz", ""); }},
    };
    // The same time for all but what is changed last.
    const auto settle = [](const std::string& root) {
      const std::string command = "find '" + root + "' -exec touch -h -d @9 {} +";
      CHECK(std::system(command.c_str()) == 0);
    };
    for (const auto& [path, change] : changes) {
      for (const std::string& root : {a, b}) {
        CHECK(!remove_tree(root).failed());
        fill(root);
      }
      const bool time = std::string(path) == "z";
      if (!time) change(b);
      settle(a);
      settle(b);
      Result<std::optional<Difference>> same = compare_trees(a, a);
      CHECK(!same.failed() && !same.value());
      if (time) change(b);
      for (const bool reverse : {false, true}) {
        Result<std::optional<Difference>> found = reverse ? compare_trees(b, a) : compare_trees(a, b);
        if (!CHECK(!found.failed() && found.value() && found.value()->path == std::string("/") + path)) {
          std::printf("# %s: %s\n", path, found.failed() ? found.status().call() : found.value() ? found.value()->path.c_str() : "none");
        }
      }
    }
  });
}

// A few entries with few names, so that they meet; each path once, as archives have them.
harness::Batch random_layer(std::minstd_rand& random) {
  harness::Batch batch;
  std::set<std::string> used;
  for (int left = 8; left > 0; left--) {
    std::string path;
    for (unsigned depth = random() % 3 + 1; depth > 0; depth--) path += std::string(path.empty() ? "" : "/") + static_cast<char>('a' + random() % 3);
    const bool met = std::any_of(used.begin(), used.end(),
                                 [&](const std::string& one) { return (one + "/").starts_with(path + "/") || (path + "/").starts_with(one + "/"); });
    if (met) continue;
    used.insert(path);
    const unsigned mode = 0700 + random() % 64;
    switch (random() % 7) {
      case 0: batch.whiteout(path); break;
      case 1: batch.opaque(path); break;
      case 2: batch.symlink(path, random() % 2 == 0 ? "/a/b" : "../b"); break;
      case 3:
      case 4: batch.directory(path, mode); break;
      default: batch.entry({.path = path, .mode = mode, .size = 3}).data(0, std::to_string(100 + random() % 900));
    }
  }
  return batch;
}

// Applies the layer to a directory of its own over the others, and to one that has them all. Whether both took it, or both did not.
bool apply_both(const harness::Batch& batch, const std::string& layer, const std::vector<std::string>& lower, const std::string& flat,
                bool& ret_applied) {
  const auto apply = [&](const std::string& directory, const std::vector<std::string>& below, Mode mode) {
    Result<std::unique_ptr<LayerWriter>> writer = LayerWriter::open(directory, below, mode);
    return !writer.failed() && !writer.value()->apply(batch.data(), batch.size()).failed() && !writer.value()->finish().failed();
  };
  mkdir(layer.c_str(), 0755);
  ret_applied = apply(layer, lower, Mode::overlay);
  return apply(flat, {}, Mode::flat) == ret_applied;
}

bool same_trees(const std::string& a, const std::string& b, const char* what, unsigned seed) {
  Result<std::optional<Difference>> found = compare_trees(a, b);
  if (!found.failed() && !found.value()) return true;
  std::printf("# seed %u, %s: %s %s\n", seed, what, found.failed() ? found.status().call() : found.value()->path.c_str(),
              found.failed() ? found.status().path() : found.value()->reason.c_str());
  return false;
}

bool random_stack(const std::string& root, unsigned seed) {
  std::minstd_rand random(seed);
  directories(root + "/flat");
  mkdir((root + "/merged").c_str(), 0755);
  mkdir((root + "/copy").c_str(), 0755);
  std::vector<std::string> layers;
  std::string options = "lowerdir=";
  for (int number = 0; number < 4; number++) {
    const std::string layer = root + "/" + std::to_string(number);
    bool applied = false;
    if (!apply_both(random_layer(random), layer, layers, root + "/flat", applied)) {
      std::printf("# seed %u: layer %d is refused by one only\n", seed, number);
      return false;
    }
    if (!applied) return true;
    layers.insert(layers.begin(), layer);
  }
  for (const std::string& layer : layers) options += (options.back() == '=' ? "" : ":") + layer;
  if (mount("overlay", (root + "/merged").c_str(), "overlay", MS_RDONLY, options.c_str()) != 0) return false;
  Result<bool> copied = copy_layered(layers, "/", root + "/copy");
  bool same = !copied.failed() && same_trees(root + "/merged", root + "/copy", "the kernel and the copy", seed);
  umount((root + "/merged").c_str());
  // A directory that is there keeps its time in one, and gets it from the layer below in the other.
  const std::string command =
      "find '" + root + "/copy' '" + root + "/flat' -exec touch -h -d @9 {} + && chmod 755 '" + root + "/copy' '" + root + "/flat'";
  same = same && std::system(command.c_str()) == 0 && same_trees(root + "/copy", root + "/flat", "layers and one tree", seed);
  return same && !remove_tree(root).failed();
}

void stacks(const harness::Scratch& scratch) {
  test("layers over each other, the kernel's view, a copy and one tree with all of them are the same", [&] {
    CHECK(with_own_mounts([&] {
      const std::string place = scratch / "stacks";
      mkdir(place.c_str(), 0755);
      if (mount("tmpfs", place.c_str(), "tmpfs", 0, nullptr) != 0) return false;
      for (unsigned seed = 1; seed <= 60; seed++) {
        if (!random_stack(place + "/" + std::to_string(seed), seed)) return false;
      }
      return true;
    }));
  });
}

}  // namespace

int main() {
  if (geteuid() != 0) {
    harness::skip("trees", "needs root to make devices and mounts");
    return harness::finish();
  }
  const harness::Scratch scratch;
  reading(scratch);
  copying(scratch);
  trees(scratch);
  stacks(scratch);
  return harness::finish();
}
