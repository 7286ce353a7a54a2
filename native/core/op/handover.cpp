// What strata-init cannot do alone: it hands a descriptor to the runtime, which has the host's rights and does the rest.
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <cerrno>

#include <linux/netlink.h>

#include "context.hpp"

namespace strata {
namespace {

template <class Record>
std::string_view bytes_of(const Record& record) {
  return {reinterpret_cast<const char*>(&record), sizeof record};
}

// Until the runtime has done its part. If that fails, the runtime has the words for it. Whether it asks for an open process.
bool await_go(const Context& context) {
  Message message{};
  if (!receive_message(context.sync.get(), message) || (message != Message::go && message != Message::open)) sys::exit_group(1);
  return message == Message::open;
}

}  // namespace

Status op_net_device(Context& context, Fields fields, std::uint32_t index) {
  DeviceRecord record{};
  record.operation = static_cast<std::int32_t>(index);
  const Text name = fields.text();
  const Text target = fields.text();
  if (name.size >= sizeof record.name) return {ENAMETOOLONG, "netlink", name.view()};
  if (target.size >= sizeof record.target) return {ENAMETOOLONG, "netlink", target.view()};
  std::memcpy(record.name, name.c_str(), name.size);
  std::memcpy(record.target, target.c_str(), target.size);
  // A socket stays in the namespace where it was made, whoever uses it.
  const Fd socket(sys::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!socket.valid()) return {-socket.get(), "socket", "netlink"};
  STRATA_TRY(hand_over(context.sync.get(), Message::device, bytes_of(record), socket.get()));
  (void)await_go(context);
  return {};
}

Status offer_listener(Context& context, std::uint32_t index) {
  const Fd memory(sys::memfd_create("strata-listener", MFD_CLOEXEC));
  if (!memory.valid()) return {-memory.get(), "memfd_create"};
  if (const int result = sys::ftruncate(memory.get(), sizeof(std::uint32_t)); result < 0) return {-result, "ftruncate"};
  void* mapped = sys::mmap(nullptr, sizeof(std::uint32_t), PROT_READ | PROT_WRITE, MAP_SHARED, memory.get(), 0);
  if (mapped == MAP_FAILED) return {ENOMEM, "mmap"};
  context.listener_word = static_cast<std::uint32_t*>(mapped);
  const ListenerRecord record{static_cast<std::int32_t>(index)};
  STRATA_TRY(hand_over(context.sync.get(), Message::listener, bytes_of(record), memory.get()));
  if (!await_go(context)) return {};
  // Those in the container who may look at us now find nothing of the host, and a process that is about to be theirs in any case.
  context.proc.reset();
  context.root.reset();
  context.empty_directory.reset();
  const int result = sys::prctl(PR_SET_DUMPABLE, 1);
  return result < 0 ? Status(-result, "prctl") : Status();
}

void give_listener(Context& context, int result) {
  __atomic_store_n(context.listener_word, result < 0 ? listener_refused : static_cast<std::uint32_t>(result) + 1, __ATOMIC_RELEASE);
  if (result < 0) return;
  if (!sys::await_word(context.listener_word, listener_taken)) sys::trap();
  // While this copy is open, nobody is told that the agent is gone. Where execve does not close it at once, we do.
  if (!context.no_new_privileges) sys::close(result);
}

}  // namespace strata
