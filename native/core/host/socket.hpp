// Unix sockets and pipes between the runtime, strata-init and whoever started the runtime. Everything is close-on-exec.
#pragma once

#include <string>
#include <utility>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

// A listening stream socket at `path`, mode 0600, EADDRINUSE if something is there. Directories of any length; the name itself has to fit
// into sockaddr_un behind `/proc/self/fd/N/` (ENAMETOOLONG).
Result<Fd> listen_socket(const std::string& path);
// A stream socket that is connected to the one at `path`, of any length.
Result<Fd> connect_socket(const std::string& path);
Result<std::pair<Fd, Fd>> socket_pair();
// The reading end first.
Result<std::pair<Fd, Fd>> make_pipe();
// Waits for one descriptor sent with SCM_RIGHTS. ECONNRESET when the other end closes without sending one.
Result<Fd> receive_descriptor(int socket);

}  // namespace strata::host
