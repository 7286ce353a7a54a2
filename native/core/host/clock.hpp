// The time of day as text.
#pragma once

#include <string>

namespace strata::host {

// Now, RFC 3339 in UTC with nanoseconds: `2026-11-21T03:36:05.012345678Z`.
std::string timestamp();
// The same for a time since the epoch.
std::string format_time(long seconds, long nanoseconds);

}  // namespace strata::host
