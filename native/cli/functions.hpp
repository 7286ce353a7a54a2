// The object `native` that src/static.ts finds: the functions of the face, and the few that a language runtime would have.
#pragma once

#include <quickjs/quickjs.h>

namespace strata::cli {

// A new object with all functions; an exception if there is no memory for it.
JSValue native_object(JSContext* context);

}  // namespace strata::cli
