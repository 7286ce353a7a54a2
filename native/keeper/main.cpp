// strata-keeper: stays with a container in the background for as long as that runs. It has no heap, no threads and no configuration; in the static
// command it is the parent of the container's process.
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>

#include <asm/ioctls.h>

#include "../core/attach.hpp"
#include "../core/pidfd.hpp"
#include "clients.hpp"
#include "clock.hpp"
#include "log.hpp"
#include "memory.hpp"
#include "orders.hpp"

extern char** environ;

namespace {

using namespace strata;
using namespace strata::keeper;

constexpr int wait_by_pidfd = 3;
constexpr int unknown = -1;
// After all slaves of the terminal were closed: how long until it is looked at again, milliseconds.
constexpr int quiet_time = 50;
// More than the kernel keeps of a terminal's output, in bytes.
constexpr long terminal_capacity = 256 * 1024;
// How often, and how long apart in milliseconds, the kernel is asked for the status of a process whose parent has yet to reap it.
constexpr int status_attempts = 100;
constexpr int status_interval = 10;

void set_nonblocking(const Fd& descriptor) {
  if (descriptor.valid()) (void)sys::fcntl(descriptor.get(), F_SETFL, sys::fcntl(descriptor.get(), F_GETFL) | O_NONBLOCK);
}

// What we open must not take the numbers of standard descriptors that are closed.
void fill_standard_descriptors() {
  for (int standard = 0; standard < 3; standard++) {
    if (sys::fcntl(standard, F_GETFD) < 0) (void)sys::openat(AT_FDCWD, "/dev/null", O_RDWR);
  }
}

// From here on nothing ties us to whoever started us: no terminal, no working directory, no descriptor, no signal but SIGKILL.
void stand_alone(const Orders& orders) {
  (void)sys::setsid();
  (void)sys::chdir("/");
  (void)sys::prctl(PR_SET_NAME, reinterpret_cast<unsigned long>("strata-keeper"));
  const Fd null(sys::openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC));
  for (int standard = 0; standard < 3 && null.valid(); standard++) (void)sys::dup3(null.get(), standard, 0);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  for (const int signal : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1, SIGUSR2, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU}) {
    (void)sys::signal_action(signal, &ignore, nullptr);
  }
  (void)sys::set_signal_mask(0, nullptr);
  for (const Fd* descriptor : {&orders.master, &orders.input, &orders.output, &orders.errors, &orders.listener}) set_nonblocking(*descriptor);
}

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const long count = sys::write(descriptor, text.data(), text.size());
    if (count == -EINTR) continue;
    if (count <= 0) return false;
    text = tail(text, static_cast<std::size_t>(count));
  }
  return true;
}

// The container's output, from its terminal or its pipes, on its way to the log and to those who are attached.
class Output {
 public:
  Output(Orders& orders, Clients& clients, Log& log) : orders_(orders), clients_(clients), log_(log) {
    if (orders_.master.valid()) open_slave();
  }

  static constexpr std::size_t poll_count = 2;
  // Returns for how many milliseconds to wait, -1 for ever.
  int prepare(pollfd* polled, bool has_input) const {
    const bool held_up = clients_.hold_up();
    if (orders_.master.valid()) {
      const bool quiet = sys::monotonic_ms() < quiet_until_;
      const short events = static_cast<short>((held_up ? 0 : POLLIN) | (has_input ? POLLOUT : 0));
      polled[0] = {events == 0 || quiet ? -1 : orders_.master.get(), events, 0};
      polled[1] = {-1, 0, 0};
      if (quiet) return quiet_time;
    } else {
      polled[0] = {held_up ? -1 : orders_.output.get(), POLLIN, 0};
      polled[1] = {held_up ? -1 : orders_.errors.get(), POLLIN, 0};
    }
    return held_up ? Clients::patience : -1;
  }

