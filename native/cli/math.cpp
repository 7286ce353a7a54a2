// What JavaScript's Math would need of libm beyond arithmetic, and nobody here calls: QuickJS names the functions in a table, and libm's own would
// bring 300 KB of tables along, a tenth of what the program takes in memory. scripts/lint.sh sees to it that no source asks for them.
#include <cstdlib>

#define STRATA_NOT_LINKED(name) \
  double name(double) { std::abort(); }

extern "C" {
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
STRATA_NOT_LINKED(sin)
STRATA_NOT_LINKED(cos)
STRATA_NOT_LINKED(tan)
STRATA_NOT_LINKED(asin)
STRATA_NOT_LINKED(acos)
STRATA_NOT_LINKED(atan)
STRATA_NOT_LINKED(sinh)
STRATA_NOT_LINKED(cosh)
STRATA_NOT_LINKED(tanh)
STRATA_NOT_LINKED(asinh)
STRATA_NOT_LINKED(acosh)
STRATA_NOT_LINKED(atanh)
STRATA_NOT_LINKED(exp)
STRATA_NOT_LINKED(expm1)
STRATA_NOT_LINKED(log)
STRATA_NOT_LINKED(log1p)
STRATA_NOT_LINKED(log10)
STRATA_NOT_LINKED(cbrt)
double atan2(double, double) { std::abort(); }
double hypot(double, double) { std::abort(); }
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
}
