#include "mount_util.hpp"

#include <cerrno>

#include "../text.hpp"

namespace strata {

Result<FileSystem> FileSystem::open(const char* type) {
  FileSystem file_system;
  file_system.type_.assign(type);
  const int fd = sys::fsopen(type, FSOPEN_CLOEXEC);
  if (fd < 0) return Status(-fd, "fsopen", type);
  file_system.fd_ = Fd(fd);
  return file_system;
}

Result<FileSystem> FileSystem::pick(int mount) {
  FileSystem file_system;
  const int fd = sys::fspick(mount, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
  if (fd < 0) return Status(-fd, "fspick");
  file_system.fd_ = Fd(fd);
  return file_system;
}

Status FileSystem::set(const char* key, const char* value) {
  const int result = sys::fsconfig(fd_.get(), FSCONFIG_SET_STRING, key, value, 0);
  return result < 0 ? fail(-result, "fsconfig", key) : Status();
}

Status FileSystem::flag(const char* key) {
  const int result = sys::fsconfig(fd_.get(), FSCONFIG_SET_FLAG, key, nullptr, 0);
  return result < 0 ? fail(-result, "fsconfig", key) : Status();
}

Status FileSystem::option(Text option) {
  const std::string_view text = option.view();
  const std::size_t equals = text.find('=');
  if (equals == std::string_view::npos) return flag(option.c_str());
  if (equals >= 256) return fail(EINVAL, "fsconfig", text);
  const FixedText<256> key(head(text, equals));
  return set(key.c_str(), option.c_str() + equals + 1);
}

Result<Fd> FileSystem::mount(std::uint64_t attributes) {
  if (const int result = sys::fsconfig(fd_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0); result < 0) {
    return fail(-result, "fsconfig", type_.view());
  }
  const int mount = sys::fsmount(fd_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes));
  if (mount < 0) return fail(-mount, "fsmount", type_.view());
  return Fd(mount);
}

Status FileSystem::reconfigure() {
  const int result = sys::fsconfig(fd_.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0);
  return result < 0 ? fail(-result, "fsconfig", type_.view()) : Status();
}

Status FileSystem::fail(int error, const char* call, std::string_view what) {
  // The context's log: "e message\n" for an error.
  char message[200];
  const long size = sys::read(fd_.get(), message, sizeof message - 1);
  if (size <= 2 || message[0] != 'e') return {error, call, what};
  std::string_view text(message + 2, static_cast<std::size_t>(size) - 2);
  if (text.back() == '\n') text.remove_suffix(1);
  return Status::with_detail(call, what, text, error);
}

}  // namespace strata
