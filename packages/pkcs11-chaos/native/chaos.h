// Everything this module knows, once a process.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "control.h"
#include "counters.h"
#include "logins.h"
#include "misuse.h"
#include "rules.h"
#include "sessions.h"
#include "token.h"

namespace pkcs11_chaos {

class Chaos {
 public:
  Counters counters;
  Sessions sessions;
  MisuseLog misuse;
  Logins logins;
  Rules rules;
  Token token;
  Control control;

  // The real module, once it is loaded; the longer list where it has one.
  CK_FUNCTION_LIST* real = nullptr;
  CK_FUNCTION_LIST_3_0* real3 = nullptr;

  // As the program was told.
  std::atomic<bool> initialized{false};
  std::atomic<bool> wasFinalized{false};
  // Counts how often the real module was finalized: a call that was held over one must not go on to it.
  std::atomic<uint64_t> finalizations{0};

  // Loads the real module and opens the control socket, the first time in each process, forked ones included. False: it says why on
  // standard error, and no call can be served.
  bool start() { return started_.load(std::memory_order_acquire) || startSlowly(); }

  // Everything known, as JSON.
  std::string report();
  void reset();

  // Ends the process; what is known is left behind like at an orderly end.
  [[noreturn]] void crash(bool kill);

  void beforeFork();
  void afterForkInParent();
  void afterForkInChild();
  void atExit();

 private:
  bool startSlowly();

  std::mutex starting_;
  std::atomic<bool> started_{false};
};

inline Chaos& chaos() {
  // never destroyed: threads may be inside until the very end of the process
  static Chaos& instance = *new Chaos;
  return instance;
}

}  // namespace pkcs11_chaos
