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

}  // namespace strata
