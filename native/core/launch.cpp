#include "launch.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <map>

#include <linux/sched.h>

#include "affinity.hpp"
#include "cgroup.hpp"
#include "fd.hpp"
#include "host/command.hpp"
#include "host/net_device.hpp"
#include "host/process.hpp"
#include "host/socket.hpp"
#include "message.hpp"
#include "plan.hpp"
#include "sealed.hpp"
#include "seccomp.hpp"
#include "text.hpp"

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080
#endif

// The program strata-init, linked in as bytes.
extern "C" {
extern const unsigned char strata_init_start[];
extern const unsigned char strata_init_end[];
}

namespace strata {
namespace {

constexpr int wait_by_pidfd = 3;
constexpr int first_free_descriptor = 3;
constexpr std::size_t most_passed = 8;

bool fail(LaunchFailure& ret_failure, int operation, const Status& status) {
  ret_failure.operation = operation;
  ret_failure.error = status.error();
  ret_failure.call.assign(status.call());
  ret_failure.path.assign(status.path());
  ret_failure.detail.assign(status.detail());
  return false;
}

SealedProgram init_program("strata-init", strata_init_start, strata_init_end);

// The orders: header, plan, filter, in one memory file.
Result<Fd> write_orders(InitHeader header, const LaunchRequest& request, const Filter& filter) {
  Fd file(at_least(sys::memfd_create("strata-orders", MFD_CLOEXEC), first_free_descriptor + static_cast<int>(request.passed.size())));
  if (!file.valid()) return Status(-file.get(), "memfd_create", "orders");
  header.plan_offset = sizeof header;
  header.plan_size = static_cast<std::uint32_t>(request.size);
  header.filter_offset = static_cast<std::uint32_t>((sizeof header + request.size + 7) / 8 * 8);
  header.filter_size = static_cast<std::uint32_t>(filter.size());
  header.filter_flags = filter.flags();
  static const char padding[8] = {};
  const struct {
    const void* data;
    std::size_t size;
  } parts[] = {{&header, sizeof header},
               {request.plan, request.size},
               {padding, header.filter_offset - sizeof header - request.size},
               {filter.data(), filter.size()}};
  for (const auto& part : parts) {
    const char* at = static_cast<const char*>(part.data);
    for (std::size_t left = part.size; left > 0;) {
      const long written = sys::write(file.get(), at, left);
      if (written < 0) return Status(static_cast<int>(-written), "write", "orders");
      at += written;
      left -= static_cast<std::size_t>(written);
    }
  }
  return file;
}

// --- the clone

struct Child {
  const LaunchRequest* request;
  int init;
  int orders;
  int sync;
  int target;
  const sys::ResourceLimit* nofile;
  char number[12];
  const char* argv[3];
  const char* envp[1];
  // Written by the child, which shares our memory until it executes strata-init.
  const char* volatile failed_call;
  volatile int error;
};

int child_failed(Child* child, const char* call, int error) {
  child->failed_call = call;
  child->error = -error;
  return 127;
}

// Runs in the child, on a stack of its own but in our memory: system calls only, nothing that could touch what the runtime's threads use.
// It never returns from a success, so what AddressSanitizer would note about its frame would stay behind and be held against other memory later.
[[gnu::no_sanitize_address]] int child_main(void* argument) {
  auto* child = static_cast<Child*>(argument);
  const LaunchRequest& request = *child->request;
  // Via high numbers, since they may stand in each other's way (stdin on 1, stdout on 0).
  int high[3 + most_passed];
  const int passed = static_cast<int>(request.passed.size());
  for (int i = 0; i < 3 + passed; i++) {
    constexpr int out_of_the_way = 64;
    const int from = i < 3 ? request.stdio[i] : request.passed[static_cast<std::size_t>(i) - 3];
    long moved = sys::fcntl(from, F_DUPFD_CLOEXEC, out_of_the_way);
    if (moved == -EINVAL) moved = sys::fcntl(from, F_DUPFD_CLOEXEC, first_free_descriptor + request.preserve + passed);  // low RLIMIT_NOFILE
    if (moved < 0) return child_failed(child, "fcntl", static_cast<int>(moved));
    high[i] = static_cast<int>(moved);
  }
  for (int i = 0; i < 3 + passed; i++) {
    if (const int result = sys::dup3(high[i], i, 0); result < 0) return child_failed(child, "dup3", result);
  }
  const int kept[] = {child->orders, child->sync, child->target, request.console, request.start};
  for (const int descriptor : kept) {
    if (descriptor < 0) continue;
    if (const long result = sys::fcntl(descriptor, F_SETFD, 0); result < 0) return child_failed(child, "fcntl", static_cast<int>(result));
  }
  for (int i = 0; i < request.preserve; i++) {
    const long result = sys::fcntl(first_free_descriptor + i, F_SETFD, 0);
    if (result < 0) return child_failed(child, "fcntl", static_cast<int>(result));
  }
  // The language runtime raised our soft limit for itself.
  if (child->nofile != nullptr) (void)sys::prlimit(0, RLIMIT_NOFILE, child->nofile, nullptr);
  const int result = sys::execveat(child->init, "", child->argv, child->envp, AT_EMPTY_PATH);
  return child_failed(child, "execveat", result);
}

struct CloneFields {
  std::uint32_t create;
  bool two_stage;
  Text cgroup;
};

CloneFields read_clone(Fields fields) {
  const std::uint32_t create = fields.u32();
  TextList join = fields.texts();
  bool joins = false;
  for (std::uint32_t i = 0; i + 1 < join.count; i += 2) {
    const std::string_view type = join.next().view();
    joins = joins || type == "user" || type == "pid" || type == "time";
    (void)join.next();
  }
  (void)fields.text();
  (void)fields.text();
  const bool time_offsets = !fields.text().empty();
  const bool two_stage = (create & (CLONE_NEWUSER | CLONE_NEWTIME)) != 0 || joins || time_offsets;
  // The second stage goes into its cgroup by itself.
  return {create, two_stage, two_stage ? Text() : fields.text()};
}

// Opens the first process of the container that is to be entered.
Status read_enter(Fields fields, CloneFields& ret_fields, Fd& ret_target) {
  const std::uint32_t pid = fields.u32();
  const std::uint64_t start_time = fields.u64();
  const std::uint32_t namespaces = fields.u32();
  (void)fields.boolean();
  // A pid namespace is entered by a child only.
  ret_fields = {0, (namespaces & CLONE_NEWPID) != 0, fields.text()};
  Result<Fd> target = host::open_process(static_cast<int>(pid), start_time);
  if (target.failed()) return target.status();
  ret_target = Fd(above_stdio(target.value().release()));
  return ret_target.valid() ? Status() : Status(ESRCH, "pidfd_open");
}

// For as long as it lives our thread, and what it clones, runs on other CPUs.
class Affinity {
 public:
  Affinity() = default;
  Affinity(const Affinity&) = delete;
  Affinity& operator=(const Affinity&) = delete;
  ~Affinity() {
    if (size_ > 0) (void)sys::sched_setaffinity(0, static_cast<std::size_t>(size_), before_);
  }

