// Dates of the Gregorian calendar. Not through gmtime(3): that reads the time zone's file first, and strata-keeper has no heap for it.
#pragma once

namespace strata {

struct Date {
  long year;
  unsigned month;
  unsigned day;
};

// So many days after 1970-01-01, and not before it.
constexpr Date date_of(long days) {
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

}  // namespace strata
