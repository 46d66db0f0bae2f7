// A PKCS#11 module of this process: loaded and initialised once whoever uses it, by its real path.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cryptoki.h"
#include "functions.h"

namespace pkcs11_pool {

class Module {
 public:
  // The module's one object, by real path; the file need not be loaded yet. Empty, with a reason, where there is no such file.
  static std::shared_ptr<Module> find(const std::string& path, std::string& reason);

  explicit Module(std::string path) : path_(std::move(path)) {}

  // Loads and initialises for one more user, with a string for CK_C_INITIALIZE_ARGS.pReserved where one is given. `reason` is set where
  // the file is no module, or is initialised with another string; else the CK_RV of C_Initialize.
  CK_RV acquire(const std::optional<std::string>& arguments, std::string& reason, Fn& fn);

  // One user less. The last one finalises, unless a call is still inside the module (C_Finalize beside another call is undefined)
  // or somebody else in the process had initialised it.
  CK_RV release(Fn& fn);

  // Counts a call, from before it may start until it has returned, however late.
  void enter() { calls_++; }
  void leave() { calls_--; }

  const CK_FUNCTION_LIST* functions() const { return list_; }
  // The same list where the module has the 3.x interface, else null.
  const CK_FUNCTION_LIST_3_0* functions3() const { return list3_; }

 private:
  std::string load();
  CK_RV initialize(const std::optional<std::string>& arguments, Fn& fn);

  const std::string path_;
  std::mutex lifecycle_;  // held over C_Initialize and C_Finalize: the one lock that is, and only the engine's own threads take it
  std::atomic<int> calls_{0};
  int users_ = 0;
  bool initialized_ = false;
  bool ours_ = false;
  std::optional<std::string> arguments_;  // that it is initialised with; kept as long, for modules that keep the pointer
  void* library_ = nullptr;
  const CK_FUNCTION_LIST* list_ = nullptr;
  const CK_FUNCTION_LIST_3_0* list3_ = nullptr;
};

}  // namespace pkcs11_pool
