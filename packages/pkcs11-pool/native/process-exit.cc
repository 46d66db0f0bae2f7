#include "process-exit.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <pthread.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "thread.h"

namespace pkcs11_pool {

namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kGrace = std::chrono::milliseconds(250);
constexpr auto kFlush = std::chrono::seconds(1);

std::atomic<int> calls{0};
std::atomic<int> loads{0};
std::atomic<Clock::rep> loadStartedAt{0};
std::atomic<bool> leaving{false};
std::atomic<bool> mainThreadIsWatched{false};

template <typename Condition>
bool comesTrue(Condition condition, Clock::time_point until) {
  while (!condition()) {
    if (Clock::now() >= until) return false;
    timespec aMoment{0, 1'000'000};
    nanosleep(&aMoment, nullptr);
  }
  return true;
}

bool callsEndInTime() {
  leaving = true;
  // Of the end as a whole, however often it is asked.
  static const auto until = Clock::now() + kGrace;
  return comesTrue([] { return calls == 0; }, until);
}

#ifdef __GLIBC__
// On a thread of its own: a call that hangs may hold the lock of a stream for ever.
void flushStreams() {
  static std::atomic<bool> flushed{false};
  const bool started = startThread([] {
    std::fflush(nullptr);
    flushed = true;
  });
  if (started) comesTrue([] { return flushed.load(); }, Clock::now() + kFlush);
}

void endWithoutDestructors(int status, void*) {
  if (callsEndInTime()) return;
  flushStreams();
  _exit(status);
}
#endif

// What was registered last runs first, so before what any module has registered until now.
void beNextAtExit() {
#ifdef __GLIBC__
  on_exit(endWithoutDestructors, nullptr);
#endif
}

bool isMainThread() {
#ifdef __APPLE__
  return pthread_main_np() != 0;
#else
  return syscall(SYS_gettid) == getpid();
#endif
}

// The main thread's end is exit(). Of the thread that calls exit(), what is thread_local is destroyed before anything that is static,
// whenever that was registered; only the status is not known yet.
void mainThreadEnds() {
  if (!callsEndInTime()) beNextAtExit();
}

// A worker thread may end because the process does, and the main thread may know nothing of this addon.
void workerThreadEnds() {
  if (mainThreadIsWatched) return;
  comesTrue([] { return loads == 0; }, Clock::time_point(Clock::duration(loadStartedAt)) + kGrace);
  if (calls > 0) beNextAtExit();
}

class ThreadsEnd {
 public:
  ThreadsEnd() {
    if (isMain_) mainThreadIsWatched = true;
  }
  ~ThreadsEnd() { isMain_ ? mainThreadEnds() : workerThreadEnds(); }

 private:
  const bool isMain_ = isMainThread();
};

}  // namespace

CallIntoModule::CallIntoModule() {
  // Counted before the look at `leaving`: either the leaving thread sees this call, or this call sees that it must not start.
  calls++;
  if (!leaving) return;
  calls--;
  for (;;) pause();
}

CallIntoModule::~CallIntoModule() { calls--; }

ModuleLoad::ModuleLoad() {
  loadStartedAt = Clock::now().time_since_epoch().count();
  loads++;
}

ModuleLoad::~ModuleLoad() {
  beNextAtExit();
  loads--;
}

void watchThisThreadsEnd() { static thread_local ThreadsEnd watched; }

}  // namespace pkcs11_pool
