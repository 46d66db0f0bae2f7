#include <cstring>

#include "js.h"
#include "marshal.h"

namespace pkcs11_pool {

namespace {

constexpr CK_ULONG kLargestExact = 9007199254740991;  // 2^53 - 1

napi_value toBuffer(napi_env env, const Bytes& bytes) {
  napi_value buffer = nullptr;
  napi_create_buffer_copy(env, bytes.size(), bytes.data(), nullptr, &buffer);
  return buffer;
}

napi_value toAnswer(napi_env env, const Bytes& bytes, Outbox& outbox) {
  const size_t length = bytes.size();
  if (outbox.data == nullptr || length > Outbox::kLongest || outbox.used + length > outbox.size) return toBuffer(env, bytes);
  const size_t place = outbox.used;
  std::memcpy(outbox.data + place, bytes.data(), length);
  outbox.used += length;
  return js::number(env, static_cast<double>(place * 128 + length));
}

// A fixed field of PKCS#11: padded with blanks, not terminated, said to be UTF-8 (vendors pad with zeros as well).
template <size_t N>
napi_value toText(napi_env env, const CK_BYTE (&field)[N]) {
  size_t length = N;
  while (length > 0 && (field[length - 1] == ' ' || field[length - 1] == '\0')) length--;
  return js::string(env, reinterpret_cast<const char*>(field), length);
}

napi_value toVersion(napi_env env, CK_VERSION version) {
  napi_value pair = js::array(env, 2);
  js::set(env, pair, size_t{0}, js::number(env, version.major));
  js::set(env, pair, size_t{1}, js::number(env, version.minor));
  return pair;
}

// Counts may be CK_UNAVAILABLE_INFORMATION.
napi_value toCount(napi_env env, CK_ULONG value) {
  return value == CK_UNAVAILABLE_INFORMATION ? js::number(env, -1) : js::number(env, static_cast<double>(value));
}

napi_value toTokenInfo(napi_env env, const CK_TOKEN_INFO& info) {
  napi_value token = js::object(env);
  js::set(env, token, "label", toText(env, info.label));
  js::set(env, token, "manufacturerID", toText(env, info.manufacturerID));
  js::set(env, token, "model", toText(env, info.model));
  js::set(env, token, "serialNumber", toText(env, info.serialNumber));
  js::set(env, token, "flags", toCount(env, info.flags));
  js::set(env, token, "maxSessionCount", toCount(env, info.ulMaxSessionCount));
  js::set(env, token, "sessionCount", toCount(env, info.ulSessionCount));
  js::set(env, token, "maxRwSessionCount", toCount(env, info.ulMaxRwSessionCount));
  js::set(env, token, "rwSessionCount", toCount(env, info.ulRwSessionCount));
  js::set(env, token, "maxPinLen", toCount(env, info.ulMaxPinLen));
  js::set(env, token, "minPinLen", toCount(env, info.ulMinPinLen));
  js::set(env, token, "totalPublicMemory", toCount(env, info.ulTotalPublicMemory));
  js::set(env, token, "freePublicMemory", toCount(env, info.ulFreePublicMemory));
  js::set(env, token, "totalPrivateMemory", toCount(env, info.ulTotalPrivateMemory));
  js::set(env, token, "freePrivateMemory", toCount(env, info.ulFreePrivateMemory));
  js::set(env, token, "hardwareVersion", toVersion(env, info.hardwareVersion));
  js::set(env, token, "firmwareVersion", toVersion(env, info.firmwareVersion));
  return token;
}

napi_value toSlot(napi_env env, const SlotReport& report) {
  napi_value slot = js::object(env);
  js::set(env, slot, "slotID", fromULong(env, report.id));
  js::set(env, slot, "slotDescription", toText(env, report.info.slotDescription));
  js::set(env, slot, "manufacturerID", toText(env, report.info.manufacturerID));
  js::set(env, slot, "flags", toCount(env, report.info.flags));
  js::set(env, slot, "token", report.token ? toTokenInfo(env, *report.token) : js::null(env));
  napi_value mechanisms = js::array(env, report.mechanisms.size());
  size_t at = 0;
  for (const auto& [type, info] : report.mechanisms) {
    napi_value mechanism = js::array(env, 4);
    js::set(env, mechanism, size_t{0}, fromULong(env, type));
    js::set(env, mechanism, size_t{1}, toCount(env, info.ulMinKeySize));
    js::set(env, mechanism, size_t{2}, toCount(env, info.ulMaxKeySize));
    js::set(env, mechanism, size_t{3}, toCount(env, info.flags));
    js::set(env, mechanisms, at++, mechanism);
  }
  js::set(env, slot, "mechanisms", mechanisms);
  return slot;
}

napi_value toModuleInfo(napi_env env, const ModuleReport& report) {
  napi_value module = js::object(env);
  js::set(env, module, "cryptokiVersion", toVersion(env, report.info.cryptokiVersion));
  js::set(env, module, "manufacturerID", toText(env, report.info.manufacturerID));
  js::set(env, module, "libraryDescription", toText(env, report.info.libraryDescription));
  js::set(env, module, "libraryVersion", toVersion(env, report.info.libraryVersion));
  js::set(env, module, "interfaceVersion", toVersion(env, report.interfaceVersion));
  napi_value slots = js::array(env, report.slots.size());
  size_t at = 0;
  for (const SlotReport& slot : report.slots) js::set(env, slots, at++, toSlot(env, slot));
  js::set(env, module, "slots", slots);
  return module;
}

napi_value toAttribute(napi_env env, const std::optional<Bytes>& value) { return value ? toBuffer(env, *value) : js::null(env); }

napi_value toAttributes(napi_env env, const JobDetails& details, size_t from, size_t count) {
  napi_value attributes = js::array(env, count);
  for (size_t i = 0; i < count; i++) js::set(env, attributes, i, toAttribute(env, details.values[from + i]));
  return attributes;
}

napi_value toFound(napi_env env, const JobDetails& details) {
  const size_t width = details.types.size();
  napi_value found = js::array(env, details.handles.size() * 2);
  size_t at = 0;
  for (size_t i = 0; i < details.handles.size(); i++) {
    js::set(env, found, at++, fromULong(env, details.handles[i]));
    js::set(env, found, at++, details.wantsAttributes ? toAttributes(env, details, i * width, width) : js::null(env));
  }
  return found;
}

napi_value toSealed(napi_env env, const Step& step) {
  napi_value sealed = js::array(env, 2);
  js::set(env, sealed, size_t{0}, toBuffer(env, step.out));
  js::set(env, sealed, size_t{1}, toBuffer(env, step.mechanism.a));
  return sealed;
}

// Also of a batch that was abandoned: the items that are finished are no longer written to.
napi_value toBatch(napi_env env, const Job& job, Outcome outcome) {
  const auto& steps = job.details->steps;
  const size_t done = job.stepsDone.load(std::memory_order_acquire);
  napi_value results = js::array(env, steps.size());
  for (size_t i = 0; i < steps.size(); i++) {
    napi_handle_scope scope = nullptr;
    napi_open_handle_scope(env, &scope);
    const Step& step = steps[i];
    napi_value result = js::array(env, 3);
    const bool finished = i < done;
    // The item that hangs may have taken effect; those behind it have not been sent.
    const Outcome unsent = outcome == Outcome::abandoned && i > done ? Outcome::expired : outcome;
    const double unfinished = outcome == Outcome::returned ? static_cast<double>(job.rv) : static_cast<int>(unsent);
    js::set(env, result, size_t{0}, finished ? toCount(env, step.rv) : js::number(env, unfinished));
    js::set(env, result, size_t{1}, js::number(env, finished ? static_cast<int>(step.fn) : 0));
    const bool answers = finished && step.rv == CKR_OK && step.operation != Operation::verify;
    napi_value answer = js::undefined(env);
    if (answers) answer = step.operation == Operation::seal ? toSealed(env, step) : toBuffer(env, step.out);
    js::set(env, result, size_t{2}, answer);
    js::set(env, results, i, result);
    napi_close_handle_scope(env, scope);
  }
  return results;
}

napi_value toSessionInfo(napi_env env, const CK_SESSION_INFO& info) {
  napi_value fields = js::array(env, 4);
  js::set(env, fields, size_t{0}, fromULong(env, info.slotID));
  js::set(env, fields, size_t{1}, toCount(env, info.state));
  js::set(env, fields, size_t{2}, toCount(env, info.flags));
  js::set(env, fields, size_t{3}, toCount(env, info.ulDeviceError));
  return fields;
}

}  // namespace

napi_value fromULong(napi_env env, CK_ULONG value) {
  if (value <= kLargestExact) return js::number(env, static_cast<double>(value));
  napi_value big = nullptr;
  napi_create_bigint_uint64(env, value, &big);
  return big;
}

napi_value valueOf(napi_env env, Job& job, Outcome outcome, Outbox& outbox) {
  if (outcome == Outcome::late) return fromULong(env, job.rv);
  if (outcome == Outcome::system) return js::string(env, job.details->text.data(), job.details->text.size());
  if (job.operation == Operation::batch && job.details) return toBatch(env, job, outcome);
  if (outcome != Outcome::returned || job.rv != CKR_OK) return js::undefined(env);
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
      return js::number(env, job.session);
    case Operation::reinitialize:
      return js::number(env, static_cast<double>(job.details->number));
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
      napi_value pair = js::array(env, 2);
      js::set(env, pair, size_t{0}, fromULong(env, job.details->handles[0]));
      js::set(env, pair, size_t{1}, fromULong(env, job.details->handles[1]));
      return pair;
    }
    default:
      return js::undefined(env);
  }
}

}  // namespace pkcs11_pool
