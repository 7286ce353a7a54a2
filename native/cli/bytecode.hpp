// The bundle of src/static.ts as bytecode. The name ends with the digest of the QuickJS library that made it: bytecode and library that do not
// belong together do not link.
#pragma once

#include <cstddef>

#define STRATA_JOIN(a, b) a##b
#define STRATA_NAME(prefix, suffix) STRATA_JOIN(prefix, suffix)

extern "C" {
extern const unsigned char STRATA_NAME(strata_bytecode_start_, STRATA_QUICKJS_DIGEST)[];
extern const unsigned char STRATA_NAME(strata_bytecode_end_, STRATA_QUICKJS_DIGEST)[];
}

namespace strata::cli {

inline const unsigned char* bytecode() { return STRATA_NAME(strata_bytecode_start_, STRATA_QUICKJS_DIGEST); }
inline std::size_t bytecode_size() { return static_cast<std::size_t>(STRATA_NAME(strata_bytecode_end_, STRATA_QUICKJS_DIGEST) - bytecode()); }

}  // namespace strata::cli
