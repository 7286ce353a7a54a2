// strata-init: the program that becomes the container. The runtime executes it from a sealed memory file right after its clone, with the number
// of the descriptor that holds its orders as the only argument. It has no heap, no threads and no configuration.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <cerrno>
#include <csignal>

#include <linux/stat.h>

#include "../core/path.hpp"
#include "../core/run.hpp"

namespace {

using namespace strata;

int descriptor_argument(int argc, char** argv) {
  if (argc != 2) return -1;
  int number = 0;
  for (const char* c = argv[1]; *c != '\0'; c++) {
    if (*c < '0' || *c > '9' || number > 1000000) return -1;
    number = number * 10 + (*c - '0');
  }
  return number;
}

// Maps the orders. Shared with the runtime, for what is written there.
InitHeader* map_orders(int descriptor) {
  const Fd orders(descriptor);
  struct statx status {};
  if (sys::statx(orders.get(), "", AT_EMPTY_PATH, STATX_SIZE, &status) < 0 || status.stx_size < sizeof(InitHeader)) return nullptr;
  void* memory = sys::mmap(nullptr, status.stx_size, PROT_READ | PROT_WRITE, MAP_SHARED, orders.get(), 0);
  if (memory == MAP_FAILED) return nullptr;
  auto* header = static_cast<InitHeader*>(memory);
  if (header->magic != init_magic || std::uint64_t{header->plan_offset} + header->plan_size > status.stx_size ||
      std::uint64_t{header->filter_offset} + header->filter_size > status.stx_size) {
    return nullptr;
  }
  return header;
}

// Closes everything but stdio, what the caller passes on, and `kept`: a descriptor of the host that somebody forgot to mark would reach the
// container's program, and already its path could lead through /proc/self/fd to the host (CVE-2024-21626).
void close_others(std::uint32_t preserve, const int (&kept)[4]) {
  unsigned first = 3 + preserve;
  for (;;) {
    // The next one to be kept, in ascending order.
    unsigned next = ~0U;
    for (const int descriptor : kept) {
      if (descriptor >= 0 && static_cast<unsigned>(descriptor) >= first && static_cast<unsigned>(descriptor) < next)
        next = static_cast<unsigned>(descriptor);
    }
    if (next > first) (void)sys::close_range(first, next == ~0U ? ~0U : next - 1, 0);
    if (next == ~0U) return;
    first = next + 1;
  }
}

void close_on_exec(int descriptor) {
  if (descriptor >= 0) (void)sys::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
}

}  // namespace

int main(int argc, char** argv) {
  const int descriptor = descriptor_argument(argc, argv);
  InitHeader* header = descriptor < 0 ? nullptr : map_orders(descriptor);
  if (header == nullptr) {
    static constexpr char usage[] = "strata-init is started by strata only\n";
    (void)sys::write(2, usage, sizeof usage - 1);
    return 1;
  }
  // First of all: from the moment that we are in a namespace with others, nobody there may trace us, read our memory or go through our root and our
  // descriptors, which are still the host's (CVE-2016-9962). Every change of credentials may undo this, so it is repeated after each.
  if (sys::prctl(PR_SET_DUMPABLE, 0) < 0) return 1;
  (void)sys::prctl(PR_SET_NAME, reinterpret_cast<unsigned long>("strata-init"));

  close_others(header->preserve, {header->sync, header->start, header->console, header->target});

  Context context;
  context.header = header;
  context.sync = Fd(header->sync);
  context.start = Fd(header->start);
  context.console = Fd(header->console);
  context.target = Fd(header->target);
  close_on_exec(header->sync);
  close_on_exec(header->start);
  close_on_exec(header->console);
  close_on_exec(header->target);

  int operation = -1;
  Result<Plan> plan = Plan::open(reinterpret_cast<const std::uint8_t*>(header) + header->plan_offset, header->plan_size);
  Status status;
  if (plan.failed()) {
    status = plan.status();
  } else {
    context.plan = plan.value();
    for (Plan::Iterator at(context.plan); !at.done();) {
      const std::uint32_t index = at.index();
      const OpCode code = at.next().code;
      if (code == OpCode::clone || code == OpCode::enter) operation = static_cast<int>(index);
    }
    Result<Fd> proc = open_proc();
    if (proc.failed()) {
      status = proc.status();
    } else {
      context.proc = std::move(proc.value());
      context.callers_umask = sys::umask(0);
      status = enter_namespaces(context, operation);
      if (!status.failed()) status = run_plan(context, operation);
    }
  }
  if (status.failed()) send_failure(context.sync.get(), operation, status);
  return 1;
}
