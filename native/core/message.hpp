// What strata-init and the runtime say to each other, over a unix stream socket.
//
//   runtime                                   strata-init
//   ------------------------------------------------------------------------------------------------
//                                        <-   maps            (an ordinary user's helpers are to write the id maps of the first stage; it waits)
//   go                                   ->
//                                        <-   process PID     (two-stage start only: who the container's process is)
//                                        <-   device DEVICE   a network device is wanted; waits
//   go                                   ->                   it is there
//                                        <-   hooks           set up as far as the runtime's hooks want it; waits
//   go                                   ->
//                                        <-   ready           set up; waits
//   go                                   ->                   (create) waits on the start socket, (run) goes on
//                                        <-   listener FILTER about to load a seccomp filter with a listener: here, or before ready; waits
//   go, or open                          ->                   loads it; the rest is said through shared memory
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
#include "fd.hpp"

namespace strata {

enum class Message : char {
  maps = 'M',
  process = 'P',
  device = 'D',
  hooks = 'H',
  ready = 'C',
  go = 'G',
  open = 'O',
  listener = 'L',
  executing = 'E',
  failed = 'F'
};

// Follows Message::failed. Both ends are built together, so the layout is the compiler's.
struct FailureRecord {
  std::int32_t operation;  // index into the plan, -1 if none
  std::int32_t error;
  FixedText<64> call;
  FixedText<1024> path;
  FixedText<1024> detail;
};

// Follows Message::device, with a netlink socket of the container's network namespace.
struct DeviceRecord {
  std::int32_t operation;
  char name[16];    // the host's, IFNAMSIZ
  char target[16];  // the container's, or a template
};

// Follows Message::listener, with a memory file that holds one 32-bit word. Once the filter is loaded strata-init can make no system call that the
// filter might not hold up or forbid, so what it has to say it writes there: the number of the listener's descriptor and 1, or that the kernel has
// refused the filter. Then it waits, without a system call, until the runtime has taken the listener and written that.
// A runtime without the host's rights may take a descriptor only from a process that is open to its like: it says open in place of go.
struct ListenerRecord {
  std::int32_t operation;
};
constexpr std::uint32_t listener_taken = 0xfffffffe;
constexpr std::uint32_t listener_refused = 0xffffffff;

// Writes all of it, without SIGPIPE. False when the other end is gone.
bool send_all(int socket, const void* data, std::size_t size);
// Reads exactly `size` bytes. False at end of file or on an error.
bool receive_all(int socket, void* data, std::size_t size);

bool send_message(int socket, Message message);
bool receive_message(int socket, Message& ret_message);
void send_failure(int socket, int operation, const Status& status);

// Sends `descriptor` with `name` as the payload (SCM_RIGHTS).
Status send_descriptor(int socket, int descriptor, std::string_view name);
// Sends a message and, apart from it, its record with a descriptor.
Status hand_over(int socket, Message message, std::string_view record, int descriptor);
// The other end, when the message has been read. False when the other end is gone or sends something else.
bool receive_handed(int socket, void* ret_record, std::size_t size, Fd& ret_descriptor);

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
  std::int32_t second;  // written by strata-init when it enters a container: the process that becomes the program, as the runtime knows it
};

constexpr std::uint32_t init_magic = 0x54494e49;  // "INIT"

}  // namespace strata
