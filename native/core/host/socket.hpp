// Unix sockets and pipes between the runtime, strata-init and whoever started the runtime. Everything is close-on-exec.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

// Binds a socket at `path` and gives its file this mode; paths as for listen_socket.
Status bind_socket(int socket, const std::string& path, unsigned mode);
// Connects it to the one at `path`, of any length.
Status join_socket(int socket, const std::string& path);
// A listening stream socket at `path`, mode 0600, EADDRINUSE if something is there. Directories of any length; the name itself has to fit
// into sockaddr_un behind `/proc/self/fd/N/` (ENAMETOOLONG).
Result<Fd> listen_socket(const std::string& path);
// A stream socket that is connected to the one at `path`, of any length.
Result<Fd> connect_socket(const std::string& path);
Result<std::pair<Fd, Fd>> socket_pair();
// Of sockets that keep the bounds of what is sent (SOCK_SEQPACKET).
Result<std::pair<Fd, Fd>> packet_pair();
// The reading end first.
Result<std::pair<Fd, Fd>> make_pipe();
// Waits for an event of poll(2) until that time of sys::monotonic_ms. False: it is over.
Result<bool> await(int descriptor, short event, std::int64_t deadline);
// Waits for one descriptor sent with SCM_RIGHTS. ECONNRESET when the other end closes without sending one.
Result<Fd> receive_descriptor(int socket);
// Sends all of `bytes`, waits up to `timeout` milliseconds for what comes, and gives that back: empty when the other end has closed, nothing when the
// time is over.
Result<std::optional<std::string>> exchange(int socket, std::string_view bytes, int timeout);

// One packet, and the descriptor that came with it, if one did.
struct Packet {
  std::string bytes;
  Fd descriptor;
};
// Sends `bytes` as one packet, unless there are none, and waits up to `timeout` milliseconds for one: without bytes when the other end has closed,
// nothing when the time is over. EMSGSIZE for one of more than 64 KiB.
Result<std::optional<Packet>> exchange_packet(int socket, std::string_view bytes, int timeout);

}  // namespace strata::host
