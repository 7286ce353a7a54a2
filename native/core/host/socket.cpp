#include "socket.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "file.hpp"

namespace strata::host {
namespace {

// Those who ask whether somebody waits here are answered by being queued; a stopped process answers nobody.
constexpr int backlog = 4096;

struct Address {
  sockaddr_un address;
  unsigned size;  // 0: does not fit
};

Address socket_address(const std::string& path) {
  Address result{};
  result.address.sun_family = AF_UNIX;
  if (path.size() >= sizeof result.address.sun_path) return result;
  std::memcpy(result.address.sun_path, path.c_str(), path.size() + 1);
  result.size = static_cast<unsigned>(offsetof(sockaddr_un, sun_path) + path.size() + 1);
  return result;
}

Result<Fd> stream_socket(const std::string& path, int flags = 0) {
  const int descriptor = sys::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
  if (descriptor < 0) return Status(-descriptor, "socket", path);
  return Fd(descriptor);
}

std::string descriptor_path(const Fd& descriptor) { return "/proc/self/fd/" + std::to_string(descriptor.get()); }

// Room for more than one, so that a sender of several leaks nothing.
constexpr std::size_t most_received = 8;

// The first that came with a message; those beyond it are closed.
Fd first_descriptor(msghdr& message) {
  Fd received;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; i++) {
      int descriptor;
      std::memcpy(&descriptor, CMSG_DATA(header) + i * sizeof descriptor, sizeof descriptor);
      Fd owned(descriptor);
      if (!received.valid()) received = std::move(owned);
    }
  }
  return received;
}

}  // namespace

Status bind_socket(int socket, const std::string& path, unsigned mode) {
  const std::size_t slash = path.rfind('/');
  const std::string directory_path = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const std::string name = slash == std::string::npos ? path : path.substr(slash + 1);
  Result<Fd> directory = open_file(AT_FDCWD, directory_path.c_str(), O_PATH | O_DIRECTORY);
  if (directory.failed()) return directory.status();
  const Address address = socket_address(descriptor_path(directory.value()) + "/" + name);
  if (address.size == 0) return {ENAMETOOLONG, "bind", path};
  int result = sys::bind(socket, reinterpret_cast<const sockaddr*>(&address.address), address.size);
  if (result < 0) return {-result, "bind", path};
  // A container that may write there could have put a link in its place: the mode is for what was made, and chmod(2) follows links.
  Result<Fd> made = open_file(directory.value().get(), name.c_str(), O_PATH | O_NOFOLLOW);
  struct statx status {};
  result = made.failed() ? -made.status().error() : sys::statx(made.value().get(), "", AT_EMPTY_PATH, STATX_TYPE, &status);
  if (result == 0 && !S_ISSOCK(status.stx_mode)) result = -ENOTSOCK;
  if (result == 0) result = sys::fchmodat(AT_FDCWD, descriptor_path(made.value()).c_str(), mode);
  if (result == 0) return {};
  sys::unlinkat(directory.value().get(), name.c_str(), 0);
  return {-result, "chmod", path};
}

Result<Fd> listen_socket(const std::string& path) {
  Result<Fd> socket = stream_socket(path);
  if (socket.failed()) return socket;
  STRATA_TRY(bind_socket(socket.value().get(), path, 0600));
  const int result = sys::listen(socket.value().get(), backlog);
  if (result == 0) return socket;
  sys::unlinkat(AT_FDCWD, path.c_str(), 0);
  return Status(-result, "listen", path);
}

Status join_socket(int socket, const std::string& path) {
  Result<Fd> place = open_file(AT_FDCWD, path.c_str(), O_PATH);
  if (place.failed()) return {place.status().error(), "connect", path};
  const Address address = socket_address(descriptor_path(place.value()));
  int result;
  do {
    result = sys::connect(socket, reinterpret_cast<const sockaddr*>(&address.address), address.size);
  } while (result == -EINTR);
  return result < 0 ? Status(-result, "connect", path) : Status();
}

Result<Fd> connect_socket(const std::string& path) {
  // A full queue is an answer (EAGAIN), not something to wait for.
  Result<Fd> socket = stream_socket(path, SOCK_NONBLOCK);
  if (socket.failed()) return socket;
  STRATA_TRY(join_socket(socket.value().get(), path));
  sys::fcntl(socket.value().get(), F_SETFL, 0);
  return socket;
}

