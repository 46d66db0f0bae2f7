// The life of this module in a process: its start, forks, and the end.
#include "chaos.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <new>
#include <stdexcept>

extern "C" CK_RV C_GetFunctionList(CK_FUNCTION_LIST** list);

namespace pkcs11_chaos {

namespace {

struct Settings {
  std::string module, control;
};

// Two variables of the environment; or, where a copy of this module has a file `<its own path>.conf` beside it, two lines of that file,
// so that several copies in one process can stand before several modules.
Settings readSettings() {
  Settings settings;
  Dl_info self;
  if (dladdr(reinterpret_cast<void*>(&C_GetFunctionList), &self) != 0) {
    std::ifstream file(std::string(self.dli_fname) + ".conf");
    for (std::string line; std::getline(file, line);) {
      const auto equals = line.find('=');
      if (equals == std::string::npos) continue;
      const std::string name = line.substr(0, equals), value = line.substr(equals + 1);
      if (name == "PKCS11_CHAOS_MODULE") settings.module = value;
      if (name == "PKCS11_CHAOS_CONTROL") settings.control = value;
    }
    if (!settings.module.empty() && !settings.control.empty()) return settings;
  }
  const auto variable = [](const char* name) {
    const char* value = secure_getenv(name);
    if (value == nullptr || *value == '\0') throw std::runtime_error(std::string(name) + " is not set");
    return std::string(value);
  };
  return {variable("PKCS11_CHAOS_MODULE"), variable("PKCS11_CHAOS_CONTROL")};
}

void loadReal(Chaos& chaos, const std::string& path) {
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) throw std::runtime_error(std::string("cannot load PKCS11_CHAOS_MODULE: ") + dlerror());
  const auto getList = reinterpret_cast<CK_RV (*)(CK_FUNCTION_LIST**)>(dlsym(library, "C_GetFunctionList"));
  if (getList == nullptr) throw std::runtime_error(path + " has no C_GetFunctionList: it is no PKCS#11 module");
  if (getList == &C_GetFunctionList) throw std::runtime_error("PKCS11_CHAOS_MODULE is this module itself");
  CK_FUNCTION_LIST* list = nullptr;
  const CK_RV rv = getList(&list);
  if (rv != CKR_OK || list == nullptr) throw std::runtime_error("C_GetFunctionList of " + path + " answers " + std::to_string(rv));
  using GetInterface = CK_RV (*)(CK_BYTE*, CK_VERSION*, CK_INTERFACE**, CK_ULONG);
  const auto getInterface = reinterpret_cast<GetInterface>(dlsym(library, "C_GetInterface"));
  CK_INTERFACE* interface = nullptr;
  CK_BYTE name[] = "PKCS 11";
  if (getInterface != nullptr && getInterface(name, nullptr, &interface, 0) == CKR_OK && interface != nullptr) {
    auto* newest = static_cast<CK_FUNCTION_LIST_3_0*>(interface->pFunctionList);
    if (newest != nullptr && newest->version.major == 3) chaos.real3 = newest;
  }
  chaos.real = list;
}

__attribute__((constructor)) void watchForks() {
  pthread_atfork([] { chaos().beforeFork(); }, [] { chaos().afterForkInParent(); }, [] { chaos().afterForkInChild(); });
}

__attribute__((destructor)) void endOfProcess() { chaos().atExit(); }

}  // namespace

bool Chaos::startSlowly() {
  std::lock_guard<std::mutex> lock(starting_);
  if (started_) return true;
  try {
    const Settings settings = readSettings();
    if (real == nullptr) loadReal(*this, settings.module);
    control.open(settings.control);
  } catch (const std::exception& error) {
    fprintf(stderr, "pkcs11-chaos: %s\n", error.what());
    return false;
  }
  started_.store(true, std::memory_order_release);
  return true;
}

void Chaos::crash(bool kill) {
  control.end();
  if (kill) raise(SIGKILL);
  abort();
}

void Chaos::atExit() {
  if (started_) control.end();
}

// All locks that another thread may hold at a fork and that are soon given back. The only one taken while another is held is that of the
// sessions, under that of the rules, so that the order of the others is free.
void Chaos::beforeFork() {
  rules.lock();
  sessions.lockAll();
  token.lock();
  misuse.lock();
  logins.lock();
  control.lock();
}

void Chaos::afterForkInParent() {
  control.unlock();
  logins.unlock();
  misuse.unlock();
  token.unlock();
  sessions.unlockAll();
  rules.unlock();
}

// The child begins anew, at its first call: no thread, session or login of its parent's is its own.
void Chaos::afterForkInChild() {
  // held for as long as the real module takes to load, which may itself fork
  new (&starting_) std::mutex;
  started_ = false;
  initialized = wasFinalized = false;
  finalizations = 0;
  counters.forget();
  sessions.forget();
  misuse.forget();
  logins.forget();
  rules.forget();
  token.forget();
  control.forget();
  afterForkInParent();
}

}  // namespace pkcs11_chaos
