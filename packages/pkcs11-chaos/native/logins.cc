#include "logins.h"

#include <sys/random.h>

#include <cstdlib>
#include <iterator>

namespace pkcs11_chaos {

namespace {

using Lock = std::lock_guard<std::mutex>;

bool rejects(CK_RV rv) { return rv >= CKR_PIN_INCORRECT && rv <= CKR_PIN_LOCKED; }

// SipHash-2-4 (Aumasson and Bernstein 2012): short inputs under a secret key.
class SipHash {
 public:
  SipHash(uint64_t k0, uint64_t k1)
      : v0_(k0 ^ 0x736f6d6570736575), v1_(k1 ^ 0x646f72616e646f6d), v2_(k0 ^ 0x6c7967656e657261), v3_(k1 ^ 0x7465646279746573) {}

  uint64_t of(const CK_BYTE* bytes, CK_ULONG length) {
    CK_ULONG at = 0;
    for (; at + 8 <= length; at += 8) absorb(word(bytes + at, 8));
    absorb(word(bytes + at, length - at) | static_cast<uint64_t>(length) << 56);
    v2_ ^= 0xff;
    for (int i = 0; i < 4; i++) round();
    return v0_ ^ v1_ ^ v2_ ^ v3_;
  }

 private:
  static uint64_t rotate(uint64_t x, int by) { return x << by | x >> (64 - by); }

  static uint64_t word(const CK_BYTE* bytes, CK_ULONG count) {
    uint64_t value = 0;
    for (CK_ULONG i = 0; i < count; i++) value |= static_cast<uint64_t>(bytes[i]) << (8 * i);
    return value;
  }

  void absorb(uint64_t m) {
    v3_ ^= m;
    round();
    round();
    v0_ ^= m;
  }

  void round() {
    v0_ += v1_, v1_ = rotate(v1_, 13) ^ v0_, v0_ = rotate(v0_, 32);
    v2_ += v3_, v3_ = rotate(v3_, 16) ^ v2_;
    v0_ += v3_, v3_ = rotate(v3_, 21) ^ v0_;
    v2_ += v1_, v1_ = rotate(v1_, 17) ^ v2_, v2_ = rotate(v2_, 32);
  }

  uint64_t v0_, v1_, v2_, v3_;
};

}  // namespace

Logins::Logins() {
  if (getrandom(key_, sizeof key_, 0) != static_cast<ssize_t>(sizeof key_)) abort();
}

uint64_t Logins::hash(const CK_BYTE* bytes, CK_ULONG length) const { return SipHash(key_[0], key_[1]).of(bytes, length); }

bool Logins::wasRejected(CK_ULONG slot, CK_ULONG user, const CK_BYTE* pin, CK_ULONG length) {
  // without a PIN the token has a keypad of its own
  if (pin == nullptr) return false;
  const Attempt attempt{slot, user, hash(pin, length)};
  Lock lock(mutex_);
  return rejections_.count(attempt) > 0;
}

void Logins::record(CK_ULONG slot, CK_ULONG user, const CK_BYTE* pin, CK_ULONG length, CK_RV rv) {
  if (rv == CKR_OK) accepted_++;
  else if (rv == CKR_USER_ALREADY_LOGGED_IN) already_++;
  else if (rejects(rv)) rejected_++;
  else failed_++;
  if (pin == nullptr || (rv != CKR_OK && !rejects(rv))) return;
  const Attempt attempt{slot, user, hash(pin, length)};
  Lock lock(mutex_);
  if (rv == CKR_OK) rejections_.erase(attempt);
  else rejections_.insert(attempt);
}

void Logins::pinsChanged(CK_ULONG slot) {
  Lock lock(mutex_);
  for (auto at = rejections_.begin(); at != rejections_.end();) at = std::get<0>(*at) == slot ? rejections_.erase(at) : std::next(at);
}

void Logins::forget() {
  reset();
  rejections_.clear();
}

}  // namespace pkcs11_chaos
