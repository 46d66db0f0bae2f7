// One hop: what JavaScript asked for, in native memory of its own, and what came of it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bytes.h"
#include "functions.h"
#include "module.h"
#include "pin.h"

namespace pkcs11_pool {

using Clock = std::chrono::steady_clock;

// The numbers are those of Operation in src/pkcs11/protocol.ts; a test holds the two together.
enum class Operation : uint32_t {
  load, inspect, openSession, closeSession, login, logout, sessionInfo, find, getAttributes, setAttributes, createObject,
  copyObject, destroyObject, generateKey, generateKeyPair, wrapKey, unwrapKey, deriveKey, encrypt, decrypt, sign, verify, digest,
  seal, generateRandom, seedRandom, batch, loadPin, unload, tokenInfo, dropSessions, reinitialize, count
};

// Stands in the place of a CK_RV where there is none; the numbers are those of Outcome in src/pkcs11/protocol.ts.
enum class Outcome : int { returned = 0, expired = -1, abandoned = -2, stalled = -3, late = -4, disposed = -5, system = -6, unsettled = -7 };

// A CK_MECHANISM with everything it points to.
struct Mechanism {
  Mechanism() = default;
  Mechanism(const Mechanism&) = delete;  // it points into itself
  Mechanism& operator=(const Mechanism&) = delete;

  CK_MECHANISM value = {};
  union {
    CK_GCM_PARAMS gcm;
    CK_CCM_PARAMS ccm;
    CK_AES_CTR_PARAMS ctr;
    CK_RSA_PKCS_OAEP_PARAMS oaep;
    CK_RSA_PKCS_PSS_PARAMS pss;
    CK_ECDH1_DERIVE_PARAMS ecdh1;
    CK_KEY_DERIVATION_STRING_DATA stringData;
    CK_AES_CBC_ENCRYPT_DATA_PARAMS cbc16;
    CK_DES_CBC_ENCRYPT_DATA_PARAMS cbc8;
    CK_ULONG number;
  } parameter = {};
  Bytes a;
  Bytes b;
};

// A template with the values it points to.
struct Template {
  Bytes values;
  std::vector<CK_ATTRIBUTE> attributes;
};

// One cryptographic operation: what ENCRYPT, DECRYPT, SIGN, VERIFY, DIGEST and SEAL need, alone or as an item of a batch.
struct Step {
  Operation operation = Operation::count;
  CK_OBJECT_HANDLE key = 0;
  Mechanism mechanism;
  Bytes data;
  Bytes signature;
  bool logsIn = false;             // for this one use
  std::shared_ptr<PinSecret> pin;  // none where the token has a PIN pad of its own

  CK_RV rv = CKR_OK;
  Fn fn = Fn::none;
  Bytes out;
};

struct SlotReport {
  CK_SLOT_ID id = 0;
  CK_SLOT_INFO info = {};
  std::optional<CK_TOKEN_INFO> token;
  std::vector<std::pair<CK_MECHANISM_TYPE, CK_MECHANISM_INFO>> mechanisms;
};

struct ModuleReport {
  CK_INFO info = {};
  CK_VERSION interfaceVersion = {};
  std::vector<SlotReport> slots;
};

// What only the operations off the hot path need.
struct JobDetails {
  std::string path;
  std::optional<std::string> initializeArgs;
  std::shared_ptr<Module> module;  // that load acquired, or unload gives back
  std::shared_ptr<Module> subject;  // whose sessions are dropped, or that is initialised again
  uint64_t generation = 0;          // of the module, as the executor knows it, or is to
  std::shared_ptr<PinSecret> pin;
  CK_ULONG number = 0;
  CK_ULONG flags = 0;
  CK_OBJECT_HANDLE object = 0;
  Template first;
  Template second;
  std::vector<CK_ATTRIBUTE_TYPE> types;
  bool wantsAttributes = false;
  bool wantsMechanisms = false;
  std::vector<Step> steps;

  std::vector<CK_OBJECT_HANDLE> handles;
  std::vector<std::optional<Bytes>> values;
  std::string text;
  ModuleReport report;
  CK_TOKEN_INFO token = {};
  CK_SESSION_INFO session = {};
};

struct Job {
  uint32_t id = 0;
  Operation operation = Operation::count;
  uint32_t session = 0;  // the engine's number, 0 for none
  Clock::time_point deadline;
  CK_SESSION_HANDLE handle = 0;  // of the session, known when the job starts

  Step step;
  std::unique_ptr<JobDetails> details;
  // Items of a batch that are finished: what JavaScript may read of a job that was abandoned while a later item still runs.
  std::atomic<size_t> stepsDone{0};

  Outcome outcome = Outcome::returned;
  CK_RV rv = CKR_OK;
  Fn fn = Fn::none;

  JobDetails& more() {
    if (!details) details = std::make_unique<JobDetails>();
    return *details;
  }
};

}  // namespace pkcs11_pool
