#include "clients.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <algorithm>
#include <cerrno>

namespace strata::keeper {
namespace {

bool is_temporary(long result) { return result == -EAGAIN || result == -EINTR; }

// Of what follows a header this is kept; input is passed on as it comes.
std::size_t kept_size(std::uint8_t kind) { return kind == attach::resize ? sizeof(Requests::size) : 0; }

}  // namespace

void Clients::accept(int listener) {
  Fd socket(sys::accept4(listener, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) return;
  for (Client& client : clients_) {
    if (client.socket.valid()) continue;
    client.socket = std::move(socket);
    return;
  }
}

void Clients::send(std::uint8_t kind, char* frame, std::size_t size) {
  attach::write_header(frame, kind, static_cast<std::uint32_t>(size));
  for (Client& client : clients_) {
    if (!client.socket.valid()) continue;
    if (client.behind()) {
      client.lost += size;
    } else {
      client.write(frame, attach::header_size + size);
    }
  }
}

void Clients::prepare(pollfd* polled, bool accepts_input) const {
  for (std::size_t i = 0; i < most; i++) {
    const Client& client = clients_[i];
    const short events = static_cast<short>((accepts_input ? POLLIN : 0) | (client.behind() ? POLLOUT : 0));
    // Who has left is told of whether asked for or not, and would be over and over as long as nobody may be read.
    polled[i] = {events == 0 ? -1 : client.socket.get(), events, 0};
  }
}

void Clients::handle(const pollfd* polled, Requests& ret_requests) {
  for (std::size_t i = 0; i < most; i++) {
    Client& client = clients_[i];
    if (!client.socket.valid() || polled[i].fd != client.socket.get()) continue;
    if (client.behind() && polled[i].revents != 0) client.flush();
    if ((polled[i].revents & (POLLIN | POLLHUP | POLLERR)) != 0 && client.socket.valid() && !ret_requests.has_input()) client.read(ret_requests);
  }
}

bool Clients::hold_up() const {
  return std::any_of(std::begin(clients_), std::end(clients_), [](const Client& client) { return client.held_up(); });
}

void Clients::settle() {
  while (hold_up()) {
    pollfd polled[most];
    for (std::size_t i = 0; i < most; i++) polled[i] = {clients_[i].held_up() ? clients_[i].socket.get() : -1, POLLOUT, 0};
    if (sys::poll(polled, most, patience) <= 0) continue;
    for (std::size_t i = 0; i < most; i++) {
      if (polled[i].revents != 0) clients_[i].flush();
    }
  }
}

void Clients::Client::write(const char* bytes, std::size_t size) {
  const long count = sys::write(socket.get(), bytes, size);
  if (count < 0 && !is_temporary(count)) return leave();
  const std::size_t done = count > 0 ? static_cast<std::size_t>(count) : 0;
  if (done == size) return;
  std::memcpy(pending, bytes + done, size - done);
  begin = 0;
  end = size - done;
  since = sys::monotonic_ms();
}

void Clients::Client::flush() {
  const long count = sys::write(socket.get(), pending + begin, end - begin);
  if (count < 0) {
    if (!is_temporary(count)) leave();
    return;
  }
  begin += static_cast<std::size_t>(count);
  since = sys::monotonic_ms();
  if (behind() || lost == 0) return;
  char note[attach::header_size + sizeof lost];
  attach::write_header(note, attach::lost, sizeof lost);
  std::memcpy(note + attach::header_size, &lost, sizeof lost);
  lost = 0;
  write(note, sizeof note);
}

void Clients::Client::leave() {
  socket.reset();
  begin = end = head_size = left = 0;
  lost = 0;
}

void Clients::Client::read(Requests& ret_requests) {
  char bytes[attach::largest];
  const long count = sys::read(socket.get(), bytes, sizeof bytes);
  if (count > 0) return take(bytes, static_cast<std::size_t>(count), ret_requests);
  if (!is_temporary(count)) leave();
}

// All that is typed fits: there is no more of it than was read.
void Clients::Client::take(const char* bytes, std::size_t size, Requests& ret_requests) {
  ret_requests.input_begin = ret_requests.input_end = 0;
  while (size > 0 || (head_size == attach::header_size && left == 0)) {
    if (head_size < attach::header_size) {
      head[head_size++] = *bytes++;
      size--;
      if (head_size == attach::header_size) left = attach::size_in(head);
      continue;
    }
    const auto kind = static_cast<std::uint8_t>(head[0]);
    const std::size_t now = std::min(size, left);
    if (kind == attach::input) {
      std::memcpy(ret_requests.input + ret_requests.input_end, bytes, now);
      ret_requests.input_end += now;
    } else {
      const std::size_t room = attach::header_size + kept_size(kind) - head_size;
      std::memcpy(head + head_size, bytes, std::min(now, room));
      head_size += std::min(now, room);
    }
    bytes += now;
    size -= now;
    left -= now;
    if (left > 0) return;
    if (kind == attach::end_of_input) ret_requests.end_of_input = true;
    if (kind == attach::resize && head_size == sizeof head) std::memcpy(ret_requests.size, head + attach::header_size, sizeof ret_requests.size);
    head_size = 0;
  }
}

}  // namespace strata::keeper
