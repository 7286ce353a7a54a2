// A bounds-checked view of plan bytes, as `src/plan/encode.ts` writes them. Plan::open checks every length, terminator and code once; what
// reads an accepted plan afterwards needs no checks of its own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#include "error.hpp"

namespace strata {

// Every operation: name, code, name on the wire, fields. The twin of OPERATIONS in `src/plan/op.ts`; a test compares the two.
#define STRATA_OPERATIONS(X)                                                                                                 \
  X(cgroup_make, 1, "cgroup-make", "hierarchy:string,path:string,controllers:strings,others:strings,cpuset:bool")            \
  X(cgroup_write, 2, "cgroup-write", "path:string,value:string,optional:bool")                                               \
  X(cgroup_device_program, 3, "cgroup-device-program", "path:string,program:bytes,replace:bool")                             \
  X(seccomp_compile, 4, "seccomp-compile", "profile:bytes,cache:string,keep:string")                                         \
  X(clone, 5, "clone",                                                                                                       \
    "create:u32,join:strings,uidMap:string,gidMap:string,timeOffsets:string,cgroup:string,tasks:strings,"                    \
    "unprivileged:bool")                                                                                                     \
  X(enter, 6, "enter", "pid:u32,startTime:u64,namespaces:u32,chroot:bool,cgroup:string,tasks:strings")                       \
  X(cgroup_own, 8, "cgroup-own", "directory:string,files:strings,uid:u32")                                                   \
  X(rdt_make, 9, "rdt-make", "path:string,shared:bool")                                                                      \
  X(cpuset_check, 10, "cpuset-check", "path:string")                                                                         \
  X(cpuset_claim, 12, "cpuset-claim", "directory:string,cpus:string")                                                        \
  X(id_map_helper, 11, "id-map-helper", "program:string,args:strings")                                                       \
  X(host_bind, 19, "host-bind", "source:string,directory:string")                                                            \
  X(propagation, 20, "propagation", "propagation:u32")                                                                       \
  X(root_bind, 21, "root-bind", "path:string")                                                                               \
  X(root_overlay, 22, "root-overlay", "path:string,lower:strings,upper:string,work:string,options:strings,classic:string")   \
  X(mount, 23, "mount",                                                                                                      \
    "destination:string,type:string,source:string,options:strings,set:u64,clear:u64,recursiveSet:u64,recursiveClear:u64,"    \
    "propagation:u32,copyUp:bool,realDirectory:bool")                                                                        \
  X(bind, 24, "bind",                                                                                                        \
    "destination:string,source:string,recursive:bool,set:u64,clear:u64,recursiveSet:u64,recursiveClear:u64,propagation:u32," \
    "overProc:bool,realDirectory:bool,idmap:u32,uidMap:string,gidMap:string")                                                \
  X(remount, 25, "remount",                                                                                                  \
    "destination:string,set:u64,clear:u64,recursiveSet:u64,recursiveClear:u64,propagation:u32,"                              \
    "options:strings")                                                                                                       \
  X(directory, 26, "directory", "path:string,mode:u32")                                                                      \
  X(symlink, 27, "symlink", "path:string,target:string,ifExists:bool")                                                       \
  X(device, 28, "device", "path:string,type:string,major:u32,minor:u32,mode:u32,uid:u32,gid:u32,bind:bool")                  \
  X(console, 29, "console", "height:u32,width:u32,uid:u32,bind:bool")                                                        \
  X(runtime_hooks, 30, "runtime-hooks", "")                                                                                  \
  X(hook, 31, "hook", "kind:string,path:string,args:strings,env:strings,timeout:u32,stateBefore:string,stateAfter:string")   \
  X(mask, 32, "mask", "path:string")                                                                                         \
  X(readonly, 33, "readonly", "path:string")                                                                                 \
  X(sysctl, 34, "sysctl", "path:string,value:string")                                                                        \
  X(root_readonly, 35, "root-readonly", "")                                                                                  \
  X(pivot, 36, "pivot", "mode:u32,propagation:u32")                                                                          \
  X(hostname, 40, "hostname", "name:string")                                                                                 \
  X(domainname, 41, "domainname", "name:string")                                                                             \
  X(loopback_up, 42, "loopback-up", "")                                                                                      \
  X(keyring, 43, "keyring", "name:string")                                                                                   \
  X(oom_score_adj, 44, "oom-score-adj", "value:string")                                                                      \
  X(rlimit, 45, "rlimit", "resource:u32,name:string,soft:u64,hard:u64")                                                      \
  X(cwd, 46, "cwd", "path:string,last:bool")                                                                                 \
  X(executable, 47, "executable", "file:string,search:string")                                                               \
  X(no_new_privileges, 48, "no-new-privileges", "")                                                                          \
  X(seccomp_load, 49, "seccomp-load", "")                                                                                    \
  X(bounding, 50, "bounding", "bounding:u64")                                                                                \
  X(user, 51, "user", "uid:u32,gid:u32,groups:u32s,umask:u32")                                                               \
  X(capabilities, 52, "capabilities", "effective:u64,permitted:u64,inheritable:u64,ambient:u64")                             \
  X(personality, 53, "personality", "domain:u32")                                                                            \
  X(ready, 54, "ready", "")                                                                                                  \
  X(exec, 55, "exec", "args:strings,env:strings")                                                                            \
  X(home, 56, "home", "uid:u32")                                                                                             \
  X(cpu_affinity, 57, "cpu-affinity", "mask:u32s")                                                                           \
  X(scheduler, 58, "scheduler", "policy:u32,nice:u32,priority:u32,flags:u64,runtime:u64,deadline:u64,period:u64")            \
  X(io_priority, 59, "io-priority", "class:u32,priority:u32")                                                                \
  X(memory_policy, 60, "memory-policy", "mode:u32,nodes:string,mask:u32s")                                                   \
  X(apparmor_profile, 61, "apparmor-profile", "profile:string")                                                              \
  X(selinux_label, 62, "selinux-label", "attribute:string,label:string")                                                     \
  X(mount_label, 63, "mount-label", "label:string")                                                                          \
  X(net_device, 64, "net-device", "name:string,target:string")                                                               \
  X(stdio, 70, "stdio", "uid:u32")

enum class OpCode : std::uint32_t {
#define STRATA_ENUM(name, code, text, fields) name = code,
  STRATA_OPERATIONS(STRATA_ENUM)
#undef STRATA_ENUM
};

// Text inside the plan; a NUL stands behind it, so c_str() serves system calls.
struct Text {
  const char* data = "";
  std::uint32_t size = 0;

