#include "threads.hpp"

#include "../core/sys.hpp"

namespace strata::addon {
namespace {

constexpr std::size_t most_idle = 8;
constexpr std::size_t stack_size = 512 * 1024;

}  // namespace

Status start_thread(void* (*entry)(void*), void* argument, pthread_t* ret_thread, bool detached) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, stack_size);
  pthread_attr_setdetachstate(&attributes, detached ? PTHREAD_CREATE_DETACHED : PTHREAD_CREATE_JOINABLE);
  // A new thread inherits the mask of its creator.
  std::uint64_t mask = 0;
  sys::set_signal_mask(sys::all_signals, &mask);
  const int error = pthread_create(ret_thread, &attributes, entry, argument);
  sys::set_signal_mask(mask, nullptr);
  pthread_attr_destroy(&attributes);
  return error == 0 ? Status() : Status(error, "pthread_create");
}

Threads::Threads(std::shared_ptr<Completions> completions) : shared_(std::make_shared<Shared>(std::move(completions))) {}

void Threads::run(std::unique_ptr<Task> task) {
  shared_->completions->expect();
  const std::lock_guard lock(shared_->mutex);
  if (shared_->idle > shared_->waiting.size()) {
    shared_->waiting.push_back(std::move(task));
    shared_->changed.notify_one();
    return;
  }
  auto* reference = new std::shared_ptr<Shared>(shared_);
  pthread_t thread;
  if (const Status status = start_thread(main, reference, &thread, true); status.failed()) {
    delete reference;
    task->fail(status);
    shared_->completions->post(std::move(task));
    return;
  }
  shared_->waiting.push_back(std::move(task));
}

void Threads::close() {
  const std::lock_guard lock(shared_->mutex);
  shared_->closed = true;
  shared_->changed.notify_all();
}

void* Threads::main(void* argument) {
  const std::unique_ptr<std::shared_ptr<Shared>> reference(static_cast<std::shared_ptr<Shared>*>(argument));
  Shared& shared = **reference;
  std::unique_lock lock(shared.mutex);
  for (;;) {
    if (shared.waiting.empty()) {
      if (shared.closed || shared.idle >= most_idle) return nullptr;
      shared.idle++;
      shared.changed.wait(lock, [&shared] { return shared.closed || !shared.waiting.empty(); });
      shared.idle--;
      continue;
    }
    std::unique_ptr<Task> task = std::move(shared.waiting.front());
    shared.waiting.pop_front();
    lock.unlock();
    task->execute();
    shared.completions->post(std::move(task));
    lock.lock();
  }
}

}  // namespace strata::addon
