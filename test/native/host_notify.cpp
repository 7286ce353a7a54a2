#include "core/host/notify.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "core/host/file.hpp"
#include "core/host/foreground.hpp"
#include "core/host/socket.hpp"
#include "core/message.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::host;
using harness::test;

namespace {

std::size_t open_descriptors() { return list_directory("/proc/self/fd").value().size(); }

// What has come to a socket, '' if nothing has. Descriptors that come along are closed.
std::string received(int socket) {
  char text[8192];
  const ssize_t size = recv(socket, text, sizeof text, MSG_DONTWAIT);
  return size < 0 ? "" : std::string(text, static_cast<std::size_t>(size));
}

bool say(const Fd& socket, const std::string& text) { return send(socket.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()); }

struct Place {
  Fd socket;
  Fd sender;
};

// A socket with a name, and one that is connected to it.
Place bound(const std::string& path) {
  Place place{std::move(notify_socket().value()), Fd()};
  CHECK(!bind_notify(place.socket.get(), path).failed());
  place.sender = std::move(connect_notify(path).value());
  return place;
}

}  // namespace

int main() {
  const harness::Scratch scratch;

  test("a socket that any user reaches, at a path of any length, in place of an older one", [&] {
    std::string path = scratch.path();
    for (int i = 0; i < 10; i++) path += "/a-directory-with-a-rather-long-name";
    CHECK(!make_directories(path, 0700).failed());
    const std::string directory = path;
    path += "/notify";
    umask(077);
    const Place first = bound(path);
    const Place second = bound(path);
    CHECK(file_status(path).value()->mode == 0666 && file_status(directory).value()->mode == 0755);
    CHECK(say(second.sender, "here") && received(second.socket.get()) == "here");
    CHECK(bind_notify(notify_socket().value().get(), scratch / "none/notify").error() == ENOENT);
  });

  test("the mode is the socket's, and not that of what a link in its place leads to", [&] {
    const std::string directory = scratch / "swapped";
    const std::string other = scratch / "other";
    CHECK(!make_directories(directory, 0755).failed());
    const Fd file(open(other.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    CHECK(file.valid());
    const int swapper = fork();
    if (swapper == 0) {
      for (const std::string path = directory + "/notify";;) {
        unlink(path.c_str());
        (void)symlink(other.c_str(), path.c_str());
      }
    }
    for (int i = 0; i < 2000; i++) (void)bind_notify(notify_socket().value().get(), directory + "/notify");
    CHECK(kill(swapper, SIGKILL) == 0 && waitpid(swapper, nullptr, 0) == swapper);
    CHECK(file_status(other).value()->mode == 0600);
  });

  test("abstract names are taken as they are, and what is no socket is refused", [&] {
    const std::string name = "strata-test-" + std::to_string(getpid());
    Fd listener = std::move(notify_socket().value());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path + 1, name.data(), name.size());
    CHECK(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), static_cast<socklen_t>(sizeof(sa_family_t) + 1 + name.size())) == 0);
    Result<Fd> caller = connect_notify("@" + name);
    CHECK(!caller.failed() && say(caller.value(), "READY=1") && received(listener.get()) == "READY=1");
    CHECK(connect_notify("@" + name + "x").status().error() == ECONNREFUSED);
    CHECK(connect_notify("@" + std::string(108, 'x')).status().error() == ENAMETOOLONG);
    CHECK(connect_notify(scratch / "nothing").status().error() == ENOENT);
    CHECK(connect_notify(scratch.path()).status().error() == ECONNREFUSED);
    const Fd stream = std::move(listen_socket(scratch / "stream").value());
    CHECK(connect_notify(scratch / "stream").status().error() == EPROTOTYPE);
  });

  test("READY=1 is a line of its own, in a message that is not too large", [&] {
    const Place place = bound(scratch / "lines");
    const auto hears = [&](const std::string& text) { return say(place.sender, text) && hear_ready(place.socket.get()).value(); };
    for (const char* text : {"READY=1", "READY=1\n", "STATUS=a\nREADY=1\nMAINPID=1", "\n\nREADY=1", "READY=0\nREADY=1"}) CHECK(hears(text));
    for (const char* text : {"READY=0", "READY=11", "READY=1 ", " READY=1", "STATUS=READY=1", "XREADY=1", "ready=1", "\n", ""}) CHECK(!hears(text));
    CHECK(!hears(std::string("READY=1\0", 8)));
    CHECK(hears("READY=1\n" + std::string(4096 - 8, 'x')));
    CHECK(!hears("READY=1\n" + std::string(4096 - 7, 'x')));
    CHECK(!hear_ready(place.socket.get()).value());
  });

  test("descriptors that come along are not taken", [&] {
    const Place place = bound(scratch / "descriptors");
    Result<std::pair<Fd, Fd>> pipe = make_pipe();
    CHECK(!send_descriptor(place.sender.get(), pipe.value().second.get(), "BARRIER=1").failed());
    pipe.value().second.reset();
    const std::size_t before = open_descriptors();
    CHECK(!hear_ready(place.socket.get()).value());
    CHECK(open_descriptors() == before);
    // Nobody has it any more.
    CHECK(await(pipe.value().first.get(), POLLHUP, sys::monotonic_ms()).value());
  });

  test("waiting ends with the word, with the process, or with a signal that is held", [&] {
    const Place place = bound(scratch / "waiting");
    const int child = fork();
    if (child == 0) {
      pause();
      _exit(0);
    }
    const Fd pidfd(sys::pidfd_open(child, 0));
    CHECK(say(place.sender, "STATUS=x") && say(place.sender, "READY=1"));
    CHECK(await_ready(place.socket.get(), pidfd.get()).value() == "ready");
    CHECK(!hold_signals().failed());
    raise(SIGUSR1);
    CHECK(await_ready(place.socket.get(), pidfd.get()).value() == "signal");
    kill(child, SIGKILL);
    CHECK(await_ready(place.socket.get(), pidfd.get()).value() == "exit");
    // It said so before.
    CHECK(say(place.sender, "READY=1"));
    CHECK(await_ready(place.socket.get(), pidfd.get()).value() == "ready");
    CHECK(await_ready(place.socket.get(), -1).value() == "exit");
    waitpid(child, nullptr, 0);
  });

  test("whoever is told has the time to read it", [&] {
    Place place = bound(scratch / "told");
    const int reader = fork();
    if (reader == 0) {
      usleep(100000);
      const bool right = received(place.socket.get()) == "READY=1" && received(place.socket.get()) == "BARRIER=1";
      // Its copies go with it.
      _exit(right ? 0 : 1);
    }
    // Else the message would hold the pipe for as long as we have the socket.
    CHECK(!tell_ready(place.sender.get(), "READY=1", 30000).failed());
    int status = -1;
    CHECK(waitpid(reader, &status, 0) == reader && status == 0);
    CHECK(!tell_ready(place.sender.get(), "READY=1", 1).failed());
    // A full socket is waited for, and not for ever.
    while (send(place.sender.get(), "x", 1, 0) == 1) continue;
    CHECK(tell_ready(place.sender.get(), "READY=1", 1).error() == ETIMEDOUT);
    place.socket.reset();
    CHECK(tell_ready(place.sender.get(), "READY=1", 1).error() == ECONNREFUSED);
  });

  test("in the foreground the first word is handed on, also if it was the last", [&] {
    const Place place = bound(scratch / "foreground");
    const Place caller = bound(scratch / "caller");
    const int child = fork();
    if (child == 0) {
      // A program's own socket waits where there is no room.
      (void)sys::fcntl(place.sender.get(), F_SETFL, 0);
      for (int i = 0; i < 100; i++) (void)say(place.sender, "WATCHDOG=1");
      _exit(say(place.sender, "STATUS=x\nREADY=1") && say(place.sender, "READY=1") ? 3 : 4);
    }
    const int reader = fork();
    if (reader == 0) {
      pollfd readable{caller.socket.get(), POLLIN, 0};
      poll(&readable, 1, 30000);
      const bool right = received(caller.socket.get()) == "READY=1";
      poll(&readable, 1, 30000);
      _exit(right && received(caller.socket.get()) == "BARRIER=1" && received(caller.socket.get()).empty() ? 0 : 1);
    }
    Result<ExitStatus> ended = foreground(sys::pidfd_open(child, 0), -1, place.socket.get(), caller.sender.get());
    CHECK(!ended.failed() && ended.value().code == 3);
    int status = -1;
    CHECK(waitpid(reader, &status, 0) == reader && status == 0);
    CHECK(received(place.socket.get()).empty());
  });

  return harness::finish();
}
