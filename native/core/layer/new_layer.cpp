#include "new_layer.hpp"

#include <cerrno>
#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "writer.hpp"

namespace strata::layer {
namespace {

struct Making {
  Scan scan;
  std::unique_ptr<LayerWriter> writer;
  BlobWriter archive;
};

// Those that are being made, in any thread.
struct Table {
  std::mutex mutex;
  std::map<int, std::shared_ptr<Making>> makings;
  int last = 0;
};

Table& table() {
  static Table* const only = new Table;
  return *only;
}

std::shared_ptr<Making> find(int layer) {
  Table& all = table();
  const std::lock_guard<std::mutex> lock(all.mutex);
  const auto found = all.makings.find(layer);
  return found == all.makings.end() ? nullptr : found->second;
}

Status unknown() { return {EBADF, "layer"}; }

}  // namespace

Result<int> begin_layer(const std::string& upper, const std::vector<std::string>& lower, const std::vector<std::string>& destinations,
                        bool user_attributes, std::uint64_t latest, const std::string& directory, const std::string& archive) {
  // Not make_shared, which without RTTI needs a function of libstdc++ that brings exceptions along (native/cli/runtime.cpp).
  const std::shared_ptr<Making> making(new Making);
  STRATA_TRY(making->scan.begin({upper, lower, destinations, static_cast<std::int64_t>(latest), user_attributes}));
  Result<std::unique_ptr<LayerWriter>> writer = LayerWriter::open(directory, lower, Mode::overlay);
  if (writer.failed()) return writer.status();
  making->writer = std::move(writer.value());
  STRATA_TRY(making->archive.open(archive));
  Table& all = table();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.makings.emplace(++all.last, making);
  return all.last;
}

Result<std::optional<Batch>> next_records(int layer) {
  const std::shared_ptr<Making> making = find(layer);
  if (making == nullptr) return unknown();
  Result<std::string> batch = making->scan.next();
  if (batch.failed()) return batch.status();
  std::string& bytes = batch.value();
  if (bytes.empty()) return std::optional<Batch>();
  STRATA_TRY(making->writer->apply(reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size()));
  return std::optional<Batch>(Batch{std::move(bytes)});
}

Status write_archive(int layer, const std::vector<std::uint8_t>& bytes) {
  const std::shared_ptr<Making> making = find(layer);
  return making == nullptr ? unknown() : making->archive.write(bytes.data(), bytes.size());
}

Result<NewLayer> finish_layer(int layer) {
  const std::shared_ptr<Making> making = find(layer);
  if (making == nullptr) return unknown();
  Result<LayerSummary> applied = making->writer->finish();
  if (applied.failed()) return applied.status();
  Result<BlobSummary> archive = making->archive.finish();
  if (archive.failed()) return archive.status();
  return NewLayer{std::move(archive.value()), making->scan.result()};
}

void end_layer(int layer) {
  Table& all = table();
  const std::lock_guard<std::mutex> lock(all.mutex);
  all.makings.erase(layer);
}

}  // namespace strata::layer
