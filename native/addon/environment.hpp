// What the addon keeps for one JavaScript environment: the main thread's, or a worker's. There is no state beside it.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include <napi.h>

#include "completions.hpp"
#include "strand.hpp"
#include "task.hpp"
#include "threads.hpp"
#include "watcher.hpp"

namespace strata::addon {

class Environment {
 public:
  explicit Environment(Napi::Env env);
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
  ~Environment() = default;

  static Environment& of(Napi::Env env) { return *env.GetInstanceData<Environment>(); }

  // Work on a thread of our own: libuv's pool has four, which hooks could hold for minutes, and costs a command two milliseconds to set up.
  template <class Work>
  Napi::Value on_thread(Napi::Env env, Work work) {
    using Value = decltype(work().value);
    auto task = std::make_unique<Promised<Value>>(env, std::move(work));
    const Napi::Promise promise = task->promise();
    threads_.run(std::move(task));
    return promise;
  }

  void run(std::unique_ptr<Task> task) { threads_.run(std::move(task)); }
  // For work that has to be done in order.
  std::shared_ptr<Strand> strand();

  // A promise for the exit of the process of `pidfd`.
  Napi::Value exit_of(Napi::Env env, int pidfd, int timeout);

 private:
  void close();

  std::shared_ptr<Completions> completions_;
  Threads threads_;
  Watcher watcher_;
  std::vector<std::weak_ptr<Strand>> strands_;
};

}  // namespace strata::addon
