#include "channel.h"

#include "marshal.h"

namespace pkcs11_pool {

namespace {

constexpr size_t kOutboxSize = 16 * 1024;

// Wipes the answers when JavaScript has taken them, or has thrown.
class OutboxUse {
 public:
  // Asked for anew each time: JavaScript may have detached the memory since.
  explicit OutboxUse(Napi::Uint8Array bytes) : outbox_{bytes.Data(), bytes.ByteLength()} {}
  ~OutboxUse() {
    if (outbox_.used > 0) explicit_bzero(outbox_.data, outbox_.used);
  }
  Outbox& outbox() { return outbox_; }

 private:
  Outbox outbox_;
};

}  // namespace

std::shared_ptr<Channel> Channel::open(Napi::Env env, Napi::Function onCompletions) {
  auto channel = std::make_shared<Channel>();
  channel->env_ = env;
  channel->executor_ = std::make_shared<Executor>([weak = std::weak_ptr<Channel>(channel)] {
    if (auto channel = weak.lock()) channel->notify();
  });
  // The function outlives this object's other owners by its own share, which its finaliser gives back.
  auto* share = new std::shared_ptr<Channel>(channel);
  napi_status status = napi_create_threadsafe_function(
      env, onCompletions, nullptr, Napi::String::New(env, "pkcs11-pool"), 0, 1, share,
      [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Channel>*>(data); }, share,
      [](napi_env env, napi_value function, void* context, void*) {
        // Without an environment or a function the loop is being torn down.
        if (env == nullptr || function == nullptr) return;
        std::shared_ptr<Channel> channel = *static_cast<std::shared_ptr<Channel>*>(context);
        // No C++ exception may leave this callback. One is thrown where JavaScript is being terminated, or by the callback itself.
        try {
          channel->deliver(env, Napi::Function(env, function));
        } catch (const Napi::Error& error) {
          napi_fatal_exception(env, error.Value());
        }
      },
      &channel->function_);
  if (status != napi_ok) {
    delete share;
    throw Napi::Error::New(env, "the engine cannot reach the event loop");
  }
  napi_unref_threadsafe_function(env, channel->function_);
  channel->outbox_ = Napi::Persistent(Napi::Uint8Array::New(env, kOutboxSize));
  channel->self_ = channel;
  napi_add_env_cleanup_hook(env, atEnvironmentEnd, channel.get());
  return channel;
}

void Channel::expectCompletion() {
  if (expected_++ == 0 && function_ != nullptr) napi_ref_threadsafe_function(env_, function_);
}

void Channel::forgetCompletion() {
  if (--expected_ > 0 || function_ == nullptr) return;
  napi_unref_threadsafe_function(env_, function_);
  if (disposing_) close();
}

void Channel::dispose() {
  disposing_ = true;
  executor_->dispose();
  if (expected_ == 0) close();
}

void Channel::notify() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (function_ == nullptr) return;
  if (napi_call_threadsafe_function(function_, nullptr, napi_tsfn_nonblocking) == napi_closing) function_ = nullptr;
}

void Channel::deliver(Napi::Env env, Napi::Function onCompletions) {
  Napi::HandleScope scope(env);
  auto completions = executor_->takeCompletions();
  if (completions.empty()) return;
  OutboxUse use(outbox_.Value());
  Napi::Array batch = Napi::Array::New(env, completions.size() * 4);
  uint32_t at = 0;
  for (auto& [job, outcome] : completions) {
    const bool returned = outcome == Outcome::returned;
    batch.Set(at++, Napi::Number::New(env, job->id));
    batch.Set(at++, returned ? Napi::Number::New(env, static_cast<double>(job->rv)) : Napi::Number::New(env, static_cast<int>(outcome)));
    batch.Set(at++, Napi::Number::New(env, returned || outcome == Outcome::late ? static_cast<int>(job->fn) : 0));
    batch.Set(at++, valueOf(env, *job, outcome, use.outbox()));
    if (outcome != Outcome::late) forgetCompletion();
  }
  onCompletions.Call({batch});
}

// From the environment's own thread.
void Channel::close() {
  std::shared_ptr<Channel> self;
  std::lock_guard<std::mutex> lock(mutex_);
  if (function_ != nullptr) napi_release_threadsafe_function(std::exchange(function_, nullptr), napi_tsfn_abort);
  outbox_.Reset();
  if (self_ == nullptr) return;
  napi_remove_env_cleanup_hook(env_, atEnvironmentEnd, this);
  self = std::exchange(self_, nullptr);
}

void Channel::atEnvironmentEnd(void* data) {
  auto channel = static_cast<Channel*>(data)->shared_from_this();
  channel->executor_->dispose();
  channel->close();
}

}  // namespace pkcs11_pool
