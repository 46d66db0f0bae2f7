#include "token.h"

#include <algorithm>
#include <new>

#include "chaos.h"

namespace pkcs11_chaos {

namespace {

using Lock = std::lock_guard<std::mutex>;
using Slots = std::vector<std::optional<CK_ULONG>>;

constexpr CK_ULONG kSerialSession = 0x4;

bool covers(const Slots& slots, CK_ULONG slot) {
  return std::any_of(slots.begin(), slots.end(), [&](const auto& each) { return !each || *each == slot; });
}

}  // namespace

std::string Token::act(Action action, std::optional<CK_ULONG> slot) {
  switch (action) {
    case Action::dropSessions:
      drop(slot);
      return "";
    case Action::logOut:
      return logOut(slot);
    case Action::loseInitialization:
      if (!chaos().initialized) return "";
      uninitialized_ = true;
      update();
      drop(std::nullopt);
      return "";
    case Action::removeToken:
      {
        Lock lock(mutex_);
        byActions_.push_back(slot);
      }
      update();
      drop(slot);
      return "";
    case Action::insertToken:
      {
        Lock lock(mutex_);
        if (!slot) byActions_.clear();
        else byActions_.erase(std::remove(byActions_.begin(), byActions_.end(), slot), byActions_.end());
      }
      update();
      return "";
  }
  return "";
}

Slots Token::setRemovedByRules(Slots slots) {
  Slots gone;
  {
    Lock lock(mutex_);
    for (const auto& slot : slots)
      if (std::find(byRules_.begin(), byRules_.end(), slot) == byRules_.end()) gone.push_back(slot);
    byRules_ = std::move(slots);
  }
  update();
  return gone;
}

void Token::initializeAgain() {
  uninitialized_ = false;
  update();
}

void Token::update() {
  Lock lock(mutex_);
  disturbed_.store(uninitialized_ || !byRules_.empty() || !byActions_.empty(), std::memory_order_release);
}

bool Token::isRemoved(CK_ULONG slot) {
  if (!disturbed()) return false;
  Lock lock(mutex_);
  return covers(byRules_, slot) || covers(byActions_, slot);
}

void Token::drop(std::optional<CK_ULONG> slot) {
  Lock bulk(bulk_);
  for (CK_ULONG handle : chaos().sessions.drop(slot)) chaos().real->C_CloseSession(handle);
}

// On a session of our own: the program may close any of its own meanwhile.
std::string Token::logOut(std::optional<CK_ULONG> slot) {
  Lock bulk(bulk_);
  std::string failures;
  for (CK_ULONG each : chaos().sessions.slots()) {
    if (slot && *slot != each) continue;
    CK_ULONG session = 0;
    CK_RV rv = chaos().real->C_OpenSession(each, kSerialSession, nullptr, nullptr, &session);
    if (rv == CKR_OK) {
      rv = chaos().real->C_Logout(session);
      chaos().real->C_CloseSession(session);
    }
    constexpr CK_RV kUserNotLoggedIn = 0x101;
    if (rv != CKR_OK && rv != kUserNotLoggedIn)
      failures += "slot " + std::to_string(each) + " cannot be logged out: return value " + std::to_string(rv) + "; ";
  }
  return failures;
}

void Token::forget() {
  // another thread may have held it at the fork
  new (&bulk_) std::mutex;
  byRules_.clear();
  byActions_.clear();
  uninitialized_ = false;
  disturbed_ = false;
}

}  // namespace pkcs11_chaos