  Status take(Fields fields) {
    CpuMask mask;
    STRATA_TRY(mask.read(fields));
    const int size = sys::sched_getaffinity(0, sizeof before_, before_);
    if (size < 0) return {-size, "sched_getaffinity"};
    STRATA_TRY(mask.apply());
    size_ = size;
    return {};
  }

 private:
  std::uint64_t before_[CpuMask::words / 2] = {};
  int size_ = 0;
};

void reap_child(int type, int id) {
  while (sys::waitid(type, id, nullptr, WEXITED) == -EINTR) {
  }
}

void reap(int pidfd) { reap_child(wait_by_pidfd, pidfd); }

// The soft RLIMIT_NOFILE that our process was started with, when its starter told.
bool original_nofile(sys::ResourceLimit& ret_limit) {
  const char* soft = std::getenv("STRATA_NOFILE_SOFT");
  if (soft == nullptr || *soft == '\0' || sys::prlimit(0, RLIMIT_NOFILE, nullptr, &ret_limit) < 0) return false;
  char* end = nullptr;
  const unsigned long long value = std::strtoull(soft, &end, 10);
  if (*end != '\0' || value > ret_limit.hard) return false;
  ret_limit.soft = value;
  return true;
}

constexpr std::size_t child_stack_size = std::size_t{64} * 1024;

struct Stack {
  void* memory = sys::mmap(nullptr, child_stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  ~Stack() {
    if (memory != MAP_FAILED) sys::munmap(memory, child_stack_size);
  }
};

// Clones the child as vfork(2) does: we sleep until it has executed strata-init, so nothing needs to be handed over or waited for, and the size
// of our own memory does not matter (fork copies page tables).
Status clone_child(Child& child, const CloneFields& fields, bool two_stage, Fd& ret_pidfd, int& ret_pid) {
  Fd cgroup;
  clone_args arguments{};
  arguments.flags = CLONE_VM | CLONE_VFORK | CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  // The cgroup namespace comes later, when the process is in its cgroups.
  if (!two_stage) arguments.flags |= fields.create & ~static_cast<std::uint64_t>(CLONE_NEWCGROUP);
  if (!fields.cgroup.empty()) {
    cgroup = Fd(sys::openat(AT_FDCWD, fields.cgroup.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!cgroup.valid()) return {-cgroup.get(), "open", fields.cgroup.view()};
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup.get());
  }
  const Stack stack;
  if (stack.memory == MAP_FAILED) return {ENOMEM, "mmap", "stack"};
  int pidfd = -1;
  arguments.pidfd = reinterpret_cast<std::uint64_t>(&pidfd);
  arguments.exit_signal = SIGCHLD;
  arguments.stack = reinterpret_cast<std::uint64_t>(stack.memory);
  arguments.stack_size = child_stack_size;

  // A handler of ours running in the child, in our memory, would do its work twice.
  std::uint64_t old_mask = 0;
  (void)sys::set_signal_mask(sys::all_signals, &old_mask);
  const long pid = sys::clone3_on_stack(&arguments, sizeof arguments, child_main, &child);
  (void)sys::set_signal_mask(old_mask, nullptr);
  if (pid == -ENOSPC && !fields.cgroup.empty() && lacks_cpus(fields.cgroup.c_str())) {
    return Status::with_detail("clone3", fields.cgroup.view(), "partitions beside it or below have all CPUs of the cgroup above", ENOSPC);
  }
  if (pid < 0) return {static_cast<int>(-pid), "clone3", fields.cgroup.view()};
  ret_pidfd = Fd(pidfd);
  ret_pid = static_cast<int>(pid);
  if (child.failed_call != nullptr) {
    reap(pidfd);
    return {child.error, child.failed_call, "strata-init"};
  }
  return {};
}

// --- the conversation

// Why init ended without a word: by a signal, or on its own.
Status silent_death(int pidfd) {
  siginfo_t info{};
  if (pidfd >= 0) {
    (void)sys::pidfd_send_signal(pidfd, SIGKILL, nullptr, 0);
    while (sys::waitid(wait_by_pidfd, pidfd, &info, WEXITED | WNOWAIT) == -EINTR) {
    }
  }
  const bool killed = info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
  return Status::with_detail("init", "", killed && info.si_status == SIGKILL ? "it was killed" : "");
}

bool receive_failure(int socket, LaunchFailure& ret_failure) {
  FailureRecord record{};
  if (!receive_all(socket, &record, sizeof record)) return fail(ret_failure, -1, silent_death(-1));
  record.call.terminate();
  record.path.terminate();
  record.detail.terminate();
  ret_failure.operation = record.operation;
  ret_failure.error = record.error;
  ret_failure.call = record.call;
  ret_failure.path = record.path;
  ret_failure.detail = record.detail;
  return false;
}

// The program that a helper operation names, for the process `pid`: newuidmap(1) and newgidmap(1) write a map that the caller may not write himself.
Status run_id_map_helper(Fields fields, int pid) {
  const Text program = fields.text();
  TextList args = fields.texts();
  const std::size_t slash = program.view().rfind('/');
  const std::string_view name = tail(program.view(), slash == std::string_view::npos ? 0 : slash + 1);
  host::Command command;
  command.path = program.c_str();
  command.args = {std::string(name), std::to_string(pid)};
  for (std::uint32_t i = 0; i < args.count; i++) command.args.emplace_back(args.next().view());
  Result<host::CommandResult> done = host::run_command(command);
  if (done.failed()) return {done.status().error(), done.status().call(), program.view()};
  if (done.value().status.code == 0) return {};
  const std::string& words = done.value().errors;
  const std::string_view line = head(words, words.find('\n'));
  return Status::with_detail("", program.view(), line.empty() ? std::string_view("it failed without a word") : line);
}

// Both maps, uid first. `ret_operation`: the one that failed.
Status run_id_map_helpers(const Plan& plan, int pid, int& ret_operation) {
  for (Plan::Iterator at(plan); !at.done();) {
    const auto index = static_cast<int>(at.index());
    const Op op = at.next();
    if (op.code != OpCode::id_map_helper) continue;
    ret_operation = index;
    STRATA_TRY(run_id_map_helper(op.fields(), pid));
  }
  return {};
}

// --- what the process is given on its way

// Devices of containers that are not up yet, by the pidfd of the process: should it not come to that, they go back where they were.
class DevicesUnderway {
 public:
  Status move(int pidfd, const DeviceRecord& record, Fd netlink) {
    const Guard guard(mutex_);
    return devices_[pidfd].move(record, std::move(netlink));
  }
  // The process is up: they are the container's.
  void forget(int pidfd) {
    const Guard guard(mutex_);
    devices_.erase(pidfd);
  }
  void take_back(int pidfd) {
    const Guard guard(mutex_);
    const auto found = devices_.find(pidfd);
    if (found == devices_.end()) return;
    found->second.take_back();
    devices_.erase(found);
  }

