// JavaScript's Pin: where the PIN comes from, and the secret once it is there.
#pragma once

#include <memory>
#include <string>

#include <napi.h>

#include "pin.h"

namespace pkcs11_pool {

class PinObject : public Napi::ObjectWrap<PinObject> {
 public:
  static Napi::Function define(Napi::Env env);
  // Null where the value is no Pin.
  static PinObject* from(napi_env env, napi_value value);

  explicit PinObject(const Napi::CallbackInfo& info);

  const std::string& file() const { return file_; }
  // Empty after wipe(). A login under way keeps the secret until it is over: a PIN wiped beneath it would be a wrong PIN.
  std::shared_ptr<PinSecret> secret() const { return secret_; }

 private:
  std::string read(napi_env env, napi_value source);
  Napi::Value wipe(const Napi::CallbackInfo& info);
  Napi::Value equals(const Napi::CallbackInfo& info);

  std::string file_;
  std::shared_ptr<PinSecret> secret_;
};

}  // namespace pkcs11_pool
