#include "core/layer/blob.hpp"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include <cerrno>
#include <fstream>
#include <iterator>

#include "core/layer/tree.hpp"
#include "harness.hpp"

#include <zlib.h>

using namespace strata;
using namespace strata::layer;
using harness::test;

namespace {

std::string contents(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

// What gzip makes of the file again.
std::string unpacked(const std::string& path, std::size_t size) {
  std::string text(size + 1, '\0');
  gzFile file = gzopen(path.c_str(), "rb");
  const int count = gzread(file, text.data(), static_cast<unsigned>(text.size()));
  gzclose(file);
  text.resize(count < 0 ? 0 : static_cast<std::size_t>(count));
  return text;
}

Result<BlobSummary> write_blob(const std::string& path, const std::string& text, std::size_t part) {
  BlobWriter blob;
  STRATA_TRY(blob.open(path));
  for (std::size_t done = 0; done < text.size(); done += part) {
    const std::string piece = text.substr(done, part);
    STRATA_TRY(blob.write(reinterpret_cast<const std::uint8_t*>(piece.data()), piece.size()));
  }
  return blob.finish();
}

}  // namespace

int main() {
  const harness::Scratch scratch;
  std::string text;
  std::uint32_t noise = 1;
  for (int i = 0; i < 300000; i++) text += static_cast<char>((noise = noise * 1664525 + 1013904223) >> 24);

  test("a digest is SHA-256", [&] {
    // FIPS 180-4, the examples of NIST.
    CHECK(sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    CHECK(sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  });

  test("a blob has what came in, and its digests", [&] {
    const std::string path = scratch / "first";
    Result<BlobSummary> blob = write_blob(path, text, 1000);
    CHECK(!blob.failed());
    CHECK(unpacked(path, text.size()) == text);
    CHECK(blob.value().plain == sha256(text));
    CHECK(blob.value().digest == sha256(contents(path)));
    CHECK(blob.value().size == contents(path).size());
  });

  test("the same bytes make the same blob, however they come", [&] {
    CHECK(!write_blob(scratch / "second", text, 70000).failed());
    CHECK(contents(scratch / "first") == contents(scratch / "second"));
  });

  test("a blob of nothing is one", [&] {
    CHECK(!write_blob(scratch / "empty", "", 1).failed());
    CHECK(unpacked(scratch / "empty", 0).empty());
  });

  test("a file that is there stays", [&] {
    CHECK(write_blob(scratch / "first", "", 1).status().error() == EEXIST);
    CHECK(unpacked(scratch / "first", text.size()) == text);
  });

  test("a small tree is synced, and a larger one not", [&] {
    const std::string tree = scratch / "tree";
    for (const char* name : {"", "/a", "/a/b"}) mkdir((tree + name).c_str(), 0755);
    for (const char* name : {"/x", "/a/y", "/a/b/z"}) std::ofstream(tree + name) << name;
    Result<bool> synced = sync_tree(tree, 5);
    CHECK(!synced.failed() && synced.value());
    synced = sync_tree(tree, 4);
    CHECK(!synced.failed() && !synced.value());
    CHECK(sync_tree(scratch / "none", 1).failed());
  });

  test("a whiteout needs no sync of its own, and a link cannot be synced", [&] {
    const std::string tree = scratch / "links";
    mkdir(tree.c_str(), 0755);
    if (geteuid() == 0) CHECK(mknod((tree + "/gone").c_str(), S_IFCHR, makedev(0, 0)) == 0);
    Result<bool> synced = sync_tree(tree, 100);
    CHECK(!synced.failed() && synced.value());
    CHECK(symlink("x", (tree + "/link").c_str()) == 0);
    synced = sync_tree(tree, 100);
    CHECK(!synced.failed() && !synced.value());
  });
  return harness::finish();
}
