// One function for each of PKCS#11's, all from one template, and the lists they are found in.
#include <tuple>
#include <type_traits>

#include "behaviour.h"

namespace pkcs11_chaos {

namespace {

template <typename... A>
auto realFunction(CK_RV (*CK_FUNCTION_LIST::*member)(A...)) {
  return chaos().real->*member;
}

template <typename... A>
auto realFunction(CK_RV (*CK_FUNCTION_LIST_3_0::*member)(A...)) {
  return chaos().real3 == nullptr ? nullptr : chaos().real3->*member;
}

// Whether a function's last two parameters are a buffer and its length, so that it may be called for the length alone.
template <typename... A>
constexpr bool hasOutput() {
  if constexpr (sizeof...(A) < 2) {
    return false;
  } else {
    using All = std::tuple<A...>;
    return std::is_same_v<std::tuple_element_t<sizeof...(A) - 2, All>, CK_BYTE*> &&
           std::is_same_v<std::tuple_element_t<sizeof...(A) - 1, All>, CK_ULONG*>;
  }
}

// Makes the call with its output thrown away.
template <typename Real, typename... A>
void callInVain(Real real, A... arguments) {
  if constexpr (hasOutput<A...>()) {
    std::tuple<A...> changed(arguments...);
    CK_ULONG length = 0;
    std::get<sizeof...(A) - 2>(changed) = nullptr;
    std::get<sizeof...(A) - 1>(changed) = &length;
    if (std::apply(real, changed) != CKR_OK) return;
    std::vector<CK_BYTE> output(length + 1);
    std::get<sizeof...(A) - 2>(changed) = output.data();
    std::apply(real, changed);
    // it may have been a secret
    std::fill_n(static_cast<volatile CK_BYTE*>(output.data()), output.size(), CK_BYTE{0});
  } else {
    real(arguments...);
  }
}

// Ends what the updates of a family were for.
void finishInVain(Family family, CK_ULONG session) {
  const CK_FUNCTION_LIST& real = *chaos().real;
  CK_BYTE* const none = nullptr;
  CK_ULONG length = 0;
  CK_BYTE nothing = 0;
  switch (family) {
    case Family::encrypt: return callInVain(real.C_EncryptFinal, session, none, &length);
    case Family::decrypt: return callInVain(real.C_DecryptFinal, session, none, &length);
    case Family::digest: return callInVain(real.C_DigestFinal, session, none, &length);
    case Family::sign: return callInVain(real.C_SignFinal, session, none, &length);
    case Family::verify: return callInVain(real.C_VerifyFinal, session, &nothing, CK_ULONG{0});
    default: return;
  }
}

// A program that is told of a failure has to take the operation for ended, by the standard. Where a rule said so and the real module
// knows nothing of it, it is ended there too, or the next Init would fail for no reason that the program could know.
template <Fn fn, typename Real, typename... A>
void endOperation(Real real, CK_ULONG session, A... arguments) {
  if constexpr (traitsOf(fn).phase == Phase::update) finishInVain(traitsOf(fn).family, session);
  else callInVain(real, session, arguments...);
}

template <typename First, typename... Rest>
CK_ULONG handleOf(First first, Rest...) {
  if constexpr (std::is_same_v<First, CK_ULONG>) return first;
  else return 0;
}

// Whether an Init is one without a mechanism.
template <Fn fn, typename... A>
bool cancels(A... arguments) {
  if constexpr (traitsOf(fn).phase == Phase::init) {
    const std::tuple<A...> all(arguments...);
    if constexpr (std::is_same_v<std::tuple_element_t<1, std::tuple<A...>>, CK_MECHANISM*>) return std::get<1>(all) == nullptr;
  }
  return false;
}

template <typename... A>
bool asksLength(A... arguments) {
  if constexpr (hasOutput<A...>()) return std::get<sizeof...(A) - 2>(std::tuple<A...>(arguments...)) == nullptr;
  else return false;
}

template <Fn fn, auto member>
struct Wrapper;

template <Fn fn, typename List, typename... A, CK_RV (*List::*member)(A...)>
struct Wrapper<fn, member> {
  static CK_RV call(A... arguments) {
    if (!chaos().start()) return CKR_GENERAL_ERROR;
    using Special = Behaviour<fn>;
    Call call(fn, handleOf(arguments...), cancels<fn>(arguments...));
    Special::prepare(call, arguments...);
    Done done;
    CK_RV answer;
    if (const auto early = call.before()) {
      answer = *early;
    } else {
      done = Special::perform(call, realFunction(member), arguments...);
      answer = call.after(*done);
    }
    const bool onlyLength = asksLength(arguments...);
    if constexpr (traitsOf(fn).phase != Phase::other && traitsOf(fn).phase != Phase::init)
      if (call.leavesOperationBehind(answer, done, onlyLength)) endOperation<fn>(realFunction(member), arguments...);
    Special::observe(call, done, answer, arguments...);
    return call.leave(answer, onlyLength);
  }
};

CK_FUNCTION_LIST ownList() {
  CK_FUNCTION_LIST own{};
#define CHAOS_ASSIGN(name, scope, family, phase, parameters) own.name = Wrapper<Fn::name, &CK_FUNCTION_LIST::name>::call;
  CRYPTOKI_2_40(CHAOS_ASSIGN)
#undef CHAOS_ASSIGN
  own.version = chaos().real->version;
  return own;
}

CK_FUNCTION_LIST_3_0 ownList3() {
  CK_FUNCTION_LIST_3_0 own{};
  static_cast<CK_FUNCTION_LIST&>(own) = ownList();
#define CHAOS_ASSIGN(name, scope, family, phase, parameters) own.name = Wrapper<Fn::name, &CK_FUNCTION_LIST_3_0::name>::call;
  CRYPTOKI_3_0(CHAOS_ASSIGN)
#undef CHAOS_ASSIGN
  // the list of 3.1 is that of 3.0; later ones are longer
  if (chaos().real3 != nullptr) own.version = {3, std::min<CK_BYTE>(chaos().real3->version.minor, 1)};
  return own;
}

struct Interfaces {
  CK_FUNCTION_LIST list = ownList();
  CK_FUNCTION_LIST_3_0 list3 = ownList3();
  char name[8] = "PKCS 11";
  // the newest first; how many there are depends on the real module
  CK_INTERFACE all[2] = {{name, &list3, 0}, {name, &list, 0}};

