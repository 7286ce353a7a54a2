#include "clock.hpp"

#include <array>
#include <cstdio>
#include <ctime>

#include "../sys.hpp"

namespace strata::host {

namespace {

struct Date {
  long year;
  unsigned month;
  unsigned day;
};

// The Gregorian date so many days after 1970-01-01, which is not before it. Not through gmtime(3): that reads the time zone's file first.
Date date_of(long days) {
  constexpr long days_in_era = 146097;  // 400 years
  constexpr long epoch = 719468;        // days from 0000-03-01, where leap days come last, to 1970-01-01
  const long since_march = days + epoch;
  const long era = since_march / days_in_era;
  const long day_of_era = since_march % days_in_era;
  const long year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / (days_in_era - 1)) / 365;
  const long day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const long march_month = (5 * day_of_year + 2) / 153;
  const long month = march_month < 10 ? march_month + 3 : march_month - 9;
  return {era * 400 + year_of_era + (month <= 2 ? 1 : 0), static_cast<unsigned>(month),
          static_cast<unsigned>(day_of_year - (153 * march_month + 2) / 5 + 1)};
}

}  // namespace

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
