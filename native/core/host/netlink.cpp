#include "netlink.hpp"

#include <net/if.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <algorithm>
#include <cerrno>
#include <cstring>

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>

namespace strata::host {
namespace {

// As large as the kernel makes its parts of an answer.
constexpr std::size_t answer_size = std::size_t{64} * 1024;
// The header before another device's statistics would come.
constexpr std::uint32_t without_statistics = 1U << 3;  // RTEXT_FILTER_SKIP_STATS
constexpr std::uint32_t kept_flags = IFA_F_NODAD | IFA_F_HOMEADDRESS | IFA_F_MANAGETEMPADDR | IFA_F_NOPREFIXROUTE | IFA_F_MCAUTOJOIN;
constexpr std::uint16_t address_protocol = 11;  // IFA_PROTO, since Linux 5.18

// One message, put together in place.
class Request {
 public:
  template <class Body>
  Request(std::uint16_t type, unsigned flags, const Body& body) {
    nlmsghdr header{};
    header.nlmsg_type = type;
    header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
    put(&header, sizeof header);
    put(&body, sizeof body);
  }

  Request& attribute(unsigned type, const void* data, std::size_t size) {
    const rtattr header{static_cast<unsigned short>(RTA_LENGTH(size)), static_cast<unsigned short>(type)};
    put(&header, sizeof header);
    put(data, size);
    return *this;
  }
  Request& number(unsigned type, std::uint32_t value) { return attribute(type, &value, sizeof value); }
  // With the NUL that the kernel's policy wants behind it.
  Request& text(unsigned type, std::string_view value) { return attribute(type, std::string(value).c_str(), value.size() + 1); }
  Request& raw(const std::vector<std::uint8_t>& attributes) {
    put(attributes.data(), attributes.size());
    return *this;
  }

  Status send(int netlink) {
    const auto size = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &size, sizeof size);  // nlmsg_len
    sockaddr_nl kernel{};
    kernel.nl_family = AF_NETLINK;
    iovec part{bytes_.data(), bytes_.size()};
    msghdr message{};
    message.msg_name = &kernel;
    message.msg_namelen = sizeof kernel;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    long sent;
    do {
      sent = sys::sendmsg(netlink, &message, 0);
    } while (sent == -EINTR);
    return sent < 0 ? Status(static_cast<int>(-sent), "netlink") : Status();
  }

 private:
  void put(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), from, from + size);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
  }

  std::vector<std::uint8_t> bytes_;
};

// A part of an answer: the header of a message, or of an attribute, and what stands behind it.
struct Part {
  std::uint16_t type;
  const std::uint8_t* data;
  std::size_t size;
};

// Cuts the first message or attribute off `rest`. False at the end, and at anything that does not fit.
template <class Header>
bool next(std::string_view& rest, Part& ret_part) {
  Header header{};
  if (rest.size() < sizeof header) return false;
  std::memcpy(&header, rest.data(), sizeof header);
  std::size_t length;
  if constexpr (sizeof(Header) == sizeof(rtattr)) {
    length = header.rta_len;
    ret_part.type = header.rta_type;
  } else {
    length = header.nlmsg_len;
    ret_part.type = header.nlmsg_type;
  }
  if (length < sizeof header || length > rest.size()) return false;
  ret_part.data = reinterpret_cast<const std::uint8_t*>(rest.data()) + sizeof header;
  ret_part.size = length - sizeof header;
  rest.remove_prefix(std::min(NLMSG_ALIGN(length), rest.size()));
  return true;
}

template <class Body>
bool read_body(const Part& message, Body& ret_body, std::string_view& ret_attributes) {
  if (message.size < sizeof ret_body) return false;
  std::memcpy(&ret_body, message.data, sizeof ret_body);
  const std::size_t begin = std::min(NLMSG_ALIGN(sizeof ret_body), message.size);
  ret_attributes = {reinterpret_cast<const char*>(message.data) + begin, message.size - begin};
  return true;
}

// Sends a request and shows every message of the answer to `visit`, up to its end.
template <class Visitor>
Status ask(int netlink, Request& request, Visitor visit) {
  STRATA_TRY(request.send(netlink));
  std::vector<char> buffer(answer_size);
  for (;;) {
    sockaddr_nl sender{};
    iovec part{buffer.data(), buffer.size()};
    msghdr message{};
    message.msg_name = &sender;
    message.msg_namelen = sizeof sender;
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    const long received = sys::recvmsg(netlink, &message, 0);
    if (received == -EINTR) continue;
    if (received < 0) return {static_cast<int>(-received), "netlink"};
    if (received == 0 || (message.msg_flags & MSG_TRUNC) != 0) return {EBADMSG, "netlink"};
    // In a namespace with others somebody else may send something; only the kernel has the address 0.
    if (sender.nl_pid != 0) continue;
    std::string_view rest(buffer.data(), static_cast<std::size_t>(received));
    Part answer{};
    while (next<nlmsghdr>(rest, answer)) {
      if (answer.type == NLMSG_DONE) return {};
      if (answer.type == NLMSG_ERROR) {
        std::int32_t error = -EBADMSG;
        if (answer.size >= sizeof error) std::memcpy(&error, answer.data, sizeof error);
        return error == 0 ? Status() : Status(-error, "netlink");
      }
      visit(answer);
    }
  }
}

