// Those who are attached to a keeper: their frames in any pieces, and what they get when they do not read.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "harness.hpp"
#include "keeper/clients.hpp"

using namespace strata::keeper;
namespace attach = strata::attach;

namespace {

// A keeper's side, and connections to it.
class Table {
 public:
  explicit Table(const harness::Scratch& scratch)
      : path_(scratch / "socket"), clients(std::make_unique<Clients>()), requests(std::make_unique<Requests>()) {
    unlink(path_.c_str());
    listener_ = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const sockaddr_un address = name();
    if (bind(listener_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 || listen(listener_, 100) != 0) std::abort();
  }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() { close(listener_); }

  int connect() {
    const int connection = socket(AF_UNIX, SOCK_STREAM, 0);
    const sockaddr_un address = name();
    if (::connect(connection, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) std::abort();
    clients->accept(listener_);
    return connection;
  }

  // Takes what has been sent, and gives back what is to be passed on as input.
  std::string turn() {
    pollfd polled[Clients::most];
    clients->prepare(polled, !requests->has_input());
    poll(polled, Clients::most, 0);
    clients->handle(polled, *requests);
    std::string typed(requests->input + requests->input_begin, requests->input_end - requests->input_begin);
    requests->input_begin = requests->input_end;
    return typed;
  }

  void send(std::uint8_t kind, const std::string& text) {
    std::vector<char> frame(attach::header_size);
    frame.insert(frame.end(), text.begin(), text.end());
    clients->send(kind, frame.data(), text.size());
  }

 private:
  [[nodiscard]] sockaddr_un name() const {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path_.c_str(), sizeof address.sun_path - 1);
    return address;
  }

  std::string path_;
  int listener_;

 public:
  std::unique_ptr<Clients> clients;
  std::unique_ptr<Requests> requests;
};

std::string frame(std::uint8_t kind, const std::string& text) {
  char header[attach::header_size];
  attach::write_header(header, kind, static_cast<std::uint32_t>(text.size()));
  return std::string(header, sizeof header) + text;
}

std::string received(int connection) {
  std::string text;
  char buffer[65536];
  for (;;) {
    const ssize_t count = recv(connection, buffer, sizeof buffer, MSG_DONTWAIT);
    if (count <= 0) return text;
    text.append(buffer, static_cast<std::size_t>(count));
  }
}

void put(int connection, const std::string& bytes) {
  if (write(connection, bytes.data(), bytes.size()) != static_cast<ssize_t>(bytes.size())) std::abort();
}

}  // namespace

int main() {
  signal(SIGPIPE, SIG_IGN);
  const harness::Scratch scratch;
  harness::test("input in one piece, and byte for byte", [&] {
    Table table(scratch);
    const int connection = table.connect();
    const std::string frames = frame(attach::input, "one") + frame(attach::input, "") + frame(attach::input, "two");
    put(connection, frames);
    CHECK(table.turn() == "onetwo");
    std::string typed;
    for (const char byte : frames) {
      put(connection, std::string(1, byte));
      typed += table.turn();
    }
    CHECK(typed == "onetwo");
    close(connection);
  });
  harness::test("a size, an end of input, and what nobody knows", [&] {
    Table table(scratch);
    const int connection = table.connect();
    const unsigned short size[4] = {24, 80, 1, 2};
    const std::string bytes(reinterpret_cast<const char*>(size), sizeof size);
    put(connection, frame(attach::resize, bytes.substr(0, 4)) + frame('?', std::string(1000, 'x')) + frame(attach::input, "typed"));
    CHECK(table.turn() == "typed");
    CHECK(table.requests->size[0] == 0 && !table.requests->end_of_input);
    put(connection, frame(attach::resize, bytes) + frame(attach::end_of_input, ""));
    CHECK(table.turn().empty());
    CHECK(std::memcmp(table.requests->size, size, sizeof size) == 0 && table.requests->end_of_input);
    close(connection);
  });
  harness::test("everybody gets the output; who has left is forgotten", [&] {
    Table table(scratch);
    const int one = table.connect();
    const int other = table.connect();
    table.send(attach::output, "hello");
    CHECK(received(one) == frame(attach::output, "hello") && received(other) == frame(attach::output, "hello"));
    close(one);
    CHECK(table.turn().empty());
    table.send(attach::errors, "again");
    CHECK(received(other) == frame(attach::errors, "again"));
    close(other);
  });
  harness::test("who has left while the input is full wakes nobody up", [&] {
    Table table(scratch);
    const int gone = table.connect();
    put(gone, frame(attach::input, "typed"));
    close(gone);
    pollfd polled[Clients::most];
    table.clients->prepare(polled, false);
    CHECK(poll(polled, Clients::most, 0) == 0);
    CHECK(table.turn() == "typed");
    // Nor is one that is behind asked for ever.
    const int stuck = table.connect();
    while (!table.clients->hold_up()) table.send(attach::output, std::string(attach::largest, 'x'));
    close(stuck);
    table.clients->prepare(polled, false);
    CHECK(poll(polled, Clients::most, 0) == 1);
    table.clients->handle(polled, *table.requests);
    table.clients->prepare(polled, false);
    CHECK(poll(polled, Clients::most, 0) == 0);
  });
  harness::test("there is room for so many, and for others when they have left", [&] {
    Table table(scratch);
    std::vector<int> connections;
    for (std::size_t i = 0; i < Clients::most; i++) connections.push_back(table.connect());
    const int late = table.connect();
    char byte;
    CHECK(recv(late, &byte, 1, 0) == 0);
    close(connections.back());
    table.turn();
    const int next = table.connect();
    table.send(attach::output, "x");
    CHECK(received(next) == frame(attach::output, "x"));
    for (const int connection : connections) close(connection);
    close(late);
    close(next);
  });
  harness::test("who does not read holds up for a while only, and is told what is missing", [&] {
    Table table(scratch);
    const int stuck = table.connect();
    const std::string piece(attach::largest, 'x');
    std::uint64_t sent = 0;
    while (!table.clients->hold_up()) {
      table.send(attach::output, piece);
      sent += piece.size();
    }
    table.clients->settle();
    CHECK(!table.clients->hold_up());
    for (int i = 0; i < 10; i++) table.send(attach::output, piece);
    sent += 10 * piece.size();
    std::string text = received(stuck);
    while (table.turn().empty()) {
      const std::string more = received(stuck);
      if (more.empty()) break;
      text += more;
    }
    std::uint64_t got = 0;
    std::uint64_t lost = 0;
    while (text.size() >= attach::header_size) {
      const std::size_t size = attach::size_in(text.data());
      if (!CHECK(text.size() >= attach::header_size + size)) break;
      if (text[0] == attach::output) got += size;
      if (text[0] == attach::lost) std::memcpy(&lost, text.data() + attach::header_size, sizeof lost);
      text.erase(0, attach::header_size + size);
    }
    CHECK(lost == 10 * piece.size());
    CHECK(got + lost == sent);
    table.send(attach::output, "goes on");
    CHECK(received(stuck) == frame(attach::output, "goes on"));
    close(stuck);
  });
  harness::test("any bytes at all", [&] {
    Table table(scratch);
    unsigned state = 1;
    for (int round = 0; round < 300; round++) {
      const int connection = table.connect();
      for (int write = 0; write < 5; write++) {
        std::string bytes;
        for (int i = 0; i < 200; i++) {
          state = state * 1664525 + 1013904223;
          bytes += write % 2 == 0 && i % 5 > 1 ? '\0' : "ier?"[state >> 30];
        }
        put(connection, bytes);
        table.turn();
      }
      close(connection);
      table.turn();
    }
    CHECK(true);
  });
  return harness::finish();
}
