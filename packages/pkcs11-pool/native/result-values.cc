#include "marshal.h"

namespace pkcs11_pool {

namespace {

constexpr CK_ULONG kLargestExact = 9007199254740991;  // 2^53 - 1

Napi::Value toBuffer(Napi::Env env, const Bytes& bytes) { return Napi::Buffer<CK_BYTE>::Copy(env, bytes.data(), bytes.size()); }

Napi::Value toAnswer(Napi::Env env, const Bytes& bytes, Outbox& outbox) {
  const size_t length = bytes.size();
  if (length > Outbox::kLongest || outbox.used + length > outbox.size) return toBuffer(env, bytes);
  const size_t place = outbox.used;
  std::memcpy(outbox.data + place, bytes.data(), length);
  outbox.used += length;
  return Napi::Number::New(env, static_cast<double>(place * 128 + length));
}

// A fixed field of PKCS#11: padded with blanks, not terminated, said to be UTF-8 (vendors pad with zeros as well).
template <size_t N>
Napi::Value toText(Napi::Env env, const CK_BYTE (&field)[N]) {
  size_t length = N;
  while (length > 0 && (field[length - 1] == ' ' || field[length - 1] == '\0')) length--;
  return Napi::String::New(env, reinterpret_cast<const char*>(field), length);
}

Napi::Value toVersion(Napi::Env env, CK_VERSION version) {
  Napi::Array pair = Napi::Array::New(env, 2);
  pair.Set(0U, Napi::Number::New(env, version.major));
  pair.Set(1U, Napi::Number::New(env, version.minor));
  return pair;
}

// Counts may be CK_UNAVAILABLE_INFORMATION.
Napi::Value toCount(Napi::Env env, CK_ULONG value) {
  return value == CK_UNAVAILABLE_INFORMATION ? Napi::Number::New(env, -1) : Napi::Number::New(env, static_cast<double>(value));
}

Napi::Value toTokenInfo(Napi::Env env, const CK_TOKEN_INFO& info) {
  Napi::Object token = Napi::Object::New(env);
  token.Set("label", toText(env, info.label));
  token.Set("manufacturerID", toText(env, info.manufacturerID));
  token.Set("model", toText(env, info.model));
  token.Set("serialNumber", toText(env, info.serialNumber));
  token.Set("flags", toCount(env, info.flags));
  token.Set("maxSessionCount", toCount(env, info.ulMaxSessionCount));
  token.Set("sessionCount", toCount(env, info.ulSessionCount));
  token.Set("maxRwSessionCount", toCount(env, info.ulMaxRwSessionCount));
  token.Set("rwSessionCount", toCount(env, info.ulRwSessionCount));
  token.Set("maxPinLen", toCount(env, info.ulMaxPinLen));
  token.Set("minPinLen", toCount(env, info.ulMinPinLen));
  token.Set("totalPublicMemory", toCount(env, info.ulTotalPublicMemory));
  token.Set("freePublicMemory", toCount(env, info.ulFreePublicMemory));
  token.Set("totalPrivateMemory", toCount(env, info.ulTotalPrivateMemory));
  token.Set("freePrivateMemory", toCount(env, info.ulFreePrivateMemory));
  token.Set("hardwareVersion", toVersion(env, info.hardwareVersion));
  token.Set("firmwareVersion", toVersion(env, info.firmwareVersion));
  return token;
}

Napi::Value toSlot(Napi::Env env, const SlotReport& report) {
  Napi::Object slot = Napi::Object::New(env);
  slot.Set("slotID", fromULong(env, report.id));
  slot.Set("slotDescription", toText(env, report.info.slotDescription));
  slot.Set("manufacturerID", toText(env, report.info.manufacturerID));
  slot.Set("flags", toCount(env, report.info.flags));
  slot.Set("token", report.token ? toTokenInfo(env, *report.token) : env.Null());
  Napi::Array mechanisms = Napi::Array::New(env, report.mechanisms.size());
  uint32_t at = 0;
  for (const auto& [type, info] : report.mechanisms) {
    Napi::Array mechanism = Napi::Array::New(env, 4);
    mechanism.Set(0U, fromULong(env, type));
    mechanism.Set(1U, toCount(env, info.ulMinKeySize));
    mechanism.Set(2U, toCount(env, info.ulMaxKeySize));
    mechanism.Set(3U, toCount(env, info.flags));
    mechanisms.Set(at++, mechanism);
  }
  slot.Set("mechanisms", mechanisms);
  return slot;
}

Napi::Value toModuleInfo(Napi::Env env, const ModuleReport& report) {
  Napi::Object module = Napi::Object::New(env);
  module.Set("cryptokiVersion", toVersion(env, report.info.cryptokiVersion));
  module.Set("manufacturerID", toText(env, report.info.manufacturerID));
  module.Set("libraryDescription", toText(env, report.info.libraryDescription));
  module.Set("libraryVersion", toVersion(env, report.info.libraryVersion));
  module.Set("interfaceVersion", toVersion(env, report.interfaceVersion));
  Napi::Array slots = Napi::Array::New(env, report.slots.size());
  uint32_t at = 0;
  for (const SlotReport& slot : report.slots) slots.Set(at++, toSlot(env, slot));
  module.Set("slots", slots);
  return module;
}

Napi::Value toAttribute(Napi::Env env, const std::optional<Bytes>& value) { return value ? toBuffer(env, *value) : env.Null(); }

Napi::Value toAttributes(Napi::Env env, const JobDetails& details, size_t from, size_t count) {
  Napi::Array attributes = Napi::Array::New(env, count);
  for (size_t i = 0; i < count; i++) attributes.Set(static_cast<uint32_t>(i), toAttribute(env, details.values[from + i]));
  return attributes;
}

Napi::Value toFound(Napi::Env env, const JobDetails& details) {
  const size_t width = details.types.size();
  Napi::Array found = Napi::Array::New(env, details.handles.size() * 2);
  uint32_t at = 0;
  for (size_t i = 0; i < details.handles.size(); i++) {
    found.Set(at++, fromULong(env, details.handles[i]));
    found.Set(at++, details.wantsAttributes ? toAttributes(env, details, i * width, width) : env.Null());
  }
  return found;
}

// Also of a batch that was abandoned: the items that are finished are no longer written to.
Napi::Value toBatch(Napi::Env env, const Job& job, Outcome outcome) {
  const auto& steps = job.details->steps;
  const size_t done = job.stepsDone.load(std::memory_order_acquire);
  Napi::Array results = Napi::Array::New(env, steps.size());
  for (size_t i = 0; i < steps.size(); i++) {
    Napi::HandleScope scope(env);
    const Step& step = steps[i];
    Napi::Array result = Napi::Array::New(env, 3);
    const bool finished = i < done;
    // The item that hangs may have taken effect; those behind it have not been sent.
    const Outcome unsent = outcome == Outcome::abandoned && i > done ? Outcome::expired : outcome;
    const double unfinished = outcome == Outcome::returned ? static_cast<double>(job.rv) : static_cast<int>(unsent);
    result.Set(0U, finished ? toCount(env, step.rv) : Napi::Number::New(env, unfinished));
    result.Set(1U, Napi::Number::New(env, finished ? static_cast<int>(step.fn) : 0));
    const bool answers = finished && step.rv == CKR_OK && step.operation != Operation::verify;
    result.Set(2U, answers ? toBuffer(env, step.out) : env.Undefined());
    results.Set(static_cast<uint32_t>(i), result);
  }
  return results;
}

Napi::Value toSealed(Napi::Env env, const Step& step) {
  Napi::Array sealed = Napi::Array::New(env, 2);
  sealed.Set(0U, toBuffer(env, step.out));
  sealed.Set(1U, toBuffer(env, step.mechanism.a));
  return sealed;
}

Napi::Value toSessionInfo(Napi::Env env, const CK_SESSION_INFO& info) {
  Napi::Array fields = Napi::Array::New(env, 4);
  fields.Set(0U, fromULong(env, info.slotID));
  fields.Set(1U, toCount(env, info.state));
  fields.Set(2U, toCount(env, info.flags));
  fields.Set(3U, toCount(env, info.ulDeviceError));
  return fields;
}

}  // namespace

Napi::Value fromULong(Napi::Env env, CK_ULONG value) {
  if (value <= kLargestExact) return Napi::Number::New(env, static_cast<double>(value));
  return Napi::BigInt::New(env, static_cast<uint64_t>(value));
}

Napi::Value valueOf(Napi::Env env, Job& job, Outcome outcome, Outbox& outbox) {
  if (outcome == Outcome::late) return fromULong(env, job.rv);
  if (outcome == Outcome::system) return Napi::String::New(env, job.details->text);
  if (job.operation == Operation::batch && job.details) return toBatch(env, job, outcome);
  if (outcome != Outcome::returned || job.rv != CKR_OK) return env.Undefined();
  switch (job.operation) {
    case Operation::encrypt:
    case Operation::decrypt:
    case Operation::sign:
    case Operation::digest:
    case Operation::wrapKey:
    case Operation::generateRandom:
      return toAnswer(env, job.step.out, outbox);
    case Operation::seal:
      return toSealed(env, job.step);
    case Operation::inspect:
      return toModuleInfo(env, job.details->report);
    case Operation::tokenInfo:
      return toTokenInfo(env, job.details->token);
    case Operation::openSession:
      return Napi::Number::New(env, job.session);
    case Operation::sessionInfo:
      return toSessionInfo(env, job.details->session);
    case Operation::find:
      return toFound(env, *job.details);
    case Operation::getAttributes:
      return toAttributes(env, *job.details, 0, job.details->values.size());
    case Operation::createObject:
    case Operation::copyObject:
    case Operation::generateKey:
    case Operation::unwrapKey:
    case Operation::deriveKey:
      return fromULong(env, job.details->handles[0]);
    case Operation::generateKeyPair: {
      Napi::Array pair = Napi::Array::New(env, 2);
      pair.Set(0U, fromULong(env, job.details->handles[0]));
      pair.Set(1U, fromULong(env, job.details->handles[1]));
      return pair;
    }
    default:
      return env.Undefined();
  }
}

}  // namespace pkcs11_pool
