// The addon's surface: Engine and Pin, and what TypeScript needs to know of the machine. Each environment (the main thread and
// every worker thread) has classes of its own; modules and threads belong to the process.
#include <cmath>

#include <napi.h>

#include "channel.h"
#include "js.h"
#include "marshal.h"
#include "pin-object.h"
#include "process-exit.h"

namespace pkcs11_pool {

namespace {

constexpr size_t kFixedArguments = 4;
constexpr size_t kMostArguments = kFixedArguments + 4;

napi_value toObject(napi_env env, const ExecutorStats& stats) {
  napi_value object = js::object(env);
  const std::pair<const char*, size_t> fields[] = {
      {"threads", stats.threads}, {"idleThreads", stats.idleThreads}, {"queued", stats.queued},
      {"running", stats.running}, {"hung", stats.hung},               {"abandoned", stats.abandoned},
      {"sessions", stats.sessions}, {"completed", stats.completed},   {"wakeups", stats.wakeups}};
  for (const auto& [name, value] : fields) js::set(env, object, name, js::number(env, static_cast<double>(value)));
  return object;
}

class Engine : public Napi::ObjectWrap<Engine> {
 public:
  static Napi::Function define(Napi::Env env) {
    return DefineClass(env, "Engine",
                       {InstanceMethod<&Engine::submit>("submit"), InstanceMethod<&Engine::cancel>("cancel"),
                        InstanceMethod<&Engine::setMaxThreads>("setMaxThreads"), InstanceMethod<&Engine::stats>("stats"),
                        InstanceMethod<&Engine::dispose>("dispose")});
  }

  explicit Engine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<Engine>(info) {
    napi_env env = info.Env();
    js::guarded(env, [&]() -> napi_value {
      if (info.Length() < 1 || !info[0].IsFunction()) throw js::Refusal("an Engine takes a function");
      channel_ = Channel::open(env, info[0]);
      js::set(env, info.This(), "outbox", channel_->outbox());
      return nullptr;
    });
  }

  ~Engine() {
    if (channel_) channel_->dispose();
  }

 private:
  Napi::Value submit(const Napi::CallbackInfo& info) {
    napi_env env = info.Env();
    js::guarded(env, [&]() -> napi_value {
      channel();
      auto job = read(info);
      channel_->expectCompletion();
      channel_->executor().submit(std::move(job));
      return nullptr;
    });
    return info.Env().Undefined();
  }

  JobPointer read(const Napi::CallbackInfo& info) {
    if (info.Length() < kFixedArguments || !info[0].IsNumber() || !info[1].IsNumber() || !info[2].IsNumber() || !info[3].IsNumber()) {
      throw js::Refusal("submit takes a job, an operation, a session and a deadline first");
    }
    const double operation = info[1].As<Napi::Number>().DoubleValue();
    const double deadline = info[3].As<Napi::Number>().DoubleValue();
    if (!(operation >= 0 && operation < static_cast<double>(Operation::count))) throw js::Refusal("no such operation");
    if (!(deadline >= 0)) throw js::Refusal("a deadline is a number of milliseconds from now");

    auto job = std::make_shared<Job>();
    job->id = info[0].As<Napi::Number>().Uint32Value();
    job->operation = static_cast<Operation>(operation);
    job->session = needsSession(job->operation) ? info[2].As<Napi::Number>().Uint32Value() : 0;
    if (needsSession(job->operation) && job->session == 0) throw js::Refusal("this operation needs a session");
    job->deadline = fromNow(deadline);
    napi_value arguments[kMostArguments - kFixedArguments];
    const size_t count = std::min(info.Length(), kMostArguments) - kFixedArguments;
    for (size_t i = 0; i < count; i++) arguments[i] = info[kFixedArguments + i];
    readArguments(info.Env(), arguments, count, *job);
    return job;
  }

  // An Engine whose construction failed has none.
  Channel& channel() {
    if (!channel_) throw js::Refusal("this Engine could not be made");
    return *channel_;
  }

  static bool needsSession(Operation operation) {
    switch (operation) {
      case Operation::load:
      case Operation::unload:
      case Operation::loadPin:
      case Operation::inspect:
      case Operation::tokenInfo:
      case Operation::openSession:
      case Operation::dropSessions:
      case Operation::reinitialize:
        return false;
      default:
        return true;
    }
  }

  static Clock::time_point fromNow(double milliseconds) {
    constexpr double kForever = 1e12;  // some thirty years
    if (milliseconds > kForever) return Clock::time_point::max();
    return Clock::now() + std::chrono::microseconds(static_cast<int64_t>(milliseconds * 1000));
  }

  Napi::Value cancel(const Napi::CallbackInfo& info) {
    napi_env env = info.Env();
    napi_value answer = js::guarded(env, [&]() -> napi_value {
      if (info.Length() < 1 || !info[0].IsNumber()) throw js::Refusal("cancel takes a job");
      const bool cancelled = channel().executor().cancel(info[0].As<Napi::Number>().Uint32Value());
      if (cancelled) channel_->forgetCompletion();
      napi_value value = nullptr;
      napi_get_boolean(env, cancelled, &value);
      return value;
    });
    return Napi::Value(env, answer);
  }

  Napi::Value setMaxThreads(const Napi::CallbackInfo& info) {
    js::guarded(info.Env(), [&]() -> napi_value {
      const double count = info.Length() > 0 && info[0].IsNumber() ? info[0].As<Napi::Number>().DoubleValue() : 0;
      if (!(count >= 1 && count <= 4096)) throw js::Refusal("the number of threads is from 1 to 4096");
      channel().executor().setMaxThreads(static_cast<size_t>(count));
      return nullptr;
    });
    return info.Env().Undefined();
  }

  Napi::Value stats(const Napi::CallbackInfo& info) {
    napi_env env = info.Env();
    return Napi::Value(env, js::guarded(env, [&] { return toObject(env, channel().executor().stats()); }));
  }

  Napi::Value dispose(const Napi::CallbackInfo& info) {
    js::guarded(info.Env(), [&]() -> napi_value {
      channel().dispose();
      return nullptr;
    });
    return info.Env().Undefined();
  }

  std::shared_ptr<Channel> channel_;
};

Napi::Object init(Napi::Env env, Napi::Object exports) {
  watchThisThreadsEnd();
  exports.Set("Engine", Engine::define(env));
  exports.Set("Pin", PinObject::define(env));
  Napi::Array names = Napi::Array::New(env, static_cast<size_t>(Fn::count));
  for (uint32_t i = 0; i < static_cast<uint32_t>(Fn::count); i++) names.Set(i, Napi::String::New(env, kFunctionNames[i]));
  exports.Set("functionNames", names);
  exports.Set("ulongSize", Napi::Number::New(env, sizeof(CK_ULONG)));
  return exports;
}

}  // namespace

NODE_API_MODULE(pkcs11_pool, init)

}  // namespace pkcs11_pool
