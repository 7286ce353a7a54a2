// User namespaces and id mappings.
#pragma once

#include "../error.hpp"
#include "../fd.hpp"
#include "../plan.hpp"

namespace strata {

// Writes the id maps of process `pid` (as the procfs `proc` numbers it). An empty map is not written.
Status write_id_maps(int proc, long pid, Text uid_map, Text gid_map);

// Opens the namespace `name` ("user") of process `pid`.
Result<Fd> open_namespace(int proc, long pid, const char* name);

// Applies an id mapping to a detached mount: that of a new user namespace with these maps, or, when they are empty, of our own.
Status map_mount(int mount, Text uid_map, Text gid_map, bool recursive, std::string_view path);

// The same with a user namespace that is open already.
Status map_mount_with(int mount, int user_namespace, bool recursive, std::string_view path);

}  // namespace strata
