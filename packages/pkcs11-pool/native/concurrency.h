// How many threads are worth running at once, learnt from the calls themselves.
//
// A wake-up costs more than a short call, and a module that takes one lock over its symmetric calls (SoftHSM) gets slower with a
// second thread. So: calls shorter than a wake-up is worth run on one thread; longer ones that keep a processor busy get as many
// as there are processors; those that wait for something (a network, a device) get one each. The figures are in docs/adr.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace pkcs11_pool {

class Concurrency {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  static constexpr Nanoseconds kShort = std::chrono::microseconds(60);

  void observeLength(Nanoseconds wall) {
    const double sample = wall > kShort ? 1.0 : 0.0;
    long_ = known_ ? long_ + (sample - long_) / 16 : sample;
    length_ = known_ ? length_ + (wall - length_) / 16 : wall;
    known_ = true;
  }

  // `waited`: the thread gave up its processor inside the call for most of its length.
  void observeWaiting(bool waited) { waiting_ += ((waited ? 1.0 : 0.0) - waiting_) / 8; }

  // How long a call may take before it counts as stuck and others are not left waiting behind it: much longer than calls are.
  Nanoseconds stuckAfter() const { return std::clamp<Nanoseconds>(8 * length_, kSoonestStuck, kLatestStuck); }

  bool callsAreLong() const { return long_ > 0.3; }

  // The number of calls that should be under way, without a limit where each waits for the token.
  size_t wanted() const {
    if (!callsAreLong()) return 1;
    return waiting_ > 0.5 ? static_cast<size_t>(-1) : processors_;
  }

 private:
  static constexpr Nanoseconds kSoonestStuck = std::chrono::microseconds(500);
  static constexpr Nanoseconds kLatestStuck = std::chrono::milliseconds(20);

  double long_ = 0;
  Nanoseconds length_{0};
  double waiting_ = 0.6;  // until known otherwise: a call that hangs must not hold up the next
  bool known_ = false;
  size_t processors_ = std::max(2U, std::thread::hardware_concurrency());
};

}  // namespace pkcs11_pool
