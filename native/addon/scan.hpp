// Functions for commit: what a container has changed, batch by batch, read on another thread.
#pragma once

#include <napi.h>

namespace strata::addon {

void register_scan(Napi::Object exports);

}  // namespace strata::addon
