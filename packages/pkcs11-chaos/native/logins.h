// Logins, and which PINs were rejected. A PIN is kept only as a hash under a key that is drawn for the process and never leaves it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <tuple>

#include "cryptoki.h"

namespace pkcs11_chaos {

class Logins {
 public:
  Logins();

  // Whether this PIN was rejected before for this user at this slot, and not accepted or replaced since.
  bool wasRejected(CK_ULONG slot, CK_ULONG user, const CK_BYTE* pin, CK_ULONG length);
  // What the program was told.
  void record(CK_ULONG slot, CK_ULONG user, const CK_BYTE* pin, CK_ULONG length, CK_RV rv);
  // Under the key of this process.
  uint64_t hash(const CK_BYTE* bytes, CK_ULONG length) const;
  // PINs of the slot were changed.
  void pinsChanged(CK_ULONG slot);

  uint64_t accepted() const { return accepted_; }
  uint64_t already() const { return already_; }
  uint64_t rejected() const { return rejected_; }
  uint64_t failed() const { return failed_; }
  void reset() { accepted_ = already_ = rejected_ = failed_ = 0; }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  void forget();

 private:
  using Attempt = std::tuple<CK_ULONG, CK_ULONG, uint64_t>;

  uint64_t key_[2];
  std::mutex mutex_;
  std::set<Attempt> rejections_;
  std::atomic<uint64_t> accepted_{0}, already_{0}, rejected_{0}, failed_{0};
};

}  // namespace pkcs11_chaos
