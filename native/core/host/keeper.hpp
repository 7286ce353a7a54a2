// A container's keeper (native/keeper), on its way: who becomes it, and how it is started.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"

namespace strata::host {

// Doubles this process, which must have one thread only. No value in the other; in this one, when that is done, what it told. A signal that comes
// here meanwhile is passed on to it; it has a session of its own.
Result<std::optional<std::string>> divide();
// In the other process of `divide`: tells the first, and ends. Elsewhere it does nothing.
void tell(std::string_view text);
// `orders` are those of native/keeper/orders.hpp but for the second, the report. The other process of `divide` becomes the keeper, and returns only
// if that fails; any other process starts one that is nobody's child. The descriptors, but for negative ones, keep their numbers there.
Status keep(const std::vector<std::string>& orders, const std::vector<int>& descriptors);

}  // namespace strata::host
