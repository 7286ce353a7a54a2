// The time as text.
#pragma once

#include <ctime>

#include "../core/date.hpp"
#include "../core/sys.hpp"
#include "../core/text.hpp"

namespace strata::keeper {

using Timestamp = TextBuilder<40>;

template <std::size_t Size>
void add_digits(TextBuilder<Size>& text, std::uint64_t number, int digits) {
  char padded[20];
  for (int at = digits; at-- > 0; number /= 10) padded[at] = static_cast<char>('0' + number % 10);
  text.add({padded, static_cast<std::size_t>(digits)});
}

// Now, as RFC 3339 in UTC with nanoseconds.
inline Timestamp now() {
  timespec time{};
  sys::clock_gettime(CLOCK_REALTIME, &time);
  constexpr long day = 24 * 60 * 60;
  const Date date = date_of(time.tv_sec / day);
  const long rest = time.tv_sec % day;
  Timestamp text;
  add_digits(text, static_cast<std::uint64_t>(date.year), 4);
  add_digits(text.add("-"), date.month, 2);
  add_digits(text.add("-"), date.day, 2);
  add_digits(text.add("T"), static_cast<std::uint64_t>(rest / 3600), 2);
  add_digits(text.add(":"), static_cast<std::uint64_t>(rest / 60 % 60), 2);
  add_digits(text.add(":"), static_cast<std::uint64_t>(rest % 60), 2);
  add_digits(text.add("."), static_cast<std::uint64_t>(time.tv_nsec), 9);
  text.add("Z");
  return text;
}

}  // namespace strata::keeper
