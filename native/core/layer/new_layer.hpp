// The changes of a container on their way into a layer of their own: they are read once, applied to the layer's directory and told as records, of
// which TypeScript makes the archive that comes back here to be compressed. A layer is known by a number from `begin_layer` to `end_layer`, and is
// for one caller at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "../error.hpp"
#include "blob.hpp"
#include "scan.hpp"

namespace strata::layer {

// Of src/layer/records.ts.
struct Batch {
  std::string bytes;
};

struct NewLayer {
  BlobSummary archive;
  ScanResult left_out;
};

// `latest` as in ScanOptions. `directory`: an empty one, for the layer; `archive`: a file that does not exist.
Result<int> begin_layer(const std::string& upper, const std::vector<std::string>& lower, const std::vector<std::string>& destinations,
                        bool user_attributes, std::uint64_t latest, const std::string& directory, const std::string& archive);
// More records, which have been applied by then; none at the end. A failure with a detail is about what no layer can hold.
Result<std::optional<Batch>> next_records(int layer);
Status write_archive(int layer, const std::vector<std::uint8_t>& bytes);
Result<NewLayer> finish_layer(int layer);
// In any case, at the end. What is on the disk stays.
void end_layer(int layer);

}  // namespace strata::layer
