#include "module.h"

#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <map>
#include <thread>

#include "process-exit.h"

namespace pkcs11_pool {

namespace {

// Clients whose token is away ask at least this often, unless their longest backoff was set to more.
constexpr auto kWishStands = std::chrono::seconds(15);

// Never destroyed: threads may use them while the process ends.
std::mutex& registryMutex() {
  static auto* mutex = new std::mutex();
  return *mutex;
}

std::map<std::string, std::shared_ptr<Module>>& registry() {
  static auto* modules = new std::map<std::string, std::shared_ptr<Module>>();
  return *modules;
}

// Node exports the symbols of the OpenSSL it is built with, and a module's own references to OpenSSL would be bound to those instead
// of the library it was built for: another version, other data. RTLD_DEEPBIND has it look into its own libraries first. Not where
// the allocator is somebody else's (jemalloc, a sanitizer): the module would then free with libc what that one has allocated.
int ownSymbolsFirst() {
#ifdef RTLD_DEEPBIND
  // Not by malloc: Node takes that one's address, which makes its place a stub in Node, whoever provides it. Each allocator has this one too.
  Dl_info allocator{};
  Dl_info library{};
  const bool known = dladdr(dlsym(RTLD_DEFAULT, "posix_memalign"), &allocator) != 0 && dladdr(dlsym(RTLD_DEFAULT, "getenv"), &library) != 0;
  if (known && allocator.dli_fbase == library.dli_fbase) return RTLD_DEEPBIND;
#endif
  return 0;
}

}  // namespace

std::shared_ptr<Module> Module::find(const std::string& path, std::string& reason) {
  char resolved[PATH_MAX];
  if (realpath(path.c_str(), resolved) == nullptr) {
    reason = std::strerror(errno);
    return nullptr;
  }
  std::lock_guard<std::mutex> lock(registryMutex());
  auto& module = registry()[resolved];
  if (!module) module = std::make_shared<Module>(resolved);
  return module;
}

std::unique_lock<std::mutex> Module::lockBy(std::chrono::steady_clock::time_point until) {
  std::unique_lock<std::mutex> lock(lifecycle_, std::try_to_lock);
  while (!lock.owns_lock() && std::chrono::steady_clock::now() < until) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    lock.try_lock();
  }
  return lock;
}

std::optional<CK_RV> Module::acquire(const std::optional<std::string>& arguments, std::chrono::steady_clock::time_point until,
                                     std::string& reason, Fn& fn, uint64_t& generation) {
  const auto lock = lockBy(until);
  if (!lock.owns_lock()) return std::nullopt;
  if (library_ == nullptr) {
    reason = load();
    if (!reason.empty()) return CKR_GENERAL_ERROR;
  }
  if (!initialized_ || users_ == 0) {
    // While clients wait for it to come back, with what they have: who asks for something else is refused below.
    CK_RV rv = initializeUnlessDone(users_ > 0 ? arguments_ : arguments, fn);
    if (rv != CKR_OK) return rv;
  }
  // Who asks for one configuration must not get the keys of another. What somebody else in the process has initialised it with, nobody
  // can say.
  if (arguments && (!ours_ || arguments != arguments_)) {
    reason = "it is already initialised in this process, with other initializeArgs or none";
    return CKR_CRYPTOKI_ALREADY_INITIALIZED;
  }
  users_++;
  generation = generation_;
  return CKR_OK;
}

CK_RV Module::release(const void* user, Fn& fn) {
  std::lock_guard<std::mutex> lock(lifecycle_);
  wishes_.erase(user);
  if (--users_ > 0 || !initialized_ || calls_ > 0) return CKR_OK;
  CK_RV rv = CKR_OK;
  if (ours_) {
    fn = Fn::C_Finalize;
    rv = list_->C_Finalize(nullptr);
  }
  // Whatever it answered, and whoever had initialised it: the next user's C_Initialize finds out whether it still is.
  initialized_ = false;
  beginGeneration();
  return rv;
}

CK_RV Module::reinitialize(const void* user, uint64_t& generation, bool evenIfShared, std::chrono::steady_clock::time_point until,
                           std::chrono::steady_clock::time_point settledBy, Reinitialization& outcome, Fn& fn) {
  const auto asked = std::chrono::steady_clock::now();
  outcome = Reinitialization::busy;
  const auto lock = lockBy(settledBy);
  if (!lock.owns_lock()) return CKR_OK;
  if (initialized_ && generation_ != generation) {
    generation = generation_;
    outcome = Reinitialization::adopted;
    return CKR_OK;
  }
  if (users_ > 1 && !evenIfShared && othersAreWell(user, asked)) {
    outcome = Reinitialization::shared;
    return CKR_OK;
  }
  // Those who asked while it was tried in vain shut nobody out once more.
  if (triedInVainAt_ > asked) return CKR_OK;
  // A call either sees the gate, or is counted before drained() looks.
  gated_ = true;
  CK_RV rv = CKR_OK;
  if (drained(until)) {
    rv = initializeAgain(fn);
    if (rv == CKR_OK) outcome = Reinitialization::done;
    generation = generation_;
  } else {
    triedInVainAt_ = std::chrono::steady_clock::now();
  }
  gated_ = false;
  return rv;
}

// As far as is known: one that has not missed its token lately may be using it. Remembers that this one does.
bool Module::othersAreWell(const void* user, std::chrono::steady_clock::time_point now) {
  wishes_[user] = now;
  int standing = 0;
  for (const auto& [each, at] : wishes_) standing += now - at < kWishStands ? 1 : 0;
  return standing < users_;
}

