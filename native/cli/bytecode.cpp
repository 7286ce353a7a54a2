#include "bytecode.hpp"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <cerrno>
#include <vector>

#include "../core/fd.hpp"
#include "../core/host/file.hpp"
#include "../core/sys.hpp"

namespace strata::cli {
namespace {

constexpr const char* program = "/proc/self/exe";
constexpr std::string_view name = ".strata.bytecode." STRATA_QUICKJS_DIGEST;

Status read_at(const Fd& file, std::uint64_t offset, void* buffer, std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const long count = sys::pread(file.get(), static_cast<char*>(buffer) + done, size - done, static_cast<std::int64_t>(offset + done));
    if (count < 0) return {static_cast<int>(-count), "read", program};
    if (count == 0) return {ENODATA, "read", program};
    done += static_cast<std::size_t>(count);
  }
  return {};
}

}  // namespace

Result<std::string> read_bytecode() {
  Result<Fd> file = host::open_file(AT_FDCWD, program, O_RDONLY);
  if (file.failed()) return file.status();
  ElfW(Ehdr) header{};
  STRATA_TRY(read_at(file.value(), 0, &header, sizeof header));
  std::vector<ElfW(Shdr)> sections(header.e_shnum);
  STRATA_TRY(read_at(file.value(), header.e_shoff, sections.data(), sections.size() * sizeof sections[0]));
  if (header.e_shstrndx >= sections.size()) return Status(ENODATA, "read", program);
  std::string names(sections[header.e_shstrndx].sh_size, '\0');
  STRATA_TRY(read_at(file.value(), sections[header.e_shstrndx].sh_offset, names.data(), names.size()));
  for (const ElfW(Shdr) & section : sections) {
    if (section.sh_name >= names.size() || std::string_view(names).substr(section.sh_name, name.size() + 1) != std::string(name) + '\0') continue;
    std::string bytecode(section.sh_size, '\0');
    STRATA_TRY(read_at(file.value(), section.sh_offset, bytecode.data(), bytecode.size()));
    return bytecode;
  }
  return Status::with_detail("strata", program, "the program has no bytecode for its QuickJS library");
}

}  // namespace strata::cli
