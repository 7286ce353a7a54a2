#include "clock.hpp"

#include <array>
#include <cstdio>
#include <ctime>

#include "../sys.hpp"

namespace strata::host {

std::string timestamp() {
  timespec now{};
  sys::clock_gettime(CLOCK_REALTIME, &now);
  tm parts{};
  gmtime_r(&now.tv_sec, &parts);
  std::array<char, 40> seconds;
  std::strftime(seconds.data(), seconds.size(), "%Y-%m-%dT%H:%M:%S", &parts);
  std::array<char, 56> text;
  std::snprintf(text.data(), text.size(), "%s.%09ldZ", seconds.data(), now.tv_nsec);
  return text.data();
}

}  // namespace strata::host
