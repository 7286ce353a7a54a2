// The bundle of src/static.ts as bytecode, in a section of the program's file that is not loaded: only a program without an image needs it
// (heap.hpp), and the finished program has it no more.
#pragma once

#include <string>

#include "../core/error.hpp"

namespace strata::cli {

// A failure if the file has none, or only one that another QuickJS library has made: the section's name ends with the library's digest.
Result<std::string> read_bytecode();

}  // namespace strata::cli
