// Paths inside a root: links stay inside, missing parents are made inside, and nothing that an image can contain leads out.
#include "core/path.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cerrno>
#include <cstddef>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/stat.h>

#include "harness.hpp"

using namespace strata;
using harness::test;

namespace {

bool exists(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// The path of what a descriptor stands for, as the kernel knows it.
std::string where(int fd) {
  char buffer[4096];
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  const ssize_t size = readlink(link.c_str(), buffer, sizeof buffer);
  return size < 0 ? "" : std::string(buffer, static_cast<std::size_t>(size));
}

void make_tree(const harness::Scratch& scratch) {
  for (const char* directory : {"root", "root/a", "root/a/b", "root/etc", "outside", "root/proc"}) mkdir((scratch / directory).c_str(), 0755);
  const struct {
    const char* target;
    const char* link;
  } links[] = {{"/a/b", "root/absolute"}, {"../../../../outside", "root/escape"}, {"/etc", "root/a/to-etc"},     {"loop-b", "root/loop-a"},
               {"loop-a", "root/loop-b"}, {"/missing/deep", "root/dangling"},     {"a/../../..", "root/dotdot"}, {"/proc", "root/to-proc"}};
  for (const auto& link : links) {
    if (symlink(link.target, (scratch / link.link).c_str()) != 0) std::abort();
  }
}

}  // namespace

int main() {
  const harness::Scratch scratch;
  make_tree(scratch);
  const Fd root(open((scratch / "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const std::string base = scratch / "root";

  test("links and dots end inside the root", [&] {
    CHECK(where(open_in_root(root.get(), "/a/b", O_PATH).value().get()) == base + "/a/b");
    CHECK(where(open_in_root(root.get(), "absolute", O_PATH).value().get()) == base + "/a/b");
    CHECK(where(open_in_root(root.get(), "/a/to-etc", O_PATH).value().get()) == base + "/etc");
    CHECK(where(open_in_root(root.get(), "/../../../etc", O_PATH).value().get()) == base + "/etc");
    CHECK(where(open_in_root(root.get(), "dotdot", O_PATH).value().get()) == base);
    CHECK(where(open_in_root(root.get(), "", O_PATH).value().get()) == base);
    CHECK(open_in_root(root.get(), "escape", O_PATH).status().error() == ENOENT);
    CHECK(open_in_root(root.get(), "loop-a", O_PATH).status().error() == ELOOP);
    CHECK(open_in_root(root.get(), std::string(5000, 'x'), O_PATH).status().error() == ENAMETOOLONG);
  });

  test("links can be refused, or meant themselves", [&] {
    CHECK(open_in_root(root.get(), "absolute", O_PATH, Links::refuse).status().error() == ELOOP);
    CHECK(open_in_root(root.get(), "a/to-etc/x", O_PATH, Links::refuse).status().error() == ELOOP);
    CHECK(where(open_in_root(root.get(), "absolute", O_PATH, Links::not_last).value().get()) == base + "/absolute");
  });

  test("missing directories are made inside the root, whatever links stand on the way", [&] {
    CHECK(where(make_in_root(root.get(), "/new/one/two", Make::directory, 0700).value().get()) == base + "/new/one/two");
    CHECK(where(make_in_root(root.get(), "escape/x", Make::directory, 0755).value().get()) == base + "/outside/x");
    CHECK(!exists(scratch / "outside/x"));
    CHECK(where(make_in_root(root.get(), "dangling/er", Make::directory, 0755).value().get()) == base + "/missing/deep/er");
    CHECK(where(make_in_root(root.get(), "/up/../../../side", Make::directory, 0755).value().get()) == base + "/side");
    CHECK(make_in_root(root.get(), "loop-a/x", Make::directory, 0755).status().error() == ELOOP);
    CHECK(make_in_root(root.get(), "/a/" + std::string(300, 'n'), Make::directory, 0755).status().error() == ENAMETOOLONG);
  });

  test("files are made with their parents; what exists is left alone", [&] {
    CHECK(where(make_in_root(root.get(), "/files/f", Make::file, 0640).value().get()) == base + "/files/f");
    struct stat status {};
    CHECK(stat((base + "/files/f").c_str(), &status) == 0);
    CHECK(S_ISREG(status.st_mode));
    CHECK(where(make_in_root(root.get(), "/a/b", Make::directory, 0700).value().get()) == base + "/a/b");
    CHECK(make_in_root(root.get(), "/files/f/below", Make::directory, 0700).status().error() == ENOTDIR);
    CHECK(make_in_root(root.get(), "/linked/x", Make::file, 0600, Links::refuse).value().valid());
    CHECK(make_in_root(root.get(), "absolute/x", Make::file, 0600, Links::refuse).status().error() == ELOOP);
    CHECK(!exists(base + "/a/b/x"));
  });

  test("the parent of a new entry is found or made", [&] {
    FixedText<256> name;
    CHECK(where(make_parent_in_root(root.get(), "/dev/pts/0", name).value().get()) == base + "/dev/pts");
    CHECK(name.view() == "0");
    CHECK(where(make_parent_in_root(root.get(), "absolute/entry", name).value().get()) == base + "/a/b");
    CHECK(name.view() == "entry");
    CHECK(where(make_parent_in_root(root.get(), "top", name).value().get()) == base);
    CHECK(make_parent_in_root(root.get(), "/", name).status().error() == EEXIST);
  });

  test("without openat2 the walk of our own ends at the same places", [&] {
    const pid_t child = fork();
    if (child == 0) {
      // A seccomp filter that does not know the call, as engines' older default profiles are for us.
      sock_filter filter[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)},
                              {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, SYS_openat2},
                              {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS},
                              {BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW}};
      const sock_fprog program{4, filter};
      if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) _exit(2);
      harness::passed = true;
      CHECK(where(open_in_root(root.get(), "absolute", O_PATH).value().get()) == base + "/a/b");
      CHECK(where(open_in_root(root.get(), "/a/to-etc", O_PATH).value().get()) == base + "/etc");
      CHECK(where(open_in_root(root.get(), "/../../../etc", O_PATH).value().get()) == base + "/etc");
      CHECK(where(open_in_root(root.get(), "", O_PATH).value().get()) == base);
      CHECK(open_in_root(root.get(), "escape/nowhere", O_PATH).failed());
      CHECK(open_in_root(root.get(), "loop-a", O_PATH).status().error() == ELOOP);
      CHECK(open_in_root(root.get(), "absolute", O_PATH, Links::refuse).status().error() == ELOOP);
      CHECK(where(open_in_root(root.get(), "absolute", O_PATH, Links::not_last).value().get()) == base + "/absolute");
      CHECK(where(make_in_root(root.get(), "/walked/one", Make::directory, 0755).value().get()) == base + "/walked/one");
      _exit(harness::passed ? 0 : 1);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  });

  test("the host's procfs is verified, and written only below itself", [&] {
    Result<Fd> proc = open_proc();
    CHECK(!proc.failed());
    CHECK(write_proc(proc.value().get(), "self/comm", "strata-path").error() == 0);
    CHECK(write_proc(proc.value().get(), "self/cwd/x", "").error() == ELOOP);
    CHECK(write_proc(proc.value().get(), "../etc/hostname", "").error() == EXDEV);
    CHECK(write_proc(proc.value().get(), "self/none", "").error() == ENOENT);
  });

  return harness::finish();
}
