// The plan decoder against a second one: the same bytes are a plan for both or for none, and for both they hold the same.
#include "core/plan.hpp"

#include "input.hpp"
#include "kernel.hpp"

namespace {

using namespace strata;
using fuzz::require;

fuzz::Data copy(Text text) {
  require(text.c_str()[text.size] == '\0', "a text has no end");
  return {text.data, text.data + text.size};
}

fuzz::Field read(Fields& fields, fuzz::Type type) {
  fuzz::Field field{type};
  switch (type) {
    case fuzz::Type::u32: field.number = fields.u32(); break;
    case fuzz::Type::u64: field.number = fields.u64(); break;
    case fuzz::Type::boolean: field.number = fields.boolean() ? 1 : 0; break;
    case fuzz::Type::string: field.data = copy(fields.text()); break;
    case fuzz::Type::bytes: {
      const Bytes bytes = fields.bytes();
      field.data.assign(bytes.data, bytes.data + bytes.size);
      break;
    }
    case fuzz::Type::strings: {
      TextList list = fields.texts();
      for (std::uint32_t i = 0; i < list.count; i++) field.items.push_back(copy(list.next()));
      break;
    }
    case fuzz::Type::u32s: {
      Fields::Numbers numbers = fields.u32s();
      for (std::uint32_t i = 0; i < numbers.count; i++) field.numbers.push_back(numbers.next());
      break;
    }
  }
  return field;
}

fuzz::Operations read(const Plan& plan) {
  fuzz::Operations operations;
  for (Plan::Iterator at(plan); !at.done();) {
    require(at.index() == operations.size(), "the index of an operation is wrong");
    const Op op = at.next();
    require(*op_name(op.code) != '\0', "an operation has no name");
    fuzz::Operation operation{static_cast<std::uint32_t>(op.code), {}};
    Fields fields = op.fields();
    for (const fuzz::Type type : fuzz::table().at(operation.code)) operation.fields.push_back(read(fields, type));
    operations.push_back(std::move(operation));
  }
  require(operations.size() == plan.count(), "the number of operations is wrong");
  return operations;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::optional<fuzz::Operations> expected = fuzz::decode(data, size);
  Result<Plan> plan = Plan::open(data, size);
  require(plan.failed() != expected.has_value(), "the decoders disagree about what is a plan");
  if (!expected) return -1;
  require(read(plan.value()) == *expected, "the decoders read different things");
  const fuzz::Data again = fuzz::encode(*expected);
  require(std::equal(again.begin(), again.end(), data, data + size), "a plan has two forms");
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t most, unsigned seed) {
  const std::size_t result = fuzz::mutate_plan_and_answers(data, size, most, seed);
  // No answers here, but sometimes a byte too many.
  return seed % 4 == 0 ? result : fuzz::plan_length(data, result);
}
