// Dates, compared with those of libc.
#include <ctime>
#include <string>

#include "core/host/clock.hpp"
#include "harness.hpp"

using strata::host::format_time;

namespace {

std::string libc_says(std::time_t seconds) {
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[64];
  std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.000000000Z", &parts);
  return text;
}

}  // namespace

int main() {
  harness::test("every day of 800 years, at its first and its last second", [] {
    constexpr long day = 24 * 60 * 60;
    bool same = true;
    for (long days = 0; days < 800 * 366; days++) {
      same = same && format_time(days * day, 0) == libc_says(days * day) && format_time(days * day + day - 1, 0) == libc_says(days * day + day - 1);
    }
    CHECK(same);
  });
  harness::test("nanoseconds have nine digits", [] { CHECK(format_time(0, 12) == "1970-01-01T00:00:00.000000012Z"); });
  return harness::finish();
}
