// A profile's bytes become a program, or are refused as damaged.
#include "core/seccomp.hpp"

#include <sys/stat.h>
#include <unistd.h>
#include <cerrno>
#include <cstring>

#include <linux/filter.h>

#include "harness.hpp"
#include "writer.hpp"

using namespace strata;
using harness::test;

namespace {

constexpr std::uint32_t no_errno = 0xffffffff;

Writer head() { return Writer().u32(1).text("SCMP_ACT_ERRNO").u32(no_errno).u32(0).u32(1).text("SECCOMP_FILTER_FLAG_LOG"); }

// One rule: two calls, of which libseccomp knows one, with a comparison.
Writer profile() {
  Writer writer = head();
  writer.u32(1).text("SCMP_ACT_ALLOW").u32(no_errno).u32(2).text("read").text("no_such_call");
  return writer.u32(1).u32(0).u64(3).u64(0).text("SCMP_CMP_EQ");
}

Result<Filter> compile(const std::vector<std::uint8_t>& bytes) {
  return seccomp_program({bytes.data(), static_cast<std::uint32_t>(bytes.size())}, "");
}

}  // namespace

int main() {
  test("a profile becomes a program", [] {
    Result<Filter> filter = compile(profile().bytes());
    if (!CHECK(!filter.failed())) return;
    CHECK(filter.value().size() > 0 && filter.value().size() % sizeof(sock_filter) == 0);
    CHECK(filter.value().flags() == 2);  // SECCOMP_FILTER_FLAG_LOG
  });

  test("a profile that is cut short is refused", [] {
    const std::vector<std::uint8_t> whole = profile().bytes();
    for (std::size_t size = 0; size < whole.size(); size++)
      CHECK(compile({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}).failed());
  });

  test("a profile with more names than it has bytes is refused at once", [] {
    const Result<Filter> filter = compile(head().u32(1).text("SCMP_ACT_ALLOW").u32(no_errno).u32(0xffffffff).text("read").bytes());
    CHECK(filter.status().error() == EBADMSG);
  });

  test("a program that is kept is the same when it is taken, or refused", [] {
    const harness::Scratch scratch;
    const std::string path = scratch / "seccomp";
    Result<Filter> filter = compile(profile().bytes());
    if (!CHECK(!filter.failed() && !keep_program(path.c_str(), filter.value()).failed())) return;
    CHECK(keep_program(path.c_str(), filter.value()).error() == EEXIST);
    Result<Filter> kept = kept_program(path.c_str());
    if (!CHECK(!kept.failed())) return;
    CHECK(kept.value().size() == filter.value().size() && kept.value().flags() == filter.value().flags());
    CHECK(std::memcmp(kept.value().data(), filter.value().data(), kept.value().size()) == 0);
    CHECK(chmod(path.c_str(), 0620) == 0 && kept_program(path.c_str()).failed() && chmod(path.c_str(), 0600) == 0);
    CHECK(truncate(path.c_str(), 80) == 0 && kept_program(path.c_str()).status().error() == EBADMSG);
    CHECK(kept_program((scratch / "absent").c_str()).failed());
  });

  return harness::finish();
}
