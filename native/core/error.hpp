// The outcome of a fallible call: success, or the call that failed, its errno and the path it was about. Values, never exceptions; nothing
// here allocates, because the same code runs between clone and exec.
#pragma once

#include <cstddef>
#include <cstring>
#include <string_view>
#include <utility>

namespace strata {

// A bounded copy of text for error records: longer text is cut.
template <std::size_t Size>
class FixedText {
 public:
  FixedText() { text_[0] = '\0'; }
  explicit FixedText(std::string_view text) { assign(text); }

  void assign(std::string_view text) {
    const std::size_t length = text.size() < Size - 1 ? text.size() : Size - 1;
    if (length > 0) std::memcpy(text_, text.data(), length);  // an empty view may point nowhere
    text_[length] = '\0';
  }

  // For text that came as bytes from another process.
  void terminate() { text_[Size - 1] = '\0'; }

  [[nodiscard]] const char* c_str() const { return text_; }
  [[nodiscard]] std::string_view view() const { return text_; }

 private:
  char text_[Size];
};

// `error` is a positive errno, 0 for success. `call` names the system call (a literal). `detail` is for what an errno cannot say.
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(int error, const char* call, std::string_view path = {}) : error_(error), call_(call), path_(path) {}

  static Status with_detail(const char* call, std::string_view path, std::string_view detail, int error = 0) {
    Status status(error, call, path);
    status.failed_without_errno_ = true;
    status.detail_.assign(detail);
    return status;
  }

  [[nodiscard]] bool failed() const { return error_ != 0 || failed_without_errno_; }
  [[nodiscard]] int error() const { return error_; }
  [[nodiscard]] const char* call() const { return call_; }
  [[nodiscard]] const char* path() const { return path_.c_str(); }
  [[nodiscard]] const char* detail() const { return detail_.c_str(); }

 private:
  int error_ = 0;
  bool failed_without_errno_ = false;
  const char* call_ = "";
  FixedText<256> path_;
  FixedText<256> detail_;
};

// A value, or the Status that says why there is none.
template <class Value>
class [[nodiscard]] Result {
 public:
  Result(Value value) : value_(std::move(value)) {}  // NOLINT(google-explicit-constructor): a value is a result
  Result(const Status& status) : status_(status) {}  // NOLINT(google-explicit-constructor): a failure is a result
  [[nodiscard]] bool failed() const { return status_.failed(); }
  [[nodiscard]] const Status& status() const { return status_; }
  [[nodiscard]] Value& value() { return value_; }

 private:
  Status status_;
  Value value_{};
};

}  // namespace strata

// Return the failure of `expression` (a Status) to the caller.
#define STRATA_TRY(expression)                                                                       \
  do {                                                                                               \
    if (::strata::Status strata_status = (expression); strata_status.failed()) return strata_status; \
  } while (false)
