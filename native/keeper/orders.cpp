#include "orders.hpp"

#include <fcntl.h>

namespace strata::keeper {
namespace {

constexpr int words_before_command = 17;
constexpr std::int64_t largest_number = std::int64_t{1} << 53;

bool read_number(const char* text, std::int64_t& ret_number) {
  const bool negative = *text == '-';
  if (negative) text++;
  std::int64_t number = 0;
  if (*text == '\0') return false;
  for (; *text != '\0'; text++) {
    if (*text < '0' || *text > '9' || number > largest_number) return false;
    number = number * 10 + (*text - '0');
  }
  ret_number = negative ? -number : number;
  return true;
}

}  // namespace

bool read_orders(int argc, char** argv, Orders& ret_orders) {
  if (argc < words_before_command) return false;
  ret_orders.id = argv[1];
  std::int64_t number = 0;
  if (!read_number(argv[3], number) || number <= 0) return false;
  ret_orders.pid = static_cast<int>(number);
  const struct {
    int word;
    Fd* descriptor;
  } descriptors[] = {{2, &ret_orders.report}, {4, &ret_orders.pidfd}, {5, &ret_orders.directory}, {6, &ret_orders.listener},
                     {7, &ret_orders.master}, {8, &ret_orders.input}, {9, &ret_orders.output},    {10, &ret_orders.errors}};
  for (const auto& [word, descriptor] : descriptors) {
    if (!read_number(argv[word], number) || number > 1 << 20) return false;
    if (number < 0) continue;
    *descriptor = Fd(static_cast<int>(number));
    if (sys::fcntl(descriptor->get(), F_SETFD, FD_CLOEXEC) < 0) return false;
  }
  if (!ret_orders.pidfd.valid() || !ret_orders.directory.valid() || !ret_orders.listener.valid()) return false;
  if (argv[11][0] == '/') ret_orders.events = Fd(sys::openat(AT_FDCWD, argv[11], O_RDONLY | O_CLOEXEC));
  if (argv[12][0] == '/') ret_orders.around = Fd(sys::openat(AT_FDCWD, argv[12], O_RDONLY | O_CLOEXEC));
  if (!read_number(argv[13], number) || number < 0) return false;
  ret_orders.before = static_cast<std::uint64_t>(number);
  ret_orders.logs = std::string_view(argv[14]) == "json-file";
  if (!read_number(argv[15], ret_orders.max_size) || ret_orders.max_size < 0 || !read_number(argv[16], number) || number < 1) return false;
  ret_orders.max_files = static_cast<int>(number < 1000 ? number : 1000);
  if (argc > words_before_command) ret_orders.command = argv + words_before_command;
  return true;
}

}  // namespace strata::keeper