  CK_INTERFACE* begin() { return chaos().real3 == nullptr ? all + 1 : all; }
  CK_INTERFACE* end() { return all + 2; }
};

Interfaces& interfaces() {
  static Interfaces& own = *new Interfaces;
  return own;
}

}  // namespace

CK_RV getFunctionList(CK_FUNCTION_LIST** list) {
  if (list == nullptr) return CKR_ARGUMENTS_BAD;
  *list = &interfaces().list;
  return CKR_OK;
}

CK_RV getInterfaceList(CK_INTERFACE* out, CK_ULONG* count) {
  if (count == nullptr) return CKR_ARGUMENTS_BAD;
  const CK_ULONG room = *count;
  *count = static_cast<CK_ULONG>(interfaces().end() - interfaces().begin());
  if (out == nullptr) return CKR_OK;
  if (room < *count) return CKR_BUFFER_TOO_SMALL;
  std::copy(interfaces().begin(), interfaces().end(), out);
  return CKR_OK;
}

CK_RV getInterface(const CK_BYTE* name, const CK_VERSION* version, CK_INTERFACE** interface, CK_ULONG flags) {
  if (interface == nullptr) return CKR_ARGUMENTS_BAD;
  if (name != nullptr && strcmp(reinterpret_cast<const char*>(name), interfaces().name) != 0) return CKR_FUNCTION_FAILED;
  for (CK_INTERFACE& each : interfaces()) {
    // every list begins with its version
    const auto& own = *static_cast<const CK_VERSION*>(each.pFunctionList);
    if (version != nullptr && (version->major != own.major || version->minor != own.minor)) continue;
    if ((each.flags & flags) != flags) continue;
    *interface = &each;
    return CKR_OK;
  }
  return CKR_FUNCTION_FAILED;
}

}  // namespace pkcs11_chaos

using pkcs11_chaos::Fn;

#define CHAOS_EXPORT extern "C" __attribute__((visibility("default")))

CHAOS_EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  return pkcs11_chaos::Wrapper<Fn::C_GetFunctionList, &CK_FUNCTION_LIST::C_GetFunctionList>::call(list);
}

CHAOS_EXPORT CK_RV C_GetInterfaceList(CK_INTERFACE* interfaces, CK_ULONG* count) {
  return pkcs11_chaos::Wrapper<Fn::C_GetInterfaceList, &CK_FUNCTION_LIST_3_0::C_GetInterfaceList>::call(interfaces, count);
}

CHAOS_EXPORT CK_RV C_GetInterface(CK_BYTE* name, CK_VERSION* version, CK_INTERFACE** interface, CK_ULONG flags) {
  return pkcs11_chaos::Wrapper<Fn::C_GetInterface, &CK_FUNCTION_LIST_3_0::C_GetInterface>::call(name, version, interface, flags);
}
