// The object `native` that src/static.ts finds: the functions of the face, and the few that a language runtime would have.
#pragma once

#include <quickjs/quickjs.h>

namespace strata::cli {

// A new object with all functions; an exception if there is no memory for it.
JSValue native_object(JSContext* context);

// From here on the functions do nothing but call this one, with their name and what they were given: for the build's training (training.hpp).
void replace_functions(JSValue stand_in);

}  // namespace strata::cli
