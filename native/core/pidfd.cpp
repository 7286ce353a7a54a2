#include "pidfd.hpp"

#include <cstdint>

#include <linux/ioctl.h>

#include "sys.hpp"

namespace strata {
namespace {

// ioctl_pidfd(2), Linux 6.13; the exit status since 6.15. Named here because Debian's headers are older.
struct PidfdInfo {
  std::uint64_t mask;
  std::uint64_t cgroup;
  std::uint32_t pid;
  std::uint32_t thread_group;
  std::uint32_t parent;
  std::uint32_t credentials[8];
  std::int32_t exit_status;
};
static_assert(sizeof(PidfdInfo) == 64);  // PIDFD_INFO_SIZE_VER0; the size is part of the request's number
constexpr unsigned long pidfd_get_info = _IOWR(0xff, 11, PidfdInfo);
constexpr std::uint64_t pidfd_info_exit = 1 << 3;

}  // namespace

std::optional<int> status_of_reaped(int pidfd) {
  PidfdInfo info{};
  info.mask = pidfd_info_exit;
  if (sys::ioctl(pidfd, pidfd_get_info, &info) < 0 || (info.mask & pidfd_info_exit) == 0) return std::nullopt;
  return info.exit_status;
}

}  // namespace strata
