// The one way to a path inside a container's root (design rule 1). The root is untrusted: its symbolic links may point anywhere, and other
// processes may change it while we look. Everything is resolved by the kernel with the root as "/", or by our own walk that holds a
// descriptor at every step and never lets the kernel follow a link; nobody joins a root and a path to a string.
#pragma once

#include "error.hpp"
#include "fd.hpp"

namespace strata {

enum class Links {
  follow,    // inside the root
  refuse,    // ELOOP for any symbolic link on the way
  not_last,  // the last component is itself meant
};

// Opens what `path` names inside `root`. `flags` as for open(2), O_CLOEXEC is added.
Result<Fd> open_in_root(int root, std::string_view path, int flags, Links links = Links::follow);

enum class Make { directory, file };

// Opens (O_PATH) the directory or file `path` inside `root`, made with its parents if it is missing. Parents get mode 0755. `ret_existed`, if
// not null, tells whether it was there.
Result<Fd> make_in_root(int root, std::string_view path, Make kind, unsigned mode, Links links = Links::follow, bool* ret_existed = nullptr);

// Opens the directory that holds the last component of `path`, made if missing; `ret_name` receives that component.
Result<Fd> make_parent_in_root(int root, std::string_view path, FixedText<256>& ret_name);

// The host's /proc as a descriptor, verified to be procfs and its root.
Result<Fd> open_proc();

// Writes `value` to `path` below the descriptor of open_proc, with no way out of that file system.
Status write_proc(int proc, const char* path, std::string_view value);

}  // namespace strata
