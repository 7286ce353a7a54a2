// Layers that say what they like: what comes of them is below their directory, and as the image specification has it.
#include "core/layer/tree.hpp"
#include "core/layer/writer.hpp"

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "batch.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::layer;
using harness::attribute;
using harness::Batch;
using harness::contents;
using harness::is_there;
using harness::shown;
using harness::test;
using harness::Type;

namespace {

// Layers over each other, each applied to a directory of its own.
class Layers {
 public:
  explicit Layers(const harness::Scratch& scratch) : root_(scratch / std::to_string(made_++)) { mkdir(root_.c_str(), 0755); }

  // Applies the next layer, piece by piece. The failure, if any.
  Status add(const Batch& batch, Mode mode = Mode::overlay) {
    std::vector<std::string> lower;
    for (int i = count_; mode == Mode::overlay && i > 0; i--) lower.push_back(layer(i));
    if (mode == Mode::overlay || count_ == 0) mkdir(layer(++count_).c_str(), 0700);
    Result<std::unique_ptr<LayerWriter>> writer = LayerWriter::open(layer(count_), lower, mode);
    if (writer.failed()) return writer.status();
    STRATA_TRY(writer.value()->apply(batch.data(), batch.size()));
    Result<LayerSummary> summary = writer.value()->finish();
    if (!summary.failed()) last = summary.value();
    return summary.status();
  }

  [[nodiscard]] std::string layer(int number) const { return root_ + "/" + std::to_string(number); }
  // In the layer that was applied last.
  std::string operator/(const std::string& path) const { return layer(count_) + "/" + path; }

  LayerSummary last;

