// The functions that mean more to this module than a call to hand on. `prepare` runs before anything else, `perform` in place of the real
// function, `observe` when it is known what the program will be told; `done` is what the real module said, if it was asked.
#pragma once

#include <algorithm>
#include <cstring>

#include "call.h"
#include "interfaces.h"

namespace pkcs11_chaos {

using Done = std::optional<CK_RV>;

struct Plain {
  template <typename... A>
  static void prepare(Call&, A...) {}
  template <typename Real, typename... A>
  static CK_RV perform(Call&, Real real, A... arguments) {
    return real == nullptr ? CKR_FUNCTION_NOT_SUPPORTED : real(arguments...);
  }
  template <typename... A>
  static void observe(Call&, Done, CK_RV, A...) {}
};

template <Fn>
struct Behaviour : Plain {};

template <>
struct Behaviour<Fn::C_GetFunctionList> : Plain {
  template <typename Real>
  static CK_RV perform(Call&, Real, CK_FUNCTION_LIST** list) {
    return getFunctionList(list);
  }
};

template <>
struct Behaviour<Fn::C_GetInterfaceList> : Plain {
  template <typename Real>
  static CK_RV perform(Call&, Real, CK_INTERFACE* interfaces, CK_ULONG* count) {
    return getInterfaceList(interfaces, count);
  }
};

template <>
struct Behaviour<Fn::C_GetInterface> : Plain {
  template <typename Real>
  static CK_RV perform(Call&, Real, CK_BYTE* name, CK_VERSION* version, CK_INTERFACE** interface, CK_ULONG flags) {
    return getInterface(name, version, interface, flags);
  }
};

template <>
struct Behaviour<Fn::C_Initialize> : Plain {
  template <typename Real>
  static CK_RV perform(Call&, Real real, void* args) {
    // the real module was never finalized: only its sessions were taken away
    if (!chaos().token.isUninitialized()) return real(args);
    chaos().token.initializeAgain();
    return CKR_OK;
  }
  static void observe(Call&, Done, CK_RV answer, void*) {
    if (answer == CKR_OK || answer == CKR_CRYPTOKI_ALREADY_INITIALIZED) chaos().initialized = true;
  }
};

inline void recordClosedActive(Fn fn, const std::vector<Sessions::Removed>& removed) {
  for (const auto& each : removed)
    if (each.active != 0)
      chaos().misuse.record(Misuse::closedActive, fn,
                            std::string(traitsOf(fn).name) + " ended session " + std::to_string(each.handle) + " with an operation active");
}

// Sessions are forgotten before the real module closes them: the moment it has, a new one may have the same handle.
template <typename Real, typename Argument>
CK_RV closeInBulk(Fn fn, std::optional<CK_ULONG> slot, Real real, Argument argument) {
  std::lock_guard<std::mutex> bulk(chaos().token.bulk());
  const auto removed = chaos().sessions.removeAll(slot);
  const CK_RV rv = real(argument);
  if (rv == CKR_OK) recordClosedActive(fn, removed);
  else
    for (const auto& each : removed) chaos().sessions.restore(each);
  return rv;
}

template <>
struct Behaviour<Fn::C_Finalize> : Plain {
  template <typename Real>
  static CK_RV perform(Call&, Real real, void* reserved) {
    const CK_RV rv = closeInBulk(Fn::C_Finalize, std::nullopt, real, reserved);
    if (rv == CKR_OK) chaos().finalizations++;
    return rv;
  }
  static void observe(Call&, Done, CK_RV answer, void*) {
    if (answer != CKR_OK) return;
    chaos().wasFinalized = true;
    chaos().initialized = false;
  }
};

template <>
struct Behaviour<Fn::C_CloseAllSessions> : Plain {
  template <typename Real>
  static CK_RV perform(Call&, Real real, CK_ULONG slot) {
    return closeInBulk(Fn::C_CloseAllSessions, slot, real, slot);
  }
};

template <>
struct Behaviour<Fn::C_OpenSession> : Plain {
  static void observe(Call&, Done done, CK_RV answer, CK_ULONG slot, CK_ULONG, void*, CK_NOTIFY, CK_ULONG* session) {
    if (done != CKR_OK) return;
    if (answer == CKR_OK) chaos().sessions.add(*session, slot);
    else chaos().sessions.addLost(*session, slot);
  }
};

template <>
struct Behaviour<Fn::C_CloseSession> : Plain {
  template <typename Real>
  static CK_RV perform(Call& call, Real real, CK_ULONG session) {
    if (call.session() == nullptr) return real(session);
    const Sessions::Removed removed{session, *call.slot(), call.activeAtEntry()};
    chaos().sessions.remove(*call.session());
    const CK_RV rv = real(session);
    if (rv == CKR_OK) recordClosedActive(Fn::C_CloseSession, {removed});
    else chaos().sessions.restore(removed);
    return rv;
  }
  static void observe(Call& call, Done done, CK_RV, CK_ULONG) {
    if (!done && call.isDropped()) chaos().sessions.forgetDropped(*call.session());
  }
};

template <>
struct Behaviour<Fn::C_SessionCancel> : Plain {
  static void observe(Call& call, Done, CK_RV answer, CK_ULONG, CK_ULONG flags) {
    if (answer != CKR_OK) return;
    constexpr std::pair<CK_ULONG, Family> kFlags[] = {
        {0x2, Family::messageEncrypt}, {0x4, Family::messageDecrypt}, {0x8, Family::messageSign}, {0x10, Family::messageVerify},
        {0x40, Family::find},          {0x100, Family::encrypt},      {0x200, Family::decrypt},   {0x400, Family::digest},
        {0x800, Family::sign},         {0x1000, Family::signRecover}, {0x2000, Family::verify},   {0x4000, Family::verifyRecover}};
    for (const auto& [flag, family] : kFlags)
      if ((flags & flag) != 0) call.clearActive(bitOf(family));
  }
};

// Where the slot of a session is not known, the session itself is not: the token will refuse it.
constexpr CK_ULONG kNoSlot = ~0UL;

struct LoginBehaviour : Plain {
  static void judge(Call& call, Fn fn, CK_ULONG user, const CK_BYTE* pin, CK_ULONG length) {
    if (chaos().logins.wasRejected(call.slot().value_or(kNoSlot), user, pin, length))
      chaos().misuse.record(Misuse::pinRetried, fn, std::string(traitsOf(fn).name) + " was called with a PIN that was rejected before");
  }
  static void record(Call& call, CK_RV answer, CK_ULONG user, const CK_BYTE* pin, CK_ULONG length) {
    chaos().logins.record(call.slot().value_or(kNoSlot), user, pin, length, answer);
  }
};

template <>
struct Behaviour<Fn::C_Login> : LoginBehaviour {
  static void prepare(Call& call, CK_ULONG, CK_ULONG user, CK_BYTE* pin, CK_ULONG length) { judge(call, Fn::C_Login, user, pin, length); }
  static void observe(Call& call, Done, CK_RV answer, CK_ULONG, CK_ULONG user, CK_BYTE* pin, CK_ULONG length) {
    record(call, answer, user, pin, length);
  }
};

template <>
struct Behaviour<Fn::C_LoginUser> : LoginBehaviour {
  // one user a name: their PINs have nothing to do with each other
  static CK_ULONG named(CK_ULONG user, const CK_BYTE* name, CK_ULONG length) { return user ^ chaos().logins.hash(name, length); }

