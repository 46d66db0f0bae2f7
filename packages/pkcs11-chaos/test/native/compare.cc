// compare DIRECT PROXY: calls every function of the echo module directly and through the proxy, with the same arguments, and prints the
// name of each that answers alike; then the interfaces that the proxy offers.
#include <dlfcn.h>

#include <cstdio>
#include <cstring>
#include <type_traits>
#include <utility>

#include "../../native/functions.h"

using namespace pkcs11_chaos;

namespace {

char memory[1 << 16];

// The n-th argument of a call: a number, or a pointer to memory of its own.
template <typename T>
T made(size_t n) {
  if constexpr (std::is_pointer_v<T>) return reinterpret_cast<T>(memory + 2048 * (n + 1));
  else return static_cast<T>(100 + n);
}

template <typename... A, size_t... N>
CK_RV callWith(CK_RV (*function)(A...), std::index_sequence<N...>) {
  return function(made<A>(N)...);
}

template <typename... A>
CK_RV callMade(CK_RV (*function)(A...)) {
  return callWith(function, std::index_sequence_for<A...>());
}

template <typename Function>
Function symbol(void* library, const char* name) {
  auto function = reinterpret_cast<Function>(dlsym(library, name));
  if (function == nullptr) fprintf(stderr, "no %s\n", name);
  return function;
}

using GetInterface = CK_RV (*)(CK_BYTE*, CK_VERSION*, CK_INTERFACE**, CK_ULONG);

CK_FUNCTION_LIST_3_0* newest(void* library) {
  CK_INTERFACE* interface = nullptr;
  symbol<GetInterface>(library, "C_GetInterface")(nullptr, nullptr, &interface, 0);
  return static_cast<CK_FUNCTION_LIST_3_0*>(interface->pFunctionList);
}

void ask(GetInterface get, const char* title, const char* name, CK_VERSION* version, CK_ULONG flags) {
  CK_INTERFACE* found = nullptr;
  const CK_RV rv = get(reinterpret_cast<CK_BYTE*>(const_cast<char*>(name)), version, &found, flags);
  if (rv != CKR_OK) {
    printf("%s: %#lx\n", title, rv);
    return;
  }
  const auto* list = static_cast<CK_VERSION*>(found->pFunctionList);
  printf("%s: %s %d.%d\n", title, found->pInterfaceName, list->major, list->minor);
}

void compareAll(const CK_FUNCTION_LIST_3_0& one, const CK_FUNCTION_LIST_3_0& other) {
#define COMPARE(name, scope, family, phase, parameters) \
  if (Fn::name != Fn::C_GetFunctionList && Fn::name != Fn::C_GetInterfaceList && Fn::name != Fn::C_GetInterface && \
      callMade(one.name) == callMade(other.name)) puts(#name);
  CRYPTOKI_2_40(COMPARE)
  CRYPTOKI_3_0(COMPARE)
#undef COMPARE
}

}  // namespace

int main(int, char** arguments) {
  void* direct = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  void* proxy = dlopen(arguments[2], RTLD_NOW | RTLD_LOCAL);
  if (direct == nullptr || proxy == nullptr) return fprintf(stderr, "%s\n", dlerror()), 1;
  CK_FUNCTION_LIST_3_0 &one = *newest(direct), &other = *newest(proxy);
  // the list of 2.40 is too short for what follows
  if (other.version.major == 3) compareAll(one, other);
  const auto get = symbol<GetInterface>(proxy, "C_GetInterface");
  CK_VERSION v3{3, 0}, v2{2, 40}, v9{9, 0};
  ask(get, "default", nullptr, nullptr, 0);
  ask(get, "3.0", "PKCS 11", &v3, 0);
  ask(get, "2.40", "PKCS 11", &v2, 0);
  ask(get, "9.0", "PKCS 11", &v9, 0);
  ask(get, "vendor", "Vendor X", nullptr, 0);
  ask(get, "fork safe", nullptr, nullptr, 1);

  const auto getAll = symbol<CK_RV (*)(CK_INTERFACE*, CK_ULONG*)>(proxy, "C_GetInterfaceList");
  CK_INTERFACE all[4];
  CK_ULONG count = 0, room = 1;
  getAll(nullptr, &count);
  printf("%lu interfaces, in too small a room %#lx\n", count, getAll(all, &room));
  CK_FUNCTION_LIST* list = nullptr;
  symbol<CK_RV (*)(CK_FUNCTION_LIST**)>(proxy, "C_GetFunctionList")(&list);
  printf("list %d.%d\n", list->version.major, list->version.minor);
  return 0;
}
