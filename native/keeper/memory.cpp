#include "memory.hpp"

#include <optional>

#include "../core/text.hpp"

namespace strata::keeper {
namespace {

// No value if the file or its cgroup is gone.
std::optional<std::uint64_t> read_kills(const Fd& file) {
  if (!file.valid()) return {};
  char text[1024];
  const long size = sys::pread(file.get(), text, sizeof text, 0);
  if (size < 0) return {};
  const std::string_view all(text, static_cast<std::size_t>(size));
  constexpr std::string_view key = "oom_kill ";
  for (std::size_t at = all.find(key); at != std::string_view::npos; at = all.find(key, at + 1)) {
    if (at != 0 && all[at - 1] != '\n') continue;
    std::uint64_t number = 0;
    for (std::string_view value = tail(all, at + key.size()); !value.empty() && value[0] >= '0' && value[0] <= '9'; value = tail(value, 1)) {
      number = number * 10 + static_cast<std::uint64_t>(value[0] - '0');
    }
    return number;
  }
  return {};
}

}  // namespace

void Memory::begin(Fd own, Fd around, std::uint64_t before) {
  own_ = std::move(own);
  around_ = std::move(around);
  seen_ = before;
  (void)killed();
}

bool Memory::killed() {
  if (killed_) return true;
  // In this order: a process of ours that is killed in between is seen in the second.
  const std::optional<std::uint64_t> around = read_kills(around_);
  const std::optional<std::uint64_t> own = read_kills(own_);
  if (own.has_value()) {
    killed_ = *own > 0;
    if (around.has_value()) seen_ = *around;
  } else {
    own_.reset();
    killed_ = around.has_value() && *around > seen_;
    // What is counted from now on is not ours.
    around_.reset();
  }
  return killed_;
}

void Memory::prepare(pollfd* polled) const {
  const bool wait = around_.valid() && !killed_;
  polled[0] = {wait ? own_.get() : -1, POLLPRI, 0};
  polled[1] = {wait ? around_.get() : -1, POLLPRI, 0};
}

void Memory::handle(const pollfd* polled) {
  if (polled[0].revents != 0 || polled[1].revents != 0) (void)killed();
}

}  // namespace strata::keeper
