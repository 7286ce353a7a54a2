#include "environment.hpp"

#include <dlfcn.h>

namespace strata::addon {
namespace {

// Node unloads an addon with the last worker that used it, while a thread may still be in a hook's wait: the code has to stay.
void stay_loaded() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void*>(stay_loaded), &info) != 0) dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

}  // namespace

Environment::Environment(Napi::Env env) : completions_(std::make_shared<Completions>(env)), threads_(completions_), watcher_(completions_) {
  stay_loaded();
  // Hooks run in reverse order, so before the one with which Node itself would end the way back.
  napi_add_env_cleanup_hook(
      env, [](void* self) { static_cast<Environment*>(self)->close(); }, this);
}

void Environment::close() {
  for (const std::weak_ptr<Strand>& one : strands_) {
    if (const std::shared_ptr<Strand> strand = one.lock()) strand->close();
  }
  threads_.close();
  watcher_.close();
  completions_->close();
}

std::shared_ptr<Strand> Environment::strand() {
  std::erase_if(strands_, [](const std::weak_ptr<Strand>& one) { return one.expired(); });
  auto strand = std::make_shared<Strand>(threads_, completions_);
  strands_.push_back(strand);
  return strand;
}

Napi::Value Environment::exit_of(Napi::Env env, int pidfd, int timeout) {
  auto wait = std::make_unique<Wait>(env);
  const Napi::Promise promise = wait->promise();
  watcher_.watch(env, pidfd, timeout, std::move(wait));
  return promise;
}

}  // namespace strata::addon
