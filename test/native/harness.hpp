// A test program's frame: each check belongs to the test it is in, each test prints one line of TAP (testanything.org).
#pragma once

#include <unistd.h>
#include <cstdio>
#include <cstdlib>
#include <string>

namespace harness {

inline int count = 0;
inline int failures = 0;
inline bool passed = true;

// Runs `body` as the test `name`.
template <class Body>
void test(const char* name, Body body) {
  passed = true;
  body();
  if (!passed) failures++;
  std::printf("%s %d - %s\n", passed ? "ok" : "not ok", ++count, name);
  std::fflush(stdout);
}

inline void skip(const char* name, const char* reason) {
  std::printf("ok %d - %s # SKIP %s\n", ++count, name, reason);
  std::fflush(stdout);
}

// The plan, and the exit status for main.
inline int finish() {
  std::printf("1..%d\n", count);
  return failures == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

inline bool check(bool holds, const char* expression, const char* file, int line) {
  if (!holds) {
    std::printf("# %s:%d: %s\n", file, line, expression);
    passed = false;
  }
  return holds;
}

// A directory of its own for the program, removed with its contents at exit.
class Scratch {
 public:
  Scratch() {
    char name[] = "/tmp/strata-test-XXXXXX";
    path_ = mkdtemp(name) == nullptr ? "" : name;
    if (path_.empty()) std::abort();
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  ~Scratch() {
    const std::string command = "rm -rf '" + path_ + "'";
    if (std::system(command.c_str()) != 0) std::printf("# cannot remove %s\n", path_.c_str());
  }

  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace harness

// True if it holds, so that a test can stop where going on makes no sense.
#define CHECK(expression) ::harness::check(static_cast<bool>(expression), #expression, __FILE__, __LINE__)
