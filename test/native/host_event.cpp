#include "core/host/event.hpp"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <cerrno>
#include <string>

#include "core/sys.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::host;

namespace {

std::string waited(int pidfd, int memory, int version, int cancel, int timeout) {
  Result<std::string> event = wait_event(pidfd, memory, version, cancel, timeout);
  return event.failed() ? event.status().call() : event.value();
}

}  // namespace

int main() {
  harness::test("the time is over", [] {
    CHECK(waited(-1, -1, 1, -1, 1) == "timeout");
    const Fd self(sys::pidfd_open(sys::getpid(), 0));
    CHECK(waited(self.get(), -1, 2, -1, 0) == "timeout");
  });

  harness::test("the other end of the pipe is closed", [] {
    int ends[2];
    CHECK(sys::pipe2(ends, O_CLOEXEC) == 0);
    const Fd cancel(ends[0]);
    Fd end(ends[1]);
    CHECK(waited(-1, -1, 1, cancel.get(), 0) == "timeout");
    end = Fd();
    CHECK(waited(-1, -1, 1, cancel.get(), -1) == "cancel");
  });

  harness::test("a want of memory is told first, and once", [] {
    const Fd memory(sys::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK));
    int ends[2];
    CHECK(sys::pipe2(ends, O_CLOEXEC) == 0);
    const Fd cancel(ends[0]);
    sys::close(ends[1]);
    CHECK(waited(-1, memory.get(), 1, cancel.get(), -1) == "memory");
    CHECK(waited(-1, memory.get(), 1, cancel.get(), -1) == "cancel");
  });

  harness::test("a v2 cgroup that has been removed is silent", [] {
    // A file that tells of changes in the same way, in whichever place v2 is mounted; without the right to make a cgroup there is nothing to try.
    for (const char* top : {"/sys/fs/cgroup/unified", "/sys/fs/cgroup"}) {
      const std::string directory = std::string(top) + "/strata-event-" + std::to_string(sys::getpid());
      if (sys::mkdirat(AT_FDCWD, directory.c_str(), 0755) < 0) continue;
      const Fd events(sys::openat(AT_FDCWD, (directory + "/cgroup.events").c_str(), O_RDONLY | O_CLOEXEC));
      CHECK(sys::unlinkat(AT_FDCWD, directory.c_str(), AT_REMOVEDIR) == 0);
      if (!events.valid()) continue;
      CHECK(waited(-1, events.get(), 2, -1, 10) == "timeout");
    }
  });

  harness::test("a cgroup that is not there cannot be watched", [] {
    CHECK(watch_memory("/nonexistent", 1).status().error() == ENOENT);
    CHECK(watch_memory("/nonexistent", 2).status().error() == ENOENT);
  });
  return harness::finish();
}