 private:
  static inline int made_ = 0;
  std::string root_;
  int count_ = 0;
};

bool is_whiteout(const std::string& path) { return shown(path).find(" 0,0") != std::string::npos; }
bool is_opaque(const std::string& path) { return attribute(path, "trusted.overlay.opaque") == "y"; }

bool refused(const Status& status, const char* reason) {
  const bool fits = status.failed() && std::strstr(status.detail(), reason) != nullptr;
  if (!fits) std::printf("# %s %s: %s (%d)\n", status.call(), status.path(), status.detail(), status.error());
  return fits;
}

bool same_file(const std::string& a, const std::string& b) {
  struct stat first {};
  struct stat second {};
  return lstat(a.c_str(), &first) == 0 && lstat(b.c_str(), &second) == 0 && first.st_ino == second.st_ino;
}

// VFS_CAP_REVISION_2 with CAP_NET_RAW.
const std::string capability("\1\0\0\2\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);

void entries(const harness::Scratch& scratch) {
  test("every type comes with its owner, mode and time", [&] {
    Layers layers(scratch);
    Batch batch;
    batch.entry({.type = Type::directory, .path = "./", .mode = 0711, .uid = 3, .gid = 4, .seconds = -5, .nanoseconds = 999999999});
    batch.entry({.path = "file", .mode = 06755, .uid = 1000, .gid = 2000, .seconds = 7, .nanoseconds = 8, .size = 2}).data(0, "hi");
    batch.entry({.type = Type::directory, .path = "directory/", .mode = 01777, .uid = 5, .gid = 6, .seconds = 9});
    batch.entry({.path = "directory/later", .seconds = 1});
    batch.entry({.type = Type::symlink, .path = "link", .link = "/no/where", .uid = 7, .gid = 8, .seconds = 10});
    batch.entry({.type = Type::character, .path = "null", .mode = 0666, .major = 1, .minor = 3});
    batch.entry({.type = Type::block, .path = "disk", .mode = 0660, .gid = 6, .major = 8, .minor = 300});
    batch.entry({.type = Type::fifo, .path = "fifo", .mode = 0600, .seconds = 11});
    batch.hardlink("other", "file");
    CHECK(!layers.add(batch).failed());
    CHECK(shown(layers / "") == "d711 3:4 -5.999999999");
    CHECK(shown(layers / "file") == "f6755 1000:2000 7.8 hi");
    CHECK(shown(layers / "directory") == "d1777 5:6 9.0");
    CHECK(shown(layers / "link") == "l777 7:8 10.0 /no/where");
    CHECK(shown(layers / "null") == "c666 0:0 1.0 1,3");
    CHECK(shown(layers / "disk") == "b660 0:6 1.0 8,300");
    CHECK(shown(layers / "fifo") == "p600 0:0 11.0");
    CHECK(same_file(layers / "file", layers / "other"));
    CHECK(layers.last.entries == 9 && layers.last.size == 2 && layers.last.dropped == 0);
  });

  test("attributes are set last, those of overlayfs and labels are dropped and counted", [&] {
    Layers layers(scratch);
    Batch batch;
    batch.entry(
        {.path = "ping", .mode = 04755, .uid = 5, .size = 3, .attributes = {{"security.capability", capability}, {"user.a", std::string("\0b", 2)}}});
    batch.data(0, "abc");
    batch.entry({.type = Type::directory, .path = "d", .attributes = {{"trusted.overlay.opaque", "y"}, {"user.overlay.x", ""}, {"trusted.a", "b"}}});
    batch.entry({.path = "labelled", .attributes = {{"security.ima", "x"}}});
    batch.entry({.type = Type::symlink, .path = "l", .link = "x", .attributes = {{"trusted.t", "link"}}});
    batch.entry({.type = Type::fifo, .path = "p", .attributes = {{"trusted.t", "fifo"}}});
    CHECK(!layers.add(batch).failed());
    CHECK(attribute(layers / "ping", "security.capability") == capability);
    CHECK(attribute(layers / "ping", "user.a") == std::string("\0b", 2));
    CHECK(shown(layers / "ping") == "f4755 5:0 1.0 abc");
    CHECK(!is_opaque(layers / "d") && attribute(layers / "d", "trusted.a") == "b");
    CHECK(attribute(layers / "l", "trusted.t") == "link" && attribute(layers / "p", "trusted.t") == "fifo");
    CHECK(attribute(layers / "labelled", "security.ima").empty());
    CHECK(layers.last.dropped == 3);
  });

  test("a default ACL of a directory is not inherited by what comes with it", [&] {
    Layers layers(scratch);
    // user::rwx, user:5:rwx, group::r-x, mask::rwx, other::---
    const std::string acl(
        "\2\0\0\0\1\0\7\0\xff\xff\xff\xff\2\0\7\0\5\0\0\0\4\0\5\0\xff\xff\xff\xff\x10\0\7\0\xff\xff\xff\xff\x20\0\0\0\xff\xff\xff\xff", 44);
    Batch batch;
    batch.entry({.type = Type::directory, .path = "d", .mode = 0750, .attributes = {{"system.posix_acl_default", acl}}});
    batch.file("d/f", "").directory("d/e");
    CHECK(!layers.add(batch).failed());
    CHECK(attribute(layers / "d", "system.posix_acl_default") == acl);
    CHECK(attribute(layers / "d/f", "system.posix_acl_access").empty() && attribute(layers / "d/e", "system.posix_acl_default").empty());
    CHECK(shown(layers / "d/f") == "f644 0:0 1.0 ");
  });

  test("holes stay holes, and contents have their places", [&] {
    Layers layers(scratch);
    Batch batch;
    batch.entry({.path = "sparse", .size = 10000000}).data(5000000, "here");
    batch.entry({.path = "empty", .size = 1000000});
    CHECK(!layers.add(batch).failed());
    struct stat status {};
    CHECK(stat((layers / "sparse").c_str(), &status) == 0 && status.st_size == 10000000 && status.st_blocks < 100);
    CHECK(contents(layers / "sparse").substr(5000000, 5) == std::string("here\0", 5));
    CHECK(stat((layers / "empty").c_str(), &status) == 0 && status.st_size == 1000000 && status.st_blocks == 0);
    CHECK(layers.last.size == 11000000);
  });

  test("of several entries of one name the last counts", [&] {
    Layers layers(scratch);
    Batch batch;
    batch.file("a", "first").file("a", "second");
    batch.directory("b").file("b/inside", "x").file("b", "a file now");
    batch.file("c", "x").directory("c", 0700).file("c/inside", "y");
    batch.entry({.type = Type::directory, .path = "d", .mode = 0700, .attributes = {{"user.a", "1"}}}).file("d/stays", "z").directory("d", 0711);
    batch.symlink("e", "a").file("e", "no link");
    batch.file("f", "x").symlink("f", "a");
    CHECK(!layers.add(batch).failed());
    CHECK(contents(layers / "a") == "second");
    CHECK(shown(layers / "b") == "f644 0:0 1.0 a file now");
    CHECK(shown(layers / "c") == "d700 0:0 1.0" && contents(layers / "c/inside") == "y");
    CHECK(shown(layers / "d") == "d711 0:0 1.0" && attribute(layers / "d", "user.a").empty() && contents(layers / "d/stays") == "z");
    CHECK(contents(layers / "e") == "no link" && contents(layers / "a") == "second");
    CHECK(shown(layers / "f") == "l777 0:0 1.0 a");
  });

  test("names are bytes", [&] {
    Layers layers(scratch);
    Batch batch;
    batch.file("\xff\xfe/\n\x1b[31m", "x").directory(std::string(255, 'n'));
    CHECK(!layers.add(batch).failed());
    CHECK(contents(layers / "\xff\xfe/\n\x1b[31m") == "x");
    CHECK(is_there(layers / std::string(255, 'n')));
  });
}

void ways(const harness::Scratch& scratch) {
  test("nothing leads out of the root", [&] {
    Layers layers(scratch);
    Batch batch;
    batch.file("../../../a", "1").file("/b", "2").file("x/../../c", "3").symlink("up", "../../../..").file("up/d", "4");
    batch.symlink("absolute", "/inside").file("absolute/e", "5").symlink("chain", "absolute/../up").file("chain/f", "6");
    batch.hardlink("g", "../../../up/a").symlink("t", "/tmp").file("t/h", "7");
    CHECK(!layers.add(batch).failed());
    for (const char* name : {"a", "b", "c", "d", "inside/e", "f", "g", "tmp/h"}) CHECK(!shown(layers / name).empty());
    // Where the link led does not exist here: it is made, inside.
    CHECK(!is_there("/tmp/h") && is_there(layers / "x"));
  });

  test("a link to nothing is followed to a place that is made; too many links are not", [&] {
    Layers layers(scratch);
    Batch batch;
    batch.symlink("bin", "usr/bin").file("bin/sh", "x");
    CHECK(!layers.add(batch).failed());
    CHECK(contents(layers / "usr/bin/sh") == "x" && shown(layers / "usr").substr(0, 12) == "d755 0:0 0.0");
    Batch loop;
    loop.symlink("a", "b").symlink("b", "a").file("a/x", "");
    const Status status = layers.add(loop);
    CHECK(refused(status, "too many symbolic links") && std::strcmp(status.path(), "a/x") == 0);
  });

  test("a way through a file, a name or a path that is too long", [&] {
    Layers layers(scratch);
    Batch batch;
    batch.file("f", "");
    CHECK(!layers.add(batch).failed());
    for (const char* path : {"f/x", "g/x"}) {
      Batch through;
      through.file("g", "").file(path, "");
      CHECK(refused(layers.add(through), "is not a directory"));
    }
    for (const std::string& path : {std::string(256, 'n'), std::string(256, 'n') + "/x"})
      CHECK(refused(layers.add(Batch().file(path, "")), "longer than 255"));
    std::string deep;
    for (int i = 0; i < 20; i++) deep += std::string(250, 'd') + "/";
    CHECK(refused(layers.add(Batch().directory(deep)), "longer than 4095"));
    CHECK(refused(layers.add(Batch().symlink("l", std::string(4096, 't'))), "1 to 4095"));
  });

  test("the root is a directory and stays one", [&] {
    for (const char* path : {"", "/", ".", "./.", "a/..", ".."}) {
      for (const Type type : {Type::file, Type::symlink, Type::fifo, Type::hardlink}) {
        Layers layers(scratch);
        CHECK(refused(layers.add(Batch().file("x", "").entry({.type = type, .path = path, .link = "x"})), "only a directory"));
        break;
      }
    }
    Layers layers(scratch);
    CHECK(refused(layers.add(Batch().whiteout("/")), "cannot go"));
  });

  test("directories on the way are as a layer below has them", [&] {
    Layers layers(scratch);
    Batch below;
    below.entry({.type = Type::directory, .path = "a", .mode = 02750, .uid = 1, .gid = 2, .seconds = 33, .attributes = {{"user.x", "y"}}});
    below.directory("a/b", 0700).symlink("l", "a/b").entry({.type = Type::directory, .path = ".", .mode = 0751});
    CHECK(!layers.add(below).failed());
    CHECK(!layers.add(Batch().file("l/new/f", "x")).failed());
    CHECK(shown(layers / "a") == "d2750 1:2 33.0" && attribute(layers / "a", "user.x") == "y");
    CHECK(shown(layers / "a/b") == "d700 0:0 1.0" && shown(layers / "a/b/new") == "d755 0:0 0.0" && !is_there(layers / "l"));
    CHECK(shown(layers / "").substr(0, 4) == "d751");
  });
}

void links(const harness::Scratch& scratch) {
  test("a hard link to what a layer below has brings it up", [&] {
    Layers layers(scratch);
    Batch below;
    below.entry({.path = "d/f", .mode = 04711, .uid = 9, .seconds = 3, .size = 1, .attributes = {{"user.a", "b"}}}).data(0, "x");
    below.symlink("l", "d").symlink("s", "nowhere");
    CHECK(!layers.add(below).failed());
    CHECK(!layers.add(Batch().hardlink("one", "l/f").hardlink("two", "/d/f").hardlink("three", "s")).failed());
    CHECK(shown(layers / "one") == "f4711 9:0 3.0 x" && attribute(layers / "one", "user.a") == "b");
    CHECK(same_file(layers / "one", layers / "d/f") && same_file(layers / "one", layers / "two"));
    CHECK(shown(layers / "three") == "l777 0:0 1.0 nowhere");
    CHECK(shown(layers.layer(1) + "/d/f") == "f4711 9:0 3.0 x" && !same_file(layers / "one", layers.layer(1) + "/d/f"));
  });

  test("hard links that cannot be", [&] {
    Layers layers(scratch);
    CHECK(!layers.add(Batch().directory("d").file("d/f", "")).failed());
    CHECK(refused(layers.add(Batch().hardlink("x", "nothing")), "does not exist"));
    CHECK(refused(layers.add(Batch().hardlink("x", "d")), "is a directory"));
    CHECK(refused(layers.add(Batch().hardlink("x", "/")), "is a directory"));
    CHECK(refused(layers.add(Batch().whiteout("d").hardlink("x", "d/f")), "does not exist"));
    CHECK(refused(layers.add(Batch().whiteout("d/f").hardlink("x", "d/f")), "does not exist"));
    CHECK(refused(layers.add(Batch().file("e/f", "").hardlink("e", "e/f")), "was in what it replaces"));
  });

  test("a hard link to itself, and in the place of another", [&] {
    Layers layers(scratch);
    CHECK(!layers.add(Batch().file("a", "1").hardlink("./a", "a").file("b", "2").hardlink("b", "a").hardlink("b", "a")).failed());
    CHECK(contents(layers / "a") == "1" && same_file(layers / "a", layers / "b"));
  });
}

void whiteouts(const harness::Scratch& scratch) {
  test("a whiteout hides what is below, and not what comes with it", [&] {
    for (const bool first : {true, false}) {
      Layers layers(scratch);
      CHECK(!layers.add(Batch().file("gone", "").file("d/old", "").file("f", "old").file("e/old", "")).failed());
      Batch batch;
      const auto hide = [&] { batch.whiteout("gone").whiteout("d").whiteout("f").whiteout("e").whiteout("n/o/thing"); };
      if (first) hide();
      batch.file("d/new", "x").file("f", "new").directory("e", 0711);
      if (!first) hide();
      CHECK(!layers.add(batch).failed());
      CHECK(is_whiteout(layers / "gone") && shown(layers / "n/o").substr(0, 4) == "d755" && shown(layers / "n/o/thing").empty());
      CHECK(contents(layers / "f") == "new" && contents(layers / "d/new") == "x");
      CHECK(is_opaque(layers / "d") && is_opaque(layers / "e") && shown(layers / "e").substr(0, 4) == "d711");
    }
  });

  test("an opaque directory hides what is below, whatever the order", [&] {
    for (const bool first : {true, false}) {
      Layers layers(scratch);
      CHECK(!layers.add(Batch().directory("d", 0700).directory("d/e", 0711).file("d/e/old", "").symlink("d/l", "/elsewhere")).failed());
      Batch batch;
      if (first) batch.opaque("d");
      batch.file("d/e/new", "x");
      if (!first) batch.opaque("d/");
      CHECK(!layers.add(batch).failed());
      CHECK(is_opaque(layers / "d") && !is_opaque(layers / "d/e"));
      // The directory is the one below; what is in it is not.
      CHECK(shown(layers / "d").substr(0, 4) == "d700" && shown(layers / "d/e").substr(0, 12) == "d755 0:0 0.0");
      CHECK(!layers.add(Batch().file("d/l/x", "y")).failed());
      CHECK(contents(layers / "d/l/x") == "y" && !is_there(layers / "elsewhere"));
    }
  });

  test("an opaque root hides every name below", [&] {
    Layers layers(scratch);
    CHECK(!layers.add(Batch().file("a", "").file("d/x", "").file("e", "")).failed());
    CHECK(!layers.add(Batch().whiteout("e").file("f", "")).failed());
    CHECK(!layers.add(Batch().file("d/new", "").opaque("").file("f", "mine")).failed());
    CHECK(is_whiteout(layers / "a") && is_opaque(layers / "d") && contents(layers / "f") == "mine" && !is_there(layers / "e"));
  });

  test("a character device 0:0 is refused", [&] {
    Layers layers(scratch);
    CHECK(refused(layers.add(Batch().entry({.type = Type::character, .path = "w"})), "0:0"));
    CHECK(!is_there(layers / "w"));
    CHECK(!layers.add(Batch().entry({.type = Type::block, .path = "b"}).entry({.type = Type::character, .path = "c", .minor = 1})).failed());
  });

  test("flat: whiteouts are carried out on what was there before", [&] {
    Layers layers(scratch);
    CHECK(
        !layers.add(Batch().file("d/old", "").file("d/e/old", "").file("gone", "").file("o/old", "").file("o/p/old", "").file("f", "old"), Mode::flat)
             .failed());
    Batch batch;
    batch.file("d/e/new", "").whiteout("d").whiteout("gone").whiteout("nothing").file("o/p/new", "").opaque("o").file("f", "new").whiteout("f");
    CHECK(!layers.add(batch, Mode::flat).failed());
    CHECK(!is_there(layers / "d/old") && !is_there(layers / "d/e/old") && is_there(layers / "d/e/new"));
    CHECK(!is_there(layers / "gone") && !is_there(layers / "o/old") && !is_there(layers / "o/p/old") && is_there(layers / "o/p/new"));
    CHECK(contents(layers / "f") == "new" && attribute(layers / "o", "trusted.overlay.opaque").empty());
    CHECK(!layers.add(Batch().opaque("."), Mode::flat).failed());
    CHECK(!is_there(layers / "d") && !is_there(layers / "f"));
  });
}

void damaged(const harness::Scratch& scratch) {
  test("a batch that is cut, or says what no record says, is refused", [&] {
    Batch whole;
    whole.entry({.path = "f", .size = 4, .attributes = {{"user.a", "b"}}}).data(0, "data").whiteout("w").opaque("o");
    Layers layers(scratch);
    const std::string directory = layers / "cut";
    mkdir((layers / "").c_str(), 0755);
    for (std::size_t size = 1; size < whole.size(); size++) {
      mkdir(directory.c_str(), 0755);
      const std::vector<std::uint8_t> part(whole.data(), whole.data() + size);
      const Status status = LayerWriter::open(directory, {}, Mode::flat).value()->apply(part.data(), part.size());
      std::size_t at = 0;
      for (std::uint32_t length; at < size; at += 8 + length) std::memcpy(&length, whole.data() + at + 4, sizeof length);
      CHECK(status.failed() == (at != size));
    }
    for (const std::uint32_t kind : {0U, 5U, 0xffffffffU}) CHECK(layers.add(Batch().record(kind, "")).error() == EBADMSG);
    CHECK(layers.add(Batch().entry({.type = static_cast<Type>(7), .path = "x"})).error() == EBADMSG);
    CHECK(layers.add(Batch().entry({.path = "x", .nanoseconds = 1000000000})).error() == EBADMSG);
    CHECK(layers.add(Batch().file(std::string("a\0b", 3), "")).error() == EBADMSG);
    CHECK(layers.add(Batch().whiteout(std::string("a\0b", 3))).error() == EBADMSG);
    CHECK(layers.add(Batch().data(0, "no file")).error() == EBADMSG);
    CHECK(layers.add(Batch().file("f", "").directory("d").data(0, "no file")).error() == EBADMSG);
  });

  test("one entry does not make directories without end", [&] {
    const std::string directory = scratch / "deep";
    for (const Mode mode : {Mode::overlay, Mode::flat}) {
      mkdir(directory.c_str(), 0755);
      const auto writer = std::move(LayerWriter::open(directory, {}, mode, 1 << 20).value());
      Status status;
      int files = 0;
      for (; !status.failed() && files < 100; files++) {
        std::string path = std::to_string(files);
        for (int depth = 0; depth < 300; depth++) path += "/d";
        const Batch batch = Batch().file(path + "/f", "");
        status = writer->apply(batch.data(), batch.size());
      }
      CHECK(refused(status, "too many and too long paths") && status.error() == E2BIG);
      CHECK(files > 1 && files < 20);
      CHECK(!remove_tree(directory).failed());
    }
  });

  test("more contents than the size says are refused", [&] {
    Layers layers(scratch);
    for (const std::uint64_t offset : {std::uint64_t{3}, std::uint64_t{5}, ~std::uint64_t{0}, ~std::uint64_t{0} - 1}) {
      CHECK(refused(layers.add(Batch().entry({.path = "f", .size = 4}).data(offset, "xx")), "more contents"));
    }
  });
}

}  // namespace

int main() {
  if (geteuid() != 0) {
    harness::skip("layers", "needs root to make devices and owners");
    return harness::finish();
  }
  const harness::Scratch scratch;
  entries(scratch);
  ways(scratch);
  links(scratch);
  whiteouts(scratch);
  damaged(scratch);
  return harness::finish();
}
