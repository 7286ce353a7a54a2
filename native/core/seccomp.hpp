// From a seccomp profile to the program that the kernel runs, through libseccomp, which takes 8 to 20 ms for an engine's default profile, or
// through a cache of its results.
#pragma once

#include <cstddef>
#include <cstdint>

#include "error.hpp"
#include "fd.hpp"
#include "plan.hpp"

namespace strata {

// A classic BPF program in memory of its own.
class Filter {
 public:
  Filter() = default;
  Filter(Filter&& other) noexcept;
  Filter& operator=(Filter&& other) noexcept;
  Filter(const Filter&) = delete;
  Filter& operator=(const Filter&) = delete;
  ~Filter();

  // Takes over `memory`, which came from malloc.
  static Filter adopt(void* memory, std::size_t size, std::uint32_t flags);

  [[nodiscard]] const void* data() const { return data_; }
  [[nodiscard]] std::size_t size() const { return size_; }
  // SECCOMP_FILTER_FLAG_* to load it with.
  [[nodiscard]] std::uint32_t flags() const { return flags_; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
  std::uint32_t flags_ = 0;
};

// `profile`: the bytes that `src/plan/seccomp.ts` writes. `cache`: a directory, made with mode 0700 if missing, or "" for none. An entry is used
// only when it belongs to our user, nobody else may write it, and its whole key (profile, architecture, libseccomp version) is equal: a
// collision of names can never give one container the filter of another.
Result<Filter> seccomp_program(Bytes profile, const char* cache);

// Leaves the program in a new file, and takes it from there, if it is whole and nobody but us can have written it.
Status keep_program(const char* path, const Filter& filter);
Result<Filter> kept_program(const char* path);

// "2.5.4".
void libseccomp_version(char* buffer, std::size_t size);

}  // namespace strata
