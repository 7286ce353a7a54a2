// The engine with only what the bundle uses of it.
#pragma once

#include <quickjs/quickjs.h>

namespace strata::cli {

// A context with the intrinsics of the language that the TypeScript of the pure floors uses; null if there is no memory.
JSContext* new_context(JSRuntime* runtime);

}  // namespace strata::cli
