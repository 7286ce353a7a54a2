// An input is a plan, or strata-init's orders with one, and behind it the kernel's answers. Without answers everything succeeds.
#pragma once

#include <random>

#include "model.hpp"

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

namespace fuzz {

// The length that a plan gives itself, at most `size`.
inline std::size_t plan_length(const std::uint8_t* data, std::size_t size) {
  std::size_t length = size;
  if (size >= 12) length = data[8] | data[9] << 8 | data[10] << 16 | std::size_t{data[11]} << 24;
  return length < size ? length : size;
}

// Changes the plan operation by operation, or the answers, or, now and then, any bytes of both. The result is in `data`.
inline std::size_t mutate_plan_and_answers(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  std::minstd_rand random(seed);
  const std::size_t length = plan_length(data, size);
  std::optional<Operations> operations = random() % 16 == 0 ? std::nullopt : decode(data, length);
  if (!operations) return LLVMFuzzerMutate(data, size, most);
  Data answers(data + length, data + size);
  if (random() % 2 == 0) {
    answers.resize(answers.size() + 64);
    answers.resize(LLVMFuzzerMutate(answers.data(), answers.size() - 64, answers.size()));
  } else {
    for (std::size_t count = random() % 3 + 1; count > 0; count--) mutate(*operations, random);
  }
  Data whole = encode(*operations);
  whole.insert(whole.end(), answers.begin(), answers.end());
  if (whole.size() > most) return LLVMFuzzerMutate(data, size, most);
  std::copy(whole.begin(), whole.end(), data);
  return whole.size();
}

}  // namespace fuzz
