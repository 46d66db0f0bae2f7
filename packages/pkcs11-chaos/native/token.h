// Faults of the token as a whole, which hold beyond one call: it is gone, or it has forgotten its sessions, its login, or everything.
#pragma once

#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "rule.h"

namespace pkcs11_chaos {

class Token {
 public:
  // Carries out an action, at one slot or at all. Gives what went wrong, or nothing.
  std::string act(Action action, std::optional<CK_ULONG> slot);
  // Which tokens the rules take away; no slot means every one. Gives those that were there until now, whose sessions are to be dropped.
  std::vector<std::optional<CK_ULONG>> setRemovedByRules(std::vector<std::optional<CK_ULONG>> slots);
  void drop(std::optional<CK_ULONG> slot);

  // Whether anything below holds. Without it a call is not slowed down by it.
  bool disturbed() const { return disturbed_.load(std::memory_order_acquire); }
  bool isRemoved(CK_ULONG slot);
  bool isUninitialized() const { return uninitialized_; }
  // C_Initialize was called: what was lost is there again.
  void initializeAgain();

  // Held while the real module is called for an action, and while the program ends sessions in bulk, or the library.
  std::mutex& bulk() { return bulk_; }

  void lock() { mutex_.lock(); }
  void unlock() { mutex_.unlock(); }
  void forget();

 private:
  std::string logOut(std::optional<CK_ULONG> slot);
  void update();

  std::mutex mutex_, bulk_;
  std::vector<std::optional<CK_ULONG>> byRules_, byActions_;
  std::atomic<bool> disturbed_{false}, uninitialized_{false};
};

}  // namespace pkcs11_chaos
