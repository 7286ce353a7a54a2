#include "attach.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

#include "../attach.hpp"
#include "../text.hpp"
#include "file.hpp"
#include "foreground.hpp"
#include "socket.hpp"
#include "terminal.hpp"

namespace strata::host {
namespace {

bool is_temporary(long result) { return result == -EAGAIN || result == -EINTR; }

// Finds the detach keys in what is typed. Those that began to match and then did not are passed on with the key that did not.
class Keys {
 public:
  explicit Keys(const std::string& keys) : keys_(keys) {}

  // Appends what is to be passed on; true if all keys have been typed.
  bool filter(std::string_view typed, std::string& ret_text) {
    for (const char key : typed) {
      if (!keys_.empty() && key == keys_[matched_]) {
        if (++matched_ == keys_.size()) return true;
        continue;
      }
      ret_text.append(keys_, 0, matched_);
      matched_ = 0;
      if (!keys_.empty() && key == keys_[0]) {
        matched_ = 1;
      } else {
        ret_text += key;
      }
    }
    return false;
  }

 private:
  const std::string& keys_;
  std::size_t matched_ = 0;
};

class Attachment {
 public:
  Attachment(Fd socket, int pidfd, bool terminal, bool input, const std::string& keys)
      : socket_(std::move(socket)), pidfd_(pidfd), terminal_(terminal), input_open_(input), keys_(keys) {}

  Result<std::optional<ExitStatus>> run() {
    sys::fcntl(socket_.get(), F_SETFL, O_NONBLOCK);
    if (terminal_) send_size();
    if (terminal_ && input_open_ && is_terminal(0)) STRATA_TRY(raw_mode_.enter(0));
    while (!left_) {
      pollfd polled[] = {
          {socket_.get(), static_cast<short>(POLLIN | (outgoing_.empty() ? 0 : POLLOUT)), 0},
          {signal_descriptor(), POLLIN, 0},
          {input_open_ && outgoing_.empty() ? 0 : -1, POLLIN, 0},
      };
      const int ready = sys::poll(polled, std::size(polled), -1);
      if (ready < 0 && ready != -EINTR) return Status(-ready, "poll");
      if (ready <= 0) continue;
      if (polled[1].revents != 0) STRATA_TRY(take_signals());
      if (polled[2].revents != 0) read_input();
      if ((polled[0].revents & POLLOUT) != 0) flush();
      if ((polled[0].revents & (POLLIN | POLLHUP | POLLERR)) != 0) {
        if (Result<bool> ended = read_frames(); ended.failed() || ended.value()) return ended.failed() ? ended.status() : Ended(status_);
      }
    }
    return std::optional<ExitStatus>();
  }

 private:
  using Ended = Result<std::optional<ExitStatus>>;

  void send(std::uint8_t kind, std::string_view bytes) {
    char header[attach::header_size];
    attach::write_header(header, kind, static_cast<std::uint32_t>(bytes.size()));
    outgoing_.append(header, sizeof header).append(bytes);
    flush();
  }

  void flush() {
    const long count = sys::write(socket_.get(), outgoing_.data(), outgoing_.size());
    if (count > 0) outgoing_.erase(0, static_cast<std::size_t>(count));
    // The keeper is gone; what it has told before is read still.
    if (count < 0 && !is_temporary(count)) outgoing_.clear();
  }

  void send_size() {
    const WindowSize size = window_size(controlling_descriptor());
    if (size.height != 0) send(attach::resize, {reinterpret_cast<const char*>(&size), sizeof size});
  }

  void read_input() {
    std::array<char, 4096> buffer;
    const long count = sys::read(0, buffer.data(), buffer.size());
    if (count < 0 && is_temporary(count)) return;
    std::string text;
    if (count > 0) left_ = keys_.filter({buffer.data(), static_cast<std::size_t>(count)}, text);
    if (!text.empty()) send(attach::input, text);
    if (count > 0) return;
    input_open_ = false;
    send(attach::end_of_input, {});
  }

  // True when the container has exited.
  Result<bool> read_frames() {
    std::array<char, attach::largest> buffer;
    const long count = sys::read(socket_.get(), buffer.data(), buffer.size());
    if (count < 0 && is_temporary(count)) return false;
    // Without a word: the keeper was killed.
    if (count <= 0) return true;
    std::string_view bytes(buffer.data(), static_cast<std::size_t>(count));
    while (!bytes.empty()) {
      if (header_size_ < attach::header_size) {
        header_[header_size_++] = bytes[0];
        bytes = tail(bytes, 1);
        if (header_size_ == attach::header_size) rest_ = attach::size_in(header_);
        continue;
      }
      const std::string_view piece = head(bytes, rest_);
      const auto kind = static_cast<std::uint8_t>(header_[0]);
      if (kind == attach::output || kind == attach::errors) {
        STRATA_TRY(write_all(kind == attach::output ? 1 : 2, piece));
      } else {
        note_.append(piece);
      }
      bytes = tail(bytes, piece.size());
      rest_ -= piece.size();
      if (rest_ > 0) continue;
      header_size_ = 0;
      if (kind == attach::lost) STRATA_TRY(tell_of_loss());
      if (kind == attach::exited && read_exit()) return true;
      note_.clear();
    }
    return false;
  }

  Status tell_of_loss() {
    std::uint64_t lost = 0;
    if (note_.size() == sizeof lost) std::memcpy(&lost, note_.data(), sizeof lost);
    return write_all(2,
                     "strata: " + std::to_string(lost) + " bytes of output are left out here: they were not read in time (strata logs has them)\r\n");
  }

  bool read_exit() {
    int status = 0;
    if (note_.size() != sizeof status) return false;
    std::memcpy(&status, note_.data(), sizeof status);
    if (status >= 0 && WIFSIGNALED(status)) status_ = {true, 128 + WTERMSIG(status), WTERMSIG(status)};
    if (status >= 0 && WIFEXITED(status)) status_ = {true, WEXITSTATUS(status), 0};
    return true;
  }

  Status take_signals() {
    while (const int signal = next_signal()) {
      if (signal == SIGCONT && terminal_) raw_mode_.renew();
      if ((signal == SIGWINCH || signal == SIGCONT) && terminal_) {
        send_size();
      } else if (pidfd_ >= 0 && signal != SIGWINCH) {
        if (Result<bool> sent = send_signal(pidfd_, signal); sent.failed()) return sent.status();
      } else if (signal == SIGHUP || signal == SIGINT || signal == SIGQUIT || signal == SIGTERM) {
        left_ = true;
      }
    }
    return {};
  }

  Fd socket_;
  int pidfd_;
  bool terminal_;
  bool input_open_;
  bool left_ = false;
  Keys keys_;
  RawMode raw_mode_;
  std::string outgoing_;
  char header_[attach::header_size] = {};
  std::size_t header_size_ = 0;
  std::size_t rest_ = 0;
  // Of a frame that is no output.
  std::string note_;
  ExitStatus status_;
};

}  // namespace

Result<std::optional<ExitStatus>> attach(const std::string& socket, int pidfd, bool terminal, bool input, const std::string& keys) {
  STRATA_TRY(hold_signals());
  Result<Fd> connected = connect_socket(socket);
  if (connected.failed()) return connected.status();
  return Attachment(std::move(connected.value()), pidfd, terminal, input, keys).run();
}

}  // namespace strata::host
