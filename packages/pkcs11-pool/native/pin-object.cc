#include "pin-object.h"

#include "bytes.h"

#include <exception>

namespace pkcs11_pool {

namespace {

constexpr napi_type_tag kPinTag = {0x6f3c1c0e5a9d4b21ULL, 0x9b7be4a2c8d01f57ULL};

}  // namespace

Napi::Function PinObject::define(Napi::Env env) {
  return DefineClass(env, "Pin", {InstanceMethod<&PinObject::wipe>("wipe")});
}

PinObject* PinObject::from(const Napi::Value& value) {
  bool tagged = false;
  if (!value.IsObject()) return nullptr;
  if (napi_check_object_type_tag(value.Env(), value, &kPinTag, &tagged) != napi_ok || !tagged) return nullptr;
  return Unwrap(value.As<Napi::Object>());
}

PinObject::PinObject(const Napi::CallbackInfo& info) : Napi::ObjectWrap<PinObject>(info) {
  Napi::Env env = info.Env();
  if (info.Length() < 1 || !info[0].IsObject()) throw Napi::TypeError::New(env, "a Pin takes { file }, { env } or { value }");
  Napi::Object source = info[0].As<Napi::Object>();
  Napi::Value file = source.Get("file");
  Napi::Value variable = source.Get("env");
  Napi::Value value = source.Get("value");
  std::string reason;
  try {
    secret_ = std::make_shared<PinSecret>();
    if (file.IsString()) {
      file_ = file.As<Napi::String>().Utf8Value();
      if (file_.empty()) reason = "the path of the PIN file is empty";
    } else if (variable.IsString()) {
      // Read here, on the thread that may also change the environment: getenv beside setenv is undefined.
      reason = secret_->readEnvironment(variable.As<Napi::String>().Utf8Value());
    } else if (value.IsString()) {
      size_t length = 0;
      napi_get_value_string_utf8(env, value, nullptr, 0, &length);
      Bytes text;
      text.allocate(length + 1);
      napi_get_value_string_utf8(env, value, reinterpret_cast<char*>(text.data()), length + 1, &length);
      reason = secret_->set(text.data(), length);
    } else if (value.IsTypedArray() && value.As<Napi::TypedArray>().TypedArrayType() == napi_uint8_array) {
      Napi::Uint8Array bytes = value.As<Napi::Uint8Array>();
      reason = secret_->set(bytes.Data(), bytes.ByteLength());
    } else {
      reason = "a Pin takes { file }, { env } or { value }";
    }
  } catch (const Napi::Error&) {
    throw;
  } catch (const std::exception& error) {
    reason = error.what();
  }
  if (!reason.empty()) throw Napi::Error::New(env, reason);
  napi_type_tag_object(env, info.This(), &kPinTag);
}

Napi::Value PinObject::wipe(const Napi::CallbackInfo& info) {
  secret_.reset();
  return info.Env().Undefined();
}

}  // namespace pkcs11_pool
