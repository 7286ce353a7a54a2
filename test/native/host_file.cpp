#include "core/host/file.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <array>
#include <cerrno>

#include "core/host/lock.hpp"
#include "core/host/utf8.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::host;
using harness::test;

int main() {
  const harness::Scratch scratch;

  test("UTF-8 is recognised as RFC 3629 has it", [] {
    CHECK(is_utf8(""));
    CHECK(is_utf8("plain text, longer than a word"));
    CHECK(is_utf8(std::string_view("a\0b", 3)));
    CHECK(is_utf8("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
    CHECK(characters_of_bytes(std::string_view("a\0\x7f\x80\xff", 5)) == std::string_view("a\0\x7f\xc2\x80\xc3\xbf", 7));
    CHECK(bytes_of_characters(std::string_view("a\0\x7f\xc2\x80\xc3\xbf", 7)).value() == std::string_view("a\0\x7f\x80\xff", 5));
    CHECK(bytes_of_characters("\xc4\x80").status().error() == EILSEQ);
    CHECK(!is_utf8("\x80"));
    CHECK(!is_utf8("\xc0\x80"));
    CHECK(!is_utf8("\xc1\xbf"));
    CHECK(!is_utf8("\xe0\x9f\xbf"));
    CHECK(!is_utf8("\xed\xa0\x80"));
    CHECK(!is_utf8("\xf0\x8f\xbf\xbf"));
    CHECK(!is_utf8("\xf4\x90\x80\x80"));
    CHECK(!is_utf8("\xf5\x80\x80\x80"));
    CHECK(!is_utf8("seven b\xe2\x82"));
    CHECK(!is_utf8("seven by\xe2\x82("));
  });

  test("what is not UTF-8 is replaced piece by piece, as the Encoding standard has it", [] {
    const std::string mark = "\xef\xbf\xbd";
    CHECK(as_utf8("") == "");
    CHECK(as_utf8(std::string_view("a\0\xe2\x82\xac", 5)) == std::string("a\0\xe2\x82\xac", 5));
    CHECK(as_utf8("\xff\xfe") == mark + mark);
    CHECK(as_utf8("\xc0\xaf") == mark + mark);
    CHECK(as_utf8("\xed\xa0\x80") == mark + mark + mark);
    CHECK(as_utf8("\xe2\x82") == mark);
    CHECK(as_utf8("\xe2\x82(") == mark + "(");
    CHECK(as_utf8("\xf0\x90\x80z\xf4\x90") == mark + "z" + mark + mark);
  });

  test("read_text reads to the end and checks size and encoding", [&] {
    const std::string path = scratch / "text";
    CHECK(!replace_file(path, std::string(100000, 'x'), 0600).failed());
    CHECK(read_text(path, 100000).value().size() == 100000);
    CHECK(read_text(path, 99999).status().error() == EFBIG);
    CHECK(read_text("/dev/zero", 1 << 20).status().error() == EFBIG);
    CHECK(read_text("/proc/self/stat", 1 << 20).value().size() > 10);
    CHECK(!replace_file(path, "\xff", 0600).failed());
    CHECK(read_text(path, 10).status().error() == EILSEQ);
    CHECK(read_text(scratch / "none", 10).status().error() == ENOENT);
    CHECK(read_text(scratch.path(), 10).status().error() == EISDIR);
  });

  test("create_file makes a file of the exact mode, and leaves one that is there as it is", [&] {
    const std::string path = scratch / "created";
    const mode_t mask = umask(077);
    CHECK(!create_file(path, "one", 0644).failed());
    umask(mask);
    CHECK(file_status(path).value()->mode == 0644);
    CHECK(create_file(path, "two", 0600).error() == EEXIST);
    CHECK(read_text(path, 10).value() == "one");
  });

  test("replace_file replaces at once, with the exact mode, and leaves no temporary file", [&] {
    const std::string path = scratch / "replaced";
    const mode_t mask = umask(077);
    CHECK(!replace_file(path, "one", 0644).failed());
    umask(mask);
    CHECK(file_status(path).value()->mode == 0644);
    CHECK(!replace_file(path, "two", 0600).failed());
    CHECK(read_text(path, 10).value() == "two");
    CHECK(!make_directory(scratch / "occupied", 0700).failed());
    CHECK(!make_directory(scratch / "occupied/below", 0700).failed());
    CHECK(replace_file(scratch / "occupied", "three", 0600).error() == EISDIR);
    const std::vector<std::string> names = list_directory(scratch.path()).value();
    for (const std::string& name : names) CHECK(name.find(".tmp.") == std::string::npos);
  });

  test("write_text writes what exists, append_file makes what does not", [&] {
    const std::string path = scratch / "written";
    CHECK(write_text(path, "x").error() == ENOENT);
    CHECK(!append_file(path, "one\n").failed());
    CHECK(!append_file(path, "two\n").failed());
    CHECK(read_text(path, 100).value() == "one\ntwo\n");
    CHECK(file_status(path).value()->mode == 0600);
    CHECK(!write_text(path, "ONE").failed());
    CHECK(read_text(path, 100).value() == "ONE\ntwo\n");
  });

  test("file_status does not follow links and knows when nothing is there", [&] {
    CHECK(symlink("/nowhere", (scratch / "link").c_str()) == 0);
    CHECK(mkfifo((scratch / "fifo").c_str(), 0640) == 0);
    CHECK(std::string(file_status(scratch / "link").value()->type) == "symlink");
    CHECK(std::string(file_status(scratch / "fifo").value()->type) == "fifo");
    CHECK(std::string(file_status("/dev/null").value()->type) == "character");
    CHECK(std::string(file_status(scratch.path()).value()->type) == "directory");
    CHECK(file_status(scratch.path()).value()->uid == geteuid());
    CHECK(!file_status(scratch / "none").value());
    CHECK(file_status("/dev/null/none").status().error() == ENOTDIR);
  });

  test("make_directories makes parents and forgives directories, not files", [&] {
    CHECK(!make_directories(scratch / "a/b//c/", 0711).failed());
    CHECK(!make_directories(scratch / "a/b/c", 0700).failed());
    CHECK(file_status(scratch / "a/b/c").value()->mode == 0711);
    CHECK(symlink("a", (scratch / "to-a").c_str()) == 0);
    CHECK(!make_directories(scratch / "to-a/d", 0700).failed());
    CHECK(!make_directories(scratch / "to-a", 0700).failed());
    CHECK(make_directories(scratch / "written", 0700).error() == EEXIST);
    CHECK(make_directories(scratch / "written/x", 0700).error() == ENOTDIR);
    CHECK(make_directory(scratch / "a", 0700).error() == EEXIST);
    CHECK(remove_directory(scratch / "a/b").error() == ENOTEMPTY);
    CHECK(!remove_directory(scratch / "a/b/c").failed());
    CHECK(remove_file(scratch / "a/b").error() == EISDIR);
    CHECK(!remove_file(scratch / "none").failed());
  });

  test("set_label labels a file, and a symbolic link itself", [&] {
    CHECK(set_label(scratch / "none", "a:b:c:s0").error() == ENOENT);
    const std::string path = scratch / "labelled";
    CHECK(!create_file(path, "", 0600).failed());
    CHECK(symlink("/nowhere", (scratch / "labelled-link").c_str()) == 0);
    // An enforcing kernel takes only what its policy knows.
    if (getuid() != 0 || file_status("/sys/fs/selinux/enforce").value()) return;
    std::array<char, 16> value{};
    for (const std::string& one : {path, std::string(scratch / "labelled-link")}) {
      CHECK(!set_label(one, "a:b:c:s0").failed());
      CHECK(lgetxattr(one.c_str(), "security.selinux", value.data(), value.size()) == 9);
      CHECK(std::string_view(value.data()) == "a:b:c:s0");
    }
  });

  test("make_directory_like takes over owner and permissions, whatever the umask", [&] {
    CHECK(!make_directory(scratch / "model", 0700).failed());
    CHECK(chmod((scratch / "model").c_str(), 03775) == 0);
    CHECK(geteuid() != 0 || chown((scratch / "model").c_str(), 7, 8) == 0);
    const mode_t before = umask(077);
    CHECK(!make_directory_like(scratch / "made", scratch / "model").failed());
    umask(before);
    struct stat made = {};
    CHECK(stat((scratch / "made").c_str(), &made) == 0);
    CHECK((made.st_mode & 07777) == 03775);
    CHECK(geteuid() != 0 || (made.st_uid == 7 && made.st_gid == 8));
    CHECK(make_directory_like(scratch / "made", scratch / "model").error() == EEXIST);
    CHECK(make_directory_like(scratch / "other", scratch / "none").error() == ENOENT);
    CHECK(make_directory_like(scratch / "other", scratch / "written").error() == ENOTDIR);
    CHECK(symlink("model", (scratch / "to-model").c_str()) == 0);
    CHECK(make_directory_like(scratch / "other", scratch / "to-model").failed());
  });

  test("device_status follows links to a device, and knows what is none", [&] {
    CHECK(symlink("/dev/null", (scratch / "to-null").c_str()) == 0);
    const DeviceStatus status = *device_status(scratch / "to-null").value();
    CHECK(std::string(status.type) == "c" && status.major == 1 && status.minor == 3 && status.mode == 0666);
    CHECK(!device_status(scratch / "written").value());
    CHECK(device_status(scratch / "none").status().error() == ENOENT);
  });

  test("list_directory sorts and leaves out the two that are always there", [&] {
    for (const char* name : {"z", "B", "a10", "a9"}) CHECK(!append_file(scratch / "a/b" + "/" + name, "").failed());
    const std::vector<std::string> expected = {"B", "a10", "a9", "z"};
    CHECK(list_directory(scratch / "a/b").value() == expected);
    CHECK(list_directory(scratch / "written").status().error() == ENOTDIR);
  });

  test("real_path resolves links", [&] {
    CHECK(real_path(scratch / "to-a/b/../b").value() == scratch / "a/b");
    CHECK(real_path(scratch / "link").status().error() == ENOENT);
    CHECK(working_directory().value()[0] == '/');
  });

  test("try_lock locks once, and never a directory that is gone", [&] {
    const std::string path = scratch / "locked";
    CHECK(!try_lock(path).value().valid());
    CHECK(!make_directory(path, 0700).failed());
    Fd first = std::move(try_lock(path).value());
    CHECK(first.valid());
    CHECK(!try_lock(path).value().valid());
    first.reset();
    CHECK(try_lock(path).value().valid());
    CHECK(try_lock(scratch / "written").status().error() == ENOTDIR);
  });

  return harness::finish();
}
