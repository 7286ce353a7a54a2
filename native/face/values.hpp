// The core's values as JavaScript sees them, for any engine. An Engine has a copyable Value and turns numbers, texts and the like into Values and
// back:
//
//   undefined() boolean(bool) number(double) bigint(uint64) text(string_view) bytes(string_view) object() array()   -> Value
//   set(object, key, Value)  append(array, index, Value)
//   boolean_of number_of bigint_of text_of bytes_of (Value)                                      -> std::optional
//   is_array(Value)  length(Value)  element(Value, index)  property(Value, key)
#pragma once

#include <fcntl.h>
#include <cerrno>
#include <climits>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "../core/host/command.hpp"
#include "../core/host/file.hpp"
#include "../core/host/log_file.hpp"
#include "../core/host/process.hpp"
#include "../core/host/terminal.hpp"
#include "../core/layer/new_layer.hpp"
#include "../core/layer/tree.hpp"
#include "../core/layer/writer.hpp"
#include "../core/plan.hpp"
#include "call.hpp"

namespace strata::face {

template <class Engine>
class Conversion {
 public:
  using Value = typename Engine::Value;

  explicit Conversion(Engine& js) : js_(js) {}

  // --- from JavaScript: false if the value is not of the type, which the only callers, the hosts in src/host, never give

  bool read(const Value& value, bool& ret_flag) {
    const std::optional<bool> flag = js_.boolean_of(value);
    ret_flag = flag.value_or(false);
    return flag.has_value();
  }

  bool read(const Value& value, std::string& ret_text) {
    std::optional<std::string> text = js_.text_of(value);
    if (text) ret_text = std::move(*text);
    return text.has_value();
  }

  bool read(const Value& value, Path& ret_path) { return read(value, ret_path.text) && ret_path.text.find('\0') == std::string::npos; }

  bool read(const Value& value, int& ret_number) {
    const double number = js_.number_of(value).value_or(NAN);
    if (!(number >= INT_MIN && number <= INT_MAX) || std::trunc(number) != number) return false;
    ret_number = static_cast<int>(number);
    return true;
  }

  // Modes and sizes.
  bool read_unsigned(const Value& value, auto& ret_number) {
    int number = 0;
    if (!read(value, number) || number < 0) return false;
    ret_number = static_cast<unsigned>(number);
    return true;
  }
  bool read(const Value& value, unsigned& ret_number) { return read_unsigned(value, ret_number); }

  // A size is a number, a start time a bigint: both are 64 bits wide.
  bool read(const Value& value, std::uint64_t& ret_number) {
    const std::optional<std::uint64_t> number = js_.bigint_of(value);
    if (!number) return read_unsigned(value, ret_number);
    ret_number = *number;
    return true;
  }

  bool read(const Value& value, PlanBytes& ret_plan) {
    if (!js_.is_array(value)) return false;
    Bytes& bytes = ret_plan.bytes;
    bytes.reserve(16 * 1024);
    put(bytes, plan_magic);
    put(bytes, plan_version);
    put(bytes, std::uint32_t{0});
    put(bytes, js_.length(value) / 2);
    if (!pack_items(value, 0, bytes)) return false;
    const auto total = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(bytes.data() + 2 * sizeof total, &total, sizeof total);
    return true;
  }

  bool read(const Value& value, Bytes& ret_bytes) {
    std::optional<Bytes> bytes = js_.bytes_of(value);
    if (bytes) ret_bytes = std::move(*bytes);
    return bytes.has_value();
  }

  bool read(const Value& value, Duplicate& ret_duplicate) {
    int descriptor = -1;
    if (!read(value, descriptor)) return false;
    const long duplicate = sys::fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    // Not make_shared, which without RTTI needs a function of libstdc++ that brings exceptions along (native/cli/runtime.cpp).
    ret_duplicate.owned.reset(new Fd(static_cast<int>(duplicate)));
    return duplicate >= 0;
  }

  // Every text of a list is a path.
  template <class Item>
  bool read(const Value& value, std::vector<Item>& ret_items) {
    if (!js_.is_array(value)) return false;
    const std::uint32_t length = js_.length(value);
    for (std::uint32_t i = 0; i < length; i++) {
      std::conditional_t<std::is_same_v<Item, std::string>, Path, Item> item{};
      if (!read(js_.element(value, i), item)) return false;
      ret_items.push_back(std::move(item));
    }
    return true;
  }

