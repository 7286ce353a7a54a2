// A program in memory: a file that nobody can open by a path and nobody can write, so that /proc/self/exe leads to nothing of the host
// (CVE-2019-5736).
#pragma once

#include <pthread.h>

#include "error.hpp"

namespace strata {

// Made with the first use, and then kept for as long as this process lives.
class SealedProgram {
 public:
  // `name` is a literal; the bytes are linked in.
  constexpr SealedProgram(const char* name, const unsigned char* begin, const unsigned char* end) : name_(name), begin_(begin), end_(end) {}

  // Its descriptor, close-on-exec and none of stdio's.
  Result<int> descriptor();

 private:
  [[nodiscard]] Result<int> make() const;

  const char* name_;
  const unsigned char* begin_;
  const unsigned char* end_;
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  int file_ = -1;
};

// Standard descriptors may be closed in our process; ours must never take their numbers. A negative one is a failure, and stays what it is.
int above_stdio(int descriptor);
// The same with `lowest` as the first number that it may have.
int at_least(int descriptor, int lowest);

}  // namespace strata