  static void prepare(Call& call, CK_ULONG, CK_ULONG user, CK_BYTE* pin, CK_ULONG length, CK_BYTE* name, CK_ULONG nameLength) {
    judge(call, Fn::C_LoginUser, named(user, name, nameLength), pin, length);
  }
  static void observe(Call& call, Done, CK_RV answer, CK_ULONG, CK_ULONG user, CK_BYTE* pin, CK_ULONG length, CK_BYTE* name,
                      CK_ULONG nameLength) {
    record(call, answer, named(user, name, nameLength), pin, length);
  }
};

struct PinChange : Plain {
  template <typename... A>
  static void observe(Call& call, Done done, CK_RV, A...) {
    if (done == CKR_OK) chaos().logins.pinsChanged(call.slot().value_or(kNoSlot));
  }
};

template <>
struct Behaviour<Fn::C_InitPIN> : PinChange {};
template <>
struct Behaviour<Fn::C_SetPIN> : PinChange {};
template <>
struct Behaviour<Fn::C_InitToken> : PinChange {};

template <>
struct Behaviour<Fn::C_GetTokenInfo> : Plain {
  template <typename Real>
  static CK_RV perform(Call& call, Real real, CK_ULONG slot, CK_TOKEN_INFO* info) {
    call.setTokenInfo(info);
    return real(slot, info);
  }
};

template <>
struct Behaviour<Fn::C_GetSlotInfo> : Plain {
  template <typename Real>
  static CK_RV perform(Call&, Real real, CK_ULONG slot, CK_SLOT_INFO* info) {
    const CK_RV rv = real(slot, info);
    if (rv == CKR_OK && chaos().token.isRemoved(slot)) info->flags &= ~CKF_TOKEN_PRESENT;
    return rv;
  }
};

template <>
struct Behaviour<Fn::C_GetSlotList> : Plain {
  template <typename Real>
  static CK_RV perform(Call&, Real real, CK_BYTE tokenPresent, CK_ULONG* slots, CK_ULONG* count) {
    if (!chaos().token.disturbed() || tokenPresent == 0 || count == nullptr) return real(tokenPresent, slots, count);
    std::vector<CK_ULONG> present;
    CK_RV rv;
    do {
      CK_ULONG length = 0;
      rv = real(tokenPresent, nullptr, &length);
      if (rv != CKR_OK) return rv;
      present.resize(length);
      rv = real(tokenPresent, present.data(), &length);
      present.resize(std::min<CK_ULONG>(length, present.size()));
    } while (rv == CKR_BUFFER_TOO_SMALL);
    if (rv != CKR_OK) return rv;
    present.erase(std::remove_if(present.begin(), present.end(), [](CK_ULONG slot) { return chaos().token.isRemoved(slot); }), present.end());
    const CK_ULONG room = *count;
    *count = present.size();
    if (slots == nullptr) return CKR_OK;
    if (room < present.size()) return CKR_BUFFER_TOO_SMALL;
    std::copy(present.begin(), present.end(), slots);
    return CKR_OK;
  }
};

}  // namespace pkcs11_chaos
