#include "heap.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <new>
#include <utility>

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

// Blocks have sizes of 16, 32, … 512 bytes, and beyond that four sizes to each power of two. What is in front of each tells which; the pointer
// behind it is a multiple of 16. Large blocks are mappings of their own, which the kernel grows without copying.
struct Header {
  std::uint32_t size;  // of the block with this
  std::uint32_t kind;
};
constexpr std::size_t header = sizeof(Header);
constexpr std::size_t step = 16;
constexpr std::size_t small_limit = 512;
constexpr std::size_t large_limit = 32 * 1024;
// The image has no place for what is mapped by itself, and the tables of the engine grow with the TypeScript.
constexpr std::size_t image_limit = 256 * 1024;
constexpr std::size_t small_kinds = small_limit / step;
constexpr std::size_t kinds = small_kinds + 4 * (std::bit_width(image_limit / small_limit) - 1);
constexpr std::uint32_t large = kinds;

// Taken from the kernel at a time; and, while the image is made, for blocks of one kind.
constexpr std::size_t chunk_size = 64 * 1024;
constexpr std::size_t run_size = 4096;

// For the time after the first want of memory. QuickJS does not survive to want again while it makes the exception of it.
constexpr std::size_t reserve_size = 256 * 1024;
alignas(step) unsigned char reserve[reserve_size];
bool reserve_open = false;

// What the linker calls this build: SHA-1 of all that is linked, of which the section is still empty.
using BuildId = std::array<unsigned char, 20>;

struct Free {
  Free* next;
};

// Memory that blocks are cut from, front to back.
struct Room {
  unsigned char* at;
  unsigned char* end;

  [[nodiscard]] std::size_t left() const { return static_cast<std::size_t>(end - at); }
  unsigned char* cut(std::size_t size) { return std::exchange(at, at + size); }
};

// At the start of the section.
struct Head {
  BuildId build;  // of the program that wrote the image; all 0 if there is none
  Program program;
  Room room;
  std::array<Free*, kinds> free;
  // While the image is made, blocks of one kind are kept together. What a verb writes to, reference counts above all, is a small part of each kind
  // of block, and each page that is written to has to be copied: 2 µs.
  bool in_runs;
  std::array<Room, kinds> runs;
};

// Of the process that makes an image, or learns how to lay one out; nothing of it is in an image.
struct Making {
  const Layout* layout = nullptr;
  std::array<Room, most_groups> groups{};
  std::size_t cuts = 0;     // blocks so far
  bool overflowed = false;  // a group was too small
  Room room{};              // of the ground
  Ground* ground = nullptr;
};
Making making;
// Where nothing else is in a program of fixed addresses: 64 GiB.
constexpr std::uintptr_t ground_address = std::uintptr_t{1} << 36U;
constexpr std::size_t ground_size = std::size_t{1} << 28U;

Head& head() { return *reinterpret_cast<Head*>(strata_heap_start); }
Header& header_of(const void* block) { return *reinterpret_cast<Header*>(reinterpret_cast<std::uintptr_t>(block) - header); }

Header kind_of(std::size_t wanted) {
  const std::size_t size = wanted + header;
  if (size <= small_limit) {
    const std::size_t kind = (size - 1) / step;
    return {static_cast<std::uint32_t>((kind + 1) * step), static_cast<std::uint32_t>(kind)};
  }
  const std::size_t quarter = std::bit_ceil(size) / 8;
  const std::size_t quarters = (size + quarter - 1) / quarter;  // 5 to 8
  const std::size_t doublings = static_cast<std::size_t>(std::bit_width(quarter)) - static_cast<std::size_t>(std::bit_width(small_limit / 4));
  return {static_cast<std::uint32_t>(quarter * quarters), static_cast<std::uint32_t>(small_kinds + 4 * doublings + quarters - 5)};
}

// Begins so that what is behind a block's header is aligned.
Room room_in(unsigned char* memory, std::size_t size) { return {memory + header, memory + size}; }

bool refill(Room& room) {
  // Populated at once: one call in place of a page fault for each page, and nearly all of them are used.
  void* memory = sys::mmap(nullptr, chunk_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) return false;
  room = room_in(static_cast<unsigned char*>(memory), chunk_size);
  return true;
}

