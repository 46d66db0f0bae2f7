#include "pin.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

namespace pkcs11_pool {

namespace {

constexpr size_t kPage = 4096;
constexpr size_t kLongestPin = 1024;

}  // namespace

PinSecret::PinSecret() {
  void* page = mmap(nullptr, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (page == MAP_FAILED) throw std::runtime_error("no memory for the PIN");
  if (mlock(page, kPage) != 0) {
    munmap(page, kPage);
    throw std::runtime_error("memory for the PIN cannot be locked: raise the limit of locked memory (ulimit -l) to 4 KiB or more");
  }
#ifdef MADV_DONTDUMP
  madvise(page, kPage, MADV_DONTDUMP);
#endif
  page_ = static_cast<CK_BYTE*>(page);
}

PinSecret::~PinSecret() {
  explicit_bzero(page_, kPage);
  munmap(page_, kPage);
}

std::string PinSecret::set(const void* bytes, size_t length) {
  if (length > kLongestPin) return "the PIN is longer than 1024 bytes";
  if (length > 0) std::memcpy(page_, bytes, length);  // an empty array has no memory
  size_ = length;
  return checkLength("the PIN");
}

std::string PinSecret::readFile(const std::string& path) {
  int descriptor;
  do {
    descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  } while (descriptor < 0 && errno == EINTR);
  if (descriptor < 0) return "cannot open the PIN file " + path + ": " + std::strerror(errno);
  size_t length = 0;
  int failure = 0;
  while (length <= kLongestPin + 2) {
    ssize_t got = read(descriptor, page_ + length, kLongestPin + 3 - length);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) failure = errno;
    if (got <= 0) break;
    length += static_cast<size_t>(got);
  }
  close(descriptor);
  if (failure != 0) return "cannot read the PIN file " + path + ": " + std::strerror(failure);
  // One line end belongs to the editor, not to the PIN; a second one is left in and counts.
  if (length > 0 && page_[length - 1] == '\n') length--;
  if (length > 0 && page_[length - 1] == '\r') length--;
  if (length > kLongestPin) return "the PIN file " + path + " holds more than 1024 bytes";
  size_ = length;
  return checkLength("the PIN file " + path);
}

std::string PinSecret::readEnvironment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return "the environment variable " + name + " is not set";
  size_t length = std::strlen(value);
  if (length > kLongestPin) return "the environment variable " + name + " holds more than 1024 bytes";
  std::memcpy(page_, value, length);
  size_ = length;
  return checkLength("the environment variable " + name);
}

std::string PinSecret::checkLength(const std::string& source) const {
  return size_ == 0 ? source + " is empty" : std::string();
}

}  // namespace pkcs11_pool
