// Tasks that are executed one after the other, on whichever thread is free.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include "threads.hpp"

namespace strata::addon {

class Strand : public std::enable_shared_from_this<Strand> {
 public:
  Strand(Threads& threads, std::shared_ptr<Completions> completions) : threads_(threads), completions_(std::move(completions)) {}
  Strand(const Strand&) = delete;
  Strand& operator=(const Strand&) = delete;
  ~Strand() = default;

  // On the JavaScript thread. The task is executed and posted to the completions.
  void run(std::unique_ptr<Task> task);
  // On the JavaScript thread, when the environment ends and its memory goes: waits for the task that is being executed; the rest is not.
  void close();

 private:
  class Drain;

  Threads& threads_;
  std::shared_ptr<Completions> completions_;
  std::mutex mutex_;
  std::condition_variable idle_;
  std::deque<std::unique_ptr<Task>> waiting_;
  bool draining_ = false;
  bool busy_ = false;
  bool closed_ = false;
};

}  // namespace strata::addon
