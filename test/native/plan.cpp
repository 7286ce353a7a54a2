// Plan bytes are refused unless every length, terminator and code in them is right.
#include "core/plan.hpp"

#include <string>
#include <vector>

#include "harness.hpp"
#include "writer.hpp"

namespace {

using namespace strata;

struct Payload {
  OpCode code;
  std::vector<std::uint8_t> bytes;
};

std::vector<std::uint8_t> plan_of(const std::vector<Payload>& operations) {
  Writer body;
  std::vector<std::uint8_t> bytes;
  for (const Payload& operation : operations) {
    Writer head;
    head.u32(static_cast<std::uint32_t>(operation.code)).u32(static_cast<std::uint32_t>(operation.bytes.size()));
    bytes.insert(bytes.end(), head.bytes().begin(), head.bytes().end());
    bytes.insert(bytes.end(), operation.bytes.begin(), operation.bytes.end());
  }
  Writer header;
  header.u32(plan_magic).u32(plan_version).u32(static_cast<std::uint32_t>(16 + bytes.size())).u32(static_cast<std::uint32_t>(operations.size()));
  std::vector<std::uint8_t> whole = header.bytes();
  whole.insert(whole.end(), bytes.begin(), bytes.end());
  return whole;
}

std::vector<std::uint8_t> sample() {
  return plan_of({{OpCode::mask, Writer().text("/proc/kcore").bytes()},
                  {OpCode::rlimit, Writer().u32(7).text("RLIMIT_NOFILE").u64(1024).u64(0xffffffffffffffff).bytes()},
                  {OpCode::user, Writer().u32(1000).u32(1001).u32(2).u32(5).u32(6).u32(022).bytes()},
                  {OpCode::exec, Writer().u32(2).text("sh").text("-c").u32(0).bytes()},
                  {OpCode::ready, {}}});
}

bool accepted(const std::vector<std::uint8_t>& bytes) { return !Plan::open(bytes.data(), bytes.size()).failed(); }

void reads_what_was_written() {
  const std::vector<std::uint8_t> bytes = sample();
  Result<Plan> plan = Plan::open(bytes.data(), bytes.size());
  CHECK(!plan.failed());
  Plan::Iterator at(plan.value());
  Fields mask = at.next().fields();
  CHECK(mask.text().view() == "/proc/kcore");
  Fields rlimit = at.next().fields();
  CHECK(rlimit.u32() == 7);
  CHECK(rlimit.text().view() == "RLIMIT_NOFILE");
  CHECK(rlimit.u64() == 1024);
  CHECK(rlimit.u64() == 0xffffffffffffffff);
  Fields user = at.next().fields();
  CHECK(user.u32() == 1000);
  CHECK(user.u32() == 1001);
  Fields::Numbers groups = user.u32s();
  CHECK(groups.count == 2);
  CHECK(groups.next() == 5);
  CHECK(groups.next() == 6);
  CHECK(user.u32() == 022);
  Fields exec = at.next().fields();
  TextList args = exec.texts();
  CHECK(args.count == 2);
  CHECK(args.next().view() == "sh");
  CHECK(args.next().view() == "-c");
  CHECK(exec.texts().count == 0);
  CHECK(at.next().code == OpCode::ready);
  CHECK(at.done());
}

void refuses_every_truncation() {
  const std::vector<std::uint8_t> whole = sample();
  for (std::size_t size = 0; size < whole.size(); size++) CHECK(!accepted({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)}));
}

// Any one byte changed: refused, or still a plan that can be read to its end. AddressSanitizer watches.
void survives_every_changed_byte() {
  const std::vector<std::uint8_t> whole = sample();
  for (std::size_t position = 0; position < whole.size(); position++) {
    for (const int value : {0x00, 0x01, 0x7f, 0x80, 0xff}) {
      std::vector<std::uint8_t> changed = whole;
      changed[position] = static_cast<std::uint8_t>(value);
      Result<Plan> plan = Plan::open(changed.data(), changed.size());
      if (plan.failed()) continue;
      std::uint32_t seen = 0;
      for (Plan::Iterator at(plan.value()); !at.done(); seen++) (void)at.next().fields();
      CHECK(seen == plan.value().count());
    }
  }
}

void refuses_wrong_shapes() {
  CHECK(accepted(plan_of({})));
  CHECK(!accepted(plan_of({{static_cast<OpCode>(9999), {}}})));
  CHECK(!accepted(plan_of({{OpCode::ready, {0}}})));                                           // bytes behind the last field
  CHECK(!accepted(plan_of({{OpCode::mask, Writer().text(std::string("a\0b", 3)).bytes()}})));  // NUL inside a text
  CHECK(!accepted(plan_of({{OpCode::cwd, Writer().text("/").u32(2).bytes()}})));               // neither true nor false
  CHECK(!accepted(plan_of({{OpCode::exec, Writer().u32(0xffffffff).bytes()}})));               // a list longer than the plan
  std::vector<std::uint8_t> unterminated = plan_of({{OpCode::mask, Writer().text("x").bytes()}});
  unterminated.back() = 'y';
  CHECK(!accepted(unterminated));
  std::vector<std::uint8_t> other_version = sample();
  other_version[4]++;
  CHECK(!accepted(other_version));
}

void names_its_operations() {
  CHECK(std::string(op_name(OpCode::root_overlay)) == "root-overlay");
  CHECK(std::string(op_name(static_cast<OpCode>(9999))).empty());
  char table[16384];
  CHECK(wire_table(table, sizeof table) < sizeof table);
  char small[8];
  CHECK(wire_table(small, sizeof small) > sizeof small);
  CHECK(small[7] == '\0');
}

}  // namespace

int main() {
  harness::test("a plan is read as it was written", reads_what_was_written);
  harness::test("every truncation is refused", refuses_every_truncation);
  harness::test("no changed byte leads outside the plan", survives_every_changed_byte);
  harness::test("wrong shapes are refused", refuses_wrong_shapes);
  harness::test("operations have names, and the table fits its buffer", names_its_operations);
  return harness::finish();
}
