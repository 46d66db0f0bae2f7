// A byte string that may hold a secret: small ones live inside the object, and whatever was written is wiped before its memory
// is given back.
#pragma once

#include <cstring>
#include <new>

#include "cryptoki.h"

namespace pkcs11_pool {

class Bytes {
 public:
  Bytes() = default;
  Bytes(const Bytes&) = delete;
  Bytes& operator=(const Bytes&) = delete;
  Bytes(Bytes&& other) noexcept { take(other); }
  Bytes& operator=(Bytes&& other) noexcept {
    if (this != &other) {
      release();
      take(other);
    }
    return *this;
  }
  ~Bytes() { release(); }

  CK_BYTE* data() { return heap_ != nullptr ? heap_ : inline_; }
  const CK_BYTE* data() const { return heap_ != nullptr ? heap_ : inline_; }
  size_t size() const { return size_; }

  void assign(const void* from, size_t length) {
    allocate(length);
    if (length > 0) std::memcpy(data(), from, length);
  }

  // Room for `length` bytes of unspecified content; what was there before is wiped.
  void allocate(size_t length) {
    if (length > capacity_) {
      CK_BYTE* grown = static_cast<CK_BYTE*>(::operator new(length));
      release();
      heap_ = grown;
      capacity_ = length;
    }
    size_ = length;
    if (length > used_) used_ = length;
  }

  // Forgets everything behind the first `length` bytes.
  void truncate(size_t length) {
    if (length < size_) size_ = length;
  }

 private:
  static constexpr size_t kInline = 64;

  void release() {
    if (used_ > 0) explicit_bzero(data(), used_);
    ::operator delete(heap_);
    heap_ = nullptr;
    size_ = used_ = 0;
    capacity_ = kInline;
  }

  void take(Bytes& other) {
    heap_ = other.heap_;
    size_ = other.size_;
    used_ = other.used_;
    capacity_ = other.capacity_;
    if (heap_ == nullptr && used_ > 0) {
      std::memcpy(inline_, other.inline_, used_);
      explicit_bzero(other.inline_, other.used_);
    }
    other.heap_ = nullptr;
    other.size_ = other.used_ = 0;
    other.capacity_ = kInline;
  }

  CK_BYTE* heap_ = nullptr;
  size_t size_ = 0;
  size_t used_ = 0;
  size_t capacity_ = kInline;
  alignas(8) CK_BYTE inline_[kInline];
};

}  // namespace pkcs11_pool
