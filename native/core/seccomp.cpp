#include "seccomp.hpp"

#include <fcntl.h>
#include <seccomp.h>
#include <sys/stat.h>
#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <linux/stat.h>

namespace strata {
namespace {

constexpr std::uint32_t profile_version = 1;
constexpr std::uint32_t no_errno = 0xffffffff;
constexpr std::size_t entry_limit = std::size_t{1} << 22;

struct NamedValue {
  std::string_view name;
  std::uint32_t value;
};

constexpr NamedValue comparisons[] = {{"SCMP_CMP_NE", SCMP_CMP_NE},
                                      {"SCMP_CMP_LT", SCMP_CMP_LT},
                                      {"SCMP_CMP_LE", SCMP_CMP_LE},
                                      {"SCMP_CMP_EQ", SCMP_CMP_EQ},
                                      {"SCMP_CMP_GE", SCMP_CMP_GE},
                                      {"SCMP_CMP_GT", SCMP_CMP_GT},
                                      {"SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ}};

// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is newer than Debian 12's headers.
constexpr std::uint32_t wait_killable_recv = 1U << 5;
constexpr std::uint32_t tsync_esrch = 1U << 4;  // SECCOMP_FILTER_FLAG_TSYNC_ESRCH
constexpr NamedValue filter_flags[] = {{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
                                       {"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
                                       {"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
                                       {"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", wait_killable_recv}};

template <std::size_t Size>
bool find(const NamedValue (&table)[Size], std::string_view name, std::uint32_t& ret_value) {
  for (const NamedValue& entry : table) {
    if (entry.name != name) continue;
    ret_value = entry.value;
    return true;
  }
  return false;
}

bool action_of(std::string_view name, std::uint32_t error, std::uint32_t& ret_action) {
  const std::uint32_t number = error == no_errno ? EPERM : error;
  if (name == "SCMP_ACT_ALLOW")
    ret_action = SCMP_ACT_ALLOW;
  else if (name == "SCMP_ACT_ERRNO")
    ret_action = SCMP_ACT_ERRNO(number);
  else if (name == "SCMP_ACT_KILL" || name == "SCMP_ACT_KILL_THREAD")
    ret_action = SCMP_ACT_KILL_THREAD;
  else if (name == "SCMP_ACT_KILL_PROCESS")
    ret_action = SCMP_ACT_KILL_PROCESS;
  else if (name == "SCMP_ACT_TRAP")
    ret_action = SCMP_ACT_TRAP;
  else if (name == "SCMP_ACT_TRACE")
    ret_action = SCMP_ACT_TRACE(number);
  else if (name == "SCMP_ACT_LOG")
    ret_action = SCMP_ACT_LOG;
  else if (name == "SCMP_ACT_NOTIFY")
    ret_action = SCMP_ACT_NOTIFY;
  else
    return false;
  return true;
}

Status bad(const char* what, std::string_view name, int error = EINVAL) { return Status::with_detail("libseccomp", name, what, error); }

// The highest call that a profile names, for each architecture of its filter.
class HighestCalls {
 public:
  void add_architecture(std::uint32_t token) {
    // x32 shares its token in the kernel's records with x86-64; its calls have numbers of their own, far above.
    if (token == SCMP_ARCH_X32) return;
    for (std::size_t i = 0; i < count_; i++) {
      if (entries_[i].token == token) return;
    }
    if (count_ < most) entries_[count_++] = {token, -1};
  }

  void add_call(const char* name) {
    for (std::size_t i = 0; i < count_; i++)
      entries_[i].highest = std::max(entries_[i].highest, seccomp_syscall_resolve_name_arch(entries_[i].token, name));
  }

  // Instructions in front of a filter that would answer everything unknown with an errno: a call that is newer than the profile does not exist
  // (ENOSYS), so that libc falls back to what it did before there was that call. EPERM, the usual default, makes it fail instead.
  [[nodiscard]] std::vector<sock_filter> missing_calls() const {
    constexpr std::uint32_t x32_bit = 0x40000000;
    std::vector<sock_filter> program;
    program.reserve(count_ * 6);
    for (std::size_t i = 0; i < count_; i++) {
      if (entries_[i].highest < 0) continue;
      program.push_back({BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, arch)});
      program.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, 4, entries_[i].token});
      program.push_back({BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(seccomp_data, nr)});
      program.push_back({BPF_JMP | BPF_JGE | BPF_K, 2, 0, x32_bit});
      program.push_back({BPF_JMP | BPF_JGT | BPF_K, 0, 1, static_cast<std::uint32_t>(entries_[i].highest)});
      program.push_back({BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | ENOSYS});
    }
    return program;
  }

 private:
  static constexpr std::size_t most = 32;
  struct Entry {
    std::uint32_t token;
    int highest;
  };
  Entry entries_[most] = {};
  std::size_t count_ = 0;
};

// "SCMP_ARCH_X86_64" to libseccomp's own name "x86_64".
Status add_architecture(scmp_filter_ctx context, Text name, HighestCalls& highest) {
  constexpr std::string_view prefix = "SCMP_ARCH_";
  if (!name.view().starts_with(prefix)) return bad("is not an architecture", name.view());
  char lower[32];
  std::size_t size = 0;
  for (const char c : name.view().substr(prefix.size())) {
    if (size + 1 < sizeof lower) lower[size++] = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  }
  lower[size] = '\0';
  const std::uint32_t token = seccomp_arch_resolve_name(lower);
  if (token == 0) return bad("is an architecture that this libseccomp does not know", name.view(), EOPNOTSUPP);
  highest.add_architecture(token);
  const int result = seccomp_arch_add(context, token);
  return result < 0 && result != -EEXIST ? bad("cannot be added", name.view(), -result) : Status();
}

Status add_rule(scmp_filter_ctx context, std::uint32_t action, std::string_view name, Cursor args, std::uint32_t count, bool one_by_one) {
  const int number = seccomp_syscall_resolve_name(name.data());
  // Names that this libseccomp does not know are calls that no program here can make by name: profiles list calls of every kernel.
  if (number == __NR_SCMP_ERROR) return {};
  scmp_arg_cmp comparisons_of_rule[6] = {};
  for (std::uint32_t i = 0; i < count; i++) {
    const std::uint32_t index = args.u32();
    const std::uint64_t value = args.u64();
    const std::uint64_t value_two = args.u64();
    const Text op = args.text();
    std::uint32_t comparison = 0;
    if (index > 5 || !find(comparisons, op.view(), comparison)) return bad("has an argument comparison that is not known", name);
    comparisons_of_rule[i] = {index, static_cast<scmp_compare>(comparison), value, value_two};
  }
  int result = 0;
  if (one_by_one) {
    for (std::uint32_t i = 0; i < count && result >= 0; i++) result = seccomp_rule_add_array(context, action, number, 1, &comparisons_of_rule[i]);
  } else {
    result = seccomp_rule_add_array(context, action, number, count, comparisons_of_rule);
  }
  // -EACCES: the rule says what the default says anyway.
  if (result >= 0 || result == -EACCES) return {};
  return bad(result == -EEXIST ? "contradicts another rule for this call" : "cannot be filtered", name, -result);
}

Status add_rules(scmp_filter_ctx context, Cursor& cursor, std::uint32_t default_action, HighestCalls& highest, bool& ret_notifies) {
  const std::uint32_t rules = cursor.u32();
  for (std::uint32_t rule = 0; rule < rules && !cursor.failed(); rule++) {
    const Text action_name = cursor.text();
    const std::uint32_t error = cursor.u32();
    std::uint32_t action = 0;
    if (!action_of(action_name.view(), error, action)) return bad("is not an action", action_name.view());
    TextList names{cursor.u32(), cursor};
    for (std::uint32_t i = 0; i < names.count && !cursor.failed(); i++) highest.add_call(cursor.text().c_str());
    const std::uint32_t count = cursor.u32();
    if (count > 6) return bad("has more argument comparisons than a call has arguments", action_name.view());
    const Cursor args = cursor;
    std::uint32_t seen = 0;
    bool repeated = false;
    for (std::uint32_t i = 0; i < count; i++) {
      const std::uint32_t index = cursor.u32();
      repeated = repeated || (index < 32 && (seen >> index & 1) != 0);
      seen |= index < 32 ? 1U << index : 0U;
      cursor.u64();
      cursor.u64();
      cursor.text();
    }
    if (cursor.failed()) break;
    ret_notifies = ret_notifies || action == SCMP_ACT_NOTIFY;
    if (action == default_action) continue;
    // Several comparisons of one argument: libseccomp takes one each, so they become rules of their own, any of which may match, as runc does.
    for (std::uint32_t i = 0; i < names.count; i++) STRATA_TRY(add_rule(context, action, names.next().view(), args, count, repeated));
  }
  return {};
}

Result<Filter> export_program(scmp_filter_ctx context, const std::vector<sock_filter>& prefix, std::uint32_t flags) {
  const Fd file(sys::memfd_create("strata-seccomp", 1 /* MFD_CLOEXEC */));
  if (!file.valid()) return Status(-file.get(), "memfd_create");
  if (const int result = seccomp_export_bpf(context, file.get()); result < 0) return bad("cannot export the program", "", -result);
  struct statx status {};
  if (const int result = sys::statx(file.get(), "", AT_EMPTY_PATH, STATX_SIZE, &status); result < 0) return Status(-result, "statx");
  const std::size_t prefix_size = prefix.size() * sizeof(sock_filter);
  if (prefix_size + status.stx_size > BPF_MAXINSNS * sizeof(sock_filter)) return bad("the program is longer than the kernel takes", "", E2BIG);
  auto* memory = static_cast<char*>(std::malloc(prefix_size + status.stx_size));
  if (memory == nullptr) return Status(ENOMEM, "malloc");
  if (prefix_size > 0) std::memcpy(memory, prefix.data(), prefix_size);
  const long size = sys::pread(file.get(), memory + prefix_size, status.stx_size, 0);
  if (size < 0 || static_cast<std::uint64_t>(size) != status.stx_size) {
    std::free(memory);
    return Status(EIO, "pread", "seccomp program");
  }
  return Filter::adopt(memory, prefix_size + static_cast<std::size_t>(size), flags);
}

Result<Filter> compile(Bytes profile) {
  Cursor cursor(profile.data, profile.size);
  if (cursor.u32() != profile_version) return bad("unknown version of the profile's bytes", "", EBADMSG);
  const Text default_action = cursor.text();
  const std::uint32_t default_errno = cursor.u32();
  std::uint32_t action = 0;
  if (!action_of(default_action.view(), default_errno, action)) return bad("is not an action", default_action.view());
  scmp_filter_ctx context = seccomp_init(action);
  if (context == nullptr) return bad("cannot be the default action", default_action.view());
  struct Release {
    scmp_filter_ctx context;
    ~Release() { seccomp_release(context); }
  } const release{context};

  HighestCalls highest;
  highest.add_architecture(seccomp_arch_native());
  const std::uint32_t architectures = cursor.u32();
  for (std::uint32_t i = 0; i < architectures; i++) {
    if (const Status status = add_architecture(context, cursor.text(), highest); status.failed()) return status;
  }
  std::uint32_t flags = 0;
  const std::uint32_t flag_count = cursor.u32();
  for (std::uint32_t i = 0; i < flag_count; i++) {
    const Text name = cursor.text();
    std::uint32_t flag = 0;
    if (!find(filter_flags, name.view(), flag)) return bad("is not a flag that is known", name.view());
    flags |= flag;
  }
  // The filter is exported, not loaded, so NO_NEW_PRIVS is the plan's business, not libseccomp's. A binary tree shortens the walk of a long
  // list of calls; libseccomp before 2.5 has none, which costs only time.
  (void)seccomp_attr_set(context, SCMP_FLTATR_CTL_NNP, 0);
  (void)seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
  bool notifies = false;
  if (const Status status = add_rules(context, cursor, action, highest, notifies); status.failed()) return status;
  if (cursor.failed() || !cursor.at_end()) return bad("the profile's bytes are damaged", "", EBADMSG);
  if (notifies) {
    flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
    // The number of the listener and that of a thread that cannot follow would not be told apart.
    if ((flags & SECCOMP_FILTER_FLAG_TSYNC) != 0) flags |= tsync_esrch;
  }
  const bool refuses = default_action.view() == "SCMP_ACT_ERRNO" && default_errno != ENOSYS;
  return export_program(context, refuses ? highest.missing_calls() : std::vector<sock_filter>(), flags);
}

// The kernel says EFAULT to flags that it knows when there is no filter, and EINVAL to others. This one is taken only with a listener.
Status check_flags(const Filter& filter) {
  for (const NamedValue& flag : filter_flags) {
    if ((filter.flags() & flag.value) == 0) continue;
    const std::uint32_t asked = flag.value == wait_killable_recv ? flag.value | SECCOMP_FILTER_FLAG_NEW_LISTENER : flag.value;
    if (sys::seccomp(SECCOMP_SET_MODE_FILTER, asked, nullptr) == -EINVAL)
      return bad("is a flag that this kernel does not know", flag.name, EOPNOTSUPP);
  }
  return {};
}

// --- the cache: one file for each profile, named by a hash of the key, holding the key itself.

struct EntryHeader {
  std::uint32_t magic;
  std::uint32_t key_size;
  std::uint32_t program_size;
  std::uint32_t flags;
  char version[32];  // libseccomp and architecture
  // Of this header, with 0 here, and the program: a write that a crash has cut short may have left the right size.
  std::uint64_t checksum;
};

constexpr std::uint32_t entry_magic = 0x34434553;  // "SEC4"

EntryHeader header_for(Bytes profile) {
  EntryHeader header{};
  header.magic = entry_magic;
  header.key_size = profile.size;
  char version[16];
  libseccomp_version(version, sizeof version);
  std::snprintf(header.version, sizeof header.version, "%s %08x", version, seccomp_arch_native());
  return header;
}

EntryHeader kept_header() {
  EntryHeader header{};
  header.magic = entry_magic;
  return header;
}

// FNV-1a: against accidents, not against adversaries, who cannot write here.
class Hash {
 public:
  void mix(const void* data, std::size_t size) {
    const auto* bytes = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < size; i++) value_ = (value_ ^ bytes[i]) * 0x100000001b3;
  }
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xcbf29ce484222325;
};

// Only a name: the key is compared byte for byte.
std::uint64_t name_of(const EntryHeader& header, Bytes profile) {
  Hash hash;
  hash.mix(header.version, sizeof header.version);
  hash.mix(profile.data, profile.size);
  return hash.value();
}

std::uint64_t checksum_of(EntryHeader header, const void* program) {
  header.checksum = 0;
  Hash hash;
  hash.mix(&header, sizeof header);
  hash.mix(program, header.program_size);
  return hash.value();
}

bool ours_alone(int fd, unsigned type, std::uint64_t& ret_size) {
  struct statx status {};
  if (sys::statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &status) < 0) return false;
  ret_size = status.stx_size;
  return (status.stx_mode & S_IFMT) == type && status.stx_uid == sys::geteuid() && (status.stx_mode & 0022) == 0;
}

bool read_entry(int directory, const char* name, const EntryHeader& wanted, Bytes profile, Filter& ret_filter) {
  const Fd file(sys::openat(directory, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  std::uint64_t size = 0;
  if (!file.valid() || !ours_alone(file.get(), S_IFREG, size) || size < sizeof(EntryHeader) || size > entry_limit) return false;
  char* content = static_cast<char*>(std::malloc(size));
  if (content == nullptr) return false;
  EntryHeader header{};
  bool good = sys::pread(file.get(), content, size, 0) == static_cast<long>(size);
  if (good) {
    std::memcpy(&header, content, sizeof header);
    good = header.magic == wanted.magic && header.key_size == wanted.key_size &&
           std::memcmp(header.version, wanted.version, sizeof header.version) == 0 &&
           sizeof header + std::uint64_t{header.key_size} + header.program_size == size &&
           std::memcmp(content + sizeof header, profile.data, profile.size) == 0 &&
           checksum_of(header, content + sizeof header + header.key_size) == header.checksum;
  }
  void* program = good ? std::malloc(header.program_size == 0 ? 1 : header.program_size) : nullptr;
  if (program != nullptr) {
    std::memcpy(program, content + sizeof header + header.key_size, header.program_size);
    ret_filter = Filter::adopt(program, header.program_size, header.flags);
  }
  std::free(content);
  return program != nullptr;
}

bool write_whole(int fd, const void* data, std::size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const long written = sys::write(fd, at, size);
    if (written <= 0) return false;
    at += written;
    size -= static_cast<std::size_t>(written);
  }
  return true;
}

// The cache is only ever an advantage: whatever fails here costs the next container some milliseconds and nothing else. The file has no name
// until it is whole, so that being killed leaves nothing of it.
void write_entry(int directory, const char* name, EntryHeader header, Bytes profile, const Filter& filter) {
  header.program_size = static_cast<std::uint32_t>(filter.size());
  header.flags = filter.flags();
  header.checksum = checksum_of(header, filter.data());
  const Fd file(sys::openat(directory, ".", O_WRONLY | O_TMPFILE | O_CLOEXEC, 0600));
  if (!file.valid() || !write_whole(file.get(), &header, sizeof header) || !write_whole(file.get(), profile.data, profile.size) ||
      !write_whole(file.get(), filter.data(), filter.size())) {
    return;
  }
  char unnamed[32];
  std::snprintf(unnamed, sizeof unnamed, "/proc/self/fd/%d", file.get());
  if (sys::linkat(AT_FDCWD, unnamed, directory, name, AT_SYMLINK_FOLLOW) != -EEXIST) return;
  // What is in the way is damaged, or as good as ours.
  (void)sys::unlinkat(directory, name, 0);
  (void)sys::linkat(AT_FDCWD, unnamed, directory, name, AT_SYMLINK_FOLLOW);
}

Result<Filter> cached_program(Bytes profile, const char* cache) {
  if (*cache == '\0') return compile(profile);
  (void)sys::mkdirat(AT_FDCWD, cache, 0700);
  const Fd directory(sys::openat(AT_FDCWD, cache, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  std::uint64_t size = 0;
  if (!directory.valid() || !ours_alone(directory.get(), S_IFDIR, size)) return compile(profile);
  const EntryHeader header = header_for(profile);
  char name[32];
  std::snprintf(name, sizeof name, "%016llx", static_cast<unsigned long long>(name_of(header, profile)));
  Filter cached;
  if (read_entry(directory.get(), name, header, profile, cached)) return cached;
  Result<Filter> compiled = compile(profile);
  if (!compiled.failed()) write_entry(directory.get(), name, header, profile, compiled.value());
  return compiled;
}

}  // namespace

Filter::Filter(Filter&& other) noexcept { *this = std::move(other); }

Filter& Filter::operator=(Filter&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(flags_, other.flags_);
  return *this;
}

Filter::~Filter() { std::free(data_); }

Filter Filter::adopt(void* memory, std::size_t size, std::uint32_t flags) {
  Filter filter;
  filter.data_ = memory;
  filter.size_ = size;
  filter.flags_ = flags;
  return filter;
}

Result<Filter> seccomp_program(Bytes profile, const char* cache) {
  Result<Filter> program = cached_program(profile, cache);
  if (program.failed() || program.value().flags() == 0) return program;
  const Status status = check_flags(program.value());
  return status.failed() ? Result<Filter>(status) : std::move(program);
}

// A kept program is an entry without a key.
Status keep_program(const char* path, const Filter& filter) {
  EntryHeader header = kept_header();
  header.program_size = static_cast<std::uint32_t>(filter.size());
  header.flags = filter.flags();
  header.checksum = checksum_of(header, filter.data());
  const Fd file(sys::openat(AT_FDCWD, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.valid()) return Status(-file.get(), "open", path);
  if (write_whole(file.get(), &header, sizeof header) && write_whole(file.get(), filter.data(), filter.size())) return {};
  return Status(EIO, "write", path);
}

Result<Filter> kept_program(const char* path) {
  constexpr std::uint8_t no_key = 0;
  Filter filter;
  if (read_entry(AT_FDCWD, path, kept_header(), {&no_key, 0}, filter)) return filter;
  return Status::with_detail("open", path, "is missing, damaged or not ours alone", EBADMSG);
}

void libseccomp_version(char* buffer, std::size_t size) {
  const scmp_version* version = seccomp_version();
  std::snprintf(buffer, size, "%u.%u.%u", version->major, version->minor, version->micro);
}

}  // namespace strata
