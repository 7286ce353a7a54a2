// The process that becomes the user's program: what it is, what it may do, and the moment it starts.
#include <fcntl.h>
#include <net/if.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <cerrno>
#include <csignal>

#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <linux/stat.h>

#include "../affinity.hpp"
#include "../path.hpp"
#include "../text.hpp"
#include "context.hpp"

namespace strata {
namespace {

constexpr int last_signal = 64;

// "sys/" + path, below /proc.
Status write_sysctl(Context& context, Text path, Text value) {
  char full[512] = "sys/";
  if (path.size + 5 > sizeof full) return {ENAMETOOLONG, "openat2", path.view()};
  std::memcpy(full + 4, path.c_str(), path.size + 1);
  return write_proc(context.proc.get(), full, value.view());
}

// Above stdio and what the caller passes on, nothing survives execve; the sync socket is among them, and its end is the good news. Whatever is
// opened later is born so.
Status close_at_execution(Context& context) {
  if (context.closed_at_execution) return {};
  const unsigned first = 3 + context.header->preserve;
  if (const int result = sys::close_range(first, ~0U, CLOSE_RANGE_CLOEXEC); result < 0) return {-result, "close_range"};
  context.closed_at_execution = true;
  return {};
}

// Everything that is left to do before execve but must not be left to a seccomp filter to permit.
Status announce_execution(Context& context) {
  if (context.executing_announced) return {};
  context.executing_announced = true;
  STRATA_TRY(close_at_execution(context));
  for (int signal = 1; signal <= last_signal; signal++) (void)sys::default_signal(signal);
  if (const int result = sys::set_signal_mask(0, nullptr); result < 0) return {-result, "rt_sigprocmask"};
  if (const int result = sys::prctl(PR_SET_PDEATHSIG, 0); result < 0) return {-result, "prctl"};
  if (!send_message(context.sync.get(), Message::executing)) return {EPIPE, "sendmsg", "sync"};
  return {};
}

// What `exec` needs memory for.
Status prepare_arguments(Context& context) {
  if (context.arguments.data() != nullptr) return {};
  for (Plan::Iterator at(context.plan); !at.done();) {
    const Op op = at.next();
    if (op.code != OpCode::exec) continue;
    Fields fields = op.fields();
    Result<PointerArray> argv = PointerArray::make(fields.texts());
    if (argv.failed()) return argv.status();
    Result<PointerArray> envp = PointerArray::make(fields.texts(), context.home);
    if (envp.failed()) return envp.status();
    context.arguments = std::move(argv.value());
    context.environment = std::move(envp.value());
  }
  return {};
}

// Makes effective again what a change of user has left permitted only.
bool raise_permitted() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  if (sys::capget(&header, data) < 0) return false;
  for (__user_cap_data_struct& word : data) word.effective = word.permitted;
  return sys::capset(&header, data) == 0;
}

// Why `path` cannot be executed, 0 if it can. Judged by the mode, as the kernel will judge for the user who gets there without privileges.
int executable_error(const char* path) {
  struct statx status {};
  if (const int result = sys::statx(AT_FDCWD, path, 0, STATX_TYPE | STATX_MODE, &status); result < 0) return -result;
  if (S_ISDIR(status.stx_mode)) return EISDIR;
  if (!S_ISREG(status.stx_mode) || (status.stx_mode & 0111) == 0) return EACCES;
  return 0;
}

// A regular file in memory, empty if there is none.
class MappedFile {
 public:
  explicit MappedFile(const char* path) {
    const Fd file(sys::openat(AT_FDCWD, path, O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    struct statx status {};
    if (!file.valid() || sys::statx(file.get(), "", AT_EMPTY_PATH, STATX_TYPE | STATX_SIZE, &status) < 0) return;
    if (!S_ISREG(status.stx_mode) || status.stx_size == 0) return;
    void* memory = sys::mmap(nullptr, status.stx_size, PROT_READ, MAP_PRIVATE, file.get(), 0);
    if (memory == MAP_FAILED) return;
    memory_ = memory;
    size_ = status.stx_size;
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() {
    if (memory_ != nullptr) sys::munmap(memory_, size_);
  }

  [[nodiscard]] std::string_view view() const { return {static_cast<const char*>(memory_), size_}; }

 private:
  void* memory_ = nullptr;
  std::size_t size_ = 0;
};

// Does the user namespace that this process is in deny setgroups(2) to everybody?
bool groups_are_fixed(const Fd& proc) {
  const Fd file(sys::openat(proc.get(), "self/setgroups", O_RDONLY | O_CLOEXEC));
  char word[4] = {};
  return file.valid() && sys::read(file.get(), word, sizeof word) == sizeof word && std::string_view(word, sizeof word) == "deny";
}

// A decimal number, or one that no user has.
std::uint64_t parse_number(std::string_view text) {
  std::uint64_t value = 0;
  for (const char digit : text) {
    if (digit < '0' || digit > '9' || value > 0xffffffff) return ~std::uint64_t{0};
    value = value * 10 + static_cast<std::uint64_t>(digit - '0');
  }
  return value;
}

}  // namespace

Status op_sysctl(Context& context, Fields fields) {
  const Text path = fields.text();
  return write_sysctl(context, path, fields.text());
}

Status op_hostname(Fields fields) {
  const Text name = fields.text();
  const int result = sys::sethostname(name.c_str(), name.size);
  return result < 0 ? Status(-result, "sethostname", name.view()) : Status();
}

Status op_domainname(Fields fields) {
  const Text name = fields.text();
  const int result = sys::setdomainname(name.c_str(), name.size);
  return result < 0 ? Status(-result, "setdomainname", name.view()) : Status();
}

Status op_loopback_up() {
  const Fd socket(sys::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid()) return {-socket.get(), "socket"};
  struct ifreq request {};
  std::memcpy(request.ifr_name, "lo", 3);
  request.ifr_flags = IFF_UP | IFF_RUNNING;
  const int result = sys::ioctl(socket.get(), SIOCSIFFLAGS, &request);
  return result < 0 ? Status(-result, "ioctl", "lo") : Status();
}

Status op_keyring(const Context& context, Fields fields) {
  const Text name = fields.text();
  const long result = sys::keyctl(KEYCTL_JOIN_SESSION_KEYRING, reinterpret_cast<unsigned long>(name.c_str()));
  // What the kernel gives a session keyring, and the owner's right to search it: the program's user is about to change.
  constexpr unsigned long possessor_all_owner_view_read_search_link = 0x3f1b0000;
  if (result >= 0 && !context.entered)
    (void)sys::keyctl(KEYCTL_SETPERM, static_cast<unsigned long>(result), possessor_all_owner_view_read_search_link);
  // A kernel without keyrings has none to leak.
  if (result < 0 && result != -ENOSYS) return {static_cast<int>(-result), "keyctl", name.view()};
  return {};
}

Status op_oom_score_adj(Context& context, Fields fields) {
  if (context.oom_score_adjusted) return {};
  return write_proc(context.proc.get(), "self/oom_score_adj", fields.text().view());
}

Status op_rlimit(Fields fields) {
  const std::uint32_t resource = fields.u32();
  const Text name = fields.text();
  const std::uint64_t soft = fields.u64();
  const sys::ResourceLimit limit{soft, fields.u64()};
  const int result = sys::prlimit(0, static_cast<int>(resource), &limit, nullptr);
  return result < 0 ? Status(-result, "prlimit64", name.view()) : Status();
}

Status raise_hard_limit(Fields fields) {
  const std::uint32_t resource = fields.u32();
  const Text name = fields.text();
  (void)fields.u64();
  const std::uint64_t hard = fields.u64();
  sys::ResourceLimit now{};
  int result = sys::prlimit(0, static_cast<int>(resource), nullptr, &now);
  if (result == 0 && hard > now.hard) {
    now.hard = hard;
    result = sys::prlimit(0, static_cast<int>(resource), &now, nullptr);
  }
  return result < 0 ? Status(-result, "prlimit64", name.view()) : Status();
}

Status op_cwd(Context& context, Fields fields) {
  const Text path = fields.text();
  const bool last = fields.boolean();
  // Where root has got to the user may stay, even if it could not have gone there: engines start ordinary users in /root.
  if (last && context.in_cwd) return {};
  if (const int result = sys::chdir(path.c_str()); result < 0) {
    // Before the change of user, root may be refused (a network file system, a user namespace) where the user will not be.
    if (!last && (result == -EACCES || result == -EPERM)) return {};
    return {-result, "chdir", path.view()};
  }
  // A working directory outside the root is an escape (CVE-2024-21626): the kernel then shows a path that does not begin with "/".
  char buffer[4096];
  const long size = sys::getcwd(buffer, sizeof buffer);
  if (size < 0) return {static_cast<int>(-size), "getcwd", path.view()};
  if (buffer[0] != '/') return Status::with_detail("getcwd", path.view(), "the working directory is outside the container's root", EXDEV);
  context.in_cwd = true;
  return {};
}

Status op_executable(Context& context, Fields fields) {
  const Text file = fields.text();
  const Text search = fields.text();
  if (file.size >= sizeof context.executable) return {ENAMETOOLONG, "executable", file.view()};
  if (file.empty()) return {ENOENT, "executable", file.view()};
  if (std::memchr(file.c_str(), '/', file.size) != nullptr) {
    if (const int error = executable_error(file.c_str()); error != 0) return {error, "stat", file.view()};
    std::memcpy(context.executable, file.c_str(), file.size + 1);
    return {};
  }
  int found_error = ENOENT;
  std::string_view rest = search.view();
  for (bool more = true; more;) {
    const std::size_t colon = rest.find(':');
    const std::string_view element = head(rest, colon);
    const std::string_view directory = element.empty() ? "." : element;
    more = colon != std::string_view::npos;
    if (more) rest.remove_prefix(colon + 1);
    if (directory.size() + 1 + file.size + 1 > sizeof context.executable) continue;
    char* at = context.executable;
    std::memcpy(at, directory.data(), directory.size());
    at += directory.size();
    *at++ = '/';
    std::memcpy(at, file.c_str(), file.size + 1);
    const int error = executable_error(context.executable);
    if (error == 0) return {};
    if (error == EACCES) found_error = error;
  }
  return {found_error, "executable", file.view()};
}

// passwd(5): name:password:uid:gid:comment:home:shell.
Status op_home(Context& context, Fields fields) {
  const std::uint32_t uid = fields.u32();
  std::string_view home = "/";
  const MappedFile passwd("/etc/passwd");
  std::string_view rest = passwd.view();
  while (!rest.empty()) {
    const std::size_t end = rest.find('\n');
    std::string_view line = head(rest, end);
    rest = end == std::string_view::npos ? std::string_view() : tail(rest, end + 1);
    std::string_view parts[6];
    for (std::string_view& part : parts) {
      const std::size_t colon = line.find(':');
      part = head(line, colon);
      line = colon == std::string_view::npos ? std::string_view() : tail(line, colon + 1);
    }
    if (parts[2].empty() || parse_number(parts[2]) != uid) continue;
    if (!parts[5].empty()) home = parts[5];
    break;
  }
  constexpr std::string_view name = "HOME=";
  if (name.size() + home.size() >= sizeof context.home) home = "/";
  std::memcpy(context.home, name.data(), name.size());
  std::memcpy(context.home + name.size(), home.data(), home.size());
  context.home[name.size() + home.size()] = '\0';
  return {};
}

Status op_no_new_privileges(Context& context) {
  const int result = sys::prctl(PR_SET_NO_NEW_PRIVS, 1);
  if (result < 0) return {-result, "prctl"};
  context.no_new_privileges = true;
  return {};
}

Status op_seccomp_load(Context& context, std::uint32_t index) {
  const InitHeader* header = context.header;
  if (header->filter_size == 0) return {};
  const bool asks = (header->filter_flags & SECCOMP_FILTER_FLAG_NEW_LISTENER) != 0;
  const auto* filter = reinterpret_cast<const char*>(header) + header->filter_offset;
  sock_fprog program{};
  program.len = static_cast<unsigned short>(header->filter_size / sizeof(sock_filter));
  program.filter = reinterpret_cast<sock_filter*>(const_cast<char*>(filter));
  if (asks) STRATA_TRY(offer_listener(context, index));
  // With no_new_privs this is the last step but execve; the filter may deny all that comes before it. Without it some steps have to follow, but not
  // these: a profile may be older than the calls.
  STRATA_TRY(prepare_arguments(context));
  STRATA_TRY(context.no_new_privileges ? announce_execution(context) : close_at_execution(context));
  int result = sys::seccomp(SECCOMP_SET_MODE_FILTER, header->filter_flags, &program);
  if (result == -EACCES && raise_permitted()) result = sys::seccomp(SECCOMP_SET_MODE_FILTER, header->filter_flags, &program);
  if (asks) give_listener(context, result);
  return result < 0 ? Status(-result, "seccomp") : Status();
}

Status op_bounding(Fields fields) {
  const std::uint64_t kept = fields.u64();
  for (unsigned capability = 0; capability < 64; capability++) {
    if ((kept >> capability & 1) != 0) continue;
    const int result = sys::prctl(PR_CAPBSET_DROP, capability);
    if (result == -EINVAL) break;  // past the kernel's last capability
    if (result < 0) return {-result, "prctl", "bounding set"};
  }
  return {};
}

Status op_user(const Context& context, Fields fields) {
  const std::uint32_t uid = fields.u32();
  const std::uint32_t gid = fields.u32();
  Fields::Numbers groups = fields.u32s();
  const std::uint32_t umask = fields.u32();
  // The permitted set must survive the change of user: `capabilities`, the next step, gives up what is not wanted.
  if (const int result = sys::prctl(PR_SET_KEEPCAPS, 1); result < 0) return {-result, "prctl"};
  // Where a user namespace denies setgroups(2), no groups can still be had: by those that have none already, and a caller with one id of his own
  // in the container keeps his. Nobody else asks, for a filter may be in force that does not permit it.
  const int without = groups.count == 0 ? sys::setgroups(0, nullptr) : 0;
  if (without < 0 && (without != -EPERM || (sys::getgroups(0, nullptr) != 0 && !groups_are_fixed(context.proc)))) return {-without, "setgroups"};
  if (groups.count > 0) {
    constexpr std::uint32_t most = 65536;  // NGROUPS_MAX
    if (groups.count > most) return {EINVAL, "setgroups"};
    const std::size_t size = (std::size_t{groups.count} + 1) * sizeof(unsigned);
    void* memory = sys::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return {ENOMEM, "mmap"};
    auto* list = static_cast<unsigned*>(memory);
    for (std::uint32_t i = 0; i < groups.count; i++) list[i] = groups.next();
    const int result = sys::setgroups(groups.count, list);
    sys::munmap(memory, size);
    if (result < 0) return {-result, "setgroups"};
  }
  if (const int result = sys::setresgid(gid, gid, gid); result < 0) return {-result, "setresgid"};
  if (const int result = sys::setresuid(uid, uid, uid); result < 0) return {-result, "setresuid"};
  if (const int result = sys::prctl(PR_SET_DUMPABLE, 0); result < 0) return {-result, "prctl"};
  constexpr std::uint32_t callers_umask = 0xffffffff;
  (void)sys::umask(umask == callers_umask ? context.callers_umask : umask);
  return {};
}

Status op_capabilities(Fields fields) {
  const std::uint64_t effective = fields.u64();
  const std::uint64_t permitted = fields.u64();
  const std::uint64_t inheritable = fields.u64();
  const std::uint64_t ambient = fields.u64();
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {};
  for (unsigned word = 0; word < 2; word++) {
    data[word].effective = static_cast<std::uint32_t>(effective >> (32 * word));
    data[word].permitted = static_cast<std::uint32_t>(permitted >> (32 * word));
    data[word].inheritable = static_cast<std::uint32_t>(inheritable >> (32 * word));
  }
  if (const int result = sys::capset(&header, data); result < 0) return {-result, "capset"};
  (void)sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL);
  for (unsigned capability = 0; capability < 64; capability++) {
    if ((ambient >> capability & 1) == 0) continue;
    const int result = sys::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability);
    if (result < 0) return {-result, "prctl", "ambient set"};
  }
  // The change of user made the process dumpable again or not by the kernel's own rules; until execve it holds more than its user may see.
  if (const int result = sys::prctl(PR_SET_DUMPABLE, 0); result < 0) return {-result, "prctl"};
  return {};
}

Status op_personality(Fields fields) {
  const int result = sys::personality(fields.u32());
  return result < 0 ? Status(-result, "personality") : Status();
}

Status op_cpu_affinity(Fields fields) {
  CpuMask mask;
  STRATA_TRY(mask.read(fields));
  return mask.apply();
}

Status op_scheduler(Fields fields) {
  constexpr std::uint32_t other = 0;
  constexpr std::uint32_t batch = 3;
  sys::SchedulerAttributes attributes{};
  attributes.size = sizeof attributes;
  attributes.policy = fields.u32();
  attributes.nice = static_cast<std::int32_t>(fields.u32());
  attributes.priority = fields.u32();
  attributes.flags = fields.u64();
  attributes.runtime = fields.u64();
  attributes.deadline = fields.u64();
  attributes.period = fields.u64();
  // The other policies have no use for a nice value, and the call passes it over; but the process has one, for when it leaves them.
  if (attributes.nice != 0 && attributes.policy != other && attributes.policy != batch) {
    if (const int result = sys::setpriority(PRIO_PROCESS, 0, attributes.nice); result < 0) return {-result, "setpriority"};
  }
  const int result = sys::sched_setattr(0, &attributes);
  return result < 0 ? Status(-result, "sched_setattr") : Status();
}

bool scheduler_is_inherited(Fields fields) {
  constexpr std::uint32_t deadline = 6;
  constexpr std::uint64_t reset_on_fork = 1;
  const std::uint32_t policy = fields.u32();
  (void)fields.u32();
  (void)fields.u32();
  return policy != deadline && (fields.u64() & reset_on_fork) == 0;
}

Status op_io_priority(Context& context, Fields fields) {
  if (context.io_priority_set) return {};
  constexpr int process = 1;  // IOPRIO_WHO_PROCESS: it leads a process group of its own, and its children inherit
  constexpr unsigned class_shift = 13;
  const std::uint32_t name = fields.u32();
  const std::uint32_t priority = fields.u32();
  const int result = sys::ioprio_set(process, 0, static_cast<int>(name << class_shift | priority));
  return result < 0 ? Status(-result, "ioprio_set") : Status();
}

Status op_memory_policy(Fields fields) {
  const std::uint32_t mode = fields.u32();
  (void)fields.text();
  Fields::Numbers words = fields.u32s();
  constexpr std::uint32_t most = 1024;  // the kernel takes a page
  if (words.count > most) return {EINVAL, "set_mempolicy"};
  unsigned long mask[most / 2] = {};
  for (std::uint32_t i = 0; i < words.count; i++) mask[i / 2] |= static_cast<unsigned long>(words.next()) << (i % 2 * 32);
  // It counts one bit less than it is told.
  const bool has_nodes = words.count > 0;
  const int result = sys::set_mempolicy(static_cast<int>(mode), has_nodes ? mask : nullptr, has_nodes ? words.count * 32UL + 1 : 0);
  return result < 0 ? Status(-result, "set_mempolicy") : Status();
}

Status op_apparmor_profile(const Context& context, Fields fields) {
  const Text profile = fields.text();
  TextBuilder<4096> command;
  command.add("exec ").add(profile.view());
  if (command.view().size() != profile.size + 5) return {ENAMETOOLONG, "write", "/proc/thread-self/attr/apparmor/exec"};
  const Status status = write_proc(context.proc.get(), "thread-self/attr/apparmor/exec", command.view());
  // The directory came with Linux 5.8; the file without it is that of the kernel's first security module.
  const bool is_old = status.error() == ENOENT && std::string_view(status.call()) == "openat2";
  return is_old ? write_proc(context.proc.get(), "thread-self/attr/exec", command.view()) : status;
}

Status op_selinux_label(const Context& context, Fields fields) {
  const Text attribute = fields.text();
  TextBuilder<64> path;
  path.add("thread-self/attr/").add(attribute.view());
  return write_proc(context.proc.get(), path.c_str(), fields.text().view());
}

Status op_ready(Context& context) {
  // The wait may be long, and in a shared pid namespace somebody with CAP_SYS_PTRACE may look at us: nothing of the host stays open.
  context.proc.reset();
  context.root.reset();
  context.empty_directory.reset();
  Message message{};
  if (!send_message(context.sync.get(), Message::ready) || !receive_message(context.sync.get(), message) || message != Message::go) {
    sys::exit_group(1);  // the runtime is gone before it wrote down that we exist
  }
  if (!context.start.valid()) return {};
  context.sync.reset();
  for (;;) {
    const int connection = sys::accept4(context.start.get(), SOCK_CLOEXEC);
    if (connection < 0) {
      if (connection == -EINTR || connection == -ECONNABORTED) continue;
      sys::exit_group(1);
    }
    context.sync = Fd(connection);
    // A connection without a word only asks whether somebody waits here.
    if (receive_message(connection, message) && message == Message::go) break;
  }
  context.start.reset();
  return {};
}

Status op_exec(Context& context) {
  STRATA_TRY(prepare_arguments(context));
  STRATA_TRY(announce_execution(context));
  const int result = sys::execve(context.executable, context.arguments.data(), context.environment.data());
  return {-result, "execve", context.executable};
}

}  // namespace strata
