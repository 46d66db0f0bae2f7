// Starts the engine's threads: nobody joins them, and signals are for the program's own.
#pragma once

#include <csignal>
#include <pthread.h>
#include <system_error>
#include <thread>
#include <utility>

namespace pkcs11_pool {

// False where the machine has no thread left.
template <typename Body>
bool startThread(Body body) {
  try {
    std::thread([body = std::move(body)] {
      sigset_t all;
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, nullptr);
      body();
    }).detach();
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

}  // namespace pkcs11_pool
