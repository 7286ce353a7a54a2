#include "node.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "../core/host/file.hpp"
#include "../core/sys.hpp"
#include "complain.hpp"

namespace strata::cli {
namespace {

constexpr std::size_t path_limit = 4096;

bool is_executable(const std::string& path) { return !path.empty() && sys::faccessat(AT_FDCWD, path.c_str(), X_OK) == 0; }

// The Node that the build was made with, else the first in PATH; '' if there is none. An engine may call us without PATH.
std::string find_node(const std::string& home) {
  Result<std::string> recorded = host::read_text(home + "/build/node-path", path_limit);
  if (!recorded.failed()) {
    std::string path = recorded.value().substr(0, recorded.value().find('\n'));
    if (is_executable(path)) return path;
  }
  const char* directories = std::getenv("PATH");
  std::string_view rest = directories == nullptr ? "" : directories;
  while (!rest.empty()) {
    const std::string_view directory = rest.substr(0, rest.find(':'));
    std::string path = std::string(directory) + "/node";
    if (directory.starts_with('/') && is_executable(path)) return path;
    rest.remove_prefix(directory.size() < rest.size() ? directory.size() + 1 : rest.size());
  }
  return {};
}

// Descriptors from 3 on that came with execve, separated by commas: Node opens its own and marks the caller's close-on-exec.
std::string inherited_descriptors() {
  std::string text;
  Result<std::vector<std::string>> names = host::list_directory("/proc/self/fd");
  if (names.failed()) return text;
  for (const std::string& name : names.value()) {
    const int descriptor = std::atoi(name.c_str());
    const long flags = sys::fcntl(descriptor, F_GETFD);
    if (descriptor < 3 || flags < 0 || (flags & FD_CLOEXEC) != 0) continue;
    if (!text.empty()) text += ',';
    text += name;
  }
  return text;
}

char** own_arguments;

}  // namespace

void set_arguments(char** arguments) { own_arguments = arguments; }

int become_node() {
  std::array<char, path_limit> self{};
  const long length = sys::readlinkat(AT_FDCWD, "/proc/self/exe", self.data(), self.size() - 1);
  if (length < 0) return complain("cannot find itself: /proc is not mounted");
  std::string home(self.data(), static_cast<std::size_t>(length));
  home.resize(home.rfind('/'));
  home += "/..";

  const std::string program = home + "/dist/bin/strata.cjs";
  if (sys::faccessat(AT_FDCWD, program.c_str(), R_OK) < 0) return complain("the part that runs on Node is not installed: there is no " + program);
  const std::string node = find_node(home);
  if (node.empty()) return complain("no Node.js: none was recorded when strata was built or installed, and there is none in PATH");

  // Certificates cost every start of Node 100 ms; options that are meant for other programs have no business here.
  for (const char* name : {"NODE_EXTRA_CA_CERTS", "NODE_OPTIONS", "NODE_COMPILE_CACHE", "STRATA_HOST"}) unsetenv(name);
  // What the build has compiled already saves 3 ms of every start.
  const std::string cache = home + "/build/compile-cache";
  if (sys::faccessat(AT_FDCWD, cache.c_str(), R_OK) == 0) setenv("NODE_COMPILE_CACHE", cache.c_str(), 1);
  setenv("STRATA_INHERITED_FDS", inherited_descriptors().c_str(), 1);
  // Node raises the soft limit of open files to the hard one; a container without a limit of its own inherits the caller's.
  sys::ResourceLimit files{};
  if (sys::prlimit(0, RLIMIT_NOFILE, nullptr, &files) == 0) setenv("STRATA_NOFILE_SOFT", std::to_string(files.soft).c_str(), 1);

  std::vector<const char*> argv{node.c_str(), program.c_str()};
  for (char** argument = own_arguments + 1; *argument != nullptr; argument++) argv.push_back(*argument);
  argv.push_back(nullptr);
  const int error = sys::execveat(AT_FDCWD, node.c_str(), argv.data(), environ, 0);
  return complain("cannot execute " + node + ": " + std::strerror(-error));
}

}  // namespace strata::cli
