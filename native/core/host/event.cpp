#include "event.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>

#include "file.hpp"

namespace strata::host {
namespace {

// The kernel tells of a change after a read: one that was before it is not told. False: the cgroup is gone, which it would tell for ever.
bool read_events(int memory) {
  char text[1024];
  return sys::pread(memory, text, sizeof text, 0) >= 0;
}

Result<Fd> watch_v1(const std::string& directory) {
  Result<Fd> control = open_file(AT_FDCWD, (directory + "/memory.oom_control").c_str(), O_RDONLY);
  if (control.failed()) return control.status();
  Fd events(sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!events.valid()) return Status(-events.get(), "eventfd");
  const std::string request = std::to_string(events.get()) + " " + std::to_string(control.value().get());
  STRATA_TRY(write_text(directory + "/cgroup.event_control", request));
  return events;
}

}  // namespace

Result<Fd> watch_memory(const std::string& directory, int version) {
  if (version == 1) return watch_v1(directory);
  Result<Fd> events = open_file(AT_FDCWD, (directory + "/memory.events").c_str(), O_RDONLY);
  if (!events.failed()) (void)read_events(events.value().get());
  return events;
}

Result<std::string> wait_event(int pidfd, int memory, int version, int cancel, int timeout) {
  const std::int64_t deadline = sys::monotonic_ms() + timeout;
  const auto heard = static_cast<short>(version == 1 ? POLLIN : POLLPRI);
  std::array<pollfd, 3> sources{{{memory, heard, 0}, {pidfd, POLLIN, 0}, {cancel, POLLIN, 0}}};
  for (;;) {
    const int left = timeout < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(deadline - sys::monotonic_ms(), 0));
    const int result = sys::poll(sources.data(), sources.size(), left);
    if (result == 0) return std::string("timeout");
    if (result < 0 && result != -EINTR) return Status(-result, "poll");
    if (result < 0) continue;
    if (sources[0].revents == 0) return std::string(sources[1].revents != 0 ? "exit" : "cancel");
    if (version == 1) {
      std::uint64_t count = 0;
      (void)sys::read(memory, &count, sizeof count);
      return std::string("memory");
    }
    if (read_events(memory)) return std::string("memory");
    sources[0].fd = -1;
  }
}

}  // namespace strata::host
