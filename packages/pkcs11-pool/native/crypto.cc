#include "operations.h"

namespace pkcs11_pool {

namespace {

// One attempt, and three more for tokens whose answer about the size they need was too small (C_Decrypt may ask for more than it
// writes, and sizes may be estimates; PKCS#11 2.40 section 5.2).
constexpr int kAttempts = 4;
constexpr size_t kSlack = 64;
constexpr size_t kLargestSignature = 1024;
constexpr size_t kScratch = 2048;
constexpr size_t kLargestAnswer = size_t{256} << 20;

struct Family {
  Fn init;
  Fn oneShot;
  CK_RV (*CK_FUNCTION_LIST::*initFunction)(CK_SESSION_HANDLE, CK_MECHANISM*, CK_OBJECT_HANDLE);
  CK_RV (*CK_FUNCTION_LIST::*oneShotFunction)(CK_SESSION_HANDLE, CK_BYTE*, CK_ULONG, CK_BYTE*, CK_ULONG*);
  CK_FLAGS kind;
};

constexpr Family kEncrypt{Fn::C_EncryptInit, Fn::C_Encrypt, &CK_FUNCTION_LIST::C_EncryptInit, &CK_FUNCTION_LIST::C_Encrypt, CKF_ENCRYPT};
constexpr Family kDecrypt{Fn::C_DecryptInit, Fn::C_Decrypt, &CK_FUNCTION_LIST::C_DecryptInit, &CK_FUNCTION_LIST::C_Decrypt, CKF_DECRYPT};
constexpr Family kSign{Fn::C_SignInit, Fn::C_Sign, &CK_FUNCTION_LIST::C_SignInit, &CK_FUNCTION_LIST::C_Sign, CKF_SIGN};
constexpr Family kDigest{Fn::C_DigestInit, Fn::C_Digest, nullptr, &CK_FUNCTION_LIST::C_Digest, CKF_DIGEST};
constexpr Family kVerify{Fn::C_VerifyInit, Fn::C_Verify, &CK_FUNCTION_LIST::C_VerifyInit, nullptr, CKF_VERIFY};

const Family& familyOf(Operation operation) {
  switch (operation) {
    case Operation::decrypt: return kDecrypt;
    case Operation::sign: return kSign;
    case Operation::digest: return kDigest;
    case Operation::verify: return kVerify;
    default: return kEncrypt;
  }
}

bool isPss(CK_MECHANISM_TYPE type) {
  switch (type) {
    case 0x000D:  // CKM_RSA_PKCS_PSS
    case 0x000E:  // CKM_SHA1_RSA_PKCS_PSS
    case 0x0043:  // CKM_SHA256_RSA_PKCS_PSS
    case 0x0044:  // CKM_SHA384_RSA_PKCS_PSS
    case 0x0045:  // CKM_SHA512_RSA_PKCS_PSS
    case 0x0047:  // CKM_SHA224_RSA_PKCS_PSS
      return true;
    default:
      return false;
  }
}

// SoftHSM 2.6 does PSS with whatever key it is given, and the process ends when that is no RSA key. Every other mechanism it checks.
bool wouldCrash(const CallSite& site, const Step& step) {
  if (!isPss(step.mechanism.value.mechanism) || site.functions->C_GetAttributeValue == nullptr) return false;
  constexpr CK_ATTRIBUTE_TYPE kKeyType = 0x0100;
  constexpr CK_ULONG kRsa = 0;
  CK_ULONG type = kRsa;
  CK_ATTRIBUTE query = {kKeyType, &type, sizeof(type)};
  return site.functions->C_GetAttributeValue(site.session, step.key, &query, 1) == CKR_OK && type != kRsa;
}

CK_RV initOnce(const CallSite& site, const Family& family, Step& step) {
  step.fn = family.init;
  if (wouldCrash(site, step)) return CKR_KEY_TYPE_INCONSISTENT;
  if (family.initFunction == nullptr) return PKCS11_POOL_CALL(step.fn, site.functions, C_DigestInit, site.session, &step.mechanism.value);
  auto init = site.functions->*family.initFunction;
  return init != nullptr ? init(site.session, &step.mechanism.value, step.key) : CKR_FUNCTION_NOT_SUPPORTED;
}

CK_RV init(const CallSite& site, const Family& family, Step& step) {
  CK_RV rv = initOnce(site, family, step);
  if (rv != CKR_OPERATION_ACTIVE || !cancelOperation(site, family.kind)) return rv;
  return initOnce(site, family, step);
}

// A key with CKA_ALWAYS_AUTHENTICATE wants the PIN between Init and the data.
bool loginForOneUse(const CallSite& site, Step& step) {
  constexpr CK_ULONG kContextSpecific = 2;
  PinSecret* pin = step.pin.get();
  step.rv = PKCS11_POOL_CALL(step.fn, site.functions, C_Login, site.session, kContextSpecific, pin != nullptr ? pin->data() : nullptr,
                             pin != nullptr ? pin->size() : 0);
  return step.rv == CKR_OK;
}

size_t firstGuess(const Step& step) {
  if (step.operation == Operation::sign || step.operation == Operation::digest) return kLargestSignature;
  // RSA answers with a modulus however short its input is.
  return step.data.size() + (step.data.size() > kLargestSignature ? kSlack : kLargestSignature);
}

// One call with the room given, its answer kept as large as it is; CKR_BUFFER_TOO_SMALL leaves in `length` what the module wants.
CK_RV callOnce(const CallSite& site, const Family& family, Step& step, CK_BYTE* room, CK_ULONG& length) {
  const CK_ULONG given = length;
  auto call = site.functions->*family.oneShotFunction;
  const CK_RV rv = call(site.session, step.data.data(), step.data.size(), room, &length);
  return believed(rv, length, given);
}

size_t nextGuess(size_t room, CK_ULONG wanted) {
  return wanted != CK_UNAVAILABLE_INFORMATION && wanted > room ? wanted + kSlack : room * 4;
}

void oneShot(const CallSite& site, const Family& family, Step& step) {
  step.fn = family.oneShot;
  if (site.functions->*family.oneShotFunction == nullptr) {
    step.rv = CKR_FUNCTION_NOT_SUPPORTED;
    return;
  }
  size_t room = firstGuess(step);
  int attempts = kAttempts;
  if (room <= kScratch) {
    // Most answers are short: they are made on the stack, and kept without a detour over the heap.
    CK_BYTE scratch[kScratch];
    CK_ULONG length = room;
    step.rv = callOnce(site, family, step, scratch, length);
    if (step.rv == CKR_OK) step.out.assign(scratch, length);
    explicit_bzero(scratch, room);
    room = nextGuess(room, length);
    attempts--;
  } else {
    step.rv = CKR_BUFFER_TOO_SMALL;
  }
  for (; step.rv == CKR_BUFFER_TOO_SMALL && attempts > 0 && room <= kLargestAnswer; attempts--) {
    step.out.allocate(room);
    CK_ULONG length = room;
    step.rv = callOnce(site, family, step, step.out.data(), length);
    step.out.truncate(step.rv == CKR_OK ? length : 0);
    room = nextGuess(room, length);
  }
  // Every other return value has ended the operation; this one leaves it active. Where it cannot be cancelled, the session must not be used
  // again: for this answer, as for a C_Login's below, JavaScript closes it in any case.
  if (step.rv == CKR_BUFFER_TOO_SMALL) cancelOperation(site, family.kind);
}

}  // namespace

bool cancelOperation(const CallSite& site, CK_FLAGS kind) {
  const CK_FUNCTION_LIST* functions = site.functions;
  if (site.functions3 != nullptr && site.functions3->C_SessionCancel != nullptr) {
    if (site.functions3->C_SessionCancel(site.session, kind) == CKR_OK) return true;
  }
  if (kind == CKF_DIGEST) return functions->C_DigestInit != nullptr && functions->C_DigestInit(site.session, nullptr) == CKR_OK;
  for (const Family* family : {&kEncrypt, &kDecrypt, &kSign, &kVerify}) {
    if (family->kind != kind) continue;
    auto init = functions->*family->initFunction;
    return init != nullptr && init(site.session, nullptr, 0) == CKR_OK;
  }
  return false;
}

void runStep(const CallSite& site, Step& step) {
  const Family& family = familyOf(step.operation);
  step.rv = init(site, family, step);
  if (step.rv != CKR_OK) return;
  if (step.logsIn && !loginForOneUse(site, step)) {
    cancelOperation(site, family.kind);
    return;
  }
  if (step.operation != Operation::verify) {
    oneShot(site, family, step);
    return;
  }
  step.rv = PKCS11_POOL_CALL(step.fn, site.functions, C_Verify, site.session, step.data.data(), step.data.size(),
                             step.signature.data(), step.signature.size());
}

}  // namespace pkcs11_pool
