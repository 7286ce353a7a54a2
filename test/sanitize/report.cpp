// Linked into the programs that run with sanitizers in real containers. Where strata-init ends, its standard error is the container's, its files
// are the container's, and every descriptor of ours is closed: what a sanitizer says there is kept in memory that is shared with a file of the
// build directory, mapped before any of that. scripts/sanitize.sh looks into the file afterwards.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <atomic>
#include <cstddef>
#include <cstring>

namespace {

constexpr std::size_t file_size = std::size_t{1} << 20;

struct Reports {
  std::atomic<std::size_t> used;
  char text[file_size - sizeof(std::size_t)];
};

Reports* reports = nullptr;

__attribute__((constructor)) void map_reports() {
  const int file = open(STRATA_REPORTS, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0) return;
  void* memory = ftruncate(file, file_size) < 0 ? MAP_FAILED : mmap(nullptr, file_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory != MAP_FAILED) reports = static_cast<Reports*>(memory);
  close(file);
}

}  // namespace

extern "C" {

// No leaks are looked for: the processes end by execve or at once, and leave their memory to the kernel.
__attribute__((visibility("default"))) const char* __asan_default_options() { return "detect_leaks=0"; }

// Called with everything that a sanitizer prints.
__attribute__((visibility("default"))) void __sanitizer_on_print(const char* text) {
  if (reports == nullptr) return;
  const std::size_t length = std::strlen(text);
  const std::size_t at = reports->used.fetch_add(length);
  if (at + length < sizeof reports->text) std::memcpy(reports->text + at, text, length);
}

}  // extern "C"
