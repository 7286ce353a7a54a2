// The runtime's half of a launch, over a kernel that answers what it likes: whatever fails, no descriptor is left open and no child unreaped.
#include "core/launch.hpp"

#include "core/plan.hpp"
#include "core/sys.hpp"
#include "init_image.hpp"
#include "input.hpp"
#include "kernel.hpp"

namespace {

using namespace strata;
using fuzz::kernel;
using fuzz::require;

// How strata-init may talk (native/core/message.hpp), and how not.
constexpr const char* conversations[] = {"C", "CE", "HCE", "PCE", "PHCE", "F", "PF", "HF", "CF", "EF", "P", "x", "DDC", "LC", "CEL", "DHLCE"};

const host::SeccompAgent agent{"/agent.sock", "{}"};

void check_nothing_left() {
  require(kernel.open_descriptors() == 0, "a descriptor is left open");
  require(kernel.children() == 0, "a child is left behind");
}

void check_texts(const LaunchFailure& failure) {
  require(failure.call.view().size() < 64 && failure.path.view().size() < 1024 && failure.detail.view().size() < 1024,
          "a text of a failure has no end");
}

// What TypeScript does with a process that was launched.
void go_on(const Launched& launched) {
  require(launched.pidfd >= 0 && launched.sync >= 0 && launched.pid > 0, "a launch succeeded without a process");
  bool at_hooks = false;
  bool ready = false;
  LaunchFailure failure;
  const Underway underway{launched.sync, launched.pidfd, agent};
  const bool settled = settle(underway, at_hooks, failure);
  if (!settled || (at_hooks && !proceed(underway, false, ready, failure)) || !proceed(underway, false, ready, failure)) check_texts(failure);
  abandon(launched.pidfd);
  sys::close(launched.sync);
  sys::close(launched.pidfd);
}

void launch_plan(const std::uint8_t* data, std::size_t size) {
  const LaunchRequest request{data, size, {0, 1, 2}, 0, -1, -1};
  Launched launched{};
  LaunchFailure failure;
  if (launch(request, launched, failure))
    go_on(launched);
  else
    check_texts(failure);
  check_nothing_left();
  LaunchFailure start_failure;
  if (!start("/state/start.sock", -1, agent, start_failure)) check_texts(start_failure);
  check_nothing_left();
}

}  // namespace

// The program in memory is made once, so not with answers that could make it fail.
extern "C" int LLVMFuzzerInitialize(int*, char***) {
  kernel.begin(nullptr, 0, "C");
  const fuzz::Data plan = fuzz::encode({fuzz::blank(static_cast<std::uint32_t>(OpCode::clone))});
  const LaunchRequest request{plan.data(), plan.size(), {0, 1, 2}, 0, -1, -1};
  Launched launched{};
  LaunchFailure failure;
  require(launch(request, launched, failure), "the simplest plan cannot be launched");
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::size_t length = fuzz::plan_length(data, size);
  kernel.begin(data + length, size - length, "C");
  kernel.peer = conversations[kernel.variant() % std::size(conversations)];
  // Exactly as large as it is, so that a byte read beyond it is seen.
  const fuzz::Data plan(data, data + length);
  launch_plan(plan.data(), plan.size());
  kernel.end();
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  return fuzz::mutate_plan_and_answers(data, size, most, seed);
}
