// Those who are attached: each gets all output, and may type. One that does not read holds the container up for a second at most; what it does not
// take then is left out for it, and it is told how much.
#pragma once

#include <poll.h>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "../core/attach.hpp"
#include "../core/fd.hpp"

namespace strata::keeper {

// What clients want of the container.
struct Requests {
  // Typed, and not yet passed on.
  char input[attach::largest];
  std::size_t input_begin = 0;
  std::size_t input_end = 0;
  bool end_of_input = false;
  // A terminal's size as TIOCSWINSZ takes it; all 0 for none.
  unsigned short size[4] = {};

  [[nodiscard]] bool has_input() const { return input_begin != input_end; }
};

class Clients {
 public:
  static constexpr std::size_t most = 8;
  // Milliseconds.
  static constexpr int patience = 1000;

  // Takes whoever comes to the listening socket.
  void accept(int listener);
  // A frame of at most attach::largest bytes: `frame` has room for the header before them.
  void send(std::uint8_t kind, char* frame, std::size_t size);

  // What to wait for, as many as `most`. Who types waits until the typed before has been passed on.
  void prepare(pollfd* polled, bool accepts_input) const;
  void handle(const pollfd* polled, Requests& ret_requests);

  // Is the output to wait for someone?
  [[nodiscard]] bool hold_up() const;
  // Waits for those who have not taken all, and for none longer than `patience`.
  void settle();

 private:
  struct Client {
    Fd socket;
    // What the socket did not take.
    char pending[attach::header_size + attach::largest];
    std::size_t begin = 0;
    std::size_t end = 0;
    std::int64_t since = 0;
    std::uint64_t lost = 0;
    // The frame that is being read.
    char head[attach::header_size + sizeof(Requests::size)];
    std::size_t head_size = 0;
    std::size_t left = 0;

    [[nodiscard]] bool behind() const { return begin != end; }
    [[nodiscard]] bool held_up() const { return behind() && sys::monotonic_ms() - since < patience; }
    void write(const char* bytes, std::size_t size);
    void flush();
    void leave();
    void read(Requests& ret_requests);
    void take(const char* bytes, std::size_t size, Requests& ret_requests);
  };

  Client clients_[most];
};

}  // namespace strata::keeper
