// Sockets, pipes and other descriptors.
#include <fcntl.h>
#include <memory>

#include "../core/host/socket.hpp"
#include "environment.hpp"
#include "functions.hpp"
#include "values.hpp"

namespace strata::addon {
namespace {

Napi::Value close(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const int descriptor = arguments.integer(0);
  if (arguments.failed()) return info.Env().Undefined();
  const int result = sys::close(descriptor);
  return give(info.Env(), result < 0 ? Status(-result, "close") : Status());
}

Napi::Value listen(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::listen_socket(path));
}

Napi::Value connect(const Napi::CallbackInfo& info) {
  Arguments arguments(info);
  const std::string path = arguments.path(0);
  if (arguments.failed()) return info.Env().Undefined();
  return give(info.Env(), host::connect_socket(path));
}

Napi::Value socket_pair(const Napi::CallbackInfo& info) { return give(info.Env(), host::socket_pair()); }

Napi::Value pipe(const Napi::CallbackInfo& info) { return give(info.Env(), host::make_pipe()); }

Napi::Value receive_descriptor(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Arguments arguments(info);
  const int socket = arguments.integer(0);
  if (arguments.failed()) return env.Undefined();
  // The thread waits on a descriptor of its own: the caller may give up and close the one it has, whose number could be another's next.
  const long duplicate = sys::fcntl(socket, F_DUPFD_CLOEXEC, 3);
  if (duplicate < 0) return give(env, Status(static_cast<int>(-duplicate), "fcntl"));
  auto owned = std::make_shared<Fd>(static_cast<int>(duplicate));
  return Environment::of(env).on_thread<Fd>(env, [owned] { return Outcome<Fd>(host::receive_descriptor(owned->get())); });
}

}  // namespace

void register_descriptors(Napi::Object exports) {
  add(exports, "close", close);
  add(exports, "listen", listen);
  add(exports, "connect", connect);
  add(exports, "socketPair", socket_pair);
  add(exports, "pipe", pipe);
  add(exports, "receiveDescriptor", receive_descriptor);
}

}  // namespace strata::addon
