// Threads for work that may wait for long: a hook, a container's start, a terminal. libuv's pool has four threads for the whole process, and
// four slow hooks would stop every other container there.
#pragma once

#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>

#include <pthread.h>

#include "completions.hpp"
#include "task.hpp"

namespace strata::addon {

// Starts a detached thread that receives no signals: those are the main thread's. EAGAIN at the process limit.
Status start_thread(void* (*entry)(void*), void* argument, pthread_t* ret_thread, bool detached);

// As many threads as there are tasks; a few stay for the next ones.
class Threads {
 public:
  explicit Threads(std::shared_ptr<Completions> completions);
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  ~Threads() = default;

  // On the JavaScript thread. The task is executed and posted to the completions.
  void run(std::unique_ptr<Task> task);
  // Idle threads end; busy ones end with their task, whose outcome nobody hears.
  void close();

 private:
  // Outlives the environment with the last busy thread.
  struct Shared {
    explicit Shared(std::shared_ptr<Completions> queue) : completions(std::move(queue)) {}
    std::shared_ptr<Completions> completions;
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::unique_ptr<Task>> waiting;
    std::size_t idle = 0;
    bool closed = false;
  };

  static void* main(void* shared);

  std::shared_ptr<Shared> shared_;
};

}  // namespace strata::addon
