// The way from an executor's threads back to one JavaScript environment: one wake-up of its loop delivers all that is complete.
//
// The environment may end at any moment (process exit, a worker thread terminated). Threads reach it only through the mutex below,
// which the environment's cleanup hook takes before it goes; what completes later has nowhere to go and is dropped.
#pragma once

#include <memory>
#include <mutex>

#include <node_api.h>

#include "executor.h"

namespace pkcs11_pool {

class Channel : public std::enable_shared_from_this<Channel> {
 public:
  // Throws std::exception where JavaScript is ending.
  static std::shared_ptr<Channel> open(napi_env env, napi_value onCompletions);

  // Where short answers are put, from one call of onCompletions to its end.
  napi_value outbox() const;

  Executor& executor() { return *executor_; }

  // The loop stays alive while somebody waits for an answer, and no longer. expectCompletion throws js::Refusal once the channel is
  // closed: no answer could come any more.
  void expectCompletion();
  void forgetCompletion();

  // Ends the executor; the channel closes behind the last completion.
  void dispose();

 private:
  void notify();
  void deliver(napi_env env, napi_value onCompletions);
  void close();
  static void atEnvironmentEnd(void* channel);

  std::shared_ptr<Executor> executor_;
  napi_ref outbox_ = nullptr;
  napi_env env_ = nullptr;
  size_t expected_ = 0;
  bool disposing_ = false;

  std::mutex mutex_;
  napi_threadsafe_function function_ = nullptr;  // null when closed
  std::shared_ptr<Channel> self_;                // while the environment's hook points here
};

}  // namespace pkcs11_pool
