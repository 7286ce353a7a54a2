// strata-init as a whole, from its orders to its execve, over a kernel that answers what it likes.
#include <algorithm>
#include <cstdio>

#include "input.hpp"
#include "kernel.hpp"

#define main strata_init_main
#include "init/main.cpp"
#undef main

namespace {

using fuzz::Data;
using fuzz::kernel;

bool read_header(const std::uint8_t* data, std::size_t size, strata::InitHeader& ret_header) {
  if (size < sizeof ret_header) return false;
  std::memcpy(&ret_header, data, sizeof ret_header);
  return true;
}

// Where the orders end and the answers begin: the header tells, truthfully or not.
std::size_t orders_length(const std::uint8_t* data, std::size_t size) {
  strata::InitHeader header{};
  if (!read_header(data, size, header)) return size;
  const std::uint64_t plan_end = std::uint64_t{header.plan_offset} + header.plan_size;
  const std::uint64_t filter_end = std::uint64_t{header.filter_offset} + header.filter_size;
  return std::min<std::uint64_t>(std::max({plan_end, filter_end, std::uint64_t{sizeof header}}), size);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::size_t length = orders_length(data, size);
  kernel.begin(data + length, size - length, "GGGGGGGG");
  Data orders(data, data + length);
  strata::InitHeader header{};
  if (read_header(data, length, header)) {
    // Descriptors from before: never a number that the kernel is yet to give.
    for (std::int32_t* descriptor : {&header.sync, &header.start, &header.console, &header.target}) *descriptor %= 1000;
    std::memcpy(orders.data(), &header, sizeof header);
  }
  char number[12];
  std::snprintf(number, sizeof number, "%d", kernel.file(orders.data(), orders.size()));
  char name[] = "strata-init";
  char* arguments[] = {name, number, nullptr};
  kernel.run([&] { fuzz::require(strata_init_main(2, arguments) == 1, "strata-init returned and did not say that it failed"); });
  kernel.end();
  return 0;
}

// The plan and the answers, as for a launch; the header is made to fit, but for its flags and descriptors.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  strata::InitHeader header{};
  const std::size_t length = orders_length(data, size);
  if (seed % 8 == 0 || !read_header(data, size, header) || std::uint64_t{header.plan_offset} + header.plan_size > size ||
      std::uint64_t{header.filter_offset} + header.filter_size > size) {
    return LLVMFuzzerMutate(data, size, most);
  }
  const std::uint8_t* plan = data + header.plan_offset;
  Data filter(data + header.filter_offset, data + header.filter_offset + header.filter_size);
  Data inner(plan, plan + header.plan_size);
  inner.insert(inner.end(), data + length, data + size);
  const std::size_t inner_size = inner.size();
  inner.resize(most);
  inner.resize(fuzz::mutate_plan_and_answers(inner.data(), inner_size, most, seed));
  const std::size_t plan_size = fuzz::plan_length(inner.data(), inner.size());

  if (seed % 5 == 0) header.two_stage ^= 1;
  header.plan_offset = sizeof header;
  header.plan_size = static_cast<std::uint32_t>(plan_size);
  header.filter_offset = static_cast<std::uint32_t>((sizeof header + plan_size + 7) / 8 * 8);
  Data whole(reinterpret_cast<const std::uint8_t*>(&header), reinterpret_cast<const std::uint8_t*>(&header + 1));
  whole.insert(whole.end(), inner.begin(), inner.begin() + static_cast<std::ptrdiff_t>(plan_size));
  whole.resize(header.filter_offset);
  whole.insert(whole.end(), filter.begin(), filter.end());
  whole.insert(whole.end(), inner.begin() + static_cast<std::ptrdiff_t>(plan_size), inner.end());
  if (whole.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::copy(whole.begin(), whole.end(), data);
  return whole.size();
}
