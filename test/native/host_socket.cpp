#include "core/host/socket.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <cerrno>
#include <cstring>

#include "core/host/file.hpp"
#include "harness.hpp"

using namespace strata;
using namespace strata::host;
using harness::test;

namespace {

bool send_descriptors(int socket, const int* descriptors, std::size_t count) {
  char byte = 'x';
  iovec data{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 8)] = {};
  msghdr message{};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  if (count > 0) {
    message.msg_control = control;
    message.msg_controllen = CMSG_SPACE(sizeof(int) * count);
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * count);
    std::memcpy(CMSG_DATA(header), descriptors, sizeof(int) * count);
  }
  return sendmsg(socket, &message, 0) == 1;
}

std::size_t open_descriptors() { return list_directory("/proc/self/fd").value().size(); }

bool is_close_on_exec(const Fd& descriptor) { return (fcntl(descriptor.get(), F_GETFD) & FD_CLOEXEC) != 0; }

}  // namespace

int main() {
  const harness::Scratch scratch;

  test("bytes are sent, and what comes is given back", [&] {
    auto [ours, theirs] = std::move(socket_pair().value());
    CHECK(write(theirs.get(), "answer", 6) == 6);
    CHECK(exchange(ours.get(), std::string_view("a\0b", 3), 1000).value() == "answer");
    char asked[8];
    CHECK(read(theirs.get(), asked, sizeof asked) == 3 && std::memcmp(asked, "a\0b", 3) == 0);

    // Nothing comes: the time is over. The other end is closed: so it is said. Nobody hears: an error, and no signal.
    CHECK(exchange(ours.get(), "", 1).value() == std::nullopt);
    const std::string large(std::size_t{4} << 20, 'x');
    CHECK(exchange(ours.get(), large, 1).value() == std::nullopt);
    theirs.reset();
    CHECK(exchange(ours.get(), "more", 1000).status().error() == EPIPE);
    auto [mine, other] = std::move(socket_pair().value());
    other.reset();
    CHECK(exchange(mine.get(), "", 1000).value() == "");
  });

  test("packets keep their bounds, and bring a descriptor along", [&] {
    auto [ours, theirs] = std::move(packet_pair().value());
    CHECK(is_close_on_exec(ours) && is_close_on_exec(theirs));
    CHECK(write(theirs.get(), "one", 3) == 3 && write(theirs.get(), "two", 3) == 3);
    Result<std::optional<Packet>> first = exchange_packet(ours.get(), std::string_view("a\0b", 3), 1000);
    CHECK(first.value()->bytes == "one" && !first.value()->descriptor.valid());
    char asked[8];
    CHECK(read(theirs.get(), asked, sizeof asked) == 3 && std::memcmp(asked, "a\0b", 3) == 0);
    CHECK(exchange_packet(ours.get(), "", 1000).value()->bytes == "two");
    CHECK(!exchange_packet(ours.get(), "", 1).value());

    const std::size_t before = open_descriptors();
    const int several[] = {0, 1, 2};
    CHECK(send_descriptors(theirs.get(), several, 3));
    {
      Result<std::optional<Packet>> brought = exchange_packet(ours.get(), "", 1000);
      CHECK(brought.value()->bytes == "x" && is_close_on_exec(brought.value()->descriptor));
      CHECK(open_descriptors() == before + 1);
    }
    CHECK(open_descriptors() == before);

    const std::string large(std::size_t{80} * 1024, 'x');
    CHECK(write(theirs.get(), large.data(), large.size()) == static_cast<long>(large.size()));
    CHECK(exchange_packet(ours.get(), "", 1000).status().error() == EMSGSIZE);
    theirs.reset();
    CHECK(exchange_packet(ours.get(), "", 1000).value()->bytes.empty());
    CHECK(exchange_packet(ours.get(), "more", 1000).status().error() == EPIPE);
  });

  test("sockets at paths longer than sockaddr_un holds", [&] {
    std::string path = scratch.path();
    for (int i = 0; i < 10; i++) path += "/a-directory-with-a-rather-long-name";
    CHECK(!make_directories(path, 0700).failed());
    path += "/start.sock";
    Result<Fd> listening = listen_socket(path);
    if (!CHECK(!listening.failed())) return;
    CHECK(is_close_on_exec(listening.value()));
    CHECK(std::string(file_status(path).value()->type) == "socket");
    CHECK(file_status(path).value()->mode == 0600);
    Result<Fd> connected = connect_socket(path);
    if (!CHECK(!connected.failed())) return;
    const Fd accepted(accept(listening.value().get(), nullptr, nullptr));
    CHECK(write(accepted.get(), "hi", 2) == 2);
    char text[2];
    CHECK(read(connected.value().get(), text, 2) == 2);
    CHECK(listen_socket(path).status().error() == EADDRINUSE);
    listening.value().reset();
    CHECK(connect_socket(path).status().error() == ECONNREFUSED);
  });

  test("what is no socket is refused", [&] {
    CHECK(connect_socket(scratch / "none").status().error() == ENOENT);
    CHECK(connect_socket(scratch.path()).status().error() == ECONNREFUSED);
    CHECK(listen_socket(scratch / "none/start.sock").status().error() == ENOENT);
    CHECK(listen_socket(scratch / std::string(200, 'x')).status().error() == ENAMETOOLONG);
  });

  test("receive_descriptor takes one and closes the others", [] {
    std::pair<Fd, Fd> ends = std::move(socket_pair().value());
    CHECK(is_close_on_exec(ends.first));
    std::pair<Fd, Fd> pipe = std::move(make_pipe().value());
    const int both[] = {pipe.first.get(), pipe.second.get()};
    CHECK(send_descriptors(ends.first.get(), both, 2));
    const std::size_t before = open_descriptors();
    Result<Fd> received = receive_descriptor(ends.second.get());
    if (!CHECK(!received.failed())) return;
    CHECK(open_descriptors() == before + 1);
    CHECK(is_close_on_exec(received.value()));
    CHECK(write(pipe.second.get(), "x", 1) == 1);
    char byte;
    CHECK(read(received.value().get(), &byte, 1) == 1);
  });

  test("receive_descriptor tells when none comes", [] {
    std::pair<Fd, Fd> ends = std::move(socket_pair().value());
    CHECK(send_descriptors(ends.first.get(), nullptr, 0));
    CHECK(receive_descriptor(ends.second.get()).status().error() == EBADMSG);
    ends.first.reset();
    CHECK(receive_descriptor(ends.second.get()).status().error() == ECONNRESET);
  });

  return harness::finish();
}
