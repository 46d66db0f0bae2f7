// How often each function was called, and how its calls went.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "functions.h"

namespace pkcs11_chaos {

struct alignas(64) FunctionCounters {
  std::atomic<uint64_t> calls{0};
  std::atomic<int64_t> inFlight{0};
  // answered with anything but CKR_OK, by whomever
  std::atomic<uint64_t> failed{0};
  // changed by a rule or by a fault that holds: answered, delayed, held, or made to do something
  std::atomic<uint64_t> injected{0};
};

class Counters {
 public:
  FunctionCounters& of(Fn fn) { return functions_[indexOf(fn)]; }

  int64_t inFlight() const {
    int64_t sum = 0;
    for (const auto& each : functions_) sum += each.inFlight.load(std::memory_order_relaxed);
    return sum;
  }

  // Everything but what is inside now.
  void reset() {
    for (auto& each : functions_) each.calls = each.failed = each.injected = 0;
  }

  // After a fork no call is inside: the threads they were on are gone.
  void forget() {
    reset();
    for (auto& each : functions_) each.inFlight = 0;
  }

 private:
  std::array<FunctionCounters, kFunctions> functions_;
};

}  // namespace pkcs11_chaos
