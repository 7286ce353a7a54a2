// The bytes of a seccomp profile, from TypeScript, through libseccomp to a program.
#include "core/seccomp.hpp"

#include <linux/filter.h>

#include "kernel.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using fuzz::kernel;
  using fuzz::require;
  kernel.begin(nullptr, 0, "G");
  strata::Result<strata::Filter> filter = strata::seccomp_program({data, static_cast<std::uint32_t>(size)}, "");
  if (filter.failed()) {
    require(*filter.status().call() != '\0', "a failure does not say what failed");
  } else {
    const std::size_t length = filter.value().size();
    require(length > 0 && length % sizeof(sock_filter) == 0 && length / sizeof(sock_filter) <= BPF_MAXINSNS, "the program has a wrong length");
    sock_filter last{};
    std::memcpy(&last, static_cast<const char*>(filter.value().data()) + length - sizeof last, sizeof last);
    require(BPF_CLASS(last.code) == BPF_RET, "the program does not end with an answer");
  }
  kernel.end();
  return 0;
}
