// One call on its way through: counted, judged, held up or answered by rules, and let go.
#pragma once

#include "chaos.h"

namespace pkcs11_chaos {

class Call {
 public:
  // `handle` is the function's first parameter where its scope is a slot or a session. `cancels`: an Init without a mechanism, which
  // in 3.0 ends the operation.
  Call(Fn fn, CK_ULONG handle, bool cancels);
  ~Call();
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  // An answer that the real module is not asked for, or nothing.
  std::optional<CK_RV> before();
  // What the program is told when the real module has answered `rv`.
  CK_RV after(CK_RV rv);
  // Whether the program has to take the operation for ended though the real module still carries it. `done` is what the real module
  // said, if it was asked; `asksLength`: the call had nowhere to write its output to.
  bool leavesOperationBehind(CK_RV answer, std::optional<CK_RV> done, bool asksLength);
  // The end of it.
  CK_RV leave(CK_RV answer, bool asksLength);

  Session* session() const { return entry_.session; }
  bool isDropped() const { return entry_.dropped; }
  std::optional<CK_ULONG> slot() const { return subject_.slot; }
  unsigned activeAtEntry() const { return entry_.active; }
  // For C_GetTokenInfo: where its answer is.
  void setTokenInfo(CK_TOKEN_INFO* info) { subject_.tokenInfo = info; }
  // Operations that the call has ended beside its own.
  void clearActive(unsigned operations) { clear_ |= operations; }

 private:
  void judge();
  std::optional<CK_RV> stateAnswer();

  const Fn fn_;
  const FunctionTraits& traits_;
  const bool cancels_;
  // whether there were rules when it came
  const bool ruled_;
  const uint64_t finalizations_;
  FunctionCounters& counters_;
  RuleSubject subject_;
  Sessions::Entry entry_;
  bool atToken_ = false;
  unsigned set_ = 0, clear_ = 0;
};

}  // namespace pkcs11_chaos
