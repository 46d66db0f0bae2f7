// How many calls should be under way at once, learnt from calls that ran alone or beside one other: what many take beside each other
// says as much of the lock they meet at as of the calls.
//
// A wake-up costs more than a short call, and a module that takes locks over its symmetric calls (SoftHSM) gains little by a second
// thread and loses by a third. So: calls shorter than a wake-up is worth run one after the other, and in two threads where many are
// queued; longer ones that keep a processor busy get as many threads as there are processors; those that wait for something (a
// network, a device) get one each. The figures are in docs/adr/0002-how-many-threads.md.
#pragma once

#include <algorithm>
#include <chrono>
#include <thread>

namespace pkcs11_pool {

class Concurrency {
 public:
  using Nanoseconds = std::chrono::nanoseconds;

  static constexpr Nanoseconds kShort = std::chrono::microseconds(40);

  // With more at work than this, nothing is learnt.
  static constexpr size_t kFew = 2;

  void observeLength(Nanoseconds wall, bool alone) {
    // Beside another it may have waited for a lock: such a call is short, or far too long for that.
    if (!alone && wall > kShort && wall < 4 * kShort) return;
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

  // While `queued` jobs have no thread.
  size_t wanted(size_t queued) const {
    if (!callsAreLong()) return queued < kPlenty ? 1 : 2;
    return !waitingKnown_ || waiting_ > 0.5 ? static_cast<size_t>(-1) : processors_;
  }

  // However many are queued.
  size_t most() const { return wanted(kPlenty); }

  // How long a call may take before it counts as stuck and no longer as one of those wanted: much longer than calls are.
  Nanoseconds stuckAfter() const { return std::clamp<Nanoseconds>(8 * length_, kSoonestStuck, kLatestStuck); }

 private:
  static constexpr size_t kPlenty = 12;
  // As long as a thread may wait for its processor: one that does is not stuck, and another in its place would take it away from it.
  static constexpr Nanoseconds kSoonestStuck = std::chrono::milliseconds(4);
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
