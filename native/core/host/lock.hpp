// Locks on directories, by flock(2): released by the kernel when their holder dies.
#pragma once

#include <string>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

// The locked directory's descriptor; an invalid one when another holds the lock or the directory is gone.
Result<Fd> try_lock(const std::string& directory);
// The same, but `shared` with others who want no more than that.
Result<Fd> try_lock_for(const std::string& directory, bool shared);

}  // namespace strata::host
