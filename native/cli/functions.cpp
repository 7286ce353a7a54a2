#include "functions.hpp"

#include <fcntl.h>
#include <poll.h>
#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <ctime>
#include <vector>

#include "../face/functions.hpp"
#include "engine.hpp"

namespace strata::cli {
namespace {

using face::Outcome;

// --- what only this face has

std::optional<std::string> environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value == nullptr ? std::nullopt : std::optional<std::string>(value);
}

// Milliseconds with their fractions.
double now() {
  timespec time{};
  (void)sys::clock_gettime(CLOCK_MONOTONIC, &time);
  return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
}

void sleep(int milliseconds) { sys::nanosleep_ms(milliseconds); }

// Everything that this process opens is close-on-exec; what has come through execve is not.
bool is_inherited(int descriptor) {
  const long flags = sys::fcntl(descriptor, F_GETFD);
  return flags >= 0 && (flags & FD_CLOEXEC) == 0;
}

// No value when the time is over.
Outcome<std::optional<host::ExitStatus>> wait_exit(int pidfd, int timeout) {
  using Ended = Outcome<std::optional<host::ExitStatus>>;
  const std::int64_t deadline = sys::monotonic_ms() + timeout;
  pollfd readable{pidfd, POLLIN, 0};
  for (;;) {
    const int left = timeout < 0 ? -1 : static_cast<int>(std::max<std::int64_t>(deadline - sys::monotonic_ms(), 0));
    const int result = sys::poll(&readable, 1, left);
    if (result == 0) return Ended();
    if (result > 0) break;
    if (result != -EINTR) return Ended(face::Failure(Status(-result, "poll")));
  }
  Result<host::ExitStatus> status = host::exit_status(pidfd);
  return status.failed() ? Ended(face::Failure(status.status())) : Ended(std::optional(status.value()));
}

std::string quickjs_version() { return STRATA_QUICKJS_VERSION; }

// --- how a call goes to C++ and back

JSValue throw_failure(JSContext* context, const face::Failure& failure) {
  Engine js(context);
  Value object = face::Conversion(js).write(failure);
  return JS_HasException(context) ? JS_EXCEPTION : JS_Throw(context, object.release());
}

JSValue stand_in = JS_UNDEFINED;

// Known to the process that has registered it.
template <auto Function>
const char* name_of = "";

JSValue call_stand_in(JSContext* context, const char* name, int count, JSValueConst* values) {
  std::vector<JSValue> all(values, values + count);
  const JSValue text = JS_NewString(context, name);
  all.insert(all.begin(), text);
  const JSValue result = JS_Call(context, stand_in, JS_UNDEFINED, count + 1, all.data());
  JS_FreeValue(context, text);
  return result;
}

template <auto Function>
JSValue call(JSContext* context, JSValueConst /*receiver*/, int count, JSValueConst* values) {
  if (!JS_IsUndefined(stand_in)) return call_stand_in(context, name_of<Function>, count, values);
  Engine js(context);
  face::Conversion conversion(js);
  typename face::Signature<decltype(Function)>::Arguments arguments;
  const auto argument = [&](int index) { return Value(context, index < count ? JS_DupValue(context, values[index]) : JS_UNDEFINED); };
  if (const auto failure = conversion.read_arguments(argument, arguments)) {
    // Want of memory on the way is the better reason.
    return JS_HasException(context) ? JS_EXCEPTION : throw_failure(context, *failure);
  }
  auto outcome = face::call<Function>(arguments);
  if (outcome.failure) return throw_failure(context, *outcome.failure);
  Value result = conversion.write(outcome.value);
  return JS_HasException(context) ? JS_EXCEPTION : result.release();
}

class Registration {
 public:
  explicit Registration(JSContext* context) : context_(context), object_(JS_NewObject(context)) {}

  template <auto Function>
  void now(const char* name) {
    name_of<Function> = name;
    JS_SetPropertyStr(context_, object_, name, JS_NewCFunction(context_, call<Function>, name, 0));
  }
  // There is nothing else to do meanwhile.
  template <auto Function>
  void later(const char* name) {
    now<Function>(name);
  }
  [[nodiscard]] JSValue object() const { return object_; }

 private:
  JSContext* context_;
  JSValue object_;
};

}  // namespace

void replace_functions(JSValue value) { stand_in = value; }

JSValue native_object(JSContext* context) {
  Registration registration(context);
  face::describe(registration);
  registration.now<wait_exit>("waitExit");
  registration.now<environment>("environment");
  registration.now<cli::now>("now");
  registration.now<cli::sleep>("sleep");
  registration.now<is_inherited>("isInherited");
  registration.now<quickjs_version>("quickjsVersion");
  return registration.object();
}

}  // namespace strata::cli
