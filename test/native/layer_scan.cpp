#include "core/layer/scan.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <algorithm>
#include <cstring>
#include <fstream>
#include <string_view>

#include "harness.hpp"

using namespace strata;
using namespace strata::layer;
using harness::test;

namespace {

using Lines = std::vector<std::string>;

void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }

// Puts the times of `from` on `to`: what overlayfs does when it copies up.
void same_time(const std::string& from, const std::string& to) {
  struct stat status {};
  stat(from.c_str(), &status);
  const timespec times[2] = {status.st_atim, status.st_mtim};
  utimensat(AT_FDCWD, to.c_str(), times, 0);
}

bool whiteout(const std::string& path) { return mknod(path.c_str(), S_IFCHR, makedev(0, 0)) == 0; }

// An upper directory over two layers, of which nothing is changed yet.
struct Stack {
  explicit Stack(const harness::Scratch& scratch) : root(scratch / std::to_string(harness::count)) {
    for (const char* name : {"", "/upper", "/top", "/bottom"}) mkdir((root + name).c_str(), 0755);
    const timespec old[2] = {{1, 0}, {1, 0}};
    for (const char* name : {"/top", "/upper"}) utimensat(AT_FDCWD, (root + name).c_str(), old, 0);
  }
  [[nodiscard]] std::string upper(const std::string& name) const { return root + "/upper/" + name; }
  [[nodiscard]] std::string top(const std::string& name) const { return root + "/top/" + name; }
  [[nodiscard]] std::string bottom(const std::string& name) const { return root + "/bottom/" + name; }
  [[nodiscard]] Lines lower() const { return {root + "/top", root + "/bottom"}; }

  [[nodiscard]] Lines changes(const Lines& destinations = {}) const { return list_changes(root + "/upper", lower(), destinations, false).value(); }

  std::string root;
};

struct Record {
  unsigned kind;
  std::string body;
  [[nodiscard]] std::uint32_t word(std::size_t at) const {
    std::uint32_t value;
    std::memcpy(&value, body.data() + at, sizeof value);
    return value;
  }
  [[nodiscard]] std::uint64_t quad(std::size_t at) const {
    std::uint64_t value;
    std::memcpy(&value, body.data() + at, sizeof value);
    return value;
  }
  [[nodiscard]] std::string text(std::size_t at) const { return body.substr(at + 4, word(at)); }
  [[nodiscard]] std::string path() const { return kind == 1 ? text(48) : body; }
  [[nodiscard]] std::string link() const { return text(48 + 4 + path().size()); }
};

std::vector<Record> records(Scan& scan) {
  std::vector<Record> all;
  for (;;) {
    const std::string batch = scan.next().value();
    if (batch.empty()) return all;
    for (std::size_t at = 0; at < batch.size();) {
      std::uint32_t head[2];
      std::memcpy(head, batch.data() + at, sizeof head);
      all.push_back({head[0], batch.substr(at + 8, head[1])});
      at += 8 + head[1];
    }
  }
}

std::vector<Record> records(const ScanOptions& options) {
  Scan scan;
  if (scan.begin(options).failed()) return {};
  return records(scan);
}

}  // namespace

