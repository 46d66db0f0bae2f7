#include "operations.h"

#include <algorithm>

namespace pkcs11_pool {

namespace {

constexpr CK_ULONG kFindChunk = 64;
constexpr size_t kLargestAttribute = size_t{16} << 20;

void readAttributes(const CallSite& site, Job& job, CK_OBJECT_HANDLE object) {
  JobDetails& details = *job.details;
  const auto& types = details.types;
  std::vector<CK_ATTRIBUTE> query;
  query.reserve(types.size());
  for (CK_ATTRIBUTE_TYPE type : types) query.push_back({type, nullptr, 0});
  auto answered = [](CK_RV rv) {
    return rv == CKR_OK || rv == CKR_ATTRIBUTE_SENSITIVE || rv == CKR_ATTRIBUTE_TYPE_INVALID || rv == CKR_BUFFER_TOO_SMALL;
  };
  auto read = [&] {
    return PKCS11_POOL_CALL(job.fn, site.functions, C_GetAttributeValue, site.session, object, query.data(), query.size());
  };

  // Sizes first, then values; an attribute that grew in between (another process wrote it) is asked for once more.
  std::vector<Bytes> values(types.size());
  for (int attempt = 0; attempt < 3; attempt++) {
    for (auto& attribute : query) attribute = {attribute.type, nullptr, 0};
    job.rv = read();
    if (!answered(job.rv)) return;
    for (size_t i = 0; i < query.size(); i++) {
      if (query[i].ulValueLen == CK_UNAVAILABLE_INFORMATION || query[i].ulValueLen > kLargestAttribute) continue;
      values[i].allocate(query[i].ulValueLen);
      // An array of attributes (CKA_WRAP_TEMPLATE) has pointers of its own, through which the module writes unless they are null.
      if (query[i].ulValueLen > 0) std::memset(values[i].data(), 0, query[i].ulValueLen);
      query[i].pValue = values[i].data();
    }
    job.rv = read();
    if (!answered(job.rv)) return;
    if (job.rv != CKR_BUFFER_TOO_SMALL) break;
  }
  if (job.rv == CKR_BUFFER_TOO_SMALL) return;
  job.rv = CKR_OK;
  for (size_t i = 0; i < query.size(); i++) {
    bool readable = query[i].pValue != nullptr && query[i].ulValueLen <= values[i].size();
    if (!readable) {
      details.values.emplace_back(std::nullopt);
      continue;
    }
    values[i].truncate(query[i].ulValueLen);
    details.values.emplace_back(std::move(values[i]));
  }
}

void find(const CallSite& site, Job& job) {
  JobDetails& details = *job.details;
  auto& attributes = details.first.attributes;
  auto begin = [&] {
    return PKCS11_POOL_CALL(job.fn, site.functions, C_FindObjectsInit, site.session, attributes.data(), attributes.size());
  };
  job.rv = begin();
  if (job.rv == CKR_OPERATION_ACTIVE && site.functions->C_FindObjectsFinal(site.session) == CKR_OK) job.rv = begin();
  if (job.rv != CKR_OK) return;

  CK_OBJECT_HANDLE chunk[kFindChunk];
  while (job.rv == CKR_OK && details.handles.size() < details.number) {
    CK_ULONG found = 0;
    CK_ULONG wanted = std::min<CK_ULONG>(kFindChunk, details.number - details.handles.size());
    job.rv = PKCS11_POOL_CALL(job.fn, site.functions, C_FindObjects, site.session, chunk, wanted, &found);
    if (job.rv != CKR_OK || found == 0) break;
    details.handles.insert(details.handles.end(), chunk, chunk + std::min(found, wanted));
  }
  // The search is ended also when it failed; its own failure counts only when nothing failed before.
  Fn finalFn = Fn::none;
  CK_RV ended = PKCS11_POOL_CALL(finalFn, site.functions, C_FindObjectsFinal, site.session);
  if (job.rv == CKR_OK && ended != CKR_OK) {
    job.rv = ended;
    job.fn = finalFn;
  }
  if (job.rv != CKR_OK || !details.wantsAttributes) return;

  size_t kept = 0;
  for (CK_OBJECT_HANDLE handle : details.handles) {
    size_t before = details.values.size();
    readAttributes(site, job, handle);
    constexpr CK_RV kObjectHandleInvalid = 0x00000082UL;
    if (job.rv == kObjectHandleInvalid) {
      // Destroyed by somebody else since it was found: not there.
      details.values.resize(before);
      job.rv = CKR_OK;
      continue;
    }
    if (job.rv != CKR_OK) return;
    details.handles[kept++] = handle;
  }
  details.handles.resize(kept);
}

CK_RV inspectSlot(const CK_FUNCTION_LIST* functions, Fn& fn, bool withMechanisms, SlotReport& slot) {
  CK_RV rv = PKCS11_POOL_CALL(fn, functions, C_GetSlotInfo, slot.id, &slot.info);
  if (rv != CKR_OK || (slot.info.flags & CKF_TOKEN_PRESENT) == 0) return rv;
  CK_TOKEN_INFO token = {};
  // A token that cannot be asked is shown as absent rather than hiding all the others.
  if (PKCS11_POOL_CALL(fn, functions, C_GetTokenInfo, slot.id, &token) != CKR_OK) return CKR_OK;
  slot.token = token;
  if (!withMechanisms) return CKR_OK;
  CK_ULONG count = 0;
  if (PKCS11_POOL_CALL(fn, functions, C_GetMechanismList, slot.id, nullptr, &count) != CKR_OK) return CKR_OK;
  // One more than it is told of: p11-kit's client, which takes out what it does not know, reads the one after the last.
  std::vector<CK_MECHANISM_TYPE> types(count + 1);
  const CK_ULONG room = count;
  if (PKCS11_POOL_CALL(fn, functions, C_GetMechanismList, slot.id, types.data(), &count) != CKR_OK) return CKR_OK;
  types.resize(std::min(room, count));
  for (CK_MECHANISM_TYPE type : types) {
    CK_MECHANISM_INFO info = {};
    if (PKCS11_POOL_CALL(fn, functions, C_GetMechanismInfo, slot.id, type, &info) == CKR_OK) slot.mechanisms.emplace_back(type, info);
  }
  return CKR_OK;
}

void inspect(const Module& module, Job& job) {
  const CK_FUNCTION_LIST* functions = module.functions();
  ModuleReport& report = job.more().report;
  report.interfaceVersion = functions->version;
  job.rv = PKCS11_POOL_CALL(job.fn, functions, C_GetInfo, &report.info);
  if (job.rv != CKR_OK) return;
  std::vector<CK_SLOT_ID> slots;
  CK_ULONG count = 0;
  // Slots can come between the two calls.
  for (int attempt = 0; attempt < 3; attempt++) {
    job.rv = PKCS11_POOL_CALL(job.fn, functions, C_GetSlotList, CK_FALSE, nullptr, &count);
    if (job.rv != CKR_OK) return;
    slots.resize(count + 4);
    count = slots.size();
    job.rv = PKCS11_POOL_CALL(job.fn, functions, C_GetSlotList, CK_FALSE, slots.data(), &count);
    if (job.rv != CKR_BUFFER_TOO_SMALL) break;
  }
  if (job.rv != CKR_OK) return;
  slots.resize(std::min<size_t>(slots.size(), count));
  for (CK_SLOT_ID id : slots) {
    SlotReport slot;
    slot.id = id;
    job.rv = inspectSlot(functions, job.fn, job.details->wantsMechanisms, slot);
    if (job.rv != CKR_OK) return;
    report.slots.push_back(std::move(slot));
  }
}

void wrapKey(const CallSite& site, Job& job) {
  Step& step = job.step;
  size_t room = 4096;
  for (int attempt = 0; attempt < 3; attempt++) {
    step.out.allocate(room);
    CK_ULONG length = room;
    job.rv = PKCS11_POOL_CALL(job.fn, site.functions, C_WrapKey, site.session, &step.mechanism.value, step.key,
                              job.details->object, step.out.data(), &length);
    job.rv = believed(job.rv, length, room);
    if (job.rv == CKR_OK) {
      step.out.truncate(length);
      return;
    }
    if (job.rv != CKR_BUFFER_TOO_SMALL) break;
    room = length > room && length < kLargestAttribute ? length : room * 4;
  }
  step.out.truncate(0);
}

void batch(const CallSite& site, Job& job) {
  for (Step& step : job.details->steps) {
    runStep(site, step);
    job.stepsDone.fetch_add(1, std::memory_order_release);
  }
}

// What has the handle of another session is not closed, because that would close the other. More than one is tried: after a device was
// lost, those it had may be taken for a while.
void openSession(const Module& module, Job& job) {
  constexpr int kAttempts = 64;
  for (int attempt = 0; attempt < kAttempts; attempt++) {
    job.rv = PKCS11_POOL_CALL(job.fn, module.functions(), C_OpenSession, job.details->number, job.details->flags, nullptr, nullptr, &job.handle);
    if (job.rv != CKR_OK || module.claim(job.handle)) return;
  }
  job.rv = CKR_GENERAL_ERROR;
}

}  // namespace

void runOperation(const Module& module, Job& job) {
  const CK_FUNCTION_LIST* functions = module.functions();
  const CallSite site{functions, module.functions3(), job.handle};
  Step& step = job.step;
  JobDetails* details = job.details.get();
  CK_OBJECT_HANDLE made[2] = {0, 0};
  auto keep = [&](int count) {
    if (job.rv == CKR_OK) job.more().handles.assign(made, made + count);
  };

  switch (job.operation) {
    case Operation::encrypt:
    case Operation::decrypt:
    case Operation::sign:
    case Operation::verify:
    case Operation::digest:
    case Operation::seal:
      runStep(site, step);
      job.rv = step.rv;
      job.fn = step.fn;
      break;
    case Operation::batch:
      batch(site, job);
      break;
    case Operation::inspect:
      inspect(module, job);
      break;
    case Operation::tokenInfo:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_GetTokenInfo, details->number, &details->token);
      break;
    case Operation::openSession:
      openSession(module, job);
      break;
    case Operation::closeSession:
      module.disclaim(job.handle);
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_CloseSession, job.handle);
      // Where the answer was lost, and not the session refused, the handle may be another's by now: this one has ended.
      if (refusedToClose(job.rv) && !module.claim(job.handle)) job.rv = CKR_SESSION_HANDLE_INVALID;
      break;
    case Operation::login: {
      PinSecret* pin = details->pin.get();
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_Login, job.handle, details->number, pin != nullptr ? pin->data() : nullptr,
                                pin != nullptr ? pin->size() : 0);
      break;
    }
    case Operation::logout:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_Logout, job.handle);
      break;
    case Operation::sessionInfo:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_GetSessionInfo, job.handle, &job.more().session);
      break;
    case Operation::find:
      find(site, job);
      break;
    case Operation::getAttributes:
      readAttributes(site, job, details->object);
      break;
    case Operation::setAttributes:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_SetAttributeValue, job.handle, details->object, details->first.attributes.data(),
                                details->first.attributes.size());
      break;
    case Operation::createObject:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_CreateObject, job.handle, details->first.attributes.data(),
                                details->first.attributes.size(), &made[0]);
      keep(1);
      break;
    case Operation::copyObject:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_CopyObject, job.handle, details->object, details->first.attributes.data(),
                                details->first.attributes.size(), &made[0]);
      keep(1);
      break;
    case Operation::destroyObject:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_DestroyObject, job.handle, details->object);
      break;
    case Operation::generateKey:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_GenerateKey, job.handle, &step.mechanism.value, details->first.attributes.data(),
                                details->first.attributes.size(), &made[0]);
      keep(1);
      break;
    case Operation::generateKeyPair:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_GenerateKeyPair, job.handle, &step.mechanism.value,
                                details->first.attributes.data(), details->first.attributes.size(),
                                details->second.attributes.data(), details->second.attributes.size(), &made[0], &made[1]);
      keep(2);
      break;
    case Operation::wrapKey:
      wrapKey(site, job);
      break;
    case Operation::unwrapKey:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_UnwrapKey, job.handle, &step.mechanism.value, step.key, step.data.data(),
                                step.data.size(), details->first.attributes.data(), details->first.attributes.size(), &made[0]);
      keep(1);
      break;
    case Operation::deriveKey:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_DeriveKey, job.handle, &step.mechanism.value, step.key,
                                details->first.attributes.data(), details->first.attributes.size(), &made[0]);
      keep(1);
      break;
    case Operation::generateRandom:
      step.out.allocate(details->number);
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_GenerateRandom, job.handle, step.out.data(), step.out.size());
      break;
    case Operation::seedRandom:
      job.rv = PKCS11_POOL_CALL(job.fn, functions, C_SeedRandom, job.handle, step.data.data(), step.data.size());
      break;
    case Operation::load:
    case Operation::unload:
    case Operation::loadPin:
    case Operation::dropSessions:
    case Operation::reinitialize:
    case Operation::count:
      job.rv = CKR_GENERAL_ERROR;
      break;
  }
}

bool saysSessionEnded(CK_RV rv) {
  switch (rv) {
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
      return true;
    default:
      return false;
  }
}

bool refusedToClose(CK_RV rv) { return rv != CKR_OK && !saysSessionEnded(rv); }

CK_RV closeSession(const Module& module, CK_SESSION_HANDLE session) {
  const CK_FUNCTION_LIST* functions = module.functions();
  module.disclaim(session);
  return functions->C_CloseSession != nullptr ? functions->C_CloseSession(session) : CKR_FUNCTION_NOT_SUPPORTED;
}

}  // namespace pkcs11_pool