  bool read(const Value& value, host::Command& ret_command) {
    Path path;
    if (!read(js_.property(value, "path"), path)) return false;
    ret_command.path = std::move(path.text);
    return read(js_.property(value, "args"), ret_command.args) && read(js_.property(value, "env"), ret_command.env) &&
           read(js_.property(value, "stdin"), ret_command.input) && read(js_.property(value, "timeout"), ret_command.timeout);
  }

  // Reads all arguments of a call; `argument(i)` is the i-th. The failure tells which one was not fit.
  template <class Get, class... Types>
  std::optional<Failure> read_arguments(Get argument, std::tuple<Types...>& ret_arguments) {
    int index = 0;
    const bool fit = std::apply([&](auto&... each) { return (read(argument(index++), each) && ...); }, ret_arguments);
    if (fit) return std::nullopt;
    return Failure(Status(EINVAL, "strata", "argument " + std::to_string(index)));
  }

  // --- to JavaScript

  Value write(const Nothing&) { return js_.undefined(); }
  Value write(const bool& flag) { return js_.boolean(flag); }
  Value write(const int& number) { return js_.number(number); }
  Value write(const unsigned& number) { return js_.number(number); }
  Value write(const double& number) { return js_.number(number); }
  Value write(const std::string& text) { return js_.text(text); }

  Value write(const std::vector<std::string>& texts) {
    auto array = js_.array();
    for (std::size_t i = 0; i < texts.size(); i++) js_.append(array, static_cast<std::uint32_t>(i), js_.text(texts[i]));
    return array;
  }

  // Hands the descriptor over; an invalid one is undefined.
  Value write(Fd& descriptor) { return descriptor.valid() ? js_.number(descriptor.release()) : js_.undefined(); }

  Value write(std::pair<Fd, Fd>& descriptors) {
    auto array = js_.array();
    js_.append(array, 0, write(descriptors.first));
    js_.append(array, 1, write(descriptors.second));
    return array;
  }

  template <class Item>
  Value write(std::optional<Item>& item) {
    return item ? write(*item) : js_.undefined();
  }

  Value write(const host::FileStatus& status) {
    auto object = js_.object();
    js_.set(object, "type", js_.text(status.type));
    js_.set(object, "mode", js_.number(status.mode));
    js_.set(object, "uid", js_.number(status.uid));
    js_.set(object, "size", js_.number(status.size));
    return object;
  }

  Value write(const host::DeviceStatus& status) {
    auto object = js_.object();
    js_.set(object, "type", js_.text(status.type));
    js_.set(object, "major", js_.number(status.major));
    js_.set(object, "minor", js_.number(status.minor));
    js_.set(object, "mode", js_.number(status.mode));
    js_.set(object, "uid", js_.number(status.uid));
    js_.set(object, "gid", js_.number(status.gid));
    return object;
  }

  Value write(const host::WindowSize& size) {
    auto object = js_.object();
    js_.set(object, "height", js_.number(size.height));
    js_.set(object, "width", js_.number(size.width));
    return object;
  }

  // { code, signal? }, or 'unknown'.
  Value write(const host::ExitStatus& status) {
    if (!status.known) return js_.text("unknown");
    auto object = js_.object();
    js_.set(object, "code", js_.number(status.code));
    if (status.signal != 0) js_.set(object, "signal", js_.number(status.signal));
    return object;
  }

  Value write(const host::CommandResult& result) {
    auto object = js_.object();
    js_.set(object, "status", write(result.status));
    js_.set(object, "timedOut", js_.boolean(result.timed_out));
    js_.set(object, "stdout", js_.text(result.output));
    js_.set(object, "stderr", js_.text(result.errors));
    return object;
  }

  Value write(Packet& packet) {
    auto object = js_.object();
    js_.set(object, "bytes", js_.text(packet.bytes));
    js_.set(object, "descriptor", packet.descriptor.valid() ? js_.number(packet.descriptor.release()) : js_.number(-1));
    return object;
  }

  Value write(const host::Lines& lines) {
    auto object = js_.object();
    js_.set(object, "text", js_.text(lines.text));
    js_.set(object, "next", js_.bigint(lines.next));
    return object;
  }

  Value write(const host::LastLines& lines) {
    auto object = js_.object();
    js_.set(object, "offset", js_.bigint(lines.offset));
    js_.set(object, "found", js_.number(lines.found));
    return object;
  }

