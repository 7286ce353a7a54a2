#include "watcher.hpp"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <algorithm>
#include <cerrno>
#include <limits>
#include <vector>

#include "threads.hpp"

namespace strata::addon {
namespace {

constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

}  // namespace

void Wait::settle(Napi::Env env) {
  if (outcome_) {
    addon::settle(deferred_, *outcome_);
  } else {
    deferred_.Resolve(env.Undefined());
  }
}

void Watcher::watch(Napi::Env env, int pidfd, int timeout, std::unique_ptr<Wait> wait) {
  if (host::has_exited(pidfd)) {
    wait->ended(host::exit_status(pidfd));
    return wait->settle(env);
  }
  if (timeout == 0) return wait->settle(env);
  Status status = start();
  if (!status.failed()) status = add(pidfd, timeout, wait);
  if (status.failed()) {
    wait->ended(status);
    wait->settle(env);
  }
}

Status Watcher::start() {
  if (running_) return {};
  epoll_ = Fd(sys::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.valid()) return Status(-epoll_.get(), "epoll_create1");
  wakeup_ = Fd(sys::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wakeup_.valid()) return Status(-wakeup_.get(), "eventfd");
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = 0;
  if (const int result = sys::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, wakeup_.get(), &event); result < 0) return Status(-result, "epoll_ctl");
  STRATA_TRY(start_thread(main, this, &thread_, false));
  running_ = true;
  return {};
}

Status Watcher::add(int pidfd, int timeout, std::unique_ptr<Wait>& wait) {
  const long duplicate = sys::fcntl(pidfd, F_DUPFD_CLOEXEC, 3);
  if (duplicate < 0) return Status(static_cast<int>(-duplicate), "fcntl");
  Fd owned(static_cast<int>(duplicate));
  const std::lock_guard lock(mutex_);
  const std::uint64_t key = next_key_++;
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  event.data.u64 = key;
  if (const int result = sys::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, owned.get(), &event); result < 0) return Status(-result, "epoll_ctl");
  completions_->expect();
  entries_.emplace(key, Entry{std::move(owned), timeout < 0 ? never : sys::monotonic_ms() + timeout, std::move(wait)});
  // A sleeping epoll_wait sees a new descriptor by itself, but not a new deadline.
  if (timeout >= 0) wake();
  return {};
}

void Watcher::wake() const {
  const std::uint64_t one = 1;
  sys::write(wakeup_.get(), &one, sizeof one);
}

void Watcher::close() {
  if (!running_) return;
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake();
  pthread_join(thread_, nullptr);
  running_ = false;
}

void* Watcher::main(void* self) {
  static_cast<Watcher*>(self)->run();
  return nullptr;
}

void Watcher::run() {
  epoll_event events[64];
  for (;;) {
    const int timeout = time_left();
    if (timeout < -1) return;
    const int count = sys::epoll_wait(epoll_.get(), events, static_cast<int>(std::size(events)), timeout);
    for (int i = 0; i < count; i++) {
      if (events[i].data.u64 != 0) {
        exited(events[i].data.u64);
      } else {
        std::uint64_t value;
        sys::read(wakeup_.get(), &value, sizeof value);
      }
    }
    expire();
  }
}

// Milliseconds to the next deadline, -1 without one, -2 when the thread has to end.
int Watcher::time_left() {
  const std::lock_guard lock(mutex_);
  if (closed_) return -2;
  std::int64_t next = never;
  for (const auto& [key, entry] : entries_) next = std::min(next, entry.deadline);
  if (next == never) return -1;
  return static_cast<int>(std::clamp<std::int64_t>(next - sys::monotonic_ms(), 0, std::numeric_limits<int>::max()));
}

// Closing a duplicate is not enough: an epoll forgets a descriptor only with the last reference to what it stands for.
void Watcher::forget(const Fd& pidfd) const { sys::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, pidfd.get(), nullptr); }

void Watcher::exited(std::uint64_t key) {
  std::unique_ptr<Wait> wait;
  Fd pidfd;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(key);
    if (found == entries_.end()) return;
    wait = std::move(found->second.wait);
    pidfd = std::move(found->second.pidfd);
    forget(pidfd);
    entries_.erase(found);
  }
  wait->ended(host::exit_status(pidfd.get()));
  pidfd.reset();
  completions_->post(std::move(wait));
}

void Watcher::expire() {
  std::vector<std::unique_ptr<Wait>> expired;
  {
    const std::lock_guard lock(mutex_);
    const std::int64_t now = sys::monotonic_ms();
    for (auto at = entries_.begin(); at != entries_.end();) {
      if (at->second.deadline > now) {
        ++at;
        continue;
      }
      expired.push_back(std::move(at->second.wait));
      forget(at->second.pidfd);
      at = entries_.erase(at);
    }
  }
  for (std::unique_ptr<Wait>& wait : expired) completions_->post(std::move(wait));
}

}  // namespace strata::addon
