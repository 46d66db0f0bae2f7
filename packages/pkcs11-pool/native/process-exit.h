// The end of the process while calls are inside a module. exit() runs the destructors of every shared library, and a thread that
// is inside a module at that moment finds its locks and tables gone. So no call starts once exit() has begun, those under way get a
// moment, and where some remain the process ends without the destructors, with the status it had: docs/adr/0022-how-a-process-ends.md.
#pragma once

namespace pkcs11_pool {

// Counts one call into a module. Does not return when exit() has begun: the thread then waits for the end.
class CallIntoModule {
 public:
  CallIntoModule();
  ~CallIntoModule();
};

// A module is being loaded or initialised, which is when most of its destructors are registered.
class ModuleLoad {
 public:
  ModuleLoad();
  ~ModuleLoad();
};

// To be called on the thread of each environment: looks after the calls when the thread ends, or calls exit().
void watchThisThreadsEnd();

}  // namespace pkcs11_pool
