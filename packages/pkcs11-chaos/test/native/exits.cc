// exits MODULE STATUS: calls C_GenerateRandom on a thread of its own, and ends with STATUS at the end of its standard input, whether or
// not the call has returned.
#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "../../native/cryptoki.h"

int main(int, char** arguments) {
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return 1;
  CK_FUNCTION_LIST* p11 = nullptr;
  reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(dlsym(library, "C_GetFunctionList"))(&p11);
  CK_ULONG slots[8], count = 8, session = 0;
  if (p11->C_Initialize(nullptr) != CKR_OK || p11->C_GetSlotList(1, slots, &count) != CKR_OK) return 1;
  if (p11->C_OpenSession(slots[0], 4, nullptr, nullptr, &session) != CKR_OK) return 1;
  std::thread([&] {
    CK_BYTE byte;
    p11->C_GenerateRandom(session, &byte, 1);
  }).detach();
  char byte;
  while (read(STDIN_FILENO, &byte, 1) > 0) continue;
  exit(atoi(arguments[2]));
}
