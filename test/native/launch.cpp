// The conversation with a container's process, with somebody else at the other end.
#include "core/launch.hpp"

#include <sys/socket.h>
#include <cstring>

#include "core/fd.hpp"
#include "core/message.hpp"
#include "harness.hpp"

using namespace strata;
using harness::test;

namespace {

struct Ends {
  Fd ours;
  Fd theirs;
};

Ends connected() {
  int ends[2] = {-1, -1};
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  return {Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

int main() {
  test("a failure is told with its operation, call, error, path and detail", [] {
    Ends ends = connected();
    send_failure(ends.theirs.get(), 7, Status::with_detail("mount", "/proc", "no", 16));
    bool ready = false;
    LaunchFailure failure;
    CHECK(!proceed({ends.ours.get(), -1, {}}, false, ready, failure));
    CHECK(failure.operation == 7 && failure.error == 16);
    CHECK(failure.call.view() == "mount" && failure.path.view() == "/proc" && failure.detail.view() == "no");
  });

  test("the texts of a failure end where they have to, whatever was sent", [] {
    Ends ends = connected();
    char record[sizeof(FailureRecord)];
    std::memset(record, 'x', sizeof record);
    CHECK(send_message(ends.theirs.get(), Message::failed) && send_all(ends.theirs.get(), record, sizeof record));
    bool ready = false;
    LaunchFailure failure;
    CHECK(!proceed({ends.ours.get(), -1, {}}, false, ready, failure));
    CHECK(failure.call.view().size() == 63 && failure.path.view().size() == 1023 && failure.detail.view().size() == 1023);
  });

  test("the end of the conversation is a failure, unless execution was announced", [] {
    for (const bool announced : {false, true}) {
      Ends ends = connected();
      CHECK(!announced || send_message(ends.theirs.get(), Message::executing));
      CHECK(shutdown(ends.theirs.get(), SHUT_WR) == 0);
      bool ready = true;
      LaunchFailure failure;
      CHECK(proceed({ends.ours.get(), -1, {}}, false, ready, failure) == announced);
      CHECK(!ready);
    }
  });

  test("a process without a point where it waits announces its execution, or says why not", [] {
    for (const bool announced : {false, true}) {
      Ends ends = connected();
      if (announced) {
        CHECK(send_message(ends.theirs.get(), Message::executing) && shutdown(ends.theirs.get(), SHUT_WR) == 0);
      } else {
        send_failure(ends.theirs.get(), 3, Status(2, "execve", "/x"));
      }
      LaunchFailure failure;
      CHECK(await_execution({ends.ours.get(), -1, {}}, failure) == announced);
      CHECK(announced || (failure.operation == 3 && failure.path.view() == "/x"));
    }
  });

  return harness::finish();
}
