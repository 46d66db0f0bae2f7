// How many calls should be under way at once, learnt from calls that ran alone: what several take beside each other says as much of
// the lock they meet at, or of a busy machine, as of the calls.
//
// A wake-up costs more than a short call, and a module that takes one lock over its symmetric calls (SoftHSM) gets slower with a
// second thread. So: calls shorter than a wake-up is worth run one after the other; longer ones that keep a processor busy get as
// many threads as there are processors; those that wait for something (a network, a device) get one each. The figures are in
// docs/adr/0002-how-many-threads.md.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace pkcs11_pool {

class Concurrency {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  static constexpr Nanoseconds kShort = std::chrono::microseconds(40);

  void observeLength(Nanoseconds wall) {
    const double sample = wall > kShort ? 1.0 : 0.0;
    long_ = known_ ? long_ + (sample - long_) / 16 : sample;
    length_ = known_ ? length_ + (wall - length_) / 16 : wall;
    known_ = true;
  }

  // `waited`: the thread gave up its processor inside the call for most of its length.
  void observeWaiting(bool waited) {
    const double sample = waited ? 1.0 : 0.0;
    waiting_ = waitingKnown_ ? waiting_ + (sample - waiting_) / 8 : sample;
    waitingKnown_ = true;
  }

  // Whether it matters, or may turn out to, if the next call waits.
  bool asksForWaiting() const { return !known_ || callsAreLong(); }

  size_t wanted() const {
    if (!callsAreLong()) return 1;
    return !waitingKnown_ || waiting_ > 0.5 ? static_cast<size_t>(-1) : processors_;
  }

  // How long a call may take before it counts as stuck and no longer as one of those wanted: much longer than calls are.
  Nanoseconds stuckAfter() const { return std::clamp<Nanoseconds>(8 * length_, kSoonestStuck, kLatestStuck); }

 private:
  static constexpr Nanoseconds kSoonestStuck = std::chrono::microseconds(500);
  static constexpr Nanoseconds kLatestStuck = std::chrono::milliseconds(20);

  bool callsAreLong() const { return long_ > 0.3; }

  bool known_ = false;
  double long_ = 0;
  Nanoseconds length_{0};
  bool waitingKnown_ = false;
  double waiting_ = 0;
  size_t processors_ = std::max(2U, std::thread::hardware_concurrency());
};

}  // namespace pkcs11_pool
