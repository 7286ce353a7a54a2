#include "training.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <map>
#include <string_view>
#include <vector>

#include "../core/fd.hpp"
#include "../core/host/file.hpp"
#include "../core/sys.hpp"
#include "complain.hpp"
#include "functions.hpp"

namespace strata::cli {
namespace {

constexpr std::size_t largest_file = 64 * 1024 * 1024;
constexpr std::size_t most_runs = 16;
// How a child ends that has run a command line; that has found none; and that cannot watch. Nothing else ends so.
constexpr int done = 100;
constexpr int nothing_left = 101;
constexpr int blind = 102;

// Of one block: bit n is the n-th run.
struct Touches {
  std::uint16_t read;
  std::uint16_t written;
};

// What children leave behind for their parent and each other.
struct Shared {
  std::uint32_t saved_size;
  std::array<char, 1024 * 1024> saved;  // what the script wants to know the next time, UTF-8
};

template <typename T>
T* share(std::size_t count) {
  void* memory = sys::mmap(nullptr, count * sizeof(T), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? nullptr : static_cast<T*>(memory);
}

// --- watching, in a child

// For the signal handler. Nothing of it may lie on the ground, where a block could be free.
struct Watch {
  const Ground* ground;
  bool* readable;     // by page
  Touches* touches;   // by block
  std::uint16_t run;  // its bit
};
Watch watch;

// A page may not be touched at first; then it may be read; then everything is known about it.
void touched(int signal, siginfo_t* info, void* /*context*/) {
  const Ground& ground = *watch.ground;
  const std::size_t page = (reinterpret_cast<std::uintptr_t>(info->si_addr) - reinterpret_cast<std::uintptr_t>(ground.start)) / ground_page;
  if (page >= ground.blocks.size()) {
    struct sigaction usual {};
    usual.sa_handler = SIG_DFL;
    (void)sys::signal_action(signal, &usual, nullptr);
    return;
  }
  Touches& touches = watch.touches[ground.blocks[page]];
  const bool writes = watch.readable[page];
  (writes ? touches.written : touches.read) |= watch.run;
  watch.readable[page] = true;
  const int access = writes ? PROT_READ | PROT_WRITE : PROT_READ;
  // Each page that differs from its neighbours is a mapping more, of which there may be too many.
  if (sys::mprotect(ground.start + page * ground_page, ground_page, access) < 0) sys::exit_group(blind);
}

bool begin_watch(const Watch& what) {
  watch = what;
  struct sigaction action {};
  action.sa_sigaction = touched;
  action.sa_flags = SA_SIGINFO;
  (void)sys::signal_action(SIGSEGV, &action, nullptr);
  return sys::mprotect(watch.ground->start, watch.ground->blocks.size() * ground_page, PROT_NONE) == 0;
}

bool end_watch() { return sys::mprotect(watch.ground->start, watch.ground->blocks.size() * ground_page, PROT_READ | PROT_WRITE) == 0; }

// --- one run

// Owned for the life of the child, which frees nothing.
std::string text_of(JSContext* context, JSValueConst value) {
  const char* text = JS_ToCString(context, value);
  return text == nullptr ? "no words" : text;
}

JSValue call(JSContext* context, JSValueConst object, const char* name, std::vector<JSValue> arguments) {
  return JS_Call(context, JS_GetPropertyStr(context, object, name), object, static_cast<int>(arguments.size()), arguments.data());
}

int fail(JSContext* context) { return complain("the training: " + text_of(context, JS_GetException(context))); }

// In a child: the exit status.
int run_once(const Program& program, const std::string& script, const Watch& what, Shared* shared, std::size_t number) {
  JSContext* context = program.context;
  JS_UpdateStackTop(program.runtime);
  const JSValue code = JS_ReadObject(context, reinterpret_cast<const std::uint8_t*>(script.data()), script.size(), JS_READ_OBJ_BYTECODE);
  const JSValue training = JS_IsException(code) ? JS_EXCEPTION : JS_EvalFunction(context, code);
  if (JS_IsException(training)) return fail(context);
  const JSValue saved = JS_NewStringLen(context, shared->saved.data(), shared->saved_size);
  const JSValue arguments = call(context, training, "begin", {JS_NewInt32(context, static_cast<int>(number)), saved});
  if (JS_IsException(arguments)) return fail(context);
  if (JS_IsUndefined(arguments)) return nothing_left;
  replace_functions(JS_GetPropertyStr(context, training, "call"));
  JS_SetPropertyStr(context, program.native, "becomeNode", JS_GetPropertyStr(context, training, "becomeNode"));
  if (!begin_watch(what)) return blind;
  const JSValue promise = call_main(program, arguments);
  if (!end_watch()) return blind;
  if (JS_IsException(promise)) return fail(context);
  const JSValue rest = call(context, training, "end", {});
  if (JS_IsException(rest)) return fail(context);
  std::size_t size = 0;
  const char* text = JS_ToCStringLen(context, &size, rest);
  if (text == nullptr || size > shared->saved.size()) return complain("the training: it wants to save too much");
  std::memcpy(shared->saved.data(), text, size);
  shared->saved_size = static_cast<std::uint32_t>(size);
  return done;
}

Result<int> in_child(const Program& program, const std::string& script, const Watch& what, Shared* shared, std::size_t number) {
  const int child = sys::fork();
  if (child < 0) return Status(-child, "fork");
  if (child == 0) sys::exit_group(run_once(program, script, what, shared, number));
  siginfo_t info{};
  if (const int result = sys::waitid(P_PID, child, &info, WEXITED); result < 0) return Status(-result, "waitid");
  if (info.si_code != CLD_EXITED) return Status::with_detail("strata", "", "the training ended with signal " + std::to_string(info.si_status));
  return info.si_status;
}

// --- what is learnt from all of them

// What is written to before what is only read, and of each first what most runs touch: a verb then needs neighbouring pages.
struct Order {
  bool written;
  std::uint16_t runs;

  bool operator<(const Order& other) const {
    if (written != other.written) return written;
    const int count = std::popcount(runs);
    const int other_count = std::popcount(other.runs);
    return count != other_count ? count > other_count : runs < other.runs;
  }
};

Layout layout_of(const Ground& ground, const Touches* touches) {
  std::map<Order, std::vector<std::size_t>> groups;
  for (std::size_t block = 0; block < ground.sizes.size(); block++) {
    const auto [read, written] = touches[block];
    const auto runs = static_cast<std::uint16_t>(read | written);
    if (runs != 0) groups[{written != 0, runs}].push_back(block);
  }
  Layout layout;
  layout.groups.resize(ground.sizes.size());
  for (const auto& [order, blocks] : groups) {
    if (layout.sizes.size() < most_groups) layout.sizes.push_back(0);
    for (const std::size_t block : blocks) {
      layout.groups[block] = static_cast<std::uint8_t>(layout.sizes.size());
      layout.sizes.back() += ground.sizes[block];
    }
  }
  return layout;
}

// The file: how many groups, their sizes, and the group of each block.
Status write_layout(const char* path, const Layout& layout) {
  Result<Fd> file = host::open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file.failed()) return file.status();
  const auto count = static_cast<std::uint32_t>(layout.sizes.size());
  std::string text(reinterpret_cast<const char*>(&count), sizeof count);
  text.append(reinterpret_cast<const char*>(layout.sizes.data()), count * sizeof layout.sizes[0]);
  text.append(reinterpret_cast<const char*>(layout.groups.data()), layout.groups.size());
  return host::write_all(file.value().get(), text);
}

// Where the system does not let us watch; the program is the same without, only slower.
Status give_up(const char* layout_path, const char* reason) {
  (void)complain(std::string("warning: the heap is not laid out by what verbs touch: ") + reason);
  return write_layout(layout_path, {});
}

}  // namespace

Status train(const char* script, const char* layout_path, bool (*evaluate)(Program& ret_program)) {
  Result<std::string> bytecode = host::read_file_at(AT_FDCWD, script, largest_file);
  if (bytecode.failed()) return bytecode.status();
  if (sysconf(_SC_PAGESIZE) != static_cast<long>(ground_page)) return give_up(layout_path, "this kernel has other pages");
  if (!begin_ground()) return give_up(layout_path, "there is no memory for a training ground");
  Program program{};
  const bool made = evaluate(program);
  const Ground ground = end_ground();
  if (!made) return Status::with_detail("strata", script, "there is nothing to train");
  auto* touches = share<Touches>(ground.sizes.size());
  auto* shared = share<Shared>(1);
  auto* readable = share<bool>(ground.blocks.size());
  if (touches == nullptr || shared == nullptr || readable == nullptr) return give_up(layout_path, "there is no memory for what is found");
  for (std::size_t number = 0;; number++) {
    if (number > most_runs) return Status::with_detail("strata", script, "there are more than " + std::to_string(most_runs) + " command lines");
    std::fill_n(readable, ground.blocks.size(), false);
    const Watch what{&ground, readable, touches, static_cast<std::uint16_t>(1U << number)};
    Result<int> status = in_child(program, bytecode.value(), what, shared, number);
    if (status.failed()) return give_up(layout_path, words_of(status.status()).c_str());
    if (status.value() == nothing_left) break;
    if (status.value() == blind) return give_up(layout_path, "the kernel takes no more mappings (vm.max_map_count)");
    if (status.value() != done) return Status::with_detail("strata", script, "run " + std::to_string(number) + " failed");
  }
  return write_layout(layout_path, layout_of(ground, touches));
}

Result<Layout> read_layout(const char* path) {
  Result<std::string> file = host::read_file_at(AT_FDCWD, path, largest_file);
  if (file.failed()) return file.status();
  const std::string_view text = file.value();
  std::uint32_t count = 0;
  if (text.size() >= sizeof count) std::memcpy(&count, text.data(), sizeof count);
  const std::size_t sizes = count * sizeof count;
  if (text.size() < sizeof count + sizes || count > most_groups) return Status::with_detail("strata", path, "this is no layout");
  Layout layout;
  layout.sizes.resize(count);
  std::memcpy(layout.sizes.data(), text.data() + sizeof count, sizes);
  const std::string_view groups = text.substr(sizeof count + sizes);
  layout.groups.assign(groups.begin(), groups.end());
  if (std::any_of(layout.groups.begin(), layout.groups.end(), [&](std::uint8_t group) { return group > count; })) {
    return Status::with_detail("strata", path, "this is no layout");
  }
  return layout;
}

}  // namespace strata::cli
