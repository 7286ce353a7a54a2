// What strata-init and the runtime say to each other, over a unix stream socket.
//
//   runtime                                   strata-init
//   ------------------------------------------------------------------------------------------------
//                                        <-   process PID     (two-stage start only: who the container's process is)
//                                        <-   hooks           set up as far as the runtime's hooks want it; waits
//   go                                   ->
//                                        <-   ready           set up; waits
//   go                                   ->                   (create) waits on the start socket, (run) goes on
//                                        <-   executing       about to call execve; the socket closes when it succeeds
//                                        <-   failed FAILURE  at any moment; then init exits
//
// A process of exec does not wait: it says executing or failed.
//
// `start` speaks the last part over a connection to the start socket: it says go, init answers executing or failed.
// End of file without `executing` means that init died.
#pragma once

#include <cstdint>

#include "error.hpp"

namespace strata {

enum class Message : char { process = 'P', hooks = 'H', ready = 'C', go = 'G', executing = 'E', failed = 'F' };

// Follows Message::failed. Both ends are built together, so the layout is the compiler's.
struct FailureRecord {
  std::int32_t operation;  // index into the plan, -1 if none
  std::int32_t error;
  FixedText<64> call;
  FixedText<1024> path;
  FixedText<1024> detail;
};

// Writes all of it, without SIGPIPE. False when the other end is gone.
bool send_all(int socket, const void* data, std::size_t size);
// Reads exactly `size` bytes. False at end of file or on an error.
bool receive_all(int socket, void* data, std::size_t size);

bool send_message(int socket, Message message);
bool receive_message(int socket, Message& ret_message);
void send_failure(int socket, int operation, const Status& status);

// Sends `descriptor` with `name` as the payload (SCM_RIGHTS).
Status send_descriptor(int socket, int descriptor, std::string_view name);

// How strata-init finds its orders: the first bytes of the memory file that it gets as its only argument (the descriptor's number).
// The plan follows, then the seccomp filter.
struct InitHeader {
  std::uint32_t magic;
  std::uint32_t plan_offset;
  std::uint32_t plan_size;
  std::uint32_t filter_offset;
  std::uint32_t filter_size;   // bytes; 0: no seccomp
  std::uint32_t filter_flags;  // SECCOMP_FILTER_FLAG_*
  std::int32_t sync;
  std::int32_t start;    // the listening socket, -1
  std::int32_t console;  // where the terminal's master goes, -1
  std::int32_t target;   // pidfd of the first process of the container that is to be entered, -1
  std::uint32_t preserve;
  std::uint32_t two_stage;
};

constexpr std::uint32_t init_magic = 0x54494e49;  // "INIT"

}  // namespace strata