  void handle(const pollfd* polled) {
    if (orders_.master.valid()) {
      if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) (void)copy(orders_.master, Log::output);
      return;
    }
    if (polled[0].revents != 0) (void)copy(orders_.output, Log::output);
    if (polled[1].revents != 0) (void)copy(orders_.errors, Log::errors);
  }

  // All that is there still, after the program's end; not what those write who have been given the other end and live on.
  void drain() {
    drain(orders_.master, Log::output);
    drain(orders_.output, Log::output);
    drain(orders_.errors, Log::errors);
  }

 private:
  void drain(Fd& from, Log::Stream stream) {
    const long capacity = from.valid() ? std::max<long>(sys::fcntl(from.get(), F_GETPIPE_SZ), terminal_capacity) : 0;
    const std::int64_t end = taken_ + capacity;
    while (from.valid() && taken_ < end && copy(from, stream)) clients_.settle();
  }

  // False if there is nothing more for now. A pipe that has ended is closed.
  bool copy(Fd& from, Log::Stream stream) {
    char frame[attach::header_size + attach::largest];
    const long count = sys::read(from.get(), frame + attach::header_size, attach::largest);
    if (count > 0) {
      const auto size = static_cast<std::size_t>(count);
      taken_ += count;
      log_.add(stream, {frame + attach::header_size, size});
      clients_.send(stream == Log::output ? attach::output : attach::errors, frame, size);
      return true;
    }
    if (count == -EINTR) return true;
    if (count == -EAGAIN) return false;
    if (orders_.master.valid()) {
      // All slaves were closed, ours too: an init system hangs its terminal up and opens it anew.
      open_slave();
      quiet_until_ = sys::monotonic_ms() + quiet_time;
    } else {
      from.reset();
    }
    return false;
  }

  // While one is open, the master does not end when the container's last slave closes.
  void open_slave() {
    slave_.reset();
    const int slave = sys::ioctl(orders_.master.get(), TIOCGPTPEER, static_cast<unsigned long>(O_RDWR | O_NOCTTY | O_CLOEXEC));
    if (slave >= 0) slave_ = Fd(slave);
  }

  Orders& orders_;
  Clients& clients_;
  Log& log_;
  Fd slave_;
  std::int64_t quiet_until_ = 0;
  std::int64_t taken_ = 0;  // bytes
};

// What those who are attached want, as far as the container takes it.
void serve(Requests& requests, Orders& orders) {
  Fd& to = orders.master.valid() ? orders.master : orders.input;
  if (requests.size[0] != 0 || requests.size[1] != 0) {
    if (orders.master.valid()) (void)sys::ioctl(orders.master.get(), TIOCSWINSZ, requests.size);
    requests.size[0] = requests.size[1] = 0;
  }
  if (requests.has_input()) {
    const long count = to.valid() ? sys::write(to.get(), requests.input + requests.input_begin, requests.input_end - requests.input_begin) : -EPIPE;
    if (count > 0) requests.input_begin += static_cast<std::size_t>(count);
    if (count < 0 && count != -EAGAIN && count != -EINTR) {
      requests.input_begin = requests.input_end;
      orders.input.reset();
    }
  }
  if (requests.end_of_input && !requests.has_input()) {
    requests.end_of_input = false;
    orders.input.reset();
  }
}

void attend(Orders& orders, Output& output, Clients& clients, Memory& memory) {
  Requests requests;
  constexpr std::size_t fixed = 3 + Memory::poll_count;
  pollfd polled[fixed + Output::poll_count + Clients::most];
  for (;;) {
    polled[0] = {orders.pidfd.get(), POLLIN, 0};
    polled[1] = {orders.listener.get(), POLLIN, 0};
    // Of the input only that somebody reads it: an end that nobody reads any more is found out by writing.
    polled[2] = {requests.has_input() ? orders.input.get() : -1, POLLOUT, 0};
    memory.prepare(polled + 3);
    const int timeout = output.prepare(polled + fixed, requests.has_input());
    clients.prepare(polled + fixed + Output::poll_count, !requests.has_input());
    if (sys::poll(polled, std::size(polled), timeout) < 0) continue;
    // Before all else: the container's scope may be gone soon.
    if (polled[0].revents != 0) (void)memory.killed();
    memory.handle(polled + 3);
    output.handle(polled + fixed);
    clients.handle(polled + fixed + Output::poll_count, requests);
    serve(requests, orders);
    if (polled[1].revents != 0) clients.accept(orders.listener.get());
    if (polled[0].revents != 0) return;
  }
}

