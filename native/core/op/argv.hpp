// argv and envp: arrays of pointers into the plan, made with mmap since nothing here has a heap.
#pragma once

#include <sys/mman.h>
#include <cerrno>

#include "../error.hpp"
#include "../plan.hpp"
#include "../sys.hpp"

namespace strata {

class PointerArray {
 public:
  // `more` is one more element, unless it is empty.
  static Result<PointerArray> make(TextList list, const char* more = "") {
    PointerArray array;
    array.bytes_ = (std::size_t{list.count} + 2) * sizeof(const char*);
    void* memory = sys::mmap(nullptr, array.bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) return Status(ENOMEM, "mmap");
    array.pointers_ = static_cast<const char**>(memory);
    for (std::uint32_t i = 0; i < list.count; i++) array.pointers_[i] = list.next().c_str();
    if (*more != '\0') array.pointers_[list.count] = more;
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
