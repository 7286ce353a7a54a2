// A kernel made of bytes: it stands in the place of native/core/sys.cpp, so that the core's own code runs under the fuzzer with whatever answers
// the input holds, and nothing happens to the machine. An answer that the input does not hold is success, so a plan alone is carried out whole.
//
// It watches too: everything that the core hands to a system call is read, and a descriptor that is closed twice or a child that is left behind
// ends the program.
#pragma once

#include <csetjmp>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace fuzz {

class Kernel {
 public:
  // Starts anew, with these answers, the first of which chooses the kind of kernel. `peer` is what a socket says when the answers are used up,
  // message by message.
  void begin(const std::uint8_t* answers, std::size_t size, const char* peer);
  // Directories have entries of all types, and files attributes.
  [[nodiscard]] bool populated() const { return (kind_ & 128) != 0; }
  // The first answer's part that chooses among more.
  [[nodiscard]] unsigned variant() const { return kind_ >> 2 & 15; }
  // Everything that was mapped goes.
  void end();

  // A descriptor with these contents, to be mapped or read.
  int file(const std::uint8_t* data, std::size_t size);
  // What every file of this path holds.
  void provide(std::string path, std::vector<std::uint8_t> contents);

  // Runs `body` until it returns or its process ends, by exit_group or by a successful execve. Whether it returned.
  template <class Body>
  bool run(Body body) {
    if (setjmp(process_end_) != 0) return false;
    body();
    return true;
  }

  // Descriptors that the core has opened and not closed. Those of `kept` do not count.
  [[nodiscard]] std::size_t open_descriptors() const;
  // Children that nobody has waited for.
  [[nodiscard]] std::size_t children() const { return children_.size(); }

  // --- for the system calls

  enum class Kind : char { closed, file, socket, process, memory };
  struct Descriptor {
    Kind kind;
    std::string path;
    std::vector<std::uint8_t> contents;
    bool has_contents;
    int child;
    bool listed = false;
  };
  // How many directories have entries: each has one that is a directory.
  int directories_left = 0;
  // Connections that are still accepted: whoever says nothing does not come for ever.
  int connections_left = 0;

  [[noreturn]] void end_process() { longjmp(in_child ? child_end_ : process_end_, 1); }
  // What a child does that shares our memory, up to its execve or its end. What it opens and closes is its own.
  template <class Body>
  void run_child(Body body) {
    in_child = true;
    if (setjmp(child_end_) == 0) body();
    in_child = false;
  }
  // One byte of the answers, `otherwise` when they are used up.
  std::uint8_t byte(std::uint8_t otherwise = 0);
  std::uint64_t number(std::size_t size, std::uint64_t otherwise);
  // At most `most` bytes of the answers.
  std::vector<std::uint8_t> bytes(std::size_t most);
  [[nodiscard]] bool exhausted() const { return only_faults_ || at_ == end_; }
  // A memory file of the machine's own kernel, for a library that writes to it without us.
  int open_real(const char* name);
  [[nodiscard]] bool is_real(int number) const { return real_.count(number) != 0; }
  // 0, or the errno that the answers choose, negative.
  int outcome();

  int open(Kind kind, std::string path);
  int close(int number);
  Descriptor* find(int number);
  int fork();
  int pidfd_of(int child);
  void reap(int child);

  void* map(std::size_t size, const std::vector<std::uint8_t>* contents);
  int unmap(void* address, std::size_t size);

  // The next message of a peer, 0 when it has closed its end.
  char say() { return *peer == '\0' ? '\0' : *peer++; }

  const char* peer = "";
  // clone3 returns in the child, if the answers do not say otherwise.
  bool child_first = false;
  // As before Linux 5.6.
  bool without_openat2 = false;
  // What is handed over beside a directory has to be one name in it.
  bool single_names = false;
  bool in_child = false;
  std::int64_t clock_us = 0;

 private:
  static constexpr int first_descriptor = 1000;
  struct Mapping {
    void* address;
    std::size_t size;
  };
  std::uint8_t take() { return at_ == end_ ? 0 : *at_++; }

  unsigned kind_ = 0;
  // The answers are pairs: so many calls succeed, then one fails in this way. What follows a few of them is the container's /etc/passwd.
  bool only_faults_ = false;
  unsigned calls_before_fault_ = 0;
  const std::uint8_t* at_ = nullptr;
  const std::uint8_t* end_ = nullptr;
  std::vector<Descriptor> descriptors_;
  std::map<std::string, std::vector<std::uint8_t>> files_;
  std::set<int> real_;
  std::vector<Mapping> mappings_;
  std::vector<int> children_;
  int next_child_ = 0;
  jmp_buf process_end_;
  jmp_buf child_end_;
};

extern Kernel kernel;

// Ends the program, as the sanitizers do: the fuzzer keeps the input.
[[noreturn]] void fault(const char* what);

inline void require(bool holds, const char* what) {
  if (!holds) fault(what);
}

}  // namespace fuzz
