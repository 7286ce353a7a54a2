#include "notify.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "../message.hpp"
#include "foreground.hpp"
#include "socket.hpp"

namespace strata::host {
namespace {

// PIPE_BUF, which is systemd's limit too.
constexpr std::size_t largest_message = 4096;
// More than wait at a socket on any usual machine (net.unix.max_dgram_qlen).
constexpr int most_at_once = 1024;

bool says_ready(std::string_view message) {
  while (!message.empty()) {
    const std::size_t end = std::min(message.find('\n'), message.size());
    if (message.substr(0, end) == "READY=1") return true;
    message.remove_prefix(std::min(end + 1, message.size()));
  }
  return false;
}

// The directory that a path is in.
std::string parent(const std::string& path) { return path.substr(0, path.rfind('/')); }

Status send_text(int socket, std::string_view text, int timeout) {
  const std::int64_t deadline = sys::monotonic_ms() + timeout;
  iovec part{const_cast<char*>(text.data()), text.size()};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  for (;;) {
    const long sent = sys::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent >= 0) return {};
    if (sent == -EINTR) continue;
    if (sent != -EAGAIN) return {static_cast<int>(-sent), "sendmsg"};
    Result<bool> ready = await(socket, POLLOUT, deadline);
    if (ready.failed()) return ready.status();
    if (!ready.value()) return {ETIMEDOUT, "sendmsg"};
  }
}

Result<Fd> datagram_socket(int flags) {
  const int descriptor = sys::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | flags, 0);
  if (descriptor < 0) return Status(-descriptor, "socket");
  return Fd(descriptor);
}

}  // namespace

Result<Fd> notify_socket() { return datagram_socket(0); }

Status bind_notify(int socket, const std::string& path) {
  // mkdir(2) has applied the umask.
  if (const int result = sys::fchmodat(AT_FDCWD, parent(path).c_str(), 0755); result < 0) return {-result, "chmod", parent(path)};
  // A start that was cut off may have left one.
  sys::unlinkat(AT_FDCWD, path.c_str(), 0);
  return bind_socket(socket, path, 0666);
}

Result<Fd> connect_notify(const std::string& address) {
  Result<Fd> socket = datagram_socket(SOCK_NONBLOCK);
  if (socket.failed()) return socket;
  if (!address.starts_with('@')) {
    STRATA_TRY(join_socket(socket.value().get(), address));
    return socket;
  }
  sockaddr_un name{};
  name.sun_family = AF_UNIX;
  if (address.size() > sizeof name.sun_path) return Status(ENAMETOOLONG, "connect", address);
  // The NUL in place of `@` makes it abstract, and none ends it.
  std::memcpy(name.sun_path + 1, address.data() + 1, address.size() - 1);
  const auto size = static_cast<unsigned>(offsetof(sockaddr_un, sun_path) + address.size());
  const int result = sys::connect(socket.value().get(), reinterpret_cast<const sockaddr*>(&name), size);
  if (result < 0) return Status(-result, "connect", address);
  return socket;
}

Result<bool> hear_ready(int socket) {
  bool ready = false;
  std::array<char, largest_message> text;
  for (int count = 0; count < most_at_once; count++) {
    iovec part{text.data(), text.size()};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    // Without room for them, the kernel closes descriptors that come along.
    const long size = sys::recvmsg(socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size == -EAGAIN) break;
    if (size == -EINTR) continue;
    if (size < 0) return Status(static_cast<int>(-size), "recvmsg");
    const bool whole = (message.msg_flags & MSG_TRUNC) == 0;
    ready = ready || (whole && says_ready({text.data(), static_cast<std::size_t>(size)}));
  }
  return ready;
}

Result<std::string> await_ready(int socket, int pidfd) {
  std::array<pollfd, 3> sources{{{socket, POLLIN, 0}, {pidfd, POLLIN, 0}, {signal_descriptor(), POLLIN, 0}}};
  for (;;) {
    const int result = pidfd < 0 ? 0 : sys::poll(sources.data(), sources.size(), -1);
    if (result == -EINTR) continue;
    if (result < 0) return Status(-result, "poll");
    // What was said before the end counts, and if poll(2) has seen the end, it has all been said.
    Result<bool> ready = hear_ready(socket);
    if (ready.failed()) return ready.status();
    if (ready.value()) return std::string("ready");
    if (pidfd < 0 || sources[1].revents != 0) return std::string("exit");
    if (sources[2].revents == 0) continue;
    while (next_signal() != 0) continue;
    return std::string("signal");
  }
}

Result<Fd> send_notice(int caller, std::string_view text, int timeout) {
  STRATA_TRY(send_text(caller, text, timeout));
  Result<std::pair<Fd, Fd>> pipe = make_pipe();
  if (pipe.failed()) return pipe.status();
  // Whoever takes no more, or has gone, has had the word all the same.
  if (send_descriptor(caller, pipe.value().second.get(), "BARRIER=1").failed()) return Fd();
  return std::move(pipe.value().first);
}

void await_barrier(const Fd& barrier, int timeout) {
  if (barrier.valid()) (void)await(barrier.get(), POLLHUP, sys::monotonic_ms() + timeout);
}

Status tell_ready(int caller, std::string_view text, int timeout) {
  Result<Fd> barrier = send_notice(caller, text, timeout);
  if (barrier.failed()) return barrier.status();
  await_barrier(barrier.value(), timeout);
  return {};
}

}  // namespace strata::host
