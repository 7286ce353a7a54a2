// Whether the kernel has killed a process of the container for want of memory: `oom_kill N` in memory.events (cgroup v2) or memory.oom_control (v1).
//
// systemd removes a scope as soon as its last process has ended, and its count with it. The kernel counts before it kills, and in the cgroups above
// too: what the slice around the scope counts goes on. So, where ours is gone, what the slice has counted since we have last seen ours at 0 is ours.
// That may be another's only if it was killed in that moment: whenever the slice's count changes we look at both.
#pragma once

#include <poll.h>
#include <cstddef>
#include <cstdint>

#include "../core/fd.hpp"

namespace strata::keeper {

class Memory {
 public:
  // Files; invalid for one that is not there. `before`: what the slice's had counted before the container began.
  void begin(Fd own, Fd around, std::uint64_t before);

  // To be called at the latest when the container has ended. Once true it stays so.
  bool killed();

  // What to wait for; nothing where nobody removes the container's file.
  static constexpr std::size_t poll_count = 2;
  void prepare(pollfd* polled) const;
  void handle(const pollfd* polled);

 private:
  Fd own_;
  Fd around_;
  std::uint64_t seen_ = 0;
  bool killed_ = false;
};

}  // namespace strata::keeper
