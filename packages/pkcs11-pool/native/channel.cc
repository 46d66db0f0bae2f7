#include "channel.h"

#include "js.h"
#include "marshal.h"

namespace pkcs11_pool {

namespace {

constexpr size_t kOutboxSize = 16 * 1024;

// Wipes the answers when JavaScript has taken them, or has thrown.
class OutboxUse {
 public:
  OutboxUse(napi_env env, napi_value bytes) : env_(env), bytes_(bytes) { find(outbox_); }
  ~OutboxUse() {
    if (outbox_.used == 0) return;
    Outbox now;
    find(now);
    if (now.data == outbox_.data) explicit_bzero(now.data, outbox_.used);
  }
  Outbox& outbox() { return outbox_; }

 private:
  // Asked for anew each time: JavaScript may have detached the memory since, and it may be another's by now.
  void find(Outbox& outbox) {
    void* data = nullptr;
    if (bytes_ == nullptr || napi_get_typedarray_info(env_, bytes_, nullptr, &outbox.size, &data, nullptr, nullptr) != napi_ok) return;
    outbox.data = static_cast<CK_BYTE*>(data);
  }

  napi_env env_;
  napi_value bytes_;
  Outbox outbox_;
};

}  // namespace

std::shared_ptr<Channel> Channel::open(napi_env env, napi_value onCompletions) {
  auto channel = std::make_shared<Channel>();
  channel->env_ = env;
  channel->executor_ = std::make_shared<Executor>([weak = std::weak_ptr<Channel>(channel)] {
    if (auto channel = weak.lock()) channel->notify();
  });
  void* memory = nullptr;
  napi_value buffer = nullptr;
  napi_value outbox = nullptr;
  if (napi_create_arraybuffer(env, kOutboxSize, &memory, &buffer) != napi_ok ||
      napi_create_typedarray(env, napi_uint8_array, kOutboxSize, buffer, 0, &outbox) != napi_ok ||
      napi_create_reference(env, outbox, 1, &channel->outbox_) != napi_ok) {
    throw js::Pending();
  }
  // The function outlives this object's other owners by its own share, which its finaliser gives back.
  auto* share = new std::shared_ptr<Channel>(channel);
  napi_status status = napi_create_threadsafe_function(
      env, onCompletions, nullptr, js::string(env, "pkcs11-pool", NAPI_AUTO_LENGTH), 0, 1, share,
      [](napi_env, void* data, void*) { delete static_cast<std::shared_ptr<Channel>*>(data); }, share,
      [](napi_env env, napi_value function, void* context, void*) {
        // Without an environment or a function the loop is being torn down.
        if (env == nullptr || function == nullptr) return;
        std::shared_ptr<Channel> channel = *static_cast<std::shared_ptr<Channel>*>(context);
        channel->deliver(env, function);
      },
      &channel->function_);
  if (status != napi_ok) {
    delete share;
    throw js::Pending();
  }
  napi_unref_threadsafe_function(env, channel->function_);
  channel->self_ = channel;
  napi_add_env_cleanup_hook(env, atEnvironmentEnd, channel.get());
  return channel;
}

napi_value Channel::outbox() const {
  napi_value bytes = nullptr;
  if (outbox_ != nullptr) napi_get_reference_value(env_, outbox_, &bytes);
  return bytes;
}

void Channel::expectCompletion() {
  if (self_ == nullptr) throw js::Refusal("the engine has been disposed of");
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

void Channel::deliver(napi_env env, napi_value onCompletions) {
  auto completions = executor_->takeCompletions();
  if (completions.empty()) return;
  OutboxUse use(env, outbox());
  napi_value batch = js::array(env, completions.size() * 4);
  size_t at = 0;
  for (auto& [job, outcome] : completions) {
    const bool returned = outcome == Outcome::returned;
    js::set(env, batch, at++, js::number(env, job->id));
    js::set(env, batch, at++, js::number(env, returned ? static_cast<double>(job->rv) : static_cast<int>(outcome)));
    js::set(env, batch, at++, js::number(env, returned || outcome == Outcome::late ? static_cast<int>(job->fn) : 0));
    js::set(env, batch, at++, valueOf(env, *job, outcome, use.outbox()));
    if (outcome != Outcome::late) forgetCompletion();
  }
  napi_value result = nullptr;
  if (batch == nullptr || napi_call_function(env, js::undefined(env), onCompletions, 1, &batch, &result) != napi_pending_exception) return;
  napi_value exception = nullptr;
  if (napi_get_and_clear_last_exception(env, &exception) == napi_ok) napi_fatal_exception(env, exception);
}

// From the environment's own thread.
void Channel::close() {
  std::shared_ptr<Channel> self;
  std::lock_guard<std::mutex> lock(mutex_);
  if (function_ != nullptr) napi_release_threadsafe_function(std::exchange(function_, nullptr), napi_tsfn_abort);
  if (outbox_ != nullptr) napi_delete_reference(env_, std::exchange(outbox_, nullptr));
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