// Pages of the training ground, for one block alone; null if there are none left.
unsigned char* cut_ground(std::uint32_t size) {
  Ground& ground = *making.ground;
  const std::size_t pages = (header + size + ground_page - 1) / ground_page;
  if (making.room.left() < pages * ground_page) return nullptr;
  ground.blocks.insert(ground.blocks.end(), pages, static_cast<std::uint32_t>(ground.sizes.size()));
  ground.sizes.push_back(size);
  return making.room.cut(pages * ground_page);
}

// Memory for a block of an image, or of the training ground; null if there is none.
unsigned char* cut_image(Header kind) {
  Head& heap = head();
  if (making.ground != nullptr) return cut_ground(kind.size);
  const std::size_t number = making.cuts++;
  if (making.layout != nullptr && number < making.layout->groups.size() && making.layout->groups[number] != 0) {
    Room& group = making.groups[making.layout->groups[number] - 1];
    if (group.left() >= kind.size) return group.cut(kind.size);
    making.overflowed = true;
  }
  if (kind.size < run_size) {
    Room& run = heap.runs[kind.kind];
    if (run.left() < kind.size) {
      if (heap.room.left() < run_size) return nullptr;
      run.at = heap.room.cut(run_size);
      run.end = run.at + run_size;
    }
    return run.cut(kind.size);
  }
  return heap.room.left() < kind.size ? nullptr : heap.room.cut(kind.size);
}

// Memory that has not been used yet; null if there is none.
unsigned char* cut(Header kind) {
  Head& heap = head();
  if (heap.in_runs) return cut_image(kind);
  return heap.room.left() < kind.size && !refill(heap.room) ? nullptr : heap.room.cut(kind.size);
}

// In whole pages; where the system's are larger than these, the kernel rounds up further.
std::size_t large_size(std::size_t wanted) { return (wanted + step + run_size - 1) / run_size * run_size; }

void* large_block(void* memory, std::size_t size) {
  if (memory == MAP_FAILED) return nullptr;
  unsigned char* block = static_cast<unsigned char*>(memory) + step;
  header_of(block) = {static_cast<std::uint32_t>(size), large};
  return block;
}

void* take_large(std::size_t wanted) {
  if (wanted > INT32_MAX) return nullptr;
  const std::size_t size = large_size(wanted);
  return large_block(sys::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), size);
}

void* move_large(void* block, std::size_t wanted) {
  if (wanted > INT32_MAX) return nullptr;
  const std::size_t size = large_size(wanted);
  if (size == header_of(block).size) return block;
  return large_block(sys::mremap(static_cast<unsigned char*>(block) - step, header_of(block).size, size, MREMAP_MAYMOVE), size);
}

void* take(std::size_t wanted) {
  if (head().in_runs) {
    if (wanted > image_limit - header) return nullptr;
  } else if (wanted > large_limit - header) {
    return take_large(wanted);
  }
  const Header kind = kind_of(wanted);
  Free*& free = head().free[kind.kind];
  if (free != nullptr) return std::exchange(free, free->next);
  unsigned char* memory = cut(kind);
  if (memory == nullptr) return nullptr;
  header_of(memory + header) = kind;
  return memory + header;
}

void give_back(void* block) {
  const Header& kind = header_of(block);
  if (kind.kind == large) {
    (void)sys::munmap(static_cast<unsigned char*>(block) - step, kind.size);
    return;
  }
  auto* free = static_cast<Free*>(block);
  free->next = std::exchange(head().free[kind.kind], free);
}

std::size_t usable(const void* block) {
  const Header& block_header = header_of(block);
  return block_header.size - (block_header.kind == large ? step : header);
}

// As realloc(3); a new block comes from `take_new`.
void* move(void* block, std::size_t wanted, void* (*take_new)(std::size_t)) {
  const std::size_t room = usable(block);
  if (header_of(block).kind != large) {
    if (wanted <= room) return block;
  } else if (wanted > large_limit - header) {
    return move_large(block, wanted);
  }
  void* copy = take_new(wanted);
  if (copy == nullptr) return nullptr;
  std::memcpy(copy, block, std::min(room, wanted));
  give_back(block);
  return copy;
}

// --- JSMallocFunctions: what malloc(3) and its kin do, and the counts from which QuickJS sees its limit

// There is no memory for `size` bytes: null. The first time that opens the reserve; when that too is used up, the end is better than a crash.
void* refuse(JSMallocState* state, std::size_t size) {
  if (!reserve_open && !head().in_runs) {
    reserve_open = true;
    head().room = room_in(reserve, reserve_size);
    state->malloc_limit += reserve_size;
  } else if (const std::new_handler give_up = std::get_new_handler(); give_up != nullptr && size + header <= large_limit) {
    give_up();
  }
  return nullptr;
}