Status command(int netlink, Request& request) {
  return ask(netlink, request, [](const Part&) {});
}

ifinfomsg link_body(int index, unsigned flags = 0, unsigned change = 0) {
  ifinfomsg body{};
  body.ifi_index = index;
  body.ifi_flags = flags;
  body.ifi_change = change;
  return body;
}

// What is there for good and for all, without the label: it has the old name in it.
bool read_address(const Part& message, int index, LinkAddress& ret_address) {
  ifaddrmsg body{};
  std::string_view attributes;
  if (message.type != RTM_NEWADDR || !read_body(message, body, attributes)) return false;
  if (static_cast<int>(body.ifa_index) != index || body.ifa_scope != RT_SCOPE_UNIVERSE) return false;
  ret_address = {body.ifa_family, body.ifa_prefixlen, body.ifa_flags, {}};
  Part attribute{};
  while (next<rtattr>(attributes, attribute)) {
    if (attribute.type == IFA_FLAGS && attribute.size >= sizeof ret_address.flags)
      std::memcpy(&ret_address.flags, attribute.data, sizeof ret_address.flags);
    const bool kept = attribute.type == IFA_ADDRESS || attribute.type == IFA_LOCAL || attribute.type == IFA_BROADCAST ||
                      attribute.type == IFA_RT_PRIORITY || attribute.type == address_protocol;
    if (!kept) continue;
    const std::uint8_t* begin = attribute.data - sizeof(rtattr);
    ret_address.attributes.insert(ret_address.attributes.end(), begin, attribute.data + attribute.size);
    ret_address.attributes.resize(RTA_ALIGN(ret_address.attributes.size()));
  }
  return (ret_address.flags & IFA_F_PERMANENT) != 0;
}

}  // namespace

Result<Fd> open_netlink() {
  Fd netlink(sys::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  if (!netlink.valid()) return Status(-netlink.get(), "socket", "netlink");
  return netlink;
}

Result<Fd> namespace_of_socket(int socket) {
  Fd file(sys::ioctl(socket, SIOCGSKNS, 0UL));
  if (!file.valid()) return Status(-file.get(), "ioctl", "network namespace");
  return file;
}

Result<std::optional<Link>> find_link(int netlink, std::string_view name) {
  Request request(RTM_GETLINK, NLM_F_ACK, link_body(0));
  request.text(IFLA_IFNAME, name).number(IFLA_EXT_MASK, without_statistics);
  std::optional<Link> link;
  const Status status = ask(netlink, request, [&](const Part& message) {
    ifinfomsg body{};
    std::string_view attributes;
    if (message.type == RTM_NEWLINK && read_body(message, body, attributes)) link = Link{body.ifi_index, body.ifi_flags, std::string(name)};
  });
  if (status.failed() && status.error() != ENODEV) return Status(status.error(), "netlink", name);
  return link;
}

Result<std::vector<LinkAddress>> permanent_addresses(int netlink, int index) {
  Request request(RTM_GETADDR, NLM_F_DUMP, ifaddrmsg{});
  std::vector<LinkAddress> addresses;
  const Status status = ask(netlink, request, [&](const Part& message) {
    LinkAddress address{};
    if (read_address(message, index, address)) addresses.push_back(std::move(address));
  });
  if (status.failed()) return status;
  return addresses;
}

Status add_address(int netlink, int index, const LinkAddress& address) {
  ifaddrmsg body{};
  body.ifa_family = address.family;
  body.ifa_prefixlen = address.prefix;
  body.ifa_scope = RT_SCOPE_UNIVERSE;
  body.ifa_index = static_cast<unsigned>(index);
  Request request(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, body);
  request.raw(address.attributes).number(IFA_FLAGS, address.flags & kept_flags);
  return command(netlink, request);
}

Status move_link(int netlink, int index, int network_namespace, std::string_view name) {
  Request request(RTM_SETLINK, NLM_F_ACK, link_body(index));
  request.number(IFLA_NET_NS_FD, static_cast<std::uint32_t>(network_namespace)).text(IFLA_IFNAME, name);
  return command(netlink, request);
}

Status set_link_up(int netlink, int index) {
  Request request(RTM_SETLINK, NLM_F_ACK, link_body(index, IFF_UP, IFF_UP));
  return command(netlink, request);
}

}  // namespace strata::host
