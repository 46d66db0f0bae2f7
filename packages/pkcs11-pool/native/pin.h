// A PIN: one page of memory that is neither swapped nor dumped, wiped when the last login that uses it is over.
#pragma once

#include <cstring>
#include <memory>
#include <string>

#include "cryptoki.h"

namespace pkcs11_pool {

class PinSecret {
 public:
  // Throws std::runtime_error where the page cannot be had or locked.
  PinSecret();
  ~PinSecret();
  PinSecret(const PinSecret&) = delete;
  PinSecret& operator=(const PinSecret&) = delete;

  // Each returns the reason of a failure, which never holds any part of the PIN, or an empty string.
  std::string set(const void* bytes, size_t length);
  std::string readFile(const std::string& path);
  std::string readEnvironment(const std::string& name);

  bool equals(const PinSecret& other) const { return size_ > 0 && size_ == other.size_ && std::memcmp(page_, other.page_, size_) == 0; }
  CK_BYTE* data() { return page_; }
  size_t size() const { return size_; }

 private:
  std::string checkLength(const std::string& source) const;

  CK_BYTE* page_ = nullptr;
  size_t size_ = 0;
};

}  // namespace pkcs11_pool
