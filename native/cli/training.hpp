// How a build learns which blocks of the heap verbs need. A verb writes to one block in twenty, to count references above all, and reads one in ten;
// they lie everywhere, and each page that is written to has to be copied, which takes as long as 5,000 instructions. So the build runs verbs once,
// in children whose blocks each have pages of their own, and watches which of those are touched. No verb reaches the machine: the functions of the
// core are replaced by those of training.js, so that the same program comes out everywhere.
#pragma once

#include <string>

#include "../core/error.hpp"
#include "heap.hpp"

namespace strata::cli {

// Runs what the script wants run, and writes the layout that is best for it; where the system does not let it watch, it says so, and writes an empty
// one. `evaluate`: makes the program; false if it has told why it could not. `script`: the file of training.js as bytecode.
Status train(const char* script, const char* layout_path, bool (*evaluate)(Program& ret_program));

// Without groups if there was no training.
Result<Layout> read_layout(const char* path);

// Calls `main` with the command line, an array, and does all that it leaves to be done; gives back its promise.
JSValue call_main(const Program& program, JSValue arguments);

}  // namespace strata::cli
