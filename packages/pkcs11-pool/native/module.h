// A PKCS#11 module of this process: loaded and initialised once whoever uses it, by its real path.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <unordered_set>

#include "cryptoki.h"
#include "functions.h"

namespace pkcs11_pool {

class Module {
 public:
  // The module's one object, by real path; the file need not be loaded yet. Empty, with a reason, where there is no such file.
  static std::shared_ptr<Module> find(const std::string& path, std::string& reason);

  explicit Module(std::string path) : path_(std::move(path)) {}

  // What came of asking for a new initialisation; the numbers are those of Reinitialization in src/pkcs11/protocol.ts.
  enum class Reinitialization : int {
    done = 0,
    adopted = 1,  // somebody else had it done since
    busy = 2,     // calls were inside until the time was up: C_Finalize beside them is undefined
    shared = 3    // others use the module, and are not to be disturbed
  };

  // Loads and initialises for one more user, with a string for CK_C_INITIALIZE_ARGS.pReserved where one is given. `reason` is set where
  // the file is no module, or is initialised with another string; else the CK_RV of C_Initialize. Empty where somebody's C_Initialize or
  // C_Finalize has not returned `until` then.
  std::optional<CK_RV> acquire(const std::optional<std::string>& arguments, std::chrono::steady_clock::time_point until, std::string& reason,
                               Fn& fn, uint64_t& generation);

  // One user less. The last one finalises, unless a call is still inside the module (C_Finalize beside another call is undefined)
  // or somebody else in the process had initialised it.
  CK_RV release(const void* user, Fn& fn);

  // C_Finalize and C_Initialize, for a user that knows the module as of `generation`, which becomes the one there is then. Calls that are
  // inside are waited for until `until`, and none is let in meanwhile; what somebody else has begun of the kind, until `settledBy`. Other users are not disturbed unless all of them have asked for it
  // within a while, or `evenIfShared`.
  CK_RV reinitialize(const void* user, uint64_t& generation, bool evenIfShared, std::chrono::steady_clock::time_point until,
                     std::chrono::steady_clock::time_point settledBy, Reinitialization& outcome, Fn& fn);

  // Counts a call, from before it may start until it has returned, however late; false where it must not, because the module is being
  // initialised again. While a call is counted, the generation does not change.
  bool enter() {
    calls_++;
    if (!gated_) return true;
    calls_--;
    return false;
  }
  // The same for who can wait for that. Answers the generation.
  uint64_t enterOnceSettled();
  void leave() { calls_--; }

  // Counts the initialisations: a session or handle of one is none in the next, or another's.
  uint64_t generation() const { return generation_; }

  // Whether the handle of a session that was just opened is no other open session's. Not every module is as safe for threads as it says:
  // tpm2-pkcs11 1.9 now and then answers two C_OpenSession at once with one handle, and two callers would share a session.
  bool claim(CK_SESSION_HANDLE session) const;
  // The session ends. Before C_CloseSession: once that has closed it, the handle may be a new session's.
  void disclaim(CK_SESSION_HANDLE session) const;

  const CK_FUNCTION_LIST* functions() const { return list_; }
  // The same list where the module has the 3.x interface, else null.
  const CK_FUNCTION_LIST_3_0* functions3() const { return list3_; }

 private:
  // Holds lifecycle_, unless it could not be had in time: nobody bounds C_Initialize and C_Finalize.
  std::unique_lock<std::mutex> lockBy(std::chrono::steady_clock::time_point until);
  std::string load();
  CK_RV initializeUnlessDone(std::optional<std::string> arguments, Fn& fn);
  CK_RV initialize(const std::optional<std::string>& arguments, Fn& fn);
  CK_RV initializeAgain(Fn& fn);
  void beginGeneration();
  bool othersAreWell(const void* user, std::chrono::steady_clock::time_point now);
  bool drained(std::chrono::steady_clock::time_point until) const;

  const std::string path_;
  std::mutex lifecycle_;  // held over C_Initialize and C_Finalize: the one lock that is, and only the engine's own threads take it
  std::atomic<int> calls_{0};
  std::atomic<bool> gated_{false};
  std::atomic<uint64_t> generation_{1};
  std::chrono::steady_clock::time_point triedInVainAt_{};
  int users_ = 0;
  std::unordered_map<const void*, std::chrono::steady_clock::time_point> wishes_;  // when users last asked for a new initialisation, in vain
  bool initialized_ = false;
  bool ours_ = false;
  std::optional<std::string> arguments_;  // that it is initialised with; kept as long, for modules that keep the pointer
  void* library_ = nullptr;
  const CK_FUNCTION_LIST* list_ = nullptr;
  const CK_FUNCTION_LIST_3_0* list3_ = nullptr;
  mutable std::mutex claims_;
  mutable std::unordered_set<CK_SESSION_HANDLE> sessions_;  // open ones, of all clients of the process
};

}  // namespace pkcs11_pool