  Value write(const Launched& launched) {
    auto object = js_.object();
    js_.set(object, "pid", js_.number(launched.pid));
    js_.set(object, "startTime", js_.bigint(launched.start_time));
    js_.set(object, "pidfd", js_.number(launched.pidfd));
    js_.set(object, "sync", js_.number(launched.sync));
    return object;
  }

  Value write(const layer::LayerSummary& summary) {
    auto object = js_.object();
    js_.set(object, "entries", js_.number(static_cast<double>(summary.entries)));
    js_.set(object, "size", js_.number(static_cast<double>(summary.size)));
    js_.set(object, "dropped", js_.number(static_cast<double>(summary.dropped)));
    js_.set(object, "unsupported", js_.number(static_cast<double>(summary.unsupported)));
    return object;
  }

  Value write(const layer::Batch& batch) { return js_.bytes(batch.bytes); }

  Value write(const layer::NewLayer& made) {
    auto object = js_.object();
    js_.set(object, "diffId", js_.text("sha256:" + made.archive.plain));
    js_.set(object, "digest", js_.text("sha256:" + made.archive.digest));
    js_.set(object, "archiveSize", js_.number(static_cast<double>(made.archive.size)));
    js_.set(object, "sockets", js_.number(static_cast<double>(made.left_out.sockets)));
    js_.set(object, "socket", js_.text(made.left_out.socket));
    js_.set(object, "attributes", js_.number(static_cast<double>(made.left_out.attributes)));
    js_.set(object, "attribute", js_.text(made.left_out.attribute));
    return object;
  }

  Value write(const layer::Difference& difference) {
    auto object = js_.object();
    js_.set(object, "path", js_.text(difference.path));
    js_.set(object, "reason", js_.text(difference.reason));
    return object;
  }

  Value write(const Failure& failure) {
    auto object = js_.object();
    js_.set(object, "operation", js_.number(failure.operation));
    js_.set(object, "syscall", js_.text(failure.call));
    js_.set(object, "errno", js_.number(failure.error));
    js_.set(object, "path", js_.text(failure.path));
    js_.set(object, "detail", js_.text(failure.detail));
    return object;
  }

 private:
  // A payload, and a profile in it.
  static constexpr int deepest_list = 4;

  // Little-endian, as all our machines are.
  template <class Number>
  static bool put(Bytes& bytes, Number number) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(&number);
    bytes.insert(bytes.end(), from, from + sizeof number);
    return true;
  }

  bool pack_items(const Value& values, int depth, Bytes& ret_bytes) {
    const std::uint32_t length = js_.length(values);
    for (std::uint32_t i = 0; i < length; i++) {
      if (!pack(js_.element(values, i), depth, ret_bytes)) return false;
    }
    return true;
  }

  bool pack(const Value& value, int depth, Bytes& ret_bytes) {
    if (const std::optional<std::string> text = js_.text_of(value)) {
      put(ret_bytes, static_cast<std::uint32_t>(text->size()));
      ret_bytes.insert(ret_bytes.end(), text->c_str(), text->c_str() + text->size() + 1);
      return text->find('\0') == std::string::npos;
    }
    if (const std::optional<double> number = js_.number_of(value)) {
      if (!(*number >= 0 && *number <= std::numeric_limits<std::uint32_t>::max()) || std::trunc(*number) != *number) return false;
      return put(ret_bytes, static_cast<std::uint32_t>(*number));
    }
    if (const std::optional<bool> flag = js_.boolean_of(value)) return put(ret_bytes, std::uint32_t{*flag ? 1U : 0U});
    if (const std::optional<std::uint64_t> number = js_.bigint_of(value)) return put(ret_bytes, *number);
    const std::size_t start = ret_bytes.size();
    put(ret_bytes, std::uint32_t{0});
    if (js_.is_array(value)) {
      if (depth == deepest_list || !pack_items(value, depth + 1, ret_bytes)) return false;
    } else if (const std::optional<Bytes> bytes = js_.bytes_of(value)) {
      ret_bytes.insert(ret_bytes.end(), bytes->begin(), bytes->end());
    } else {
      return false;
    }
    const auto size = static_cast<std::uint32_t>(ret_bytes.size() - start - sizeof(std::uint32_t));
    std::memcpy(ret_bytes.data() + start, &size, sizeof size);
    return true;
  }

  Engine& js_;
};

}  // namespace strata::face
