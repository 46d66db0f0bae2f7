// What the program under test does that PKCS#11 forbids, or that ends badly.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "functions.h"

namespace pkcs11_chaos {

enum class Misuse {
  sharedSession,         // a call entered a session while another was inside
  beforeInitialize,      // a call before C_Initialize
  afterFinalize,         // a call after C_Finalize
  operationActive,       // an Init while the session still carried the same operation
  closedActive,          // a session closed, or the library finalized, with an operation active
  pinRetried,            // a login with a PIN that was rejected before
  finalizeWhileInside,   // C_Finalize while calls were inside
};

constexpr const char* nameOf(Misuse kind) {
  switch (kind) {
    case Misuse::sharedSession: return "shared-session";
    case Misuse::beforeInitialize: return "before-initialize";
    case Misuse::afterFinalize: return "after-finalize";
    case Misuse::operationActive: return "operation-active";
    case Misuse::closedActive: return "closed-active";
    case Misuse::pinRetried: return "pin-retried";
    case Misuse::finalizeWhileInside: return "finalize-while-inside";
  }
  return "";
}

class MisuseLog {
 public:
  struct Seen {
    uint64_t count = 0;
    std::string first;
  };
  using Entries = std::map<std::pair<Misuse, Fn>, Seen>;

  void record(Misuse kind, Fn fn, const std::string& detail) {
    std::lock_guard<std::mutex> lock(mutex_);
    Seen& seen = entries_[{kind, fn}];
    if (seen.count++ == 0) seen.first = detail;
  }

  Entries entries() {
    std::lock_guard<std::mutex> lock(mutex_);
    return entries_;
  }

  void reset() {
    std::lock_guard<std::mutex> lock(mutex_);
    entries_.clear();
  }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  void forget() { entries_.clear(); }

 private:
  std::mutex mutex_;
  Entries entries_;
};

}  // namespace pkcs11_chaos