int main() {
  const harness::Scratch scratch;
  const bool root = geteuid() == 0;

  test("what is added and changed is told of, with the directories on the way", [&] {
    const Stack stack(scratch);
    CHECK(stack.changes().empty());
    for (const char* name : {"etc", "usr"}) {
      mkdir(stack.bottom(name).c_str(), 0755);
      mkdir(stack.upper(name).c_str(), 0755);
      same_time(stack.bottom(name), stack.upper(name));
    }
    write(stack.bottom("etc/passwd"), "old");
    write(stack.upper("etc/passwd"), "new");
    write(stack.upper("etc/zz"), "");
    mkdir(stack.upper("etc/new").c_str(), 0755);
    same_time(stack.bottom("etc"), stack.upper("etc"));
    CHECK((stack.changes() == Lines{"C/etc", "A/etc/new", "C/etc/passwd", "A/etc/zz"}));
  });

  test("a directory that is other than below is changed, by mode or by time", [&] {
    const Stack stack(scratch);
    for (const char* name : {"mode", "same", "time"}) {
      mkdir(stack.top(name).c_str(), 0755);
      mkdir(stack.upper(name).c_str(), 0755);
      same_time(stack.top(name), stack.upper(name));
    }
    chmod(stack.upper("mode").c_str(), 0700);
    const timespec times[2] = {{1, 0}, {1, 1}};
    utimensat(AT_FDCWD, stack.upper("time").c_str(), times, 0);
    CHECK((stack.changes() == Lines{"C/mode", "C/time"}));
  });

  test("the time of the root alone is no change, its mode is", [&] {
    const Stack stack(scratch);
    write(stack.upper("x"), "");
    unlink(stack.upper("x").c_str());
    CHECK(records({stack.upper(""), stack.lower(), {}}).empty());
    chmod(stack.upper("").c_str(), 0711);
    const std::vector<Record> all = records({stack.upper(""), stack.lower(), {}});
    CHECK(all.size() == 1 && all[0].path().empty() && all[0].word(8) == 0711);
    CHECK(stack.changes().empty());
  });

  test("paths are told so that each is one line of UTF-8", [&] {
    const Stack stack(scratch);
    write(stack.upper("a\nb\\c\xff\xc2\x80\xc3\xa9"), "");
    CHECK((stack.changes() == Lines{"A/a\\x0ab\\\\c\\xff\\xc2\\x80\xc3\xa9"}));
  });

  test("the empty places of mounts, and directories made for them, are left out", [&] {
    const Stack stack(scratch);
    const Lines mounts = {"/proc", "/etc/hosts", "/srv/data", "/full", "/kept/hosts"};
    mkdir(stack.bottom("kept").c_str(), 0755);
    for (const char* name : {"proc", "etc", "srv", "srv/data", "full", "kept"}) mkdir(stack.upper(name).c_str(), 0755);
    write(stack.upper("etc/hosts"), "");
    write(stack.upper("kept/hosts"), "");
    write(stack.upper("full/file"), "");
    CHECK((stack.changes(mounts) == Lines{"A/full", "A/full/file"}));
    write(stack.upper("srv/other"), "");
    CHECK((stack.changes(mounts) == Lines{"A/full", "A/full/file", "A/srv", "A/srv/other"}));
    CHECK(stack.changes().size() == 10);
  });

  test("records have what an archive has of an entry", [&] {
    const Stack stack(scratch);
    write(stack.upper("file"), "contents");
    chmod(stack.upper("file").c_str(), 04750);
    const timespec times[2] = {{0, 0}, {1700000000, 123456789}};
    utimensat(AT_FDCWD, stack.upper("file").c_str(), times, 0);
    CHECK(link(stack.upper("file").c_str(), stack.upper("link").c_str()) == 0);
    CHECK(symlink("file", stack.upper("symlink").c_str()) == 0);
    CHECK(mkfifo(stack.upper("fifo").c_str(), 0600) == 0);
    const bool attributes = setxattr(stack.upper("file").c_str(), "user.test", "\0\xff", 2, 0) == 0;
    same_time(stack.top(""), stack.upper(""));
    const std::vector<Record> all = records({stack.upper(""), stack.lower(), {}});
    if (!CHECK(all.size() == 5)) return;
    CHECK(all[0].path() == "fifo" && all[0].word(0) == 6);
    CHECK(all[1].path() == "file" && all[1].word(0) == 0 && all[1].word(4) == 0 && all[1].word(8) == 04750);
    CHECK(all[1].word(20) == 123456789 && all[1].quad(32) == 1700000000 && all[1].quad(40) == 8);
    if (attributes) {
      const std::string rest = all[1].body.substr(48 + 4 + 4 + 4);
      CHECK(rest == std::string("\1\0\0\0\x09\0\0\0user.test\2\0\0\0\0\xff", 23));
    }
    CHECK(all[2].kind == 2 && all[2].quad(0) == 0 && all[2].body.substr(8) == "contents");
    CHECK(all[3].path() == "link" && all[3].word(0) == 3 && all[3].link() == "file");
    CHECK(all[4].path() == "symlink" && all[4].word(0) == 2 && all[4].link() == "file");
  });

  test("times later than the latest become it", [&] {
    const Stack stack(scratch);
    write(stack.upper("late"), "");
    const std::vector<Record> all = records({stack.upper(""), stack.lower(), {}, 1000});
    if (!CHECK(all.size() == 2)) return;
    for (const Record& record : all) CHECK(record.word(20) == 0 && record.quad(32) == 1000);
  });

  test("large files come in parts, and holes do not come", [&] {
    const Stack stack(scratch);
    const std::string large(3'000'000, 'x');
    write(stack.upper("large"), large);
    write(stack.upper("sparse"), "");
    CHECK(truncate(stack.upper("sparse").c_str(), std::int64_t{1} << 40) == 0);
    std::fstream(stack.upper("sparse")).seekp(std::int64_t{1} << 30) << "island";
    same_time(stack.top(""), stack.upper(""));
    std::string contents;
    std::uint64_t island = 0;
    std::size_t sparse = 0;
    std::string last;
    for (const Record& record : records({stack.upper(""), stack.lower(), {}})) {
      if (record.kind == 1) {
        last = record.path();
      } else if (last == "large") {
        CHECK(record.quad(0) == contents.size());
        contents += record.body.substr(8);
      } else {
        sparse += record.body.size();
        if (record.body.find("island") != std::string::npos) island = record.quad(0) + record.body.find("island") - 8;
      }
    }
    CHECK(contents == large);
    CHECK(island == std::uint64_t{1} << 30);
    CHECK(sparse < 100'000);
  });

  test("what an archive cannot hold is counted, or refused", [&] {
    const Stack stack(scratch);
    const std::string command = "python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' " + stack.upper("socket");
    if (!CHECK(std::system(command.c_str()) == 0)) return;
    Scan scan;
    CHECK(!scan.begin({stack.upper(""), stack.lower(), {}}).failed());
    records(scan);
    CHECK(scan.result().sockets == 1 && scan.result().socket == "socket");
    CHECK((stack.changes() == Lines{"A/socket"}));
    write(stack.upper(".wh.x"), "");
    Scan refused;
    CHECK(!refused.begin({stack.upper(""), stack.lower(), {}}).failed());
    CHECK(std::strcmp(refused.next().status().path(), ".wh.x") == 0);
  });

  test("a missing upper directory is named", [&] {
    const Stack stack(scratch);
    Scan scan;
    const Status status = scan.begin({stack.root + "/none", stack.lower(), {}});
    CHECK(status.error() == ENOENT && std::string_view(status.path()) == stack.root + "/none");
  });

  if (!root) {
    harness::skip("whiteouts and opaque directories", "needs root");
    return harness::finish();
  }

  test("a whiteout tells what is gone, unless nothing was there", [&] {
    const Stack stack(scratch);
    write(stack.bottom("file"), "");
    mkdir(stack.top("directory").c_str(), 0755);
    write(stack.bottom("hidden"), "");
    CHECK(whiteout(stack.top("hidden")));
    for (const char* name : {"file", "directory", "hidden", "never"}) CHECK(whiteout(stack.upper(name)));
    write(stack.upper("a"), "");
    same_time(stack.top(""), stack.upper(""));
    CHECK((stack.changes() == Lines{"D/directory", "D/file", "A/a"}));
    const std::vector<Record> all = records({stack.upper(""), stack.lower(), {}});
    CHECK(all.size() == 3 && all[0].kind == 3 && all[0].path() == "directory");
  });

  test("an opaque directory hides each thing below, in it and further down", [&] {
    const Stack stack(scratch);
    for (const char* name : {"dir", "dir/both", "dir/both/deep"}) mkdir(stack.bottom(name).c_str(), 0755);
    for (const char* name : {"dir/gone", "dir/same", "dir/both/old"}) write(stack.bottom(name), "");
    mkdir(stack.top("dir").c_str(), 0755);
    CHECK(whiteout(stack.top("dir/gone")));
    for (const char* name : {"dir", "dir/both", "dir/both/deep", "fresh"}) mkdir(stack.upper(name).c_str(), 0755);
    write(stack.upper("dir/same"), "");
    if (!CHECK(setxattr(stack.upper("dir").c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0)) return;
    CHECK(setxattr(stack.upper("fresh").c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0);
    const Lines found = stack.changes();
    CHECK(std::find(found.begin(), found.end(), "D/dir/both/old") != found.end());
    CHECK(std::find(found.begin(), found.end(), "C/dir/same") != found.end());
    CHECK(std::find(found.begin(), found.end(), "D/dir/gone") == found.end());
    CHECK(std::find(found.begin(), found.end(), "A/fresh") != found.end());
  });

  test("an opaque layer hides those below it", [&] {
    const Stack stack(scratch);
    for (const std::string& name : {stack.bottom("dir"), stack.top("dir"), stack.upper("dir")}) mkdir(name.c_str(), 0755);
    write(stack.bottom("dir/file"), "");
    write(stack.upper("dir/file"), "");
    CHECK(setxattr(stack.top("dir").c_str(), "trusted.overlay.opaque", "y", 1, 0) == 0);
    CHECK((stack.changes() == Lines{"C/dir", "A/dir/file"}));
  });

  test("a file in the place of a directory, and the reverse", [&] {
    const Stack stack(scratch);
    mkdir(stack.bottom("was-directory").c_str(), 0755);
    write(stack.bottom("was-file"), "");
    write(stack.upper("was-directory"), "");
    mkdir(stack.upper("was-file").c_str(), 0755);
    write(stack.upper("was-file/inner"), "");
    CHECK((stack.changes() == Lines{"C/was-directory", "C/was-file", "A/was-file/inner"}));
  });

  test("overlayfs's own attributes do not come, renamed directories and data from below are refused", [&] {
    const Stack stack(scratch);
    mkdir(stack.upper("dir").c_str(), 0755);
    CHECK(setxattr(stack.upper("dir").c_str(), "trusted.overlay.origin", "x", 1, 0) == 0);
    CHECK(setxattr(stack.upper("dir").c_str(), "security.capability", "\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20, 0) == 0 || errno == EPERM ||
          errno == EINVAL);
    const std::vector<Record> all = records({stack.upper(""), stack.lower(), {}});
    CHECK(std::none_of(all.begin(), all.end(), [](const Record& each) { return each.body.find("overlay") != std::string::npos; }));
    CHECK(setxattr(stack.upper("dir").c_str(), "trusted.overlay.redirect", "x", 1, 0) == 0);
    const Status status = list_changes(stack.upper(""), stack.lower(), {}, false).status();
    CHECK(status.failed() && std::string_view(status.path()) == "dir");
  });

  return harness::finish();
}