void* allocate(JSMallocState* state, std::size_t size) {
  if (size == 0) return nullptr;
  void* block = state->malloc_size + size > state->malloc_limit ? nullptr : take(size);
  if (block == nullptr) return refuse(state, size);
  state->malloc_count++;
  state->malloc_size += header_of(block).size;
  return block;
}

void release(JSMallocState* state, void* block) {
  if (block == nullptr) return;
  state->malloc_count--;
  state->malloc_size -= header_of(block).size;
  give_back(block);
}

void* resize(JSMallocState* state, void* block, std::size_t size) {
  if (block == nullptr) return allocate(state, size);
  if (size == 0) {
    release(state, block);
    return nullptr;
  }
  const std::size_t old = header_of(block).size;
  void* moved = state->malloc_size - old + size > state->malloc_limit ? nullptr : move(block, size, take);
  if (moved == nullptr) return refuse(state, size);
  state->malloc_size += header_of(moved).size - old;
  return moved;
}

// New blocks will come from new memory: the holes in an image are on pages that need not be touched.
void begin_anew() {
  Head& heap = head();
  heap.room = {};
  heap.free = {};
  heap.in_runs = false;
  heap.runs = {};
}

// Has every block that the layout knows come, and no other?
bool is_fulfilled(const Layout& layout) {
  for (std::size_t group = 0; group < layout.sizes.size(); group++) {
    if (making.groups[group].left() != 0) return false;
  }
  return !making.overflowed && making.cuts == layout.groups.size();
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
  return functions;
}

void* new_block(std::size_t size) { return head().in_runs ? take_large(size) : take(size); }

void delete_block(void* block) {
  if (block != nullptr) give_back(block);
}

void* resize_block(void* block, std::size_t size) { return block == nullptr ? new_block(size) : move(block, size, new_block); }

std::size_t usable_size(const void* block) { return block == nullptr ? 0 : usable(block); }

void begin_image(const Layout* layout) {
  // What is free so far lies elsewhere.
  begin_anew();
  Head& heap = head();
  heap.room = room_in(strata_heap_start, static_cast<std::size_t>(strata_heap_end - strata_heap_start));
  heap.room.cut((sizeof(Head) + run_size - 1) / run_size * run_size);
  heap.in_runs = true;
  making.layout = layout;
  if (layout == nullptr) return;
  std::size_t all = 0;
  for (std::size_t group = 0; group < layout->sizes.size(); group++) {
    const std::size_t size = std::min<std::size_t>(layout->sizes[group], heap.room.left());
    making.groups[group].at = heap.room.cut(size);
    making.groups[group].end = heap.room.at;
    all += size;
  }
  heap.room.cut(std::min((run_size - all % run_size) % run_size, heap.room.left()));
}

bool begin_ground() {
  // The engine's hash tables go by addresses: at another one the training would find other blocks.
  constexpr int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE;
  void* memory = sys::mmap(reinterpret_cast<void*>(ground_address), ground_size, PROT_READ | PROT_WRITE, flags, -1, 0);
  if (memory == MAP_FAILED) return false;
  making.ground = new Ground{static_cast<unsigned char*>(memory), {}, {}};
  making.room = room_in(making.ground->start, ground_size);
  begin_anew();
  head().in_runs = true;
  return true;
}

Ground end_ground() {
  Ground ground = std::move(*making.ground);
  delete making.ground;
  making = {};
  begin_anew();
  return ground;
}

Result<bool> has_image() {
  if (head().build == BuildId{}) return false;
  if (head().build != build_id()) return Status::with_detail("strata", "", "the image of the heap is that of another build");
  return true;
}

Program image_program() { return head().program; }

Status write_image(const char* path, const Program& program) {
  const BuildId id = build_id();
  if (id == BuildId{}) return Status::with_detail("strata", path, "the program has no build id");
  if (making.layout != nullptr && !is_fulfilled(*making.layout)) return Status::with_detail("strata", path, "the layout is that of another heap");
  Result<Fd> file = host::open_file(AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (file.failed()) return file.status();
  Head& heap = head();
  heap.build = id;
  heap.program = program;
  begin_anew();
  const std::string_view image(reinterpret_cast<const char*>(strata_heap_start), static_cast<std::size_t>(strata_heap_end - strata_heap_start));
  return host::write_all(file.value().get(), image);
}

}  // namespace strata::cli