Result<std::pair<Fd, Fd>> socket_pair() {
  int ends[2];
  if (const int result = sys::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends); result < 0) return Status(-result, "socketpair");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<std::pair<Fd, Fd>> packet_pair() {
  int ends[2];
  if (const int result = sys::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends); result < 0) return Status(-result, "socketpair");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<std::pair<Fd, Fd>> make_pipe() {
  int ends[2];
  if (const int result = sys::pipe2(ends, O_CLOEXEC); result < 0) return Status(-result, "pipe");
  return std::pair(Fd(ends[0]), Fd(ends[1]));
}

Result<Fd> receive_descriptor(int socket) {
  // The payload is the terminal's name, which nobody needs.
  char payload[256];
  iovec data{payload, sizeof payload};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * most_received)];
  msghdr message{};
  long size;
  do {
    message = {};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    pollfd readable{socket, POLLIN, 0};
    sys::poll(&readable, 1, -1);  // the socket may be non-blocking
    size = sys::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (size == -EINTR || size == -EAGAIN);
  if (size < 0) return Status(static_cast<int>(-size), "recvmsg");
  Fd received = first_descriptor(message);
  if (!received.valid()) return Status(size == 0 ? ECONNRESET : EBADMSG, "recvmsg");
  return received;
}

Result<bool> await(int descriptor, short event, std::int64_t deadline) {
  for (;;) {
    const std::int64_t left = std::max<std::int64_t>(deadline - sys::monotonic_ms(), 0);
    pollfd waiting{descriptor, event, 0};
    const int result = sys::poll(&waiting, 1, static_cast<int>(left));
    if (result > 0) return true;
    if (result == 0) return false;
    if (result != -EINTR) return Status(-result, "poll");
  }
}

namespace {

// send(2), which tells of a closed other end by its result alone.
long send_some(int socket, std::string_view bytes, int flags) {
  iovec data{const_cast<char*>(bytes.data()), bytes.size()};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  return sys::sendmsg(socket, &message, flags | MSG_NOSIGNAL);
}

}  // namespace

Result<std::optional<std::string>> exchange(int socket, std::string_view bytes, int timeout) {
  constexpr std::size_t most = std::size_t{64} * 1024;
  const std::int64_t deadline = sys::monotonic_ms() + timeout;
  while (!bytes.empty()) {
    const long sent = send_some(socket, bytes, MSG_DONTWAIT);
    if (sent >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    } else if (sent == -EAGAIN) {
      Result<bool> ready = await(socket, POLLOUT, deadline);
      if (ready.failed()) return ready.status();
      if (!ready.value()) return std::optional<std::string>();
    } else if (sent != -EINTR) {
      return Status(static_cast<int>(-sent), "sendmsg");
    }
  }
  std::string answer(most, '\0');
  for (;;) {
    Result<bool> ready = await(socket, POLLIN, deadline);
    if (ready.failed()) return ready.status();
    if (!ready.value()) return std::optional<std::string>();
    const long size = sys::read(socket, answer.data(), answer.size());
    if (size == -EINTR || size == -EAGAIN) continue;
    if (size < 0) return Status(static_cast<int>(-size), "read");
    answer.resize(static_cast<std::size_t>(size));
    return std::optional(std::move(answer));
  }
}

Result<std::optional<Packet>> exchange_packet(int socket, std::string_view bytes, int timeout) {
  constexpr std::size_t most = std::size_t{64} * 1024;
  const std::int64_t deadline = sys::monotonic_ms() + timeout;
  while (!bytes.empty()) {
    const long sent = send_some(socket, bytes, 0);
    if (sent >= 0) break;
    if (sent != -EINTR) return Status(static_cast<int>(-sent), "sendmsg");
  }
  Packet answer{std::string(most, '\0'), Fd()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * most_received)];
  for (;;) {
    Result<bool> ready = await(socket, POLLIN, deadline);
    if (ready.failed()) return ready.status();
    if (!ready.value()) return std::optional<Packet>();
    iovec data{answer.bytes.data(), answer.bytes.size()};
    msghdr message{};
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const long size = sys::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    if (size == -EINTR || size == -EAGAIN) continue;
    if (size < 0) return Status(static_cast<int>(-size), "recvmsg");
    answer.descriptor = first_descriptor(message);
    if ((message.msg_flags & MSG_TRUNC) != 0) return Status(EMSGSIZE, "recvmsg");
    answer.bytes.resize(static_cast<std::size_t>(size));
    return std::optional(std::move(answer));
  }
}

}  // namespace strata::host
