// All rules, and what they do to a call on its way.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <vector>

#include "rule.h"

namespace pkcs11_chaos {

// A call as the rules see it.
struct RuleSubject {
  Fn fn;
  std::optional<CK_ULONG> slot;
  // selected on the way in, for the way back
  std::vector<std::shared_ptr<Rule>> later;
  // a rule has changed something about it
  bool touched = false;
  // room for a session is held for it
  bool reserved = false;
  // what C_GetTokenInfo has filled in
  CK_TOKEN_INFO* tokenInfo = nullptr;
};

struct RuleCount {
  std::string id;
  uint64_t matched, applied;
};

class Rules {
 public:
  // Whether there is any rule: without one a call is not slowed down by them.
  bool any() const { return any_.load(std::memory_order_acquire); }

  // What the rules do to a call before the real one: an answer, or nothing when it may go on.
  std::optional<CK_RV> before(RuleSubject& call);
  // What they make of the real one's answer.
  CK_RV after(RuleSubject& call, CK_RV rv);

  // Makes these the rules. One that was there before, by its id and text, goes on counting; calls held by one that is not there any more go on.
  // Gives the slots whose tokens they remove; no slot means every one.
  std::vector<std::optional<CK_ULONG>> set(std::vector<Rule> rules);
  // Lets the calls go on that hang now, of one rule or of all.
  void release(const std::string& id);

  int hanging();
  std::vector<RuleCount> counts();

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  // After a fork, with the lock held by this thread. Nobody waits any more.
  void forget();

 private:
  using List = std::vector<std::shared_ptr<Rule>>;

  std::optional<CK_RV> carryOut(const std::shared_ptr<Rule>& rule, RuleSubject& call, std::unique_lock<std::mutex>& lock, CK_RV rv);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> any_{false};
  List rules_;
  std::array<List, kFunctions> byFunction_;
  int hanging_ = 0;
};

}  // namespace pkcs11_chaos
