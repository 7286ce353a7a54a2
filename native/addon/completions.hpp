// The way back to the JavaScript thread of one environment.
#pragma once

#include <memory>
#include <mutex>

#include <napi.h>

namespace strata::addon {

// Something whose end JavaScript waits for.
class Completion {
 public:
  Completion() = default;
  Completion(const Completion&) = delete;
  Completion& operator=(const Completion&) = delete;
  virtual ~Completion() = default;
  // On the JavaScript thread: resolve or reject.
  virtual void settle(Napi::Env env) = 0;
};

// Other threads post completions; the event loop lives as long as one is expected. Threads may outlive the environment: what they post then is
// dropped.
class Completions {
 public:
  explicit Completions(Napi::Env env);
  Completions(const Completions&) = delete;
  Completions& operator=(const Completions&) = delete;
  ~Completions() = default;

  // On the JavaScript thread, before the work starts.
  void expect();
  // On any thread.
  void post(std::unique_ptr<Completion> completion);
  // On the JavaScript thread, when the environment ends.
  void close();

 private:
  static void arrived(napi_env env, napi_value function, void* context, void* data);

  napi_env env_;
  napi_threadsafe_function function_ = nullptr;
  std::mutex mutex_;
  bool closed_ = false;
  int expected_ = 0;  // of the JavaScript thread
};

}  // namespace strata::addon
