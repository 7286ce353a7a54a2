// musl in glibc's place. Debian's libquickjs.a, libseccomp.a, libz.a, libmd.a and libstdc++.a were compiled against glibc, and the rest of this
// program is too: the headers of libstdc++ know no other libc. On x86-64 both have the same calling conventions, the same errno values and the same
// layouts of all that is handed over here, which `nm` tells: struct sigaction, sigset_t, timespec, timeval, tm; pthread_once_t, and mutexes and
// conditions that are zeros (40 and 48 bytes). A FILE is only ever pointed to. No jmp_buf, locale_t, stat, dirent or table of character types
// crosses. The stack protector's guard is at the same place of the thread's block. What only glibc has is below; a newer library that wants more
// fails to link.
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/single_threaded.h>
#include <cerrno>
#include <csignal>
#include <cstdarg>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../core/sys.hpp"
#include "heap.hpp"

namespace {

void* or_no_memory(void* memory) {
  if (memory == nullptr) errno = ENOMEM;
  return memory;
}

}  // namespace

extern "C" {

// --- fortified functions: the plain ones

int __snprintf_chk(char* buffer, std::size_t size, int /*flag*/, std::size_t /*room*/, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  const int length = std::vsnprintf(buffer, size, format, arguments);  // NOLINT(clang-analyzer-valist.Uninitialized): va_start is above
  va_end(arguments);
  return length;
}

int __vsnprintf_chk(char* buffer, std::size_t size, int /*flag*/, std::size_t /*room*/, const char* format, std::va_list arguments) {
  return std::vsnprintf(buffer, size, format, arguments);
}

int __fprintf_chk(std::FILE* file, int /*flag*/, const char* format, ...) {
  std::va_list arguments;
  va_start(arguments, format);
  const int length = std::vfprintf(file, format, arguments);  // NOLINT(clang-analyzer-valist.Uninitialized): va_start is above
  va_end(arguments);
  return length;
}

// --- names that glibc has had since 2.38 for functions that also read binary numbers, which nobody here writes

long __isoc23_strtol(const char* text, char** end, int base) { return std::strtol(text, end, base); }
unsigned long long __isoc23_strtoull(const char* text, char** end, int base) { return std::strtoull(text, end, base); }

// --- what libstdc++ asks

// Counts of references need no lock.
char __libc_single_threaded = 1;

// For the unwinder, which strings of libstdc++ 13 and later bring along: nothing is found, for nothing throws.
int _dl_find_object(void* /*address*/, dl_find_object* /*ret_object*/) noexcept { return -1; }

// --- the heap: musl's own gives each small group of blocks back to the kernel when it is empty, which a command does a hundred times

void* malloc(std::size_t size) { return or_no_memory(strata::cli::new_block(size)); }
void* realloc(void* block, std::size_t size) { return or_no_memory(strata::cli::resize_block(block, size)); }
void free(void* block) { strata::cli::delete_block(block); }
std::size_t malloc_usable_size(void* block) { return strata::cli::usable_size(block); }

void* calloc(std::size_t count, std::size_t size) {
  std::size_t all = 0;
  void* memory = or_no_memory(__builtin_mul_overflow(count, size, &all) ? nullptr : strata::cli::new_block(all));
  return memory == nullptr ? nullptr : std::memset(memory, 0, all);
}

// --- signals: musl's sigaction refuses three that its threads use, 32 to 34. Here are no threads, and 34 is glibc's SIGRTMIN, which people send.

int __libc_sigaction(int signal, const struct sigaction* action, struct sigaction* ret_old);
int sigaction(int signal, const struct sigaction* action, struct sigaction* ret_old) noexcept { return __libc_sigaction(signal, action, ret_old); }

// --- the start

extern const ElfW(Ehdr) __ehdr_start;

// What needs no writing any more (-z relro): in a static program glibc protects it, musl does not.
[[gnu::constructor]] static void protect() {
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(reinterpret_cast<const unsigned char*>(&__ehdr_start) + __ehdr_start.e_phoff);
  for (int i = 0; i < __ehdr_start.e_phnum; i++) {
    if (segments[i].p_type != PT_GNU_RELRO) continue;
    constexpr std::size_t page = 4096;
    const std::size_t begin = segments[i].p_vaddr / page * page;
    const std::size_t end = (segments[i].p_vaddr + segments[i].p_memsz) / page * page;
    (void)strata::sys::mprotect(reinterpret_cast<void*>(begin), end - begin, PROT_READ);
  }
}
}
