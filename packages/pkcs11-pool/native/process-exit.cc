#include "process-exit.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <time.h>
#include <unistd.h>

namespace pkcs11_pool {

namespace {

constexpr int kGraceMs = 250;

std::atomic<int> calls{0};
std::atomic<bool> leaving{false};

void pauseFor(long nanoseconds) {
  timespec time{0, nanoseconds};
  nanosleep(&time, nullptr);
}

bool callsEndWithinGrace() {
  for (int waited = 0; waited < kGraceMs; waited++) {
    if (calls.load() == 0) return true;
    pauseFor(1'000'000);
  }
  return calls.load() == 0;
}

#ifdef __GLIBC__
void endWithoutDestructors(int status, void*) {
  leaving = true;
  if (callsEndWithinGrace()) return;
  std::fflush(nullptr);
  _exit(status);
}
#endif

}  // namespace

CallIntoModule::CallIntoModule() {
  // Counted before the look at `leaving`: either the leaving thread sees this call, or this call sees that it must not start.
  calls++;
  if (!leaving) return;
  calls--;
  for (;;) pause();
}

CallIntoModule::~CallIntoModule() { calls--; }

void guardProcessExit() {
#ifdef __GLIBC__
  on_exit(endWithoutDestructors, nullptr);
#endif
}

void processIsLeaving() {
  leaving = true;
  guardProcessExit();
}

}  // namespace pkcs11_pool
