// The wire form of a plan once more, written from the table of operations and the description in src/plan/encode.ts alone: the oracle for
// native/core/plan.cpp, and the way to change a plan without breaking its lengths.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace fuzz {

using Data = std::vector<std::uint8_t>;

enum class Type : char { u32, u64, boolean, string, bytes, strings, u32s };

struct Field {
  Type type;
  std::uint64_t number = 0;  // u32, u64, boolean
  Data data = {};            // string, bytes
  std::vector<Data> items = {};
  std::vector<std::uint32_t> numbers = {};
  bool operator==(const Field&) const = default;
};

struct Operation {
  std::uint32_t code;
  std::vector<Field> fields;
  bool operator==(const Operation&) const = default;
};

using Operations = std::vector<Operation>;

// Field types by code, from wire_table().
const std::map<std::uint32_t, std::vector<Type>>& table();

// An operation with nothing in its fields. Its code must be in the table.
Operation blank(std::uint32_t code);

// Nothing for bytes that are not exactly one plan.
std::optional<Operations> decode(const std::uint8_t* data, std::size_t size);
Data encode(const Operations& operations);

// One small change: an operation more, less or elsewhere, or another value in a field.
void mutate(Operations& operations, std::minstd_rand& random);

}  // namespace fuzz
