// What the compiler asks of libstdc++ beside its templates. The library's own would bring exceptions along, the unwinder and a demangler for the last
// words of a program: 200 KB, and an emergency pool at every start. Nothing here throws: want of memory ends the program as std::set_new_handler
// says, and what else would be an exception with one line.
#include <unistd.h>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>

#include "../core/host/file.hpp"
#include "../core/sys.hpp"
#include "heap.hpp"

namespace {

[[noreturn]] void out_of_memory() {
  if (const std::new_handler give_up = std::get_new_handler(); give_up != nullptr) give_up();
  std::abort();
}

[[noreturn]] void fail(std::string_view reason) {
  for (const std::string_view part : {std::string_view("strata: internal error: "), reason, std::string_view(" (code internal)\n")}) {
    (void)strata::host::write_all(STDERR_FILENO, part);
  }
  strata::sys::exit_group(1);
}

}  // namespace

void* operator new(std::size_t size) {
  void* memory = strata::cli::new_block(size);
  if (memory == nullptr) out_of_memory();
  return memory;
}
void operator delete(void* memory) noexcept { strata::cli::delete_block(memory); }
void operator delete(void* memory, std::size_t /*size*/) noexcept { strata::cli::delete_block(memory); }

namespace std {

void __throw_bad_alloc() { out_of_memory(); }
void __throw_bad_array_new_length() { out_of_memory(); }
void __throw_length_error(const char* reason) { fail(reason); }
void __throw_logic_error(const char* reason) { fail(reason); }
// Of a lock that fails.
void __throw_system_error(int error) { fail(std::strerror(error)); }
// Their format is reason enough.
void __throw_out_of_range_fmt(const char* format, ...) { fail(format); }

}  // namespace std

// For objects that a function makes once. This program has one thread.
extern "C" {
int __cxa_guard_acquire(const unsigned char* guard) { return *guard == 0 ? 1 : 0; }
void __cxa_guard_release(unsigned char* guard) { *guard = 1; }
}
