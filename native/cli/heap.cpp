#include "heap.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "../core/fd.hpp"
#include "../core/host/file.hpp"
#include "../core/sys.hpp"

// The section of the image (CMakeLists.txt), and this program's ELF header, from the linker.
extern "C" {
extern unsigned char strata_heap_start[];
extern unsigned char strata_heap_end[];
extern const ElfW(Ehdr) __ehdr_start;
}

namespace strata::cli {
namespace {

// Blocks have sizes of 16, 32, … 512 bytes, and beyond that four sizes to each power of two. A word in front of each tells its size; the pointer
// behind it is a multiple of 16.
constexpr std::size_t header = 8;
constexpr std::size_t step = 16;
constexpr std::size_t small_limit = 512;
constexpr std::size_t large_limit = 64 * 1024;
constexpr std::size_t small_classes = small_limit / step;
constexpr std::size_t classes = small_classes + 4 * (std::bit_width(large_limit / small_limit) - 1);
constexpr std::size_t chunk_size = 256 * 1024;

struct Free {
  Free* next;
};

// What the linker calls this build: SHA-1 of all that is linked, of which the section is still empty.
using BuildId = std::array<unsigned char, 20>;

struct Head {
  BuildId build;  // of the program that wrote the image; all 0 if there is none
  Program program;
  unsigned char* at;  // free from here
  unsigned char* end;
  std::array<Free*, classes> free;
};

Head& head() { return *reinterpret_cast<Head*>(strata_heap_start); }

struct Class {
  std::size_t index;
  std::size_t size;  // of the block with its header
};

Class class_of(std::size_t wanted) {
  const std::size_t size = wanted + header;
  if (size <= small_limit) {
    const std::size_t index = (size - 1) / step;
    return {index, (index + 1) * step};
  }
  const std::size_t quarter = std::bit_ceil(size) / 8;
  const std::size_t quarters = (size + quarter - 1) / quarter;  // 5 to 8
  const std::size_t doublings = static_cast<std::size_t>(std::bit_width(quarter)) - static_cast<std::size_t>(std::bit_width(small_limit / 4));
  return {small_classes + 4 * doublings + quarters - 5, quarter * quarters};
}

std::uint64_t& size_of(void* block) { return *reinterpret_cast<std::uint64_t*>(static_cast<unsigned char*>(block) - header); }

bool refill(std::size_t size) {
  const std::size_t length = size > chunk_size ? size : chunk_size;
  // Populated at once: one call in place of a page fault for each page, and nearly all of them are used.
  void* chunk = sys::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (chunk == MAP_FAILED) return false;
  head().at = static_cast<unsigned char*>(chunk) + header;
  head().end = static_cast<unsigned char*>(chunk) + length;
  return true;
}

void* take(std::size_t wanted) {
  if (wanted + header > large_limit) {
    auto* block = static_cast<unsigned char*>(std::malloc(wanted + step));
    if (block == nullptr) return nullptr;
    size_of(block + step) = wanted + step;
    return block + step;
  }
  const auto [index, size] = class_of(wanted);
  Head& heap = head();
  if (Free* block = heap.free[index]; block != nullptr) {
    heap.free[index] = block->next;
    return block;
  }
  if (static_cast<std::size_t>(heap.end - heap.at) < size && !refill(size + step)) return nullptr;
  unsigned char* block = heap.at + header;
  heap.at += size;
  size_of(block) = size;
  return block;
}

void give_back(void* block) {
  const std::uint64_t size = size_of(block);
  if (size > large_limit) {
    std::free(static_cast<unsigned char*>(block) - step);
    return;
  }
  const std::size_t index = class_of(size - header).index;
  auto* free = static_cast<Free*>(block);
  free->next = head().free[index];
  head().free[index] = free;
}

void* allocate(JSMallocState* state, std::size_t size) {
  if (size == 0 || state->malloc_size + size > state->malloc_limit) return nullptr;
  void* block = take(size);
  if (block == nullptr) return nullptr;
  state->malloc_count++;
  state->malloc_size += size_of(block);
  return block;
}

void release(JSMallocState* state, void* block) {
  if (block == nullptr) return;
  state->malloc_count--;
  state->malloc_size -= size_of(block);
  give_back(block);
}

std::size_t usable(const void* block) {
  const std::uint64_t size = size_of(const_cast<void*>(block));
  return size - (size > large_limit ? step : header);
}

void* resize(JSMallocState* state, void* block, std::size_t size) {
  if (block == nullptr) return allocate(state, size);
  if (size == 0) {
    release(state, block);
    return nullptr;
  }
  const std::uint64_t old_size = size_of(block);
  const std::size_t room = usable(block);
  if (old_size <= large_limit && size <= room) return block;
  if (state->malloc_size - old_size + size > state->malloc_limit) return nullptr;
  if (old_size > large_limit && size + header > large_limit) {
    auto* moved = static_cast<unsigned char*>(std::realloc(static_cast<unsigned char*>(block) - step, size + step));
    if (moved == nullptr) return nullptr;
    size_of(moved + step) = size + step;
    state->malloc_size += size + step - old_size;
    return moved + step;
  }
  void* copy = allocate(state, size);
  if (copy == nullptr) return nullptr;
  std::memcpy(copy, block, room < size ? room : size);
  release(state, block);
  return copy;
}

// Zeros if the linker wrote no note.
BuildId build_id() {
  BuildId id{};
  const auto* base = reinterpret_cast<const unsigned char*>(&__ehdr_start);
  const auto* segments = reinterpret_cast<const ElfW(Phdr)*>(base + __ehdr_start.e_phoff);
  for (int i = 0; i < __ehdr_start.e_phnum; i++) {
    if (segments[i].p_type != PT_NOTE) continue;
    const auto* at = reinterpret_cast<const unsigned char*>(segments[i].p_vaddr);
    const unsigned char* end = at + segments[i].p_memsz;
    while (at + sizeof(ElfW(Nhdr)) <= end) {
      const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
      const unsigned char* name = at + sizeof *note;
      const unsigned char* content = name + (note->n_namesz + 3U) / 4 * 4;
      if (note->n_type == NT_GNU_BUILD_ID && note->n_descsz == id.size() && std::memcmp(name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0) {
        std::memcpy(id.data(), content, id.size());
        return id;
      }
      at = content + (note->n_descsz + 3U) / 4 * 4;
    }
  }
  return id;
}

}  // namespace

const JSMallocFunctions& heap_functions() {
  static const JSMallocFunctions functions{allocate, release, resize, usable};
  if (head().at == nullptr) {
    head().at = strata_heap_start + (sizeof(Head) + step - 1) / step * step + header;
    head().end = strata_heap_end;
  }
  return functions;
}

Result<bool> has_image() {
  if (head().build == BuildId{}) return false;
  if (head().build != build_id()) return Status::with_detail("strata", "", "the image of the heap is that of another build");
  return true;
}

Program image_program() { return head().program; }

Status write_image(const char* path, const Program& program) {
  // A heap that has outgrown the section lies elsewhere, too.
  if (head().end != strata_heap_end) return Status::with_detail("strata", path, "the heap is larger than its section", ENOSPC);
  const BuildId id = build_id();
  if (id == BuildId{}) return Status::with_detail("strata", path, "the program has no build id");
  Result<Fd> file = host::open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file.failed()) return file.status();
  head().program = program;
  head().build = id;
  const std::string_view image(reinterpret_cast<const char*>(strata_heap_start), static_cast<std::size_t>(strata_heap_end - strata_heap_start));
  return host::write_all(file.value().get(), image);
}

}  // namespace strata::cli
