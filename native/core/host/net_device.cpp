#include "net_device.hpp"

#include <fcntl.h>
#include <net/if.h>
#include <sys/stat.h>
#include <cerrno>

#include <linux/stat.h>

namespace strata::host {
namespace {

constexpr std::string_view any_number = "%d";
constexpr int most_numbers = 32768;

bool same_file(int one, int other) {
  struct statx first {};
  struct statx second {};
  if (sys::statx(one, "", AT_EMPTY_PATH, STATX_INO, &first) < 0 || sys::statx(other, "", AT_EMPTY_PATH, STATX_INO, &second) < 0) return true;
  return first.stx_ino == second.stx_ino && first.stx_dev_major == second.stx_dev_major && first.stx_dev_minor == second.stx_dev_minor;
}

// The name that the device gets: `target`, or the first of a template's that nobody has, as the kernel would choose.
Result<std::string> free_name(int netlink, std::string_view target) {
  const bool is_template = target.ends_with(any_number);
  for (int number = 0; number < most_numbers; number++) {
    std::string name(target);
    if (is_template) name.replace(name.size() - any_number.size(), any_number.size(), std::to_string(number));
    Result<std::optional<Link>> link = find_link(netlink, name);
    if (link.failed()) return link.status();
    if (!link.value()) return name;
    if (!is_template) break;
  }
  return Status::with_detail("netlink", target, "the network namespace of the container has a device of this name already", EEXIST);
}

Status about(const Status& status, std::string_view name) { return {status.error(), status.call(), name}; }

}  // namespace

Status MovedDevices::move(const DeviceRecord& record, Fd netlink) {
  const std::string_view name(record.name, strnlen(record.name, sizeof record.name));
  const std::string_view target(record.target, strnlen(record.target, sizeof record.target));
  Result<Fd> ours = open_netlink();
  if (ours.failed()) return ours.status();
  const int host = ours.value().get();
  Result<Fd> from = namespace_of_socket(host);
  if (from.failed()) return from.status();
  Result<Fd> to = namespace_of_socket(netlink.get());
  if (to.failed()) return to.status();
  if (same_file(from.value().get(), to.value().get()))
    return Status::with_detail("netlink", name, "the container is in the runtime's own network namespace", EINVAL);

  Result<std::optional<Link>> link = find_link(host, name);
  if (link.failed()) return link.status();
  if (!link.value()) return {ENODEV, "netlink", name};
  Result<std::string> new_name = free_name(netlink.get(), target);
  if (new_name.failed()) return new_name.status();
  Device device{};
  device.original = *link.value();
  Result<std::vector<LinkAddress>> addresses = permanent_addresses(host, device.original.index);
  if (addresses.failed()) return about(addresses.status(), name);
  device.addresses = std::move(addresses.value());

  const Status moved = move_link(host, device.original.index, to.value().get(), new_name.value());
  if (moved.error() == EINVAL) return Status::with_detail("netlink", name, "the kernel does not let this device leave its network namespace", EINVAL);
  if (moved.failed()) return about(moved, name);
  Result<std::optional<Link>> there = find_link(netlink.get(), new_name.value());
  if (there.failed()) return there.status();
  if (!there.value()) return {ENODEV, "netlink", new_name.value()};
  device.index = there.value()->index;
  device.netlink = std::move(netlink);
  devices_.push_back(std::move(device));

  const Device& mine = devices_.back();
  for (const LinkAddress& address : mine.addresses) {
    const Status added = add_address(mine.netlink.get(), mine.index, address);
    if (added.failed()) return about(added, new_name.value());
  }
  return about(set_link_up(mine.netlink.get(), mine.index), new_name.value());
}

void MovedDevices::take_back() {
  Result<Fd> ours = open_netlink();
  if (ours.failed()) return;
  const int host = ours.value().get();
  Result<Fd> home = namespace_of_socket(host);
  for (; !home.failed() && !devices_.empty(); devices_.pop_back()) {
    const Device& device = devices_.back();
    if (move_link(device.netlink.get(), device.index, home.value().get(), device.original.name).failed()) continue;
    Result<std::optional<Link>> back = find_link(host, device.original.name);
    if (back.failed() || !back.value()) continue;
    for (const LinkAddress& address : device.addresses) (void)add_address(host, back.value()->index, address);
    if ((device.original.flags & IFF_UP) != 0) (void)set_link_up(host, back.value()->index);
  }
}

}  // namespace strata::host
