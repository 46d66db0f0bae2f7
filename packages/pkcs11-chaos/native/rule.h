// One rule: which calls it is for, and what happens to them. `../src/rule.ts` writes the same as text.
#pragma once

#include <bitset>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "functions.h"

namespace pkcs11_chaos {

enum class Effect {
  fail,          // answered with `rv`
  delay,         // held from `minMs` to `maxMs`
  hang,          // held until released
  crash,         // the process ends: by `kill`, else by abort
  act,           // `action` is carried out
  throttle,      // answered with `rv` when there are more than `rate` a second
  sessionLimit,  // C_OpenSession is answered with CKR_SESSION_COUNT beyond `limit`
  tokenInfo,     // C_GetTokenInfo says `setFlags`, does not say `clearFlags`, and has `maxSessions` as the token's own maximum
  removeToken,   // as long as the rule holds, the token is not there
};

enum class Action { dropSessions, logOut, loseInitialization, removeToken, insertToken };

struct Rule {
  using Clock = std::chrono::steady_clock;

  std::string id, text;

  // Which calls.
  std::bitset<kFunctions> on;
  std::optional<Fn> from, until;
  std::optional<CK_ULONG> slot;
  uint64_t nth = 0, every = 0;
  uint64_t times = UINT64_MAX;
  double probability = 1;
  uint64_t random = 1;

  // What happens to them, before the real call or after it.
  Effect effect = Effect::fail;
  bool after = false;
  CK_RV rv = CKR_OK;
  double minMs = 0, maxMs = 0;
  bool kill = false;
  Action action = Action::dropSessions;
  double rate = 0, burst = 0;
  uint64_t limit = 0;
  CK_ULONG setFlags = 0, clearFlags = 0;
  std::optional<CK_ULONG> maxSessions;

  // How far it has come. Guarded by the lock of Rules.
  bool open = true;
  uint64_t matched = 0, applied = 0, releases = 0;
  bool removed = false;
  double tokens = 0;
  Clock::time_point refilled;

  bool concerns(Fn fn) const { return on[indexOf(fn)] || from == fn || until == fn; }
  // Takes notice of a call, and says whether it is one of those the rule is for, `times` aside.
  bool selects(Fn fn, std::optional<CK_ULONG> callSlot);
  // A number from 0 up to 1, the next of this rule's own sequence.
  double nextRandom();
  // Takes one of the calls that the rate allows now.
  bool takeToken();
};

// Reads a rule from its text. Throws std::invalid_argument that says what is wrong with it.
Rule parseRule(const std::string& id, const std::string& text);

std::optional<Action> actionNamed(const std::string& name);

}  // namespace pkcs11_chaos
