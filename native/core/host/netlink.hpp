// rtnetlink(7), as far as moving a network device needs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "../error.hpp"
#include "../fd.hpp"

namespace strata::host {

struct Link {
  int index;
  unsigned flags;  // IFF_*
  std::string name;
};

// An address, as RTM_NEWADDR takes it.
struct LinkAddress {
  std::uint8_t family;
  std::uint8_t prefix;
  std::uint32_t flags;  // IFA_F_*
  std::vector<std::uint8_t> attributes;
};

// A socket of the calling thread's network namespace.
Result<Fd> open_netlink();
// The network namespace of a socket.
Result<Fd> namespace_of_socket(int socket);

// All of these ask the kernel about the namespace in which `netlink` was made.
Result<std::optional<Link>> find_link(int netlink, std::string_view name);
// Those of global scope that are there for good, of all families.
Result<std::vector<LinkAddress>> permanent_addresses(int netlink, int index);
Status add_address(int netlink, int index, const LinkAddress& address);
// Into another namespace, under the name `name`; the device is down then.
Status move_link(int netlink, int index, int network_namespace, std::string_view name);
Status set_link_up(int netlink, int index);

}  // namespace strata::host
