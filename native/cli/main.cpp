// The command as one static program.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "../core/sys.hpp"
#include "bytecode.hpp"
#include "complain.hpp"
#include "context.hpp"
#include "engine.hpp"
#include "functions.hpp"
#include "heap.hpp"
#include "node.hpp"
#include "training.hpp"

namespace strata::cli {
namespace {

// What a hostile configuration can make us use: its size is limited to 16 MiB, but not what it becomes as values.
constexpr std::size_t most_memory = 256 * 1024 * 1024;
constexpr std::size_t most_stack = 1024 * 1024;

// In the words of src/cli/main.ts.
int internal_error(const std::string& text) { return complain("internal error: " + text + " (code internal)"); }

// Where the kernel has no more for us, C++ would abort.
[[noreturn]] void out_of_memory() {
  constexpr std::string_view text = "strata: internal error: out of memory (code internal; strata delete --force removes what was begun)\n";
  (void)sys::write(STDERR_FILENO, text.data(), text.size());
  sys::exit_group(1);
}

// Of an exception that JavaScript itself could not tell of any more.
int internal_error(JSContext* context, JSValue reason) {
  // Without room for an error QuickJS throws null.
  const char* text = JS_IsNull(reason) ? nullptr : JS_ToCString(context, reason);
  return internal_error(text == nullptr ? "out of memory" : text);
}

// Engines may start us with standard descriptors closed; what we open must not take their numbers and be written to as output.
void fill_standard_descriptors() {
  for (int descriptor = 0; descriptor < 3; descriptor++) {
    if (sys::fcntl(descriptor, F_GETFD) < 0) (void)sys::openat(AT_FDCWD, "/dev/null", O_RDWR);
  }
}

// For JavaScript, when a verb needs Node. What goes wrong is told already.
JSValue leave_for_node(JSContext* /*context*/, JSValueConst /*receiver*/, int /*count*/, JSValueConst* /*values*/) { sys::exit_group(become_node()); }

// Reads the bytecode and evaluates it: what the image saves. A failure is told.
bool evaluate(Program& ret_program) {
  JSRuntime* runtime = JS_NewRuntime2(&heap_functions(), nullptr);
  JSContext* context = runtime == nullptr ? nullptr : new_context(runtime);
  if (context == nullptr) {
    (void)internal_error("out of memory");
    return false;
  }
  // Reference counting frees nearly all; a command ends before cycles matter.
  JS_SetGCThreshold(runtime, static_cast<std::size_t>(-1));
  const JSValue native = native_object(context);
  JS_SetPropertyStr(context, native, "becomeNode", JS_NewCFunction(context, leave_for_node, "becomeNode", 0));
  const JSValue global = JS_GetGlobalObject(context);
  JS_SetPropertyStr(context, global, "native", JS_DupValue(context, native));
  JS_FreeValue(context, global);
  Result<std::string> bytecode = read_bytecode();
  if (bytecode.failed()) {
    (void)internal_error(words_of(bytecode.status()));
    return false;
  }
  const auto* bytes = reinterpret_cast<const std::uint8_t*>(bytecode.value().data());
  const JSValue bundle = JS_ReadObject(context, bytes, bytecode.value().size(), JS_READ_OBJ_BYTECODE);
  const JSValue result = JS_IsException(bundle) ? JS_EXCEPTION : JS_EvalFunction(context, bundle);
  if (JS_IsException(result)) {
    (void)internal_error(context, JS_GetException(context));
    return false;
  }
  JS_FreeValue(context, result);
  ret_program = {runtime, context, native};
  return true;
}

JSValue argument_list(JSContext* context, char** arguments) {
  Engine js(context);
  Value list = js.array();
  for (std::uint32_t i = 0; arguments[i] != nullptr; i++) js.append(list, i, js.text(arguments[i]));
  return list.release();
}

// Calls `main`, which ends the process itself; whoever comes back here has failed.
int run(const Program& program, char** arguments) {
  JSRuntime* runtime = program.runtime;
  JSContext* context = program.context;
  JS_UpdateStackTop(runtime);
  sys::ResourceLimit stack{};
  const bool known = sys::prlimit(0, RLIMIT_STACK, nullptr, &stack) == 0;
  JS_SetMaxStackSize(runtime, known ? std::min<std::size_t>(most_stack, stack.soft / 2) : most_stack);
  JS_SetMemoryLimit(runtime, most_memory);

  const JSValue promise = call_main(program, argument_list(context, arguments));
  if (JS_IsException(promise)) return internal_error(context, JS_GetException(context));
  if (JS_PromiseState(context, promise) == JS_PROMISE_REJECTED) return internal_error(context, JS_PromiseResult(context, promise));
  return internal_error("the command ended without a result");
}

}  // namespace

JSValue call_main(const Program& program, JSValue arguments) {
  const JSValue main = JS_GetPropertyStr(program.context, program.native, "main");
  const JSValue promise = JS_Call(program.context, main, JS_UNDEFINED, 1, &arguments);
  JSContext* job_context = nullptr;
  while (!JS_IsException(promise) && JS_ExecutePendingJob(program.runtime, &job_context) > 0) {
  }
  return promise;
}

namespace {

int start(char** arguments) {
  std::set_new_handler(out_of_memory);
  const char* wanted = std::getenv("STRATA_HOST");
  const std::string_view host = wanted == nullptr ? "" : wanted;
  set_arguments(arguments);
  if (host == "node") return become_node();
  if (!host.empty() && host != "static") return complain("STRATA_HOST: it must be static or node");
  // What the way to Node tells of the caller's limits; here they are as the caller has set them.
  unsetenv("STRATA_NOFILE_SOFT");
  fill_standard_descriptors();
  // A reader that has gone away is an error of write(2), not an end without a word.
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  (void)sys::signal_action(SIGPIPE, &ignore, nullptr);

  Result<bool> image = has_image();
  if (image.failed()) return internal_error(words_of(image.status()));
  if (image.value()) return run(image_program(), arguments + 1);
  // Only the build asks for these, of a program that has no image yet.
  const char* path = std::getenv("STRATA_WRITE_IMAGE");
  const char* layout_path = std::getenv("STRATA_LAYOUT");
  if (const char* script = std::getenv("STRATA_TRAINING"); script != nullptr && layout_path != nullptr) {
    const Status trained = train(script, layout_path, evaluate);
    return trained.failed() ? complain(std::string(layout_path) + ": " + words_of(trained)) : 0;
  }
  Layout layout;
  if (path != nullptr && layout_path != nullptr) {
    Result<Layout> read = read_layout(layout_path);
    if (read.failed()) return complain(words_of(read.status()));
    layout = std::move(read.value());
  }
  if (path != nullptr) begin_image(layout.groups.empty() ? nullptr : &layout);
  Program program{};
  if (!evaluate(program))
    return path == nullptr ? 1 : complain(std::string(path) + ": no image; if the heap does not fit, STRATA_HEAP_SIZE is too small");
  if (path == nullptr) return run(program, arguments + 1);
  const Status written = write_image(path, program);
  return written.failed() ? complain(std::string(path) + ": " + words_of(written)) : 0;
}

}  // namespace
}  // namespace strata::cli

int main(int /*count*/, char** arguments) { return strata::cli::start(arguments); }
