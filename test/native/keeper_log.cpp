// The log that the keeper writes: what lines become, and files one after the other.
#include <fcntl.h>
#include <unistd.h>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "harness.hpp"
#include "keeper/log.hpp"

using strata::keeper::Log;

namespace {

std::string read(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The log without its times, which must look like times.
std::string without_times(std::string text) {
  const std::string key = R"(,"time":")";
  const std::string like = "0000-00-00T00:00:00.000000000Z\"";
  for (std::size_t at = text.find(key); at != std::string::npos; at = text.find(key, at)) {
    std::string time = text.substr(at + key.size(), like.size());
    for (char& c : time) c = c >= '0' && c <= '9' ? '0' : c;
    CHECK(time == like);
    text.erase(at, key.size() + like.size());
  }
  return text;
}

// What comes of these pieces of standard output.
std::string logged(const harness::Scratch& scratch, const std::vector<std::string>& pieces) {
  const strata::Fd directory(open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY));
  unlink((scratch / "container.log").c_str());
  auto log = std::make_unique<Log>();
  log->begin(directory.get(), 0, 1);
  for (const std::string& piece : pieces) log->add(Log::output, piece);
  log->finish();
  return without_times(read(scratch / "container.log"));
}

std::string record(const std::string& text) { return R"({"log":")" + text + R"(","stream":"stdout"})" + "\n"; }

}  // namespace

int main() {
  const harness::Scratch scratch;
  harness::test("a record for each line, whatever the pieces are", [&] {
    const std::string expected = record(R"(one\n)") + record(R"(two\n)") + record("three");
    CHECK(logged(scratch, {"one\ntwo\nthree"}) == expected);
    CHECK(logged(scratch, {"o", "ne", "\n", "two\nth", "ree"}) == expected);
    CHECK(logged(scratch, {"", "\n"}) == record(R"(\n)"));
    CHECK(logged(scratch, {}).empty());
  });
  harness::test("what JSON cannot hold is escaped", [&] {
    CHECK(logged(scratch, {std::string("\"\\\t\r\x1b\0\x7f\n", 8)}) == record(std::string(R"(\"\\\t\r\u001b\u0000)") + "\x7f" + R"(\n)"));
  });
  harness::test("UTF-8 stays, and what is none becomes U+FFFD byte for byte", [&] {
    CHECK(logged(scratch, {"é€😀\n"}) == record("é€😀\\n"));
    CHECK(logged(scratch, {"\xc3", "\xa9\n"}) == record("é\\n"));
    CHECK(logged(scratch, {"a\xff\xc3z\n"}) == record(R"(a\ufffd\ufffdz\n)"));
    CHECK(logged(scratch, {"\xed\xa0\x80\n"}) == record(R"(\ufffd\ufffd\ufffd\n)"));
    CHECK(logged(scratch, {"\xc0\xaf\xf4\x90\x80\x80\n"}) == record(R"(\ufffd\ufffd\ufffd\ufffd\ufffd\ufffd\n)"));
    CHECK(logged(scratch, {"\xe2\x82"}) == record(R"(\ufffd\ufffd)"));
  });
  harness::test("a long line is in several records, and no character in two", [&] {
    for (std::size_t before = 0; before < 4; before++) {
      std::string line(before, 'x');
      while (line.size() < 3 * Log::longest_line) line += "😀";
      std::string joined;
      std::stringstream lines(logged(scratch, {line + "\n"}));
      for (std::string one; std::getline(lines, one);) {
        CHECK(one.find("ufffd") == std::string::npos);
        const std::size_t begin = std::string(R"({"log":")").size();
        joined += one.substr(begin, one.rfind(R"(","stream)") - begin);
      }
      CHECK(joined == line + "\\n");
    }
  });
  harness::test("the longest record there can be", [&] {
    const std::string line(Log::longest_line, '\x01');
    std::string escaped;
    for (std::size_t i = 0; i < line.size(); i++) escaped += R"(\u0001)";
    CHECK(logged(scratch, {line, line, "\n"}) == record(escaped) + record(escaped) + record(R"(\n)"));
  });
  harness::test("two streams do not mix in a line", [&] {
    const strata::Fd directory(open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY));
    unlink((scratch / "container.log").c_str());
    auto log = std::make_unique<Log>();
    log->begin(directory.get(), 0, 1);
    log->add(Log::output, "out");
    log->add(Log::errors, "err\n");
    log->add(Log::output, "put\n");
    log->finish();
    CHECK(without_times(read(scratch / "container.log")) == R"({"log":"err\n","stream":"stderr"})"
                                                            "\n" +
                                                                record(R"(output\n)"));
  });
  harness::test("files are begun anew when they are full, and so many are kept", [&] {
    for (const int files : {1, 3}) {
      const harness::Scratch place;
      const strata::Fd directory(open(place.path().c_str(), O_RDONLY | O_DIRECTORY));
      auto log = std::make_unique<Log>();
      log->begin(directory.get(), 1000, files);
      for (int i = 0; i < 200; i++) log->add(Log::output, "line " + std::to_string(i) + "\n");
      CHECK(read(place / "container.log").find("line 199") != std::string::npos);
      for (int number = 1; number < 4; number++) {
        const std::string old = read(place / ("container.log." + std::to_string(number)));
        CHECK(old.empty() == (number >= files));
        // The last record may go over the limit, and each is whole.
        CHECK(old.size() < 1200 && (old.empty() || old.back() == '\n'));
      }
    }
  });
  harness::test("an earlier log is continued", [&] {
    logged(scratch, {"first\n"});
    const strata::Fd directory(open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY));
    auto log = std::make_unique<Log>();
    log->begin(directory.get(), 0, 1);
    log->add(Log::output, "second\n");
    CHECK(without_times(read(scratch / "container.log")) == record(R"(first\n)") + record(R"(second\n)"));
  });
  return harness::finish();
}
