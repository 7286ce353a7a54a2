#include "message.hpp"

#include <sys/socket.h>
#include <sys/uio.h>
#include <cerrno>

#include "sys.hpp"

namespace strata {

bool send_all(int socket, const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    iovec part{const_cast<char*>(at), size};
    msghdr message{};
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const long sent = sys::sendmsg(socket, &message, MSG_NOSIGNAL);
    if (sent == -EINTR) continue;
    if (sent <= 0) return false;
    at += sent;
    size -= static_cast<std::size_t>(sent);
  }
  return true;
}

bool receive_all(int socket, void* data, std::size_t size) {
  char* at = static_cast<char*>(data);
  while (size > 0) {
    const long received = sys::read(socket, at, size);
    if (received == -EINTR) continue;
    if (received <= 0) return false;
    at += received;
    size -= static_cast<std::size_t>(received);
  }
  return true;
}

bool send_message(int socket, Message message) { return send_all(socket, &message, sizeof message); }

bool receive_message(int socket, Message& ret_message) {
  Message message{};
  if (!receive_all(socket, &message, sizeof message)) return false;
  ret_message = message;
  return true;
}

void send_failure(int socket, int operation, const Status& status) {
  FailureRecord record{};
  record.operation = operation;
  record.error = status.error();
  record.call.assign(status.call());
  record.path.assign(status.path());
  record.detail.assign(status.detail());
  if (send_message(socket, Message::failed)) send_all(socket, &record, sizeof record);
}

Status send_descriptor(int socket, int descriptor, std::string_view name) {
  iovec part{const_cast<char*>(name.data()), name.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &descriptor, sizeof descriptor);
  const long sent = sys::sendmsg(socket, &message, MSG_NOSIGNAL);
  if (sent < 0) return {static_cast<int>(-sent), "sendmsg", name};
  return {};
}

Status hand_over(int socket, Message message, std::string_view record, int descriptor) {
  // A read(2) of the message would drop a descriptor that came with it.
  if (!send_message(socket, message)) return {EPIPE, "sendmsg", "sync"};
  const Status status = send_descriptor(socket, descriptor, record);
  return status.failed() ? Status(status.error(), status.call(), "sync") : Status();
}

bool receive_handed(int socket, void* ret_record, std::size_t size, Fd& ret_descriptor) {
  iovec part{ret_record, size};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  long received;
  do {
    received = sys::recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
  } while (received == -EINTR);
  if (received < 0) return false;
  std::size_t count = 0;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    // The alignment leaves room for more than the one that is expected: they are ours to close.
    for (std::size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len; at += sizeof(int), count++) {
      int descriptor;
      std::memcpy(&descriptor, reinterpret_cast<const char*>(header) + at, sizeof descriptor);
      ret_descriptor = Fd(descriptor);
    }
  }
  return static_cast<std::size_t>(received) == size && count == 1 && ret_descriptor.valid();
}

}  // namespace strata
