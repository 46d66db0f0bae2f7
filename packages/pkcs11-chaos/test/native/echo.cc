// A PKCS#11 3.0 module that does nothing: what each function answers is made from its name and its arguments alone, so that one argument
// lost or changed on the way shows in the answer.
#include <cstdint>
#include <type_traits>

#include "../../native/functions.h"

using namespace pkcs11_chaos;

namespace {

template <typename T>
uint64_t bits(T value) {
  if constexpr (std::is_pointer_v<T>) return reinterpret_cast<uintptr_t>(value);
  else return static_cast<uint64_t>(value);
}

template <typename... A>
CK_RV echo(Fn fn, A... arguments) {
  uint64_t hash = 14695981039346656037U + static_cast<uint64_t>(fn);
  ((hash = (hash ^ bits(arguments)) * 1099511628211U), ...);
  return hash | 0x80000000;
}

template <Fn fn, auto member>
struct Echo;

template <Fn fn, typename List, typename... A, CK_RV (*List::*member)(A...)>
struct Echo<fn, member> {
  static CK_RV call(A... arguments) { return echo(fn, arguments...); }
};

CK_FUNCTION_LIST_3_0 makeList() {
  CK_FUNCTION_LIST_3_0 list{};
#define ASSIGN(name, scope, family, phase, parameters) list.name = Echo<Fn::name, &CK_FUNCTION_LIST::name>::call;
  CRYPTOKI_2_40(ASSIGN)
#undef ASSIGN
#define ASSIGN(name, scope, family, phase, parameters) list.name = Echo<Fn::name, &CK_FUNCTION_LIST_3_0::name>::call;
  CRYPTOKI_3_0(ASSIGN)
#undef ASSIGN
  list.version = {3, 0};
  return list;
}

CK_FUNCTION_LIST_3_0 list3 = makeList();
CK_FUNCTION_LIST list2 = list3;
char name[] = "PKCS 11";
CK_INTERFACE newest = {name, &list3, 0};

}  // namespace

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list) {
  list2.version = {2, 40};
  *list = &list2;
  return CKR_OK;
}

extern "C" CK_RV C_GetInterface(CK_BYTE*, CK_VERSION*, CK_INTERFACE** interface, CK_ULONG) {
  *interface = &newest;
  return CKR_OK;
}
