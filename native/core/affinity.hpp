// The CPUs that a process may run on.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>

#include "error.hpp"
#include "plan.hpp"
#include "sys.hpp"

namespace strata {

class CpuMask {
 public:
  // 8192 CPUs, the most that a kernel can be built for.
  static constexpr std::size_t words = 256;

  Status read(Fields fields) {
    Fields::Numbers numbers = fields.u32s();
    if (numbers.count > words) return {EINVAL, "sched_setaffinity"};
    for (std::uint32_t i = 0; i < numbers.count; i++) words_[i] = numbers.next();
    return {};
  }

  // For the calling thread and what it clones.
  [[nodiscard]] Status apply() const {
    const int result = sys::sched_setaffinity(0, sizeof words_, words_);
    if (result == -EINVAL) return Status::with_detail("sched_setaffinity", "", "none of these CPUs can be used here", EINVAL);
    return result < 0 ? Status(-result, "sched_setaffinity") : Status();
  }

 private:
  std::uint32_t words_[words] = {};
};

}  // namespace strata
