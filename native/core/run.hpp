// Carries out the part of a plan that belongs to the container's process.
#pragma once

#include "op/context.hpp"

namespace strata {

// Runs every operation after `clone`, in order. Returns only on a failure, or when the plan has no program to execute and the wait for one is
// over; `ret_operation` is the index of the operation that failed.
Status run_plan(Context& context, int& ret_operation);

}  // namespace strata
