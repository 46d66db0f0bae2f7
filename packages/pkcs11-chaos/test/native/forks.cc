// forks MODULE: uses a module, forks without exec while another thread calls C_SeedRandom all the time, and uses it again in the child and
// in the parent. Ends with 0 when everything went well.
#include <dlfcn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include "../../native/cryptoki.h"

namespace {

CK_FUNCTION_LIST* p11;

CK_ULONG open() {
  CK_ULONG slots[8], count = 8, session = 0;
  if (p11->C_GetSlotList(1, slots, &count) != CKR_OK || count == 0) return 0;
  p11->C_OpenSession(slots[0], 4, nullptr, nullptr, &session);
  return session;
}

bool random(CK_ULONG session) {
  CK_BYTE bytes[8];
  return p11->C_GenerateRandom(session, bytes, sizeof bytes) == CKR_OK;
}

int child() {
  // too early: what the real module makes of it is its own affair
  random(1);
  // a real module may or may not notice the fork
  const CK_RV rv = p11->C_Initialize(nullptr);
  if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) return 3;
  if (!random(open())) return 4;
  return p11->C_Finalize(nullptr) == CKR_OK ? 0 : 5;
}

}  // namespace

int main(int, char** arguments) {
  void* library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return fprintf(stderr, "%s\n", dlerror()), 1;
  reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(dlsym(library, "C_GetFunctionList"))(&p11);
  // with locks of the operating system's, as two threads use it
  struct {
    void* mutexes[4] = {};
    CK_ULONG flags = 2;
    void* reserved = nullptr;
  } initArgs;
  if (p11->C_Initialize(&initArgs) != CKR_OK) return 1;
  std::atomic<bool> done{false};
  std::thread busy([&done] {
    CK_BYTE seed = 0;
    while (!done) p11->C_SeedRandom(0, &seed, 1);
  });
  const CK_ULONG session = open();
  int failed = 0;
  for (int round = 0; round < 50 && failed == 0; round++) {
    const pid_t pid = fork();
    if (pid == 0) exit(child());
    int status = 0;
    waitpid(pid, &status, 0);
    if (status != 0) failed = fprintf(stderr, "child of round %d ended with %#x\n", round, status);
    if (!random(session)) failed = 1;
  }
  done = true;
  busy.join();
  p11->C_Finalize(nullptr);
  return failed == 0 ? 0 : 1;
}
