#include "listener.hpp"

#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <cerrno>

#include "socket.hpp"

namespace strata::host {
namespace {

// What an agent is given to make room in its socket. Strata-init, which turns in a circle meanwhile, has more (sys::await_word).
constexpr std::int64_t patience = 5000;
constexpr std::int64_t between_looks_us = 20;

class Word {
 public:
  explicit Word(int memory) : memory_(sys::mmap(nullptr, sizeof(std::uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0)) {}
  Word(const Word&) = delete;
  Word& operator=(const Word&) = delete;
  ~Word() {
    if (valid()) sys::munmap(memory_, sizeof(std::uint32_t));
  }

  [[nodiscard]] bool valid() const { return memory_ != MAP_FAILED; }
  [[nodiscard]] std::uint32_t get() const { return __atomic_load_n(static_cast<std::uint32_t*>(memory_), __ATOMIC_ACQUIRE); }
  void set(std::uint32_t value) { __atomic_store_n(static_cast<std::uint32_t*>(memory_), value, __ATOMIC_RELEASE); }

 private:
  void* memory_;
};

bool has_ended(int pidfd) {
  pollfd process{pidfd, POLLIN, 0};
  return sys::poll(&process, 1, 0) > 0;
}

// The descriptor goes with the first part of the text, as the specification wants it.
Status send_state(int socket, int listener, const SeccompAgent& agent) {
  const std::int64_t deadline = sys::monotonic_ms() + patience;
  std::size_t sent = 0;
  while (sent < agent.state.size()) {
    iovec part{const_cast<char*>(agent.state.data()) + sent, agent.state.size() - sent};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    if (sent == 0) {
      message.msg_control = control;
      message.msg_controllen = sizeof control;
      cmsghdr* header = CMSG_FIRSTHDR(&message);
      header->cmsg_level = SOL_SOCKET;
      header->cmsg_type = SCM_RIGHTS;
      header->cmsg_len = CMSG_LEN(sizeof(int));
      std::memcpy(CMSG_DATA(header), &listener, sizeof listener);
    }
    const long result = sys::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (result > 0) {
      sent += static_cast<std::size_t>(result);
      continue;
    }
    if (result == -EINTR) continue;
    if (result != -EAGAIN) return {static_cast<int>(-result), "sendmsg", agent.path};
    const std::int64_t left = deadline - sys::monotonic_ms();
    pollfd room{socket, POLLOUT, 0};
    if (left <= 0 || sys::poll(&room, 1, static_cast<int>(left)) == 0)
      return Status::with_detail("sendmsg", agent.path, "the seccomp agent does not read", ETIMEDOUT);
  }
  return {};
}

}  // namespace

Status pass_listener(int sync, int pidfd, int memory, const SeccompAgent& agent) {
  Word word(memory);
  if (!word.valid()) return {ENOMEM, "mmap"};
  // First of all, so that a container without an agent has not even its filter.
  Result<Fd> socket = connect_socket(agent.path);
  if (socket.failed()) {
    const int error = socket.status().error();
    return Status::with_detail("connect", agent.path, "nobody to take the seccomp listener", error);
  }
  if (!send_message(sync, sys::geteuid() == 0 ? Message::go : Message::open)) return {EPIPE, "sendmsg", "sync"};
  while (word.get() == 0) {
    if (has_ended(pidfd)) return Status::with_detail("init", "", "");
    sys::nanosleep_us(between_looks_us);
  }
  if (word.get() == listener_refused) return {};
  const Fd listener(sys::pidfd_getfd(pidfd, static_cast<int>(word.get() - 1)));
  if (!listener.valid()) return {-listener.get(), "pidfd_getfd", "seccomp listener"};
  STRATA_TRY(send_state(socket.value().get(), listener.get(), agent));
  word.set(listener_taken);
  return {};
}

}  // namespace strata::host
