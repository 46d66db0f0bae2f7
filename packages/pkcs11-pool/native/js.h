// Node-API without node-addon-api's exceptions, for code that may run while JavaScript is being terminated (worker.terminate(), the
// process's end). Any call may fail then, at any moment, and node-addon-api answers a failure by making an Error, whose own failure
// ends the process. Here a failed write is nobody's loss, and a failed read is an exception of ours.
#pragma once

#include <exception>
#include <string>

#include <napi.h>

namespace pkcs11_pool::js {

// A JavaScript exception is pending, or none can be any more: leave what was begun.
struct Pending : std::exception {};

// An argument is not what it has to be: a TypeError with this message.
class Refusal : public std::exception {
 public:
  explicit Refusal(std::string message) : message_(std::move(message)) {}
  const char* what() const noexcept override { return message_.c_str(); }

 private:
  std::string message_;
};

inline napi_value undefined(napi_env env) {
  napi_value value = nullptr;
  napi_get_undefined(env, &value);
  return value;
}

inline napi_value null(napi_env env) {
  napi_value value = nullptr;
  napi_get_null(env, &value);
  return value;
}

inline napi_value number(napi_env env, double from) {
  napi_value value = nullptr;
  napi_create_double(env, from, &value);
  return value;
}

inline napi_value string(napi_env env, const char* from, size_t length) {
  napi_value value = nullptr;
  napi_create_string_utf8(env, from, length, &value);
  return value;
}

inline napi_value array(napi_env env, size_t length) {
  napi_value value = nullptr;
  napi_create_array_with_length(env, length, &value);
  return value;
}

inline napi_value object(napi_env env) {
  napi_value value = nullptr;
  napi_create_object(env, &value);
  return value;
}

inline void set(napi_env env, napi_value array, size_t index, napi_value value) {
  if (array != nullptr && value != nullptr) napi_set_element(env, array, static_cast<uint32_t>(index), value);
}

inline void set(napi_env env, napi_value object, const char* name, napi_value value) {
  if (object != nullptr && value != nullptr) napi_set_named_property(env, object, name, value);
}

inline napi_value get(napi_env env, napi_value array, uint32_t index) {
  napi_value value = nullptr;
  if (napi_get_element(env, array, index, &value) != napi_ok) throw Pending();
  return value;
}

inline napi_value get(napi_env env, napi_value object, const char* name) {
  napi_value value = nullptr;
  if (napi_get_named_property(env, object, name, &value) != napi_ok) throw Pending();
  return value;
}

inline napi_valuetype typeOf(napi_env env, napi_value value) {
  napi_valuetype type = napi_undefined;
  if (value != nullptr) napi_typeof(env, value, &type);
  return type;
}

// The length of an array; anything else is refused. A proxy of an array may answer anything, or throw.
inline uint32_t lengthOf(napi_env env, napi_value value, const char* what) {
  bool isArray = false;
  if (napi_is_array(env, value, &isArray) != napi_ok || !isArray) throw Refusal(std::string(what) + " is no array");
  uint32_t length = 0;
  if (napi_get_array_length(env, value, &length) != napi_ok) throw Refusal(std::string(what) + " is no array");
  return length;
}

inline std::string text(napi_env env, napi_value value, const char* what) {
  size_t length = 0;
  if (napi_get_value_string_utf8(env, value, nullptr, 0, &length) != napi_ok) throw Refusal(std::string(what) + " is no string");
  std::string result(length, '\0');
  napi_get_value_string_utf8(env, value, result.data(), length + 1, &length);
  return result;
}

// Runs what may throw the exceptions of this file, and makes of them what JavaScript sees.
template <typename Body>
napi_value guarded(napi_env env, Body body) {
  try {
    return body();
  } catch (const Pending&) {
  } catch (const Refusal& refusal) {
    napi_throw_type_error(env, nullptr, refusal.what());
  } catch (const std::exception& error) {
    napi_throw_error(env, nullptr, error.what());
  }
  return nullptr;
}

}  // namespace pkcs11_pool::js
