// Network devices that move into a container (config-linux.md, Network Devices), and back out of one that did not come up.
#pragma once

#include <string>
#include <vector>

#include "../error.hpp"
#include "../fd.hpp"
#include "../message.hpp"
#include "netlink.hpp"

namespace strata::host {

class MovedDevices {
 public:
  // Moves the device of the runtime's network namespace that `record` names into that of the socket `netlink`, with its addresses, and sets it up.
  Status move(const DeviceRecord& record, Fd netlink);
  // Takes all back that have been moved, as they were. Here and there something may be refused: what there is to save is saved.
  void take_back();

 private:
  struct Device {
    Fd netlink;  // keeps the container's network namespace alive, and the device with it
    int index;
    Link original;
    std::vector<LinkAddress> addresses;
  };
  std::vector<Device> devices_;
};

}  // namespace strata::host
