#include "cgroup.hpp"

#include <fcntl.h>
#include <cerrno>
#include <cstdio>
#include <string>
#include <vector>

#include <linux/bpf.h>

#include "fd.hpp"
#include "host/file.hpp"
#include "text.hpp"

namespace strata {
namespace {

constexpr std::size_t path_limit = 4096;
constexpr std::size_t file_limit = path_limit + 64;  // a file in such a directory

Status read_file(const char* path, char* buffer, std::size_t size, std::size_t& ret_length) {
  const Fd file(sys::openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return {-file.get(), "open", path};
  const long length = sys::read(file.get(), buffer, size);
  if (length < 0) return {static_cast<int>(-length), "read", path};
  ret_length = static_cast<std::size_t>(length);
  return {};
}

Status read_small(const char* directory, const char* name, char* buffer, std::size_t size, std::size_t& ret_length) {
  char path[file_limit];
  std::snprintf(path, sizeof path, "%s/%s", directory, name);
  return read_file(path, buffer, size, ret_length);
}

Status write_file(const char* path, std::string_view value) {
  const Fd file(sys::openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC));
  if (!file.valid()) return {-file.get(), "open", path};
  const long written = sys::write(file.get(), value.data(), value.size());
  return written < 0 ? Status(static_cast<int>(-written), "write", path) : Status();
}

// A new v1 cpuset has no cpus and no memory nodes, and refuses tasks until it has both.
Status inherit_cpuset(const char* parent, const char* child) {
  for (const char* name : {"cpuset.cpus", "cpuset.mems"}) {
    char value[4096];
    std::size_t length = 0;
    STRATA_TRY(read_small(child, name, value, sizeof value, length));
    if (length > 1) continue;
    STRATA_TRY(read_small(parent, name, value, sizeof value, length));
    char path[file_limit];
    std::snprintf(path, sizeof path, "%s/%s", child, name);
    STRATA_TRY(write_file(path, {value, length}));
  }
  return {};
}

// Is `name` one of the words of `text`?
bool has_word(std::string_view text, std::string_view name) {
  for (std::size_t at = text.find(name); at != std::string_view::npos; at = text.find(name, at + 1)) {
    const bool begins = at == 0 || text[at - 1] == ' ';
    const char after = at + name.size() < text.size() ? text[at + name.size()] : ' ';
    if (begins && (after == ' ' || after == '\n')) return true;
  }
  return false;
}

// What the kernel's errno means here (cgroup-v2, Threads and No Internal Process Constraint).
const char* why_not_enabled(int error) {
  switch (error) {
    case EBUSY: return "the cgroup has processes of its own";
    case EOPNOTSUPP: return "the cgroup is threaded, or below one that is";
    case ENOENT: return "the cgroup above it does not hand all of them down";
    default: return "";
  }
}

// Controllers as `cgroup.subtree_control` takes them, `+cpu +io`.
struct Request {
  char text[1024] = {};
  std::size_t size = 0;

