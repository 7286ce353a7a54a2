#include "cgroup.hpp"

#include <fcntl.h>
#include <cerrno>
#include <cstdio>

#include <linux/bpf.h>

#include "fd.hpp"

namespace strata {
namespace {

constexpr std::size_t path_limit = 4096;
constexpr std::size_t file_limit = path_limit + 64;  // a file in such a directory

Status read_small(const char* directory, const char* name, char* buffer, std::size_t size, std::size_t& ret_length) {
  char path[file_limit];
  std::snprintf(path, sizeof path, "%s/%s", directory, name);
  const Fd file(sys::openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC));
  if (!file.valid()) return {-file.get(), "open", path};
  const long length = sys::read(file.get(), buffer, size);
  if (length < 0) return {static_cast<int>(-length), "read", path};
  ret_length = static_cast<std::size_t>(length);
  return {};
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

// v2: a controller works in a cgroup only when its parent says so.
Status enable_controllers(const char* parent, TextList controllers) {
  char path[file_limit];
  std::snprintf(path, sizeof path, "%s/cgroup.subtree_control", parent);
  for (std::uint32_t i = 0; i < controllers.count; i++) {
    const Text name = controllers.next();
    char value[256];
    const int length = std::snprintf(value, sizeof value, "+%s", name.c_str());
    if (length >= static_cast<int>(sizeof value)) return {EINVAL, "write", path};
    STRATA_TRY(write_file(path, {value, static_cast<std::size_t>(length)}));
  }
  return {};
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

    if (controllers.count > 0) STRATA_TRY(enable_controllers(parent, controllers));
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

Status op_cgroup_device_program(Fields fields) {
  const Text path = fields.text();
  const Bytes program = fields.bytes();
  const Fd directory(sys::openat(AT_FDCWD, path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) return {-directory.get(), "open", path.view()};

  static const char license[] = "Apache-2.0";
  char log[1024] = {};
  union bpf_attr load {};
  load.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE;
  load.insns = reinterpret_cast<std::uint64_t>(program.data);
  load.insn_cnt = static_cast<std::uint32_t>(program.size / sizeof(bpf_insn));
  load.license = reinterpret_cast<std::uint64_t>(license);
  int loaded = sys::bpf(BPF_PROG_LOAD, &load, sizeof load);
  if (loaded < 0) {
    // Once more with the verifier's log, for its reason.
    load.log_buf = reinterpret_cast<std::uint64_t>(log);
    load.log_size = sizeof log;
    load.log_level = 1;
    const int again = sys::bpf(BPF_PROG_LOAD, &load, sizeof load);
    if (again < 0) return Status::with_detail("bpf", path.view(), log, -loaded);
    loaded = again;
  }
  const Fd attached(loaded);
  union bpf_attr attach {};
  attach.target_fd = static_cast<std::uint32_t>(directory.get());
  attach.attach_bpf_fd = static_cast<std::uint32_t>(attached.get());
  attach.attach_type = BPF_CGROUP_DEVICE;
  attach.attach_flags = BPF_F_ALLOW_MULTI;
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

}  // namespace strata