bool Module::drained(std::chrono::steady_clock::time_point until) const {
  while (calls_ > 0) {
    if (std::chrono::steady_clock::now() >= until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

// What somebody else in the process had initialised is not ours to finalise; but it may have been finalised since.
CK_RV Module::initializeAgain(Fn& fn) {
  CK_RV finalized = CKR_CRYPTOKI_NOT_INITIALIZED;
  if (initialized_) {
    finalized = CKR_CRYPTOKI_ALREADY_INITIALIZED;
    if (ours_) {
      fn = Fn::C_Finalize;
      finalized = list_->C_Finalize(nullptr);
    }
  }
  if (finalized == CKR_OK || finalized == CKR_CRYPTOKI_NOT_INITIALIZED) {
    initialized_ = false;
    beginGeneration();
    return initialize(std::optional<std::string>(arguments_), fn);
  }
  // It may be initialised still, or no more: C_Initialize tells.
  const bool wasOurs = ours_;
  CK_RV rv = initialize(std::optional<std::string>(arguments_), fn);
  if (rv != CKR_OK) return rv;
  if (ours_) {
    beginGeneration();
    return CKR_OK;
  }
  ours_ = wasOurs;
  fn = wasOurs ? Fn::C_Finalize : Fn::C_Initialize;
  return finalized;
}

uint64_t Module::enterOnceSettled() {
  std::lock_guard<std::mutex> lock(lifecycle_);
  calls_++;
  return generation_;
}

void Module::beginGeneration() {
  generation_++;
  wishes_.clear();
  std::lock_guard<std::mutex> lock(claims_);
  sessions_.clear();
}

bool Module::claim(CK_SESSION_HANDLE session) const {
  std::lock_guard<std::mutex> lock(claims_);
  return sessions_.insert(session).second;
}

void Module::disclaim(CK_SESSION_HANDLE session) const {
  std::lock_guard<std::mutex> lock(claims_);
  sessions_.erase(session);
}

std::string Module::load() {
  ModuleLoad counted;
  void* library = dlopen(path_.c_str(), RTLD_NOW | RTLD_LOCAL | ownSymbolsFirst());
  if (library == nullptr) {
    const char* reason = dlerror();
    return reason != nullptr ? reason : "dlopen failed";
  }
  using GetInterface = CK_RV (*)(CK_BYTE*, CK_VERSION*, CK_INTERFACE**, CK_FLAGS);
  using GetFunctionList = CK_RV (*)(CK_FUNCTION_LIST**);
  if (auto getInterface = reinterpret_cast<GetInterface>(dlsym(library, "C_GetInterface"))) {
    CK_INTERFACE* interface = nullptr;
    CK_BYTE name[] = "PKCS 11";
    if (getInterface(name, nullptr, &interface, 0) == CKR_OK && interface != nullptr && interface->pFunctionList != nullptr) {
      list_ = static_cast<const CK_FUNCTION_LIST*>(interface->pFunctionList);
      if (list_->version.major >= 3) list3_ = static_cast<const CK_FUNCTION_LIST_3_0*>(interface->pFunctionList);
    }
  }
  if (list_ == nullptr) {
    auto getFunctionList = reinterpret_cast<GetFunctionList>(dlsym(library, "C_GetFunctionList"));
    CK_FUNCTION_LIST* list = nullptr;
    if (getFunctionList == nullptr || getFunctionList(&list) != CKR_OK || list == nullptr) {
      dlclose(library);
      return getFunctionList == nullptr ? "it has no C_GetFunctionList, so it is no PKCS#11 module" : "its C_GetFunctionList fails";
    }
    list_ = list;
  }
  // Kept loaded for the life of the process from here on: modules leave threads, exit handlers and thread-local destructors
  // behind that outlast dlclose.
  library_ = library;
  return std::string();
}

// The last client may have left it initialised, with a call inside, and somebody else may have finalised it since.
CK_RV Module::initializeUnlessDone(std::optional<std::string> arguments, Fn& fn) {
  const bool wasLeft = initialized_;
  const bool wasOurs = ours_;
  // Moved, not copied: the module may have kept a pointer to the string.
  auto before = std::move(arguments_);
  CK_RV rv = initialize(arguments, fn);
  if (!wasLeft) return rv;
  if (rv == CKR_OK && ours_) {
    beginGeneration();
  } else {
    ours_ = wasOurs;
    arguments_ = std::move(before);
  }
  return rv;
}

CK_RV Module::initialize(const std::optional<std::string>& arguments, Fn& fn) {
  // NSS has a member of its own where the standard has pReserved, and reads pReserved behind it.
  struct {
    CK_C_INITIALIZE_ARGS standard;
    void* behind;
  } given = {};
  arguments_ = arguments;
  given.standard.flags = CKF_OS_LOCKING_OK;
  if (arguments_) given.standard.pReserved = arguments_->data();
  fn = Fn::C_Initialize;
  if (list_->C_Initialize == nullptr) return CKR_FUNCTION_NOT_SUPPORTED;
  ModuleLoad counted;
  CK_RV rv = list_->C_Initialize(&given.standard);
  if (rv != CKR_OK && rv != CKR_CRYPTOKI_ALREADY_INITIALIZED) return rv;
  ours_ = rv == CKR_OK;
  initialized_ = true;
  return CKR_OK;
}

}  // namespace pkcs11_pool