  // Adds those that are not among the words of `enabled`. False: they are too many, or one has a name that none can have.
  bool add(TextList controllers, std::string_view enabled) {
    for (std::uint32_t i = 0; i < controllers.count; i++) {
      const Text name = controllers.next();
      if (name.size > 255) return false;
      if (has_word(enabled, name.view())) continue;
      const int length = std::snprintf(text + size, sizeof text - size, size == 0 ? "+%s" : " +%s", name.c_str());
      if (length < 0 || static_cast<std::size_t>(length) >= sizeof text - size) return false;
      size += static_cast<std::size_t>(length);
    }
    return true;
  }
};

// v2: a controller works in a cgroup only when its parent says so. All in one write, which changes nothing if it fails; then only those that do not
// work already, for which no permission is needed; then `others` one by one: the CPU controller, say, is not to be had where real-time processes run.
// A cgroup with processes of its own (EBUSY) would hand some down still, but become threaded by that, and be no place for a container below.
Status enable_controllers(const char* parent, TextList controllers, TextList others) {
  char path[file_limit];
  std::snprintf(path, sizeof path, "%s/cgroup.subtree_control", parent);
  Request all;
  if (!all.add(controllers, {}) || !all.add(others, {})) return {EINVAL, "write", path};
  Status status = write_file(path, {all.text, all.size});
  if (!status.failed()) return {};
  const bool busy = status.error() == EBUSY;
  char enabled[1024];
  std::size_t length = 0;
  STRATA_TRY(read_small(parent, "cgroup.subtree_control", enabled, sizeof enabled, length));
  Request needed;
  (void)needed.add(controllers, {enabled, length});
  if (needed.size == 0) {
    status = {};
  } else if (!busy) {
    status = write_file(path, {needed.text, needed.size});
  }
  for (std::uint32_t i = 0; i < others.count && !busy && !status.failed(); i++) {
    Request one;
    const Text name = others.next();
    one.size = static_cast<std::size_t>(std::snprintf(one.text, sizeof one.text, "+%s", name.c_str()));
    if (!has_word({enabled, length}, name.view())) (void)write_file(path, {one.text, one.size});
  }
  const char* why = why_not_enabled(status.error());
  if (!status.failed() || *why == '\0') return status;
  char detail[256];
  std::snprintf(detail, sizeof detail, "it cannot hand down %.150s: %s", needed.text, why);
  return Status::with_detail("write", path, detail, status.error());
}

// A cgroup that was there before us must not hold anybody else's processes.
Status refuse_populated(const char* directory) {
  char first[16];
  std::size_t length = 0;
  STRATA_TRY(read_small(directory, "cgroup.procs", first, sizeof first, length));
  return length == 0 ? Status() : Status::with_detail("mkdir", directory, "the container's cgroup exists and has processes in it", EEXIST);
}

Status make_once(Fields fields) {
  const Text hierarchy = fields.text();
  const Text path = fields.text();
  const TextList controllers = fields.texts();
  const TextList others = fields.texts();
  const bool cpuset = fields.boolean();
  if (hierarchy.size + path.size + 64 > path_limit) return {ENAMETOOLONG, "mkdir", path.view()};

  char current[path_limit];
  char parent[path_limit];
  std::memcpy(current, hierarchy.c_str(), hierarchy.size + 1);
  std::size_t size = hierarchy.size;
  const char* at = path.c_str();
  for (;;) {
    while (*at == '/') at++;
    if (*at == '\0') return {};
    const char* end = at;
    while (*end != '\0' && *end != '/') end++;
    std::memcpy(parent, current, size + 1);
    current[size++] = '/';
    std::memcpy(current + size, at, static_cast<std::size_t>(end - at));
    size += static_cast<std::size_t>(end - at);
    current[size] = '\0';
    const char* rest = end;
    while (*rest == '/') rest++;
    const bool last = *rest == '\0';

    if (controllers.count + others.count > 0) STRATA_TRY(enable_controllers(parent, controllers, others));
    const int made = sys::mkdirat(AT_FDCWD, current, 0755);
    if (made == 0 && !last) {
      // The container's own cgroup stands in its state; of the parents only this mark tells that they are ours to take back. Only the machine's root
      // can set it: for others the state has the uppermost one.
      if (const int marked = sys::setxattr(current, cgroup_mark, "1", 1, 0); marked < 0 && marked != -EOPNOTSUPP && marked != -EPERM) {
        return {-marked, "setxattr", current};
      }
    } else if (made < 0 && made != -EEXIST) {
      return {-made, "mkdir", current};
    } else if (made < 0 && last) {
      STRATA_TRY(refuse_populated(current));
    }
    if (cpuset) STRATA_TRY(inherit_cpuset(parent, current));
    at = end;
  }
}

}  // namespace

Status op_cgroup_make(Fields fields) {
  constexpr int patience = 100;
  // Another container's removal may take an empty parent from under us, between any two steps: then begin again.
  for (int attempt = 0;; attempt++) {
    const Status status = make_once(fields);
    if (status.error() != ENOENT || attempt == patience) return status;
  }
}

Status op_cgroup_write(OpenCgroupFile& open, Fields fields) {
  const Text path = fields.text();
  const Text value = fields.text();
  const bool optional = fields.boolean();
  if (!open.file.valid() || open.path.view() != path.view()) {
    open.path = path;
    open.file = Fd(sys::openat(AT_FDCWD, path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!open.file.valid()) return optional && open.file.get() == -ENOENT ? Status() : Status(-open.file.get(), "open", path.view());
  }
  const long written = sys::write(open.file.get(), value.c_str(), value.size);
  return written < 0 ? Status(static_cast<int>(-written), "write", path.view()) : Status();
}

namespace {

// By this name a program is known for ours.
constexpr char program_name[] = "strata_devices";

// The verifier gives up (EAGAIN) when a signal waits for us.
int load_program(union bpf_attr& load) {
  constexpr int most = 5;  // as libbpf
  for (int attempt = 1;; attempt++) {
    const int result = sys::bpf(BPF_PROG_LOAD, &load, sizeof load);
    if (result != -EAGAIN || attempt == most) return result;
  }
}

// Our program on the cgroup; an invalid descriptor if there is none.
Result<Fd> attached_program(int directory, std::string_view path) {
  constexpr std::uint32_t most = 64;  // as many as the kernel attaches to one cgroup
  std::uint32_t ids[most] = {};
  union bpf_attr query {};
  query.query.target_fd = static_cast<std::uint32_t>(directory);
  query.query.attach_type = BPF_CGROUP_DEVICE;
  query.query.prog_ids = reinterpret_cast<std::uint64_t>(ids);
  query.query.prog_cnt = most;
  if (const int result = sys::bpf(BPF_PROG_QUERY, &query, sizeof query); result < 0) return Status(-result, "bpf", path);
  for (std::uint32_t i = 0; i < query.query.prog_cnt && i < most; i++) {
    union bpf_attr get {};
    get.prog_id = ids[i];
    Fd program(sys::bpf(BPF_PROG_GET_FD_BY_ID, &get, sizeof get));
    if (!program.valid()) continue;  // gone meanwhile
    bpf_prog_info info{};
    union bpf_attr ask {};
    ask.info.bpf_fd = static_cast<std::uint32_t>(program.get());
    ask.info.info_len = sizeof info;
    ask.info.info = reinterpret_cast<std::uint64_t>(&info);
    if (sys::bpf(BPF_OBJ_GET_INFO_BY_FD, &ask, sizeof ask) < 0) continue;
    if (std::memcmp(info.name, program_name, sizeof program_name) == 0) return program;
  }
  return Fd();
}

}  // namespace

Status op_cgroup_device_program(Fields fields) {
  const Text path = fields.text();
  const Bytes program = fields.bytes();
  const bool replace = fields.boolean();
  const Fd directory(sys::openat(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return {-directory.get(), "open", path.view()};

  static const char license[] = "Apache-2.0";
  char log[1024] = {};
  union bpf_attr load {};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<std::uint64_t>(program.data);
  load.insn_cnt = static_cast<std::uint32_t>(program.size / sizeof(bpf_insn));
  load.license = reinterpret_cast<std::uint64_t>(license);
  std::memcpy(load.prog_name, program_name, sizeof program_name);
  int loaded = load_program(load);
  // The verifier follows some thousands of jumps in a row; older kernels (6.1) say EFAULT then.
  if (loaded == -E2BIG || loaded == -EFAULT)
    return Status::with_detail("bpf", path.view(), "the kernel takes some thousands of rules, and these are more", E2BIG);
  if (loaded < 0) {
    // Once more with the verifier's log, for its reason.
    load.log_buf = reinterpret_cast<std::uint64_t>(log);
    load.log_size = sizeof log;
    load.log_level = 1;
    const int again = load_program(load);
    if (again < 0) return Status::with_detail("bpf", path.view(), log, -loaded);
    loaded = again;
  }
  const Fd attached(loaded);
  Fd former;
  if (replace) {
    Result<Fd> found = attached_program(directory.get(), path.view());
    if (found.failed()) return found.status();
    former = std::move(found.value());
    if (!former.valid()) return Status::with_detail("bpf", path.view(), "the container's program is not there any more", ENOENT);
  }
  union bpf_attr attach {};
  attach.target_fd = static_cast<std::uint32_t>(directory.get());
  attach.attach_bpf_fd = static_cast<std::uint32_t>(attached.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
  if (replace) {
    // In one step: there is no moment without rules, and none with both.
    attach.attach_flags |= BPF_F_REPLACE;
    attach.replace_bpf_fd = static_cast<std::uint32_t>(former.get());
  }
  const int result = sys::bpf(BPF_PROG_ATTACH, &attach, sizeof attach);
  return result < 0 ? Status(-result, "bpf", path.view()) : Status();
}

Status op_cgroup_own(Fields fields) {
  constexpr unsigned unchanged = ~0U;
  const Text path = fields.text();
  TextList files = fields.texts();
  const unsigned uid = fields.u32();
  const Fd directory(sys::openat(AT_FDCWD, path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return {-directory.get(), "open", path.view()};
  if (const int result = sys::fchownat(directory.get(), "", uid, unchanged, AT_EMPTY_PATH); result < 0) return {-result, "fchown", path.view()};
  for (std::uint32_t i = 0; i < files.count; i++) {
    const int result = sys::fchownat(directory.get(), files.next().c_str(), uid, unchanged, AT_SYMLINK_NOFOLLOW);
    // Not every cgroup has every file that the kernel lists.
    if (result < 0 && result != -ENOENT) return {-result, "fchown", path.view()};
  }
  return {};
}

Status op_rdt_make(Fields fields) {
  const Text path = fields.text();
  const bool shared = fields.boolean();
  const int result = sys::mkdirat(AT_FDCWD, path.c_str(), 0755);
  return result < 0 && !(shared && result == -EEXIST) ? Status(-result, "mkdir", path.view()) : Status();
}

namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::uint32_t take_number(std::string_view& text) {
  std::uint32_t number = 0;
  for (; !text.empty() && is_digit(text.front()); text = tail(text, 1)) number = number * 10 + static_cast<std::uint32_t>(text.front() - '0');
  return number;
}

struct Range {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};

// The next range of a list as the kernel takes it, `0-3,7`; one with a stride (`0-7:1/2`) counts whole. False: there is none.
bool take_range(std::string_view& list, Range& ret_range) {
  while (!list.empty() && !is_digit(list.front())) list = tail(list, 1);
  if (list.empty()) return false;
  ret_range.first = take_number(list);
  ret_range.last = ret_range.first;
  if (!list.empty() && list.front() == '-') {
    list = tail(list, 1);
    ret_range.last = take_number(list);
  }
  while (!list.empty() && list.front() != ',') list = tail(list, 1);
  return true;
}

// Have two lists a number in common?
bool overlap(std::string_view left, std::string_view right) {
  for (Range one; take_range(left, one);) {
    std::string_view rest = right;
    for (Range other; take_range(rest, other);) {
      if (one.first <= other.last && other.first <= one.last) return true;
    }
  }
  return false;
}

bool contains(std::string_view list, std::uint32_t number) {
  for (Range range; take_range(list, range);) {
    if (range.first <= number && number <= range.last) return true;
  }
  return false;
}

// Is everything of `part` in `whole`?
bool within(std::string_view part, std::string_view whole) {
  for (Range range; take_range(part, range);) {
    for (std::uint32_t number = range.first; number <= range.last; number++) {
      if (!contains(whole, number)) return false;
    }
  }
  return true;
}

std::string_view without_newline(const char* text, std::size_t size) { return {text, size > 0 && text[size - 1] == '\n' ? size - 1 : size}; }

bool ends_with(std::string_view text, std::string_view end) { return text.size() >= end.size() && tail(text, text.size() - end.size()) == end; }

constexpr std::size_t list_limit = 4096;

// Where the cgroup above has none of what a list asks for, the kernel gives all that it has.
Status check_list(const Text& path) {
  char asked[list_limit];
  char granted[list_limit];
  std::size_t asked_size = 0;
  std::size_t granted_size = 0;
  STRATA_TRY(read_file(path.c_str(), asked, sizeof asked, asked_size));
  char file[file_limit];
  std::snprintf(file, sizeof file, "%s.effective", path.c_str());
  STRATA_TRY(read_file(file, granted, sizeof granted, granted_size));
  const std::string_view wish = without_newline(asked, asked_size);
  const std::string_view fact = without_newline(granted, granted_size);
  if (wish.empty() || overlap(wish, fact)) return {};
  TextBuilder<256> detail;
  detail.add("of ").add(head(wish, 80)).add(" the cgroup above has none");
  if (!fact.empty()) detail.add(", only ").add(head(fact, 80));
  return Status::with_detail("read", path.view(), detail.view());
}

// The kernel takes any kind of partition, and says afterwards that it is `root invalid (Parent is not a partition root)`.
Status check_partition(const char* path) {
  char state[256];
  std::size_t size = 0;
  const Status status = read_file(path, state, sizeof state, size);
  if (status.failed()) return status.error() == ENOENT ? Status() : status;  // from Linux 5.2 on there are partitions
  const std::string_view text = without_newline(state, size);
  if (text.find("invalid") == std::string_view::npos) return {};
  TextBuilder<256> detail;
  detail.add("the partition is ").add(text);
  return Status::with_detail("read", path, detail.view());
}

}  // namespace

// The kernel would make the other's partition invalid for it (6.1), or not give these CPUs. What a partition has, the cgroup above has no more, so
// mostly one file tells.
Status op_cpuset_claim(Fields fields) {
  const std::string directory = fields.text().c_str();
  const Text cpus = fields.text();
  const std::size_t slash = directory.rfind('/');
  const std::string parent = directory.substr(0, slash);
  char text[list_limit];
  std::size_t size = 0;
  if (const Status status = read_small(parent.c_str(), "cpuset.cpus.effective", text, sizeof text, size); status.failed()) {
    return status.error() == ENOENT ? Status() : status;
  }
  if (within(cpus.view(), without_newline(text, size))) return {};
  Result<std::vector<std::string>> names = host::list_directory(parent);
  if (names.failed()) return names.status();
  for (const std::string& name : names.value()) {
    const std::string other = parent + "/" + name;
    if (other == directory || read_small(other.c_str(), "cpuset.cpus.partition", text, sizeof text, size).failed()) continue;
    const std::string_view state = without_newline(text, size);
    if (state == "member" || state.find("invalid") != std::string_view::npos) continue;
    if (read_small(other.c_str(), "cpuset.cpus", text, sizeof text, size).failed() || !overlap(cpus.view(), without_newline(text, size))) continue;
    TextBuilder<256> detail;
    detail.add("it is a partition, with the CPUs ").add(head(without_newline(text, size), 80)).add(" to itself");
    return Status::with_detail("read", other, detail.view());
  }
  return {};
}

Status op_cpuset_check(Fields fields) {
  const Text path = fields.text();
  if (ends_with(path.view(), ".partition")) return check_partition(path.c_str());
  STRATA_TRY(check_list(path));
  if (!ends_with(path.view(), "cpuset.cpus")) return {};
  char partition[file_limit];
  std::snprintf(partition, sizeof partition, "%s.partition", path.c_str());
  return check_partition(partition);
}

bool lacks_cpus(const char* directory) {
  char text[list_limit];
  std::size_t size = 0;
  return !read_small(directory, "cpuset.cpus.effective", text, sizeof text, size).failed() && without_newline(text, size).empty();
}

}  // namespace strata
