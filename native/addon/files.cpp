// Files, the clock and the facts of this process.
#include "../core/host/clock.hpp"
#include "../core/host/file.hpp"
#include "../core/host/lock.hpp"
#include "../core/sys.hpp"
#include "functions.hpp"
#include "values.hpp"

namespace strata::addon {
namespace {

Napi::Value read_text(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  const int limit = arguments.integer(1);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::read_text(path, static_cast<std::size_t>(limit)));
}

Napi::Value write_text(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  const std::string text = arguments.text(1);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::write_text(path, text));
}

Napi::Value replace_file(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  const std::string text = arguments.text(1);
  const int mode = arguments.integer(2);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::replace_file(path, text, static_cast<unsigned>(mode)));
}

Napi::Value append_file(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  const std::string text = arguments.text(1);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::append_file(path, text));
}

Napi::Value write_all(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int descriptor = arguments.integer(0);
  const std::string text = arguments.text(1);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::write_all(descriptor, text));
}

Napi::Value stat(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  if (arguments.failed()) return env.Undefined();
  Result<std::optional<host::FileStatus>> status = host::file_status(path);
  if (status.failed()) return give(env, status.status());
  if (!status.value()) return env.Undefined();
  Napi::Object object = Napi::Object::New(env);
  object.Set("type", Napi::String::New(env, status.value()->type));
  object.Set("mode", Napi::Number::New(env, status.value()->mode));
  object.Set("uid", Napi::Number::New(env, status.value()->uid));
  return object;
}

Napi::Value list(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::list_directory(path));
}

// The functions whose only arguments are a path and a mode, or a path alone.
template <Status (*Function)(const std::string&, unsigned)>
Napi::Value with_mode(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  const int mode = arguments.integer(1);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), Function(path, static_cast<unsigned>(mode)));
}

template <Status (*Function)(const std::string&)>
Napi::Value with_path(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), Function(path));
}

Napi::Value real_path(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::real_path(path));
}

Napi::Value working_directory(const Napi::CallbackInfo& info) { return give(info.Env(), host::working_directory()); }

Napi::Value user_id(const Napi::CallbackInfo& info) { return Napi::Number::New(info.Env(), sys::geteuid()); }

Napi::Value timestamp(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), host::timestamp()); }

Napi::Value try_lock(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::try_lock(path));
}

}  // namespace

void register_files(Napi::Object exports) {
  add(exports, "readText", read_text);
  add(exports, "writeText", write_text);
  add(exports, "replaceFile", replace_file);
  add(exports, "appendFile", append_file);
  add(exports, "writeAll", write_all);
  add(exports, "stat", stat);
  add(exports, "list", list);
  add(exports, "makeDirectory", with_mode<host::make_directory>);
  add(exports, "makeDirectories", with_mode<host::make_directories>);
  add(exports, "removeFile", with_path<host::remove_file>);
  add(exports, "removeDirectory", with_path<host::remove_directory>);
  add(exports, "realPath", real_path);
  add(exports, "workingDirectory", working_directory);
  add(exports, "userId", user_id);
  add(exports, "timestamp", timestamp);
  add(exports, "tryLock", try_lock);
}

}  // namespace strata::addon
