// sd_notify(3): the word of a container's program that it is ready, handed on to whoever has started the runtime. Nothing else that is said there is
// handed on.
#pragma once

#include <string>
#include <string_view>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

// A unix datagram socket without a name.
Result<Fd> notify_socket();
// Gives it its name, in place of an older socket, and makes it and its directory accessible: whoever has that before him can send.
Status bind_notify(int socket, const std::string& path);
// A datagram socket that is connected to `address`: a path of any length, or behind `@` a name in the abstract namespace of sockets.
Result<Fd> connect_notify(const std::string& address);

// Takes in what has come. True: a line was READY=1. Messages larger than systemd would take are passed over, descriptors that come along are closed.
Result<bool> hear_ready(int socket);
// The first of: `ready` (somebody has said so), `exit` (of the process of the pidfd; with -1 it has ended), `signal` (one has come of those that are
// held, see hold_signals).
Result<std::string> await_ready(int socket, int pidfd);
// Sends `text`, and gives back what is at its end when all that was sent has been read: the end of a pipe, whose other end goes along (BARRIER=1).
Result<Fd> send_notice(int caller, std::string_view text, int timeout);
// Waits for that, up to `timeout` milliseconds: systemd knows only as long as a process lives which service it belongs to.
void await_barrier(const Fd& barrier, int timeout);
// Both.
Status tell_ready(int caller, std::string_view text, int timeout);

}  // namespace strata::host