 private:
  // Launches go on in several threads.
  class Guard {
   public:
    explicit Guard(pthread_mutex_t& mutex) : mutex_(mutex) { pthread_mutex_lock(&mutex_); }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard() { pthread_mutex_unlock(&mutex_); }

   private:
    pthread_mutex_t& mutex_;
  };
  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  std::map<int, host::MovedDevices> devices_;
};

DevicesUnderway& devices_underway() {
  static DevicesUnderway devices;
  return devices;
}

bool give_device(const Underway& underway, LaunchFailure& ret_failure) {
  DeviceRecord record{};
  Fd netlink;
  if (!receive_handed(underway.sync, &record, sizeof record, netlink)) return fail(ret_failure, -1, silent_death(underway.pidfd));
  Status status = devices_underway().move(underway.pidfd, record, std::move(netlink));
  if (!status.failed() && !send_message(underway.sync, Message::go)) status = silent_death(underway.pidfd);
  return !status.failed() || fail(ret_failure, record.operation, status);
}

bool take_listener(const Underway& underway, LaunchFailure& ret_failure) {
  ListenerRecord record{};
  Fd memory;
  if (!receive_handed(underway.sync, &record, sizeof record, memory)) return fail(ret_failure, -1, silent_death(underway.pidfd));
  const Status status = host::pass_listener(underway.sync, underway.pidfd, memory.get(), underway.agent);
  return !status.failed() || fail(ret_failure, record.operation, status);
}

// The next message that is not a wish. `ret_heard`: whether there was one before the other end closed. False after a failure.
bool receive_news(const Underway& underway, bool& ret_heard, Message& ret_message, LaunchFailure& ret_failure) {
  while ((ret_heard = receive_message(underway.sync, ret_message))) {
    switch (ret_message) {
      case Message::failed: return receive_failure(underway.sync, ret_failure);
      case Message::device:
        if (!give_device(underway, ret_failure)) return false;
        break;
      case Message::listener:
        if (!take_listener(underway, ret_failure)) return false;
        break;
      default: return true;
    }
  }
  return true;
}

// Waits until the process is ready, or until execve has closed the other end. `child`: the pidfd of a child that ended without a word, or -1.
bool receive_progress(const Underway& underway, int child, bool& ret_ready, LaunchFailure& ret_failure) {
  bool announced = false;
  for (;;) {
    bool heard = false;
    Message message{};
    if (!receive_news(underway, heard, message, ret_failure)) return false;
    if (!heard) return announced || fail(ret_failure, -1, silent_death(child));
    if (message == Message::ready) return ret_ready = true;
    announced = announced || message == Message::executing;
  }
}

}  // namespace

bool launch(const LaunchRequest& request, Launched& ret_launched, LaunchFailure& ret_failure) {
  Result<Plan> opened = Plan::open(request.plan, request.size);
  if (opened.failed()) return fail(ret_failure, -1, opened.status());
  const Plan& plan = opened.value();

  Filter filter;
  OpenCgroupFile cgroup_file;
  Text keep;
  int compiled_at = -1;
  Fd target;
  Affinity affinity;
  CloneFields fields{};
  int operation = -1;
  bool cloned = false;
  for (Plan::Iterator at(plan); !at.done() && !cloned;) {
    operation = static_cast<int>(at.index());
    const Op op = at.next();
    Status status;
    switch (op.code) {
      case OpCode::cgroup_make: status = op_cgroup_make(op.fields()); break;
      case OpCode::cgroup_write: status = op_cgroup_write(cgroup_file, op.fields()); break;
      case OpCode::cgroup_device_program: status = op_cgroup_device_program(op.fields()); break;
      case OpCode::cgroup_own: status = op_cgroup_own(op.fields()); break;
      case OpCode::rdt_make: status = op_rdt_make(op.fields()); break;
      case OpCode::cpuset_claim: status = op_cpuset_claim(op.fields()); break;
      case OpCode::cpuset_check: status = op_cpuset_check(op.fields()); break;
      case OpCode::seccomp_compile: {
        Fields seccomp = op.fields();
        const Bytes profile = seccomp.bytes();
        const Text cache = seccomp.text();
        const Text kept = seccomp.text();
        Result<Filter> compiled = profile.size == 0 ? kept_program(kept.c_str()) : seccomp_program(profile, cache.c_str());
        if (profile.size != 0) keep = kept;
        compiled_at = operation;
        if (compiled.failed())
          status = compiled.status();
        else
          filter = std::move(compiled.value());
        break;
      }
      case OpCode::id_map_helper: break;  // when the process asks
      case OpCode::clone:
        fields = read_clone(op.fields());
        cloned = true;
        break;
      case OpCode::cpu_affinity: status = affinity.take(op.fields()); break;
      case OpCode::enter:
        status = read_enter(op.fields(), fields, target);
        cloned = true;
        break;
      default: status = Status(EBADMSG, "plan"); break;
    }
    if (status.failed()) return fail(ret_failure, operation, status);
  }
  if (!cloned) return fail(ret_failure, -1, Status(EBADMSG, "plan"));

  if (request.passed.size() > most_passed) return fail(ret_failure, -1, Status(E2BIG, "strata", "descriptors"));
  // What the child needs on its way lies above the numbers that it puts others at.
  const int lowest = first_free_descriptor + static_cast<int>(request.passed.size());
  Result<int> program = init_program.descriptor();
  if (program.failed()) return fail(ret_failure, operation, program.status());
  Fd moved_program;
  int init = program.value();
  if (init < lowest) {
    moved_program = Fd(static_cast<int>(sys::fcntl(init, F_DUPFD_CLOEXEC, lowest)));
    init = moved_program.get();
    if (init < 0) return fail(ret_failure, operation, Status(-init, "fcntl"));
  }
  int ends[2];
  if (const int result = sys::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends); result < 0) {
    return fail(ret_failure, operation, Status(-result, "socketpair"));
  }
  Fd ours(above_stdio(ends[0]));
  Fd theirs(at_least(ends[1], lowest));
  if (!ours.valid() || !theirs.valid()) return fail(ret_failure, operation, Status(EMFILE, "fcntl"));