  [[nodiscard]] const char* c_str() const { return data; }
  [[nodiscard]] std::string_view view() const { return {data, size}; }
  [[nodiscard]] bool empty() const { return size == 0; }
};

struct Bytes {
  const std::uint8_t* data = nullptr;
  std::uint32_t size = 0;
};

// A cursor over bytes that Plan::open has accepted, or that it is about to check (then `failed` tells).
class Cursor {
 public:
  Cursor(const std::uint8_t* data, std::size_t size) : at_(data), end_(data + size) {}

  std::uint32_t u32() { return number<std::uint32_t>(); }
  std::uint64_t u64() { return number<std::uint64_t>(); }
  bool boolean() { return u32() != 0; }
  Text text();
  Bytes bytes();

  [[nodiscard]] bool failed() const { return failed_; }
  [[nodiscard]] bool at_end() const { return at_ == end_; }
  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end_ - at_); }
  void fail() { failed_ = true; }

 private:
  template <class Number>
  Number number() {
    Number value{};
    if (failed_ || left() < sizeof value) {
      failed_ = true;
      return 0;
    }
    std::memcpy(&value, at_, sizeof value);
    at_ += sizeof value;
    return value;
  }

  const std::uint8_t* at_;
  const std::uint8_t* end_;
  bool failed_ = false;
};

// A list of texts: `for (std::uint32_t i = 0; i < list.count; i++) list.next()`.
struct TextList {
  std::uint32_t count;
  Cursor cursor;
  Text next() { return cursor.text(); }
};

// Reads the fields of one operation, in the order of the table.
class Fields {
 public:
  Fields(const std::uint8_t* data, std::size_t size) : cursor_(data, size) {}
  std::uint32_t u32() { return cursor_.u32(); }
  std::uint64_t u64() { return cursor_.u64(); }
  bool boolean() { return cursor_.boolean(); }
  Text text() { return cursor_.text(); }
  Bytes bytes() { return cursor_.bytes(); }
  TextList texts();
  // `count` numbers, not aligned.
  struct Numbers {
    std::uint32_t count;
    Cursor cursor;
    std::uint32_t next() { return cursor.u32(); }
  };
  Numbers u32s();

 private:
  Cursor cursor_;
};

struct Op {
  OpCode code;
  const std::uint8_t* data;
  std::uint32_t size;
  [[nodiscard]] Fields fields() const { return {data, size}; }
};

class Plan {
 public:
  // Fails with EBADMSG on bytes that are not a plan of this version.
  static Result<Plan> open(const std::uint8_t* data, std::size_t size);

  [[nodiscard]] std::uint32_t count() const { return count_; }

  // Walks the operations in order.
  class Iterator {
   public:
    explicit Iterator(const Plan& plan) : cursor_(plan.first_, plan.size_), count_(plan.count_) {}
    [[nodiscard]] bool done() const { return index_ == count_; }
    [[nodiscard]] std::uint32_t index() const { return index_; }
    Op next();

   private:
    Cursor cursor_;
    std::uint32_t count_;
    std::uint32_t index_ = 0;
  };

 private:
  const std::uint8_t* first_ = nullptr;
  std::size_t size_ = 0;
  std::uint32_t count_ = 0;
};

constexpr std::uint32_t plan_magic = 0x41525453;  // "STRA"
constexpr std::uint32_t plan_version = 1;

// The wire name of an operation, "" for an unknown code.
const char* op_name(OpCode code);

// One line for each operation, `code name fields`, as `wireTable()` of encode.ts prints it. Returns the length; `buffer` is cut if too small.
std::size_t wire_table(char* buffer, std::size_t size);

}  // namespace strata
