// Between JavaScript values and jobs. Reading throws js::Refusal for anything that is not of the shape that src/pkcs11/protocol.ts
// describes; nothing of the caller's memory is used after it returns.
#pragma once

#include <memory>

#include <napi.h>

#include "job.h"

namespace pkcs11_pool {

// `arguments` are those behind submit's fixed four. The job's operation is set already.
void readArguments(napi_env env, const napi_value* arguments, size_t count, Job& job);

// Memory that JavaScript sees, for short answers: making a Buffer here costs several times what it costs there. An answer in it is
// a number, place * 128 + length.
struct Outbox {
  static constexpr size_t kLongest = 64;  // what V8 keeps inside a typed array's own object

  CK_BYTE* data = nullptr;
  size_t size = 0;
  size_t used = 0;
};

// What a completion carries as its value.
napi_value valueOf(napi_env env, Job& job, Outcome outcome, Outbox& outbox);

// A handle, id or flag word: a BigInt where a number could not hold it exactly.
napi_value fromULong(napi_env env, CK_ULONG value);

}  // namespace pkcs11_pool
