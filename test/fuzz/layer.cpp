// Layers that are applied, and trees that are read, copied, compared and removed: whatever they say and whatever the kernel answers, the kernel is
// never handed more than one name in an open directory, or a path that it must keep inside.
#include <algorithm>
#include <cstring>

#include "core/layer/merged.hpp"
#include "core/layer/scan.hpp"
#include "core/layer/tree.hpp"
#include "core/layer/writer.hpp"
#include "kernel.hpp"

namespace {

using namespace strata;
using fuzz::kernel;
using fuzz::require;
using Data = std::vector<std::uint8_t>;

// To the model kernel d is a directory, l a link and c a whiteout.
const std::string components[] = {"a",   "b", "d", "l", "c", "7", ".", "..", "", "etc", "\xff", ".wh.a", std::string(255, 'n'), std::string(256, 'n'),
                                  "d/l", "/"};

std::string path_of(std::uint8_t choice, std::uint8_t more) {
  std::string path = components[choice % 16] + "/" + components[choice / 16];
  if (more % 2 != 0) path += "/" + components[more / 16];
  if (more % 4 == 3) path = "/" + path + "/d/d/l/../x";
  return path;
}

class Program {
 public:
  // Four bytes are a record.
  explicit Program(const Data& input) {
    for (std::size_t at = 0; at + 4 <= input.size(); at += 4) record(input[at], path_of(input[at + 1], input[at + 2]), input[at + 3]);
  }
  [[nodiscard]] const Data& batch() const { return batch_; }

 private:
  template <class Number>
  void put(Number number) {
    const auto* from = reinterpret_cast<const std::uint8_t*>(&number);
    batch_.insert(batch_.end(), from, from + sizeof number);
  }
  void text(std::string_view text) {
    put(static_cast<std::uint32_t>(text.size()));
    batch_.insert(batch_.end(), text.begin(), text.end());
  }

  void record(std::uint8_t kind, const std::string& path, std::uint8_t value) {
    constexpr std::uint32_t kinds[] = {1, 1, 1, 1, 1, 2, 3, 4};
    put(kinds[kind % 8]);
    const std::size_t start = batch_.size();
    put(std::uint32_t{0});
    if (kind % 8 >= 6) batch_.insert(batch_.end(), path.begin(), path.end());
    if (kind % 8 == 5) {
      put(std::uint64_t{value} % 16);
      batch_.insert(batch_.end(), value % 8, 'x');
    }
    if (kind % 8 < 5) entry(kind / 8 % 7, path, value);
    const auto size = static_cast<std::uint32_t>(batch_.size() - start - sizeof(std::uint32_t));
    std::memcpy(batch_.data() + start, &size, sizeof size);
  }

  void entry(std::uint32_t type, const std::string& path, std::uint8_t value) {
    for (const std::uint32_t word : {type, 0U, 0755U, 1U, 2U, 3U, value % 2U, 0U}) put(word);
    put(std::int64_t{value});
    put(std::uint64_t{value} % 32);
    text(path);
    text(type == 2 || type == 3 ? path_of(value, value) : "");
    put(std::uint32_t{value % 3U});
    for (int i = 0; i < value % 3; i++) {
      text(i == 0 ? "user.a" : value % 2 == 0 ? "trusted.overlay.opaque" : "system.posix_acl_default");
      text("y");
    }
  }

  Data batch_;
};

void apply(const Data& batch, layer::Mode mode) {
  const std::vector<std::string> lower = mode == layer::Mode::flat ? std::vector<std::string>{} : std::vector<std::string>{"/top", "/bottom"};
  Result<std::unique_ptr<layer::LayerWriter>> writer = layer::LayerWriter::open("/layer", lower, mode);
  if (writer.failed()) return;
  if (writer.value()->apply(batch.data(), batch.size()).failed()) return;
  (void)writer.value()->finish();
}

void scan(const std::string& path) {
  layer::Scan scan;
  if (scan.begin({"/upper", {"/top", "/bottom"}, {path}, 1000, path.size() % 2 == 0}).failed()) return;
  for (;;) {
    Result<std::string> batch = scan.next();
    if (batch.failed() || batch.value().empty()) return;
    layer::RecordReader reader(reinterpret_cast<const std::uint8_t*>(batch.value().data()), batch.value().size());
    while (reader.next()) {
    }
    require(!reader.damaged(), "a scan makes a record that cannot be read");
  }
}

}  // namespace

// The first byte chooses, the second tells how many of the bytes behind it are the kernel's answers.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 2) return -1;
  const std::size_t answers = std::min<std::size_t>(data[1], size - 2);
  const Data input(data + 2 + answers, data + size);
  kernel.begin(data + 2, answers, "");
  kernel.single_names = true;
  kernel.directories_left = 5;
  const std::string path = input.size() < 2 ? "/" : path_of(input[0], input[1]);
  switch (data[0] % 10) {
    case 0: apply(Program(input).batch(), layer::Mode::overlay); break;
    case 1: apply(Program(input).batch(), layer::Mode::flat); break;
    case 2: apply(input, layer::Mode::overlay); break;
    case 3: (void)layer::read_layered({"/top", "/bottom"}, path, 1000); break;
    case 4: (void)layer::copy_layered({"/top", "/bottom"}, path, "/copy"); break;
    case 5: (void)layer::compare_trees("/top", "/bottom"); break;
    case 6: (void)layer::remove_tree("/top/d"); break;
    case 7: (void)layer::list_changes("/upper", {"/top", "/bottom"}, {path}, false); break;
    case 8: scan(path); break;
    default: (void)layer::disk_usage("/top");
  }
  require(kernel.open_descriptors() == 0, "a descriptor is left open");
  kernel.single_names = false;
  kernel.end();
  return 0;
}
