// What the runtime reads of the machine: texts of others, /proc, cgroups, descriptors that somebody sends.
#include <algorithm>
#include <cstring>

#include "core/host/cgroup.hpp"
#include "core/host/command.hpp"
#include "core/host/event.hpp"
#include "core/host/file.hpp"
#include "core/host/notify.hpp"
#include "core/host/process.hpp"
#include "core/host/socket.hpp"
#include "core/host/utf8.hpp"
#include "kernel.hpp"

namespace {

using namespace strata;
using fuzz::kernel;
using fuzz::require;
using Data = std::vector<std::uint8_t>;

// By the value of each character instead of by its bytes.
bool is_utf8(const Data& text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::uint8_t lead = text[at++];
    if (lead < 0x80) continue;
    int more = 0;
    if (lead >= 0xc0 && lead < 0xe0) more = 1;
    if (lead >= 0xe0 && lead < 0xf0) more = 2;
    if (lead >= 0xf0 && lead < 0xf8) more = 3;
    if (more == 0) return false;
    constexpr std::uint32_t smallest[] = {0, 0x80, 0x800, 0x10000};
    std::uint32_t value = lead & (0x3fU >> more);
    for (int i = 0; i < more; i++) {
      if (at == text.size() || (text[at] & 0xc0) != 0x80) return false;
      value = value << 6 | (text[at++] & 0x3fU);
    }
    if (value < smallest[more] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000)) return false;
  }
  return true;
}

void texts(const Data& input) {
  const std::string_view all(reinterpret_cast<const char*>(input.data()), input.size());
  require(host::is_utf8(all) == is_utf8(input), "UTF-8 is judged wrongly");
  const std::string decoded = host::as_utf8(all);
  require(is_utf8({decoded.begin(), decoded.end()}) && (decoded == all) == is_utf8(input), "what is no UTF-8 stays so, or what is does not");
  kernel.provide("/file", input);
  Result<std::string> text = host::read_text("/file", 64);
  if (!text.failed()) require(text.value().size() <= 64 && is_utf8({text.value().begin(), text.value().end()}), "a text was read that is none");
}

// A line of the kernel's with any program name: what stands in it is found.
void process_line(const Data& input) {
  if (input.size() < 12) return;
  std::uint64_t start = 0;
  std::int32_t exit_status = 0;
  std::memcpy(&start, input.data(), sizeof start);
  std::memcpy(&exit_status, input.data() + sizeof start, 3);
  const char state = "RSDZTtXxKWP"[input[11] % 11];
  std::string line = "77 (" + std::string(input.begin() + 12, input.end()) + ") " + state;
  for (int field = 4; field <= 52; field++) {
    line += ' ';
    line += field == 22 ? std::to_string(start) : field == 52 ? std::to_string(exit_status) : std::to_string(field % 3 - 1);
  }
  line += '\n';
  kernel.provide("/proc/77/stat", {line.begin(), line.end()});
  Result<std::optional<host::ProcessStat>> stat = host::process_stat(77);
  require(!stat.failed() && stat.value().has_value(), "a process's line is refused");
  require(stat.value()->state == state && stat.value()->start_time == start && stat.value()->exit_status == exit_status,
          "a process's line is misread");
}

void process_text(const Data& input) {
  kernel.provide("/proc/77/stat", input);
  (void)host::process_stat(77);
  kernel.provide("/proc/self/fdinfo/1000", input);
  const Fd pidfd(kernel.open(fuzz::Kernel::Kind::process, ""));
  (void)host::exit_status(pidfd.get());
}

void cgroups(const Data& input) {
  kernel.provide("cgroup.procs", input);
  (void)host::signal_cgroup({"/sys/fs/cgroup/a"}, 9);
  const std::string path(input.begin(), input.end());
  (void)host::remove_cgroups({{"/sys/fs/cgroup", path}}, 5);
  for (const int version : {1, 2}) {
    Result<Fd> memory = host::watch_memory("/sys/fs/cgroup/a", version);
    if (!memory.failed()) (void)host::wait_event(-1, memory.value().get(), version, -1, 5);
  }
}

void files(const Data& input) {
  const std::string path(input.begin(), input.end());
  (void)host::list_directory(path);
  (void)host::real_path(path);
  (void)host::working_directory();
  (void)host::file_status(path);
  (void)host::device_status(path);
  (void)host::make_directory_like(path, path);
  (void)host::set_label(path, path);
  (void)host::make_directories(path, 0700);
  (void)host::create_file(path, path, 0600);
  (void)host::replace_file(path, path, 0600);
  (void)host::listen_socket(path);
  (void)host::connect_socket(path);
  (void)host::bind_notify(3, path);
  (void)host::connect_notify(path);
}

void notices() {
  (void)host::await_ready(3, 4);
  (void)host::tell_ready(3, "READY=1", 1);
}

void descriptors() {
  Result<Fd> received = host::receive_descriptor(3);
  require(kernel.open_descriptors() == (received.failed() ? 0 : 1), "a descriptor that was sent is left open");
}

void packets() {
  Result<std::optional<host::Packet>> packet = host::exchange_packet(3, "x", 1);
  const bool brought = !packet.failed() && packet.value() && packet.value()->descriptor.valid();
  require(kernel.open_descriptors() == (brought ? 1 : 0), "a descriptor that came with a packet is left open");
}

void command(const Data& input) {
  const std::string text(input.begin(), input.end());
  (void)host::run_command({text, {text, "x"}, {"A=" + text}, text, 50});
}

}  // namespace

// The first byte chooses, the second tells how many of the bytes behind it are the kernel's answers.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return -1;
  const std::size_t answers = std::min<std::size_t>(data[1], size - 2);
  const Data input(data + 2 + answers, data + size);
  // Those that compare the result want a kernel that does what it is asked.
  const bool compares = data[0] % 7 < 2;
  kernel.begin(data + 2, compares ? 0 : answers, "G");
  switch (data[0] % 7) {
    case 0: texts(input); break;
    case 1: process_line(input); break;
    case 2: process_text(input); break;
    case 3: cgroups(input); break;
    case 4: files(input); break;
    case 5:
      descriptors();
      packets();
      notices();
      break;
    default: command(input);
  }
  require(kernel.open_descriptors() == 0, "a descriptor is left open");
  kernel.end();
  return 0;
}
