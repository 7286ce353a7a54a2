// Waiting for the ends of processes: one thread with an epoll over all their pidfds, started with the first of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include <pthread.h>

#include "../core/fd.hpp"
#include "../core/host/process.hpp"
#include "completions.hpp"
#include "task.hpp"

namespace strata::addon {

// A promise for an exit status; undefined when the time is over.
class Wait final : public Completion {
 public:
  explicit Wait(Napi::Env env) : deferred_(Napi::Promise::Deferred::New(env)) {}

  [[nodiscard]] Napi::Promise promise() const { return deferred_.Promise(); }

  void ended(const Result<host::ExitStatus>& result) { outcome_.emplace(result); }
  void settle(Napi::Env env) override;

 private:
  Napi::Promise::Deferred deferred_;
  std::optional<Outcome<host::ExitStatus>> outcome_;  // none: the time is over
};

class Watcher {
 public:
  explicit Watcher(std::shared_ptr<Completions> completions) : completions_(std::move(completions)) {}
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;
  ~Watcher() = default;

  // On the JavaScript thread. `timeout` in milliseconds, -1 for none. `wait` is settled here if the process has exited already.
  void watch(Napi::Env env, int pidfd, int timeout, std::unique_ptr<Wait> wait);
  // Ends the thread; whoever waits still is not told.
  void close();

 private:
  struct Entry {
    Fd pidfd;  // a duplicate: the caller may close its own, and several may wait on one
    std::int64_t deadline;
    std::unique_ptr<Wait> wait;
  };

  Status start();
  Status add(int pidfd, int timeout, std::unique_ptr<Wait>& wait);
  void wake() const;
  void forget(const Fd& pidfd) const;
  static void* main(void* self);
  void run();
  [[nodiscard]] int time_left();
  void exited(std::uint64_t key);
  void expire();

  std::shared_ptr<Completions> completions_;
  Fd epoll_;
  Fd wakeup_;  // an eventfd
  pthread_t thread_{};
  bool running_ = false;  // of the JavaScript thread
  std::mutex mutex_;
  bool closed_ = false;
  std::uint64_t next_key_ = 1;  // 0 is the eventfd's
  std::map<std::uint64_t, Entry> entries_;
};

}  // namespace strata::addon