// Field 52 of /proc/PID/stat of a zombie, which its parent has yet to reap.
int status_of_zombie(int pid) {
  char text[1024];
  TextBuilder<40> path;
  path.add("/proc/").add_number(static_cast<std::uint64_t>(pid)).add("/stat");
  const Fd file(sys::openat(AT_FDCWD, path.c_str(), O_RDONLY | O_CLOEXEC));
  const long size = file.valid() ? sys::read(file.get(), text, sizeof text) : 0;
  std::string_view rest(text, size > 0 ? static_cast<std::size_t>(size) : 0);
  const std::size_t close = rest.rfind(')');
  if (close == std::string_view::npos || head(tail(rest, close), 3) != ") Z") return unknown;
  int field = 2;
  rest = tail(rest, close + 1);
  while (!rest.empty() && field < 52) {
    if (rest[0] == ' ') field++;
    rest = tail(rest, 1);
  }
  int status = 0;
  for (; !rest.empty() && rest[0] >= '0' && rest[0] <= '9'; rest = tail(rest, 1)) status = status * 10 + (rest[0] - '0');
  return status;
}

// As wait(2) reports it.
int status_of(const Orders& orders) {
  siginfo_t info{};
  int result;
  do {
    result = sys::waitid(wait_by_pidfd, orders.pidfd.get(), &info, WEXITED | __WALL);
  } while (result == -EINTR);
  if (result == 0) return info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status;
  // Another's child: its zombie tells while it is there, and the pidfd once it is not.
  for (int attempt = 0; attempt < status_attempts; attempt++) {
    if (const std::optional<int> status = status_of_reaped(orders.pidfd.get())) return *status;
    const int status = status_of_zombie(orders.pid);
    // It has been a zombie of that pid all the time if it can be signalled still.
    if (status != unknown && sys::pidfd_send_signal(orders.pidfd.get(), 0, nullptr, 0) == 0) return status;
    sys::nanosleep_ms(status_interval);
  }
  return unknown;
}

// exit.json, by way of a temporary name.
void record(const Orders& orders, int status, bool killed) {
  TextBuilder<200> text;
  text.add("{");
  if (status != unknown && WIFSIGNALED(status)) {
    const auto signal = static_cast<std::uint64_t>(WTERMSIG(status));
    text.add("\"code\":").add_number(128 + signal).add(",\"signal\":").add_number(signal).add(",");
  } else if (status != unknown) {
    text.add("\"code\":").add_number(static_cast<std::uint64_t>(WEXITSTATUS(status))).add(",");
  }
  text.add("\"finished\":\"").add(now().view()).add("\",\"oomKilled\":").add(killed ? "true" : "false").add("}");
  constexpr const char* temporary = "exit.json.new";
  const int directory = orders.directory.get();
  const Fd file(sys::openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (file.valid() && write_all(file.get(), text.view())) (void)sys::renameat2(directory, temporary, directory, "exit.json", 0);
}

}  // namespace

int main(int argc, char** argv) {
  fill_standard_descriptors();
  Orders orders;
  Clients clients;
  Log log;
  Memory memory;
  if (!read_orders(argc, argv, orders)) {
    (void)write_all(2, "strata-keeper is started by strata only\n");
    return 1;
  }
  memory.begin(std::move(orders.events), std::move(orders.around), orders.before);
  stand_alone(orders);
  if (orders.logs) log.begin(orders.directory.get(), orders.max_size, orders.max_files);
  Output output(orders, clients, log);
  if (orders.report.valid()) {
    TextBuilder<40> told;
    (void)write_all(orders.report.get(), told.add("{\"pid\":").add_number(static_cast<std::uint64_t>(orders.pid)).add("}").view());
    orders.report.reset();
  }

  attend(orders, output, clients, memory);

  output.drain();
  log.finish();
  const int status = status_of(orders);
  record(orders, status, memory.killed());
  char frame[attach::header_size + sizeof status];
  std::memcpy(frame + attach::header_size, &status, sizeof status);
  clients.settle();
  clients.send(attach::exited, frame, sizeof status);
  clients.settle();
  if (orders.command != nullptr) (void)sys::execve(orders.command[0], orders.command, environ);
  return 0;
}
