// argv and envp: arrays of pointers into the plan, made with mmap since nothing here has a heap.
#pragma once

#include <cerrno>
#include <sys/mman.h>

#include "../error.hpp"
#include "../plan.hpp"
#include "../sys.hpp"

namespace strata {

class PointerArray {
 public:
  static Result<PointerArray> make(TextList list) {
    PointerArray array;
    array.bytes_ = (std::size_t{list.count} + 1) * sizeof(const char*);
    void* memory = sys::mmap(nullptr, array.bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return Status(ENOMEM, "mmap");
    array.pointers_ = static_cast<const char**>(memory);
    for (std::uint32_t i = 0; i < list.count; i++) array.pointers_[i] = list.next().c_str();
    return array;
  }

  PointerArray() = default;
  PointerArray(PointerArray&& other) noexcept : pointers_(std::exchange(other.pointers_, nullptr)), bytes_(other.bytes_) {}
  PointerArray& operator=(PointerArray&& other) noexcept {
    std::swap(pointers_, other.pointers_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  PointerArray(const PointerArray&) = delete;
  PointerArray& operator=(const PointerArray&) = delete;
  ~PointerArray() {
    if (pointers_ != nullptr) sys::munmap(pointers_, bytes_);
  }

  [[nodiscard]] const char* const* data() const { return pointers_; }

 private:
  const char** pointers_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace strata
