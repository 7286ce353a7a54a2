#include "clock.hpp"

#include <array>
#include <cstdio>
#include <ctime>

#include "../date.hpp"
#include "../sys.hpp"

namespace strata::host {

std::string format_time(long seconds, long nanoseconds) {
  constexpr long day = 24 * 60 * 60;
  const Date date = date_of(seconds / day);
  const long rest = seconds % day;
  std::array<char, 64> text;
  std::snprintf(text.data(), text.size(), "%04ld-%02u-%02uT%02ld:%02ld:%02ld.%09ldZ", date.year, date.month, date.day, rest / 3600, rest / 60 % 60,
                rest % 60, nanoseconds);
  return text.data();
}

std::string timestamp() {
  timespec now{};
  sys::clock_gettime(CLOCK_REALTIME, &now);
  return format_time(now.tv_sec, now.tv_nsec);
}

}  // namespace strata::host
