// The bytes of a plan, which TypeScript gives as a list of values. Writing them byte by byte is what an interpreter is slowest at.
#pragma once

#include <quickjs/quickjs.h>

namespace strata::cli {

// `Pack` of src/plan/wire.ts: undefined if a value has no form on the wire.
JSValue pack(JSContext* context, JSValueConst receiver, int count, JSValueConst* values);

}  // namespace strata::cli
