// What a keeper makes of the kernel's counts, also when the container's own has gone before it could be read.
#include <fcntl.h>
#include <unistd.h>
#include <fstream>
#include <string>

#include "harness.hpp"
#include "keeper/memory.hpp"

using strata::Fd;
using strata::keeper::Memory;

namespace {

// A file with a count that can be changed, and of which nothing can be read any more.
class Counter {
 public:
  Counter(const harness::Scratch& scratch, const char* name) : path_(scratch / name) { set(0); }

  void set(int kills) const { std::ofstream(path_) << "max 9\noom 9\noom_kill " << kills << "\noom_group_kill 7\n"; }
  [[nodiscard]] Fd open() const { return Fd(::open(path_.c_str(), O_RDONLY | O_CLOEXEC)); }

 private:
  std::string path_;
};

// What a descriptor of a cgroup that is gone is: nothing can be read through it.
Fd gone() { return Fd(::open("/", O_RDONLY | O_CLOEXEC)); }

}  // namespace

int main() {
  const harness::Scratch scratch;
  const Counter own(scratch, "own");
  const Counter around(scratch, "around");

  harness::test("the container's own count tells, where it can be read", [&] {
    Memory memory;
    memory.begin(own.open(), Fd(), 0);
    CHECK(!memory.killed());
    own.set(2);
    CHECK(memory.killed());
    own.set(0);
    CHECK(memory.killed());
  });

  harness::test("nothing is counted: nothing was killed", [&] {
    Memory memory;
    memory.begin(Fd(), Fd(), 0);
    CHECK(!memory.killed());
  });

  harness::test("a count that was gone before it could be opened: the slice has counted since", [&] {
    around.set(5);
    Memory same;
    same.begin(Fd(), around.open(), 5);
    CHECK(!same.killed());
    Memory more;
    more.begin(Fd(), around.open(), 4);
    CHECK(more.killed());
  });

  harness::test("what others of the slice have lost while ours could be read is not ours", [&] {
    around.set(5);
    Memory memory;
    Fd file = own.open();
    const int descriptor = file.get();
    memory.begin(std::move(file), around.open(), 5);
    around.set(8);
    CHECK(!memory.killed());
    const Fd none = gone();
    CHECK(dup2(none.get(), descriptor) == descriptor);
    CHECK(!memory.killed());
    around.set(9);
    CHECK(!memory.killed());
  });

  harness::test("what the slice has counted since ours was last read is ours", [&] {
    around.set(5);
    Memory memory;
    Fd file = own.open();
    const int descriptor = file.get();
    memory.begin(std::move(file), around.open(), 5);
    CHECK(!memory.killed());
    around.set(6);
    const Fd none = gone();
    CHECK(dup2(none.get(), descriptor) == descriptor);
    CHECK(memory.killed());
  });

  harness::test("only what may go away is waited for", [&] {
    pollfd polled[Memory::poll_count];
    Memory stays;
    stays.begin(own.open(), Fd(), 0);
    stays.prepare(polled);
    CHECK(polled[0].fd == -1 && polled[1].fd == -1);
    Memory goes;
    goes.begin(own.open(), around.open(), 6);
    goes.prepare(polled);
    CHECK(polled[0].fd >= 0 && polled[1].fd >= 0);
    own.set(1);
    polled[0].revents = POLLPRI;
    polled[1].revents = 0;
    goes.handle(polled);
    goes.prepare(polled);
    CHECK(polled[0].fd == -1 && polled[1].fd == -1);
  });
  return harness::finish();
}
