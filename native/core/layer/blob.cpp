#include "blob.hpp"

#include <fcntl.h>
#include <algorithm>
#include <array>
#include <cerrno>

#include <sha2.h>
#include <zlib.h>

#include "../host/digits.hpp"
#include "../host/file.hpp"

namespace strata::layer {
namespace {

constexpr std::size_t output_size = 64 * 1024;
// zlib counts in 32 bits.
constexpr std::size_t largest_input = 1 << 30;
// The largest window, and gzip's frame, whose header then has no time and no name.
constexpr int gzip_window = 15 + 16;
constexpr int usual_memory = 8;

std::string digits_of(SHA2_CTX& context) {
  std::array<std::uint8_t, SHA256_DIGEST_LENGTH> bytes{};
  SHA256Final(bytes.data(), &context);
  return host::hexadecimal(bytes);
}

}  // namespace

std::string sha256(std::string_view bytes) {
  SHA2_CTX context;
  SHA256Init(&context);
  SHA256Update(&context, reinterpret_cast<const std::uint8_t*>(bytes.data()), bytes.size());
  return digits_of(context);
}

struct BlobWriter::State {
  std::string path;
  Fd file;
  z_stream stream{};
  SHA2_CTX plain{};
  SHA2_CTX compressed{};
  std::uint64_t size = 0;
  std::array<std::uint8_t, output_size> output;

  State() = default;
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  // Of a stream that was never begun it frees nothing.
  ~State() { (void)deflateEnd(&stream); }
};

BlobWriter::BlobWriter() = default;
BlobWriter::~BlobWriter() = default;

Status BlobWriter::open(const std::string& path) {
  Result<Fd> file = host::open_file(AT_FDCWD, path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (file.failed()) return {file.status().error(), file.status().call(), path};
  state_.reset(new State);
  state_->path = path;
  state_->file = std::move(file.value());
  SHA256Init(&state_->plain);
  SHA256Init(&state_->compressed);
  const int result = deflateInit2(&state_->stream, Z_DEFAULT_COMPRESSION, Z_DEFLATED, gzip_window, usual_memory, Z_DEFAULT_STRATEGY);
  return result == Z_OK ? Status() : Status(ENOMEM, "deflate", path);
}

Status BlobWriter::write(const std::uint8_t* data, std::size_t size) {
  SHA256Update(&state_->plain, data, size);
  for (std::size_t done = 0; done < size;) {
    const std::size_t part = std::min(size - done, largest_input);
    STRATA_TRY(compress(data + done, part, Z_NO_FLUSH));
    done += part;
  }
  return {};
}

Result<BlobSummary> BlobWriter::finish() {
  STRATA_TRY(compress(nullptr, 0, Z_FINISH));
  return BlobSummary{digits_of(state_->plain), digits_of(state_->compressed), state_->size};
}

Status BlobWriter::compress(const std::uint8_t* data, std::size_t size, int flush) {
  z_stream& stream = state_->stream;
  stream.next_in = const_cast<std::uint8_t*>(data);  // zlib only reads it
  stream.avail_in = static_cast<uInt>(size);
  do {
    stream.next_out = state_->output.data();
    stream.avail_out = output_size;
    if (const int result = deflate(&stream, flush); result == Z_STREAM_ERROR) return Status::with_detail("deflate", state_->path, "is not begun");
    STRATA_TRY(put(state_->output.data(), output_size - stream.avail_out));
  } while (stream.avail_out == 0);
  return {};
}

Status BlobWriter::put(const std::uint8_t* data, std::size_t size) {
  SHA256Update(&state_->compressed, data, size);
  state_->size += size;
  for (std::size_t done = 0; done < size;) {
    const long count = sys::write(state_->file.get(), data + done, size - done);
    if (count < 0) return {static_cast<int>(-count), "write", state_->path};
    done += static_cast<std::size_t>(count);
  }
  return {};
}

}  // namespace strata::layer
