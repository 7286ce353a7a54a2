#include "sealed.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <cerrno>
#include <cstddef>

#include "fd.hpp"

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U
#endif

namespace strata {

int at_least(int descriptor, int lowest) {
  if (descriptor < 0 || descriptor >= lowest) return descriptor;
  const long moved = sys::fcntl(descriptor, F_DUPFD_CLOEXEC, lowest);
  sys::close(descriptor);
  return static_cast<int>(moved);
}

int above_stdio(int descriptor) {
  constexpr int first_free = 3;
  return at_least(descriptor, first_free);
}

Result<int> SealedProgram::descriptor() {
  pthread_mutex_lock(&mutex_);
  Result<int> result(file_);
  if (file_ < 0) {
    result = make();
    if (!result.failed()) file_ = result.value();
  }
  pthread_mutex_unlock(&mutex_);
  return result;
}

Result<int> SealedProgram::make() const {
  int number = sys::memfd_create(name_, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
  if (number == -EINVAL) number = sys::memfd_create(name_, MFD_CLOEXEC | MFD_ALLOW_SEALING);  // before Linux 6.3
  Fd file(above_stdio(number));
  if (!file.valid()) return Status(-file.get(), "memfd_create", name_);
  for (const unsigned char* at = begin_; at < end_;) {
    const long written = sys::write(file.get(), at, static_cast<std::size_t>(end_ - at));
    if (written < 0) return Status(static_cast<int>(-written), "write", name_);
    at += written;
  }
  const long sealed = sys::fcntl(file.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
  if (sealed < 0) return Status(static_cast<int>(-sealed), "fcntl", name_);
  return file.release();
}

}  // namespace strata
