// The host's functions as JavaScript in QuickJS calls them, with any values, over a kernel that answers what it likes.
#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "cli/engine.hpp"
#include "cli/functions.hpp"
#include "core/host/utf8.hpp"
#include "core/launch.hpp"
#include "core/plan.hpp"
#include "init_image.hpp"
#include "input.hpp"
#include "kernel.hpp"

namespace {

using namespace strata;
using fuzz::kernel;
using fuzz::require;

// JSON has neither bytes nor large integers nor undefined: texts that begin so become them. Each argument of the call is one element.
constexpr char prelude[] = R"(
  (names, functions) => (index, text) => {
    let values;
    try {
      values = JSON.parse(text, (key, value) => {
        if (typeof value !== 'string' || value[1] !== ':') return value;
        const rest = value.slice(2);
        if (value[0] === 'b') return Uint8Array.from(rest, (character) => character.charCodeAt(0));
        if (value[0] === 'n') try { return BigInt(rest); } catch { return 0n; }
        if (value[0] === 'u') return undefined;
        return value;
      });
    } catch { return; }
    const list = Array.isArray(values) ? values : [values];
    try { functions[names[index % names.length]](...list); } catch (failure) {
      if (!(failure instanceof Error) && typeof failure.syscall !== 'string') throw new Error('a failure without a call');
    }
    return list;
  }
)";

// What would hold the fuzzer up or end it, and what waits for signals.
constexpr const char* left_out[] = {"attach", "become", "divide", "exitNow", "foreground", "holdSignals", "interruption", "keep", "tell"};

JSContext* context;
JSValue call;

[[noreturn]] void fail_with_exception() {
  const char* text = JS_ToCString(context, JS_GetException(context));
  fuzz::fault(text == nullptr ? "an exception" : text);
}

JSValue checked(JSValue value) {
  if (JS_IsException(value)) fail_with_exception();
  return value;
}

// Texts come out as UTF-8, whatever JavaScript had, and go back unchanged.
void check_texts(JSValueConst list) {
  cli::Engine js(context);
  const cli::Value values(context, JS_DupValue(context, list));
  for (std::uint32_t i = 0; i < std::min<std::uint32_t>(js.length(values), 8); i++) {
    const std::optional<std::string> text = js.text_of(js.element(values, i));
    if (!text) continue;
    require(host::is_utf8(*text), "a text of JavaScript is not UTF-8");
    require(js.text_of(js.text(*text)) == text, "a text changes on its way to JavaScript and back");
  }
}

}  // namespace

extern "C" int LLVMFuzzerInitialize(int*, char***) {
  context = JS_NewContext(JS_NewRuntime());
  const JSValue functions = cli::native_object(context);
  const JSValue names = JS_NewArray(context);
  JSPropertyEnum* properties = nullptr;
  std::uint32_t count = 0;
  require(JS_GetOwnPropertyNames(context, &properties, &count, functions, JS_GPN_STRING_MASK) == 0, "the functions cannot be listed");
  std::uint32_t used = 0;
  for (std::uint32_t i = 0; i < count; i++) {
    const char* name = JS_AtomToCString(context, properties[i].atom);
    const bool out = std::any_of(std::begin(left_out), std::end(left_out), [name](const char* other) { return std::strcmp(name, other) == 0; });
    if (!out) JS_SetPropertyUint32(context, names, used++, JS_NewString(context, name));
    JS_FreeCString(context, name);
    JS_FreeAtom(context, properties[i].atom);
  }
  js_free(context, properties);
  const JSValue make = checked(JS_Eval(context, prelude, sizeof prelude - 1, "fuzz", JS_EVAL_TYPE_GLOBAL));
  JSValue arguments[] = {names, functions};
  call = checked(JS_Call(context, make, JS_UNDEFINED, 2, arguments));

  // The program in memory is made once, so not with answers that could make it fail.
  kernel.begin(nullptr, 0, "C");
  const fuzz::Data plan = fuzz::encode({fuzz::blank(static_cast<std::uint32_t>(OpCode::clone))});
  const LaunchRequest request{plan.data(), plan.size(), {0, 1, 2}, 0, -1, -1};
  Launched launched{};
  LaunchFailure failure;
  require(launch(request, launched, failure), "the simplest plan cannot be launched");
  return 0;
}

// Which function, how many bytes of answers, the answers, and the arguments.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return -1;
  const std::size_t answers = std::min<std::size_t>(data[1], size - 2);
  kernel.begin(data + 2, answers, "CE");
  const std::string text(data + 2 + answers, data + size);
  JSValue arguments[] = {JS_NewInt32(context, data[0]), JS_NewStringLen(context, text.data(), text.size())};
  const JSValue list = checked(JS_Call(context, call, JS_UNDEFINED, 2, arguments));
  if (JS_IsArray(context, list) > 0) check_texts(list);
  JS_FreeValue(context, list);
  JS_FreeValue(context, arguments[1]);
  kernel.end();
  return 0;
}