  const bool two_stage = fields.two_stage;
  InitHeader header{};
  header.magic = init_magic;
  header.sync = theirs.get();
  header.start = request.start;
  header.console = request.console;
  header.target = target.get();
  header.preserve = static_cast<std::uint32_t>(request.preserve) + static_cast<std::uint32_t>(request.passed.size());
  header.two_stage = two_stage ? 1 : 0;
  Result<Fd> orders = write_orders(header, request, filter);
  if (orders.failed()) return fail(ret_failure, operation, orders.status());

  sys::ResourceLimit nofile{};
  Child child{};
  child.request = &request;
  child.init = init;
  child.orders = orders.value().get();
  child.sync = theirs.get();
  child.target = target.get();
  child.nofile = original_nofile(nofile) ? &nofile : nullptr;
  std::snprintf(child.number, sizeof child.number, "%d", child.orders);
  child.argv[0] = "strata-init";
  child.argv[1] = child.number;

  Fd pidfd;
  int pid = 0;
  if (const Status status = clone_child(child, fields, two_stage, pidfd, pid); status.failed()) return fail(ret_failure, operation, status);
  theirs.reset();

  if (two_stage) {
    // The first stage makes the container's process, which is our child too.
    Message message{};
    std::int32_t second = 0;
    bool heard = receive_message(ours.get(), message);
    if (heard && message == Message::maps) {
      int helper = operation;
      if (const Status status = run_id_map_helpers(plan, pid, helper); status.failed()) {
        abandon(pidfd.get());
        return fail(ret_failure, helper, status);
      }
      heard = send_message(ours.get(), Message::go) && receive_message(ours.get(), message);
    }
    const bool told = heard && message == Message::failed;
    // Only a positive number is a process: to kill(2) others are whole groups.
    heard = heard && message == Message::process && receive_all(ours.get(), &second, sizeof second) && second > 0;
    if (!heard) {
      if (told) {
        receive_failure(ours.get(), ret_failure);
      } else {
        fail(ret_failure, operation, silent_death(pidfd.get()));
      }
      abandon(pidfd.get());
      // It was killed before it could say who it is, or it never was.
      const long read = sys::pread(orders.value().get(), &second, sizeof second, offsetof(InitHeader, second));
      if (read == sizeof second && second > 0) reap_child(P_PID, second);
      return false;
    }
    Fd first = std::exchange(pidfd, Fd(above_stdio(sys::pidfd_open(second, 0))));
    pid = second;
    // It ends by itself: with its work done, or after it told of a failure.
    reap(first.get());
    if (!pidfd.valid()) {
      // Nobody could wait for the process or signal it. Its number is still its own, for it is our child.
      (void)sys::kill(pid, SIGKILL);
      reap_child(P_PID, pid);
      return fail(ret_failure, operation, Status(-pidfd.get(), "pidfd_open"));
    }
  }
  // While the process sets itself up.
  if (!keep.empty()) {
    if (const Status status = keep_program(keep.c_str(), filter); status.failed()) {
      abandon(pidfd.get());
      return fail(ret_failure, compiled_at, status);
    }
  }
  Result<std::optional<host::ProcessStat>> stat = host::process_stat(pid);
  const std::uint64_t start_time = !stat.failed() && stat.value().has_value() ? stat.value()->start_time : 0;
  ret_launched = {pid, start_time, pidfd.release(), ours.release()};
  return true;
}

bool amend(const std::uint8_t* plan, std::size_t size, LaunchFailure& ret_failure) {
  Result<Plan> opened = Plan::open(plan, size);
  if (opened.failed()) return fail(ret_failure, -1, opened.status());
  for (Plan::Iterator at(opened.value()); !at.done();) {
    const auto operation = static_cast<int>(at.index());
    const Op op = at.next();
    Status status;
    switch (op.code) {
      case OpCode::cgroup_device_program: status = op_cgroup_device_program(op.fields()); break;
      case OpCode::cpuset_claim: status = op_cpuset_claim(op.fields()); break;
      case OpCode::cpuset_check: status = op_cpuset_check(op.fields()); break;
      default: status = Status(EBADMSG, "plan"); break;
    }
    if (status.failed()) return fail(ret_failure, operation, status);
  }
  return true;
}

bool settle(const Underway& underway, bool& ret_at_hooks, LaunchFailure& ret_failure) {
  bool heard = false;
  Message message{};
  if (!receive_news(underway, heard, message, ret_failure)) return false;
  ret_at_hooks = heard && message == Message::hooks;
  return ret_at_hooks || (heard && message == Message::ready) || fail(ret_failure, -1, silent_death(underway.pidfd));
}

bool proceed(const Underway& underway, bool waits_for_start, bool& ret_ready, LaunchFailure& ret_failure) {
  ret_ready = false;
  if (!send_message(underway.sync, Message::go)) return fail(ret_failure, -1, silent_death(-1));
  if (!waits_for_start && !receive_progress(underway, -1, ret_ready, ret_failure)) return false;
  if (!ret_ready) devices_underway().forget(underway.pidfd);
  return true;
}

bool await_execution(const Underway& underway, LaunchFailure& ret_failure) {
  bool ready = false;
  return receive_progress(underway, underway.pidfd, ready, ret_failure);
}

void abandon(int pidfd) {
  if (pidfd < 0) return;
  (void)sys::pidfd_send_signal(pidfd, SIGKILL, nullptr, 0);
  reap(pidfd);
  devices_underway().take_back(pidfd);
}

bool start(const char* socket, int pidfd, const host::SeccompAgent& agent, LaunchFailure& ret_failure) {
  Result<Fd> connection = host::connect_socket(socket);
  if (connection.failed()) return fail(ret_failure, -1, connection.status());
  if (!send_message(connection.value().get(), Message::go)) return fail(ret_failure, -1, silent_death(-1));
  bool ready = false;
  return receive_progress({connection.value().get(), pidfd, agent}, -1, ready, ret_failure);
}

bool awaits_start(const char* socket) {
  Result<Fd> connection = host::connect_socket(socket);
  // Stopped, and asked so often that its queue is full: it waits all the same.
  return !connection.failed() || connection.status().error() == EAGAIN;
}

}  // namespace strata
