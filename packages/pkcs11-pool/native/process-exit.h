// The end of the process while calls are inside a module. exit() runs the destructors of every shared library, and a thread that
// is inside a module at that moment finds its locks and tables gone. So no call starts once the process is leaving, those under
// way get a moment, and where some remain the process ends without the destructors, with the status it had.
#pragma once

namespace pkcs11_pool {

// Counts one call into a module. Does not return when the process is leaving: the thread then waits for the end.
class CallIntoModule {
 public:
  CallIntoModule();
  ~CallIntoModule();
};

// To be called after a module's C_Initialize: what was registered last runs first, so before the destructors of the module.
void guardProcessExit();

// The process is about to call exit(): from here on no call into a module starts, and the guard is the first that exit() runs, also
// before the destructors of a module that is just being loaded.
void processIsLeaving();

}  // namespace pkcs11_pool
