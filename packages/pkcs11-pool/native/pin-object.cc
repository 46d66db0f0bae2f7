#include "pin-object.h"

#include <stdexcept>

#include "bytes.h"
#include "js.h"

namespace pkcs11_pool {

namespace {

constexpr napi_type_tag kPinTag = {0x6f3c1c0e5a9d4b21ULL, 0x9b7be4a2c8d01f57ULL};

}  // namespace

Napi::Function PinObject::define(Napi::Env env) {
  return DefineClass(env, "Pin", {InstanceMethod<&PinObject::wipe>("wipe"), InstanceMethod<&PinObject::equals>("equals")});
}

PinObject* PinObject::from(napi_env env, napi_value value) {
  bool tagged = false;
  if (js::typeOf(env, value) != napi_object) return nullptr;
  if (napi_check_object_type_tag(env, value, &kPinTag, &tagged) != napi_ok || !tagged) return nullptr;
  void* wrapped = nullptr;
  return napi_unwrap(env, value, &wrapped) == napi_ok ? static_cast<PinObject*>(wrapped) : nullptr;
}

PinObject::PinObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PinObject>(info) {
  napi_env env = info.Env();
  js::guarded(env, [&]() -> napi_value {
    napi_value source = info.Length() > 0 ? static_cast<napi_value>(info[0]) : js::undefined(env);
    if (js::typeOf(env, source) != napi_object) throw js::Refusal("a Pin takes { file }, { env } or { value }");
    secret_ = std::make_shared<PinSecret>();
    const std::string reason = read(env, source);
    if (!reason.empty()) {
      secret_.reset();
      throw std::runtime_error(reason);
    }
    napi_type_tag_object(env, info.This(), &kPinTag);
    return nullptr;
  });
}

std::string PinObject::read(napi_env env, napi_value source) {
  napi_value file = js::get(env, source, "file");
  napi_value variable = js::get(env, source, "env");
  napi_value value = js::get(env, source, "value");
  if (js::typeOf(env, file) == napi_string) {
    file_ = js::text(env, file, "file");
    return file_.empty() ? "the path of the PIN file is empty" : "";
  }
  // Read here, on the thread that may also change the environment: getenv beside setenv is undefined.
  if (js::typeOf(env, variable) == napi_string) return secret_->readEnvironment(js::text(env, variable, "env"));
  if (js::typeOf(env, value) == napi_string) {
    size_t length = 0;
    napi_get_value_string_utf8(env, value, nullptr, 0, &length);
    Bytes text;
    text.allocate(length + 1);
    napi_get_value_string_utf8(env, value, reinterpret_cast<char*>(text.data()), length + 1, &length);
    return secret_->set(text.data(), length);
  }
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  bool isTypedArray = false;
  napi_is_typedarray(env, value, &isTypedArray);
  if (!isTypedArray || napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array) {
    throw js::Refusal("a Pin takes { file }, { env } or { value }");
  }
  return secret_->set(data, length);
}

Napi::Value PinObject::wipe(const Napi::CallbackInfo& info) {
  secret_.reset();
  return info.Env().Undefined();
}

Napi::Value PinObject::equals(const Napi::CallbackInfo& info) {
  napi_env env = info.Env();
  return Napi::Value(env, js::guarded(env, [&]() -> napi_value {
    PinObject* other = info.Length() > 0 ? from(env, info[0]) : nullptr;
    if (other == nullptr) throw js::Refusal("equals takes a Pin");
    napi_value value = nullptr;
    napi_get_boolean(env, secret_ && other->secret_ && secret_->equals(*other->secret_), &value);
    return value;
  }));
}

}  // namespace pkcs11_pool
