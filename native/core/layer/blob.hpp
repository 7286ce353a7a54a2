// Writes a blob of the store: what comes in is compressed with gzip, and digests are taken of both on the way. The same bytes give the same file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "../error.hpp"

namespace strata::layer {

// Hexadecimal digits of SHA-256.
std::string sha256(std::string_view bytes);

struct BlobSummary {
  std::string plain;       // digest of what came in, hexadecimal digits
  std::string digest;      // of the file
  std::uint64_t size = 0;  // of the file, in bytes
};

class BlobWriter {
 public:
  BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;
  ~BlobWriter();

  // A new file of mode 0600. EEXIST.
  Status open(const std::string& path);
  Status write(const std::uint8_t* data, std::size_t size);
  // When all is in the file. Nothing can be written after it.
  Result<BlobSummary> finish();

 private:
  struct State;
  Status compress(const std::uint8_t* data, std::size_t size, int flush);
  Status put(const std::uint8_t* data, std::size_t size);

  std::unique_ptr<State> state_;
};

}  // namespace strata::layer
