#include <climits>
#include <cmath>
#include <optional>

#include "js.h"
#include "marshal.h"
#include "pin-object.h"

namespace pkcs11_pool {

namespace {

constexpr double kLargestExact = 9007199254740991.0;  // 2^53 - 1
constexpr CK_ULONG kLongestRandom = CK_ULONG{64} << 20;
constexpr size_t kMostItems = 100'000;
constexpr CK_ATTRIBUTE_TYPE CKF_ARRAY_ATTRIBUTE = 0x40000000UL;
constexpr CK_ATTRIBUTE_TYPE CKA_ALLOWED_MECHANISMS = 0x40000600UL;

[[noreturn]] void refuse(const std::string& message) { throw js::Refusal(message); }

CK_ULONG toULong(napi_env env, napi_value value, const char* name) {
  double number = 0;
  uint64_t big = 0;
  bool lossless = false;
  switch (js::typeOf(env, value)) {
    case napi_number:
      napi_get_value_double(env, value, &number);
      if (number >= 0 && number <= kLargestExact && std::trunc(number) == number && number <= static_cast<double>(ULONG_MAX)) {
        return static_cast<CK_ULONG>(number);
      }
      break;
    case napi_bigint:
      napi_get_value_bigint_uint64(env, value, &big, &lossless);
      if (lossless && big <= ULONG_MAX) return static_cast<CK_ULONG>(big);
      break;
    default:
      break;
  }
  refuse(std::string(name) + " is no unsigned integer");
}

struct View {
  const CK_BYTE* data;
  size_t size;
};

View toView(napi_env env, napi_value value, const char* name) {
  bool isTypedArray = false;
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (napi_is_typedarray(env, value, &isTypedArray) != napi_ok || !isTypedArray ||
      napi_get_typedarray_info(env, value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array) {
    refuse(std::string(name) + " is no Uint8Array");
  }
  return {static_cast<const CK_BYTE*>(data), length};
}

void readBytes(napi_env env, napi_value value, const char* name, Bytes& into) {
  const View view = toView(env, value, name);
  into.assign(view.data, view.size);
}

// Reads little-endian fields of a packed mechanism or template.
class Unpacker {
 public:
  Unpacker(View view, const char* name) : view_(view), name_(name) {}

  CK_ULONG number(size_t width) {
    const CK_BYTE* from = take(width);
    uint64_t value = 0;
    for (size_t i = width; i > 0; i--) value = value << 8 | from[i - 1];
    if (value > ULONG_MAX) refuse(std::string(name_) + " holds a number that is too large for this machine");
    return static_cast<CK_ULONG>(value);
  }

  const CK_BYTE* take(size_t length) {
    if (length > view_.size - at_) refuse(std::string(name_) + " is cut short");
    const CK_BYTE* from = view_.data + at_;
    at_ += length;
    return from;
  }

  void end() {
    if (at_ != view_.size) refuse(std::string(name_) + " has bytes left over");
  }

 private:
  View view_;
  const char* name_;
  size_t at_ = 0;
};

enum class ParameterKind { none, bytes, gcm, ctr, oaep, pss, ecdh1, ccm, stringData, cbc16Data, cbc8Data, number };

// The kind that a standard mechanism must have if it has a parameter at all, because that holds pointers: modules follow what they
// find in their place. TypeScript never sends another; here it cannot.
std::optional<ParameterKind> pointingKind(CK_MECHANISM_TYPE type) {
  switch (type) {
    case 0x0009: return ParameterKind::oaep;  // CKM_RSA_PKCS_OAEP
    case 0x1050:  // CKM_ECDH1_DERIVE
    case 0x1051: return ParameterKind::ecdh1;  // CKM_ECDH1_COFACTOR_DERIVE
    case 0x1087: return ParameterKind::gcm;  // CKM_AES_GCM
    case 0x1088: return ParameterKind::ccm;  // CKM_AES_CCM
    case 0x0362:  // CKM_CONCATENATE_BASE_AND_DATA
    case 0x0363:  // CKM_CONCATENATE_DATA_AND_BASE
    case 0x0364:  // CKM_XOR_BASE_AND_DATA
    case 0x0556:  // CKM_CAMELLIA_ECB_ENCRYPT_DATA
    case 0x0566:  // CKM_ARIA_ECB_ENCRYPT_DATA
    case 0x0656:  // CKM_SEED_ECB_ENCRYPT_DATA
    case 0x1100:  // CKM_DES_ECB_ENCRYPT_DATA
    case 0x1102:  // CKM_DES3_ECB_ENCRYPT_DATA
    case 0x1104: return ParameterKind::stringData;  // CKM_AES_ECB_ENCRYPT_DATA
    case 0x0557:  // CKM_CAMELLIA_CBC_ENCRYPT_DATA
    case 0x0567:  // CKM_ARIA_CBC_ENCRYPT_DATA
    case 0x0657:  // CKM_SEED_CBC_ENCRYPT_DATA
    case 0x1105: return ParameterKind::cbc16Data;  // CKM_AES_CBC_ENCRYPT_DATA
    case 0x1101:  // CKM_DES_CBC_ENCRYPT_DATA
    case 0x1103: return ParameterKind::cbc8Data;  // CKM_DES3_CBC_ENCRYPT_DATA
    default: return std::nullopt;
  }
}

CK_BYTE* dataOrNull(Bytes& bytes) { return bytes.size() > 0 ? bytes.data() : nullptr; }

template <typename Parameters>
void pointAt(Mechanism& mechanism, Parameters& parameters) {
  mechanism.value.pParameter = &parameters;
  mechanism.value.ulParameterLen = sizeof(parameters);
}

void readMechanism(napi_env env, napi_value value, Mechanism& mechanism) {
  Unpacker packed(toView(env, value, "mechanism"), "mechanism");
  mechanism.value.mechanism = packed.number(8);
  const auto kind = static_cast<ParameterKind>(packed.number(4));
  const CK_ULONG n1 = packed.number(8);
  const CK_ULONG n2 = packed.number(8);
  const CK_ULONG n3 = packed.number(8);
  const size_t lengthA = packed.number(4);
  const size_t lengthB = packed.number(4);
  Bytes& a = mechanism.a;
  Bytes& b = mechanism.b;
  a.assign(packed.take(lengthA), lengthA);
  b.assign(packed.take(lengthB), lengthB);
  packed.end();
  const auto required = pointingKind(mechanism.value.mechanism);
  if (required && kind != *required && kind != ParameterKind::none) refuse("mechanism takes a parameter of another kind");

  auto& parameter = mechanism.parameter;
  auto requireA = [&](size_t length) {
    if (a.size() != length) refuse("mechanism has " + std::to_string(a.size()) + " bytes where " + std::to_string(length) + " belong");
  };
  switch (kind) {
    case ParameterKind::none:
      return;
    case ParameterKind::bytes:
      mechanism.value.pParameter = dataOrNull(a);
      mechanism.value.ulParameterLen = a.size();
      return;
    case ParameterKind::gcm:
      if (a.size() == 0 && n2 > 0 && n2 <= 256) {
        a.allocate(n2);
        std::memset(a.data(), 0, n2);
      }
      parameter.gcm = {dataOrNull(a), a.size(), a.size() * 8, dataOrNull(b), b.size(), n1};
      return pointAt(mechanism, parameter.gcm);
    case ParameterKind::ctr:
      requireA(16);
      parameter.ctr.ulCounterBits = n1;
      std::memcpy(parameter.ctr.cb, a.data(), 16);
      return pointAt(mechanism, parameter.ctr);
    case ParameterKind::oaep:
      parameter.oaep = {n1, n2, CKZ_DATA_SPECIFIED, dataOrNull(a), a.size()};
      return pointAt(mechanism, parameter.oaep);
    case ParameterKind::pss:
      parameter.pss = {n1, n2, n3};
      return pointAt(mechanism, parameter.pss);
    case ParameterKind::ecdh1:
      parameter.ecdh1 = {n1, b.size(), dataOrNull(b), a.size(), dataOrNull(a)};
      return pointAt(mechanism, parameter.ecdh1);
    case ParameterKind::ccm:
      parameter.ccm = {n2, dataOrNull(a), a.size(), dataOrNull(b), b.size(), n1};
      return pointAt(mechanism, parameter.ccm);
    case ParameterKind::stringData:
      parameter.stringData = {dataOrNull(a), a.size()};
      return pointAt(mechanism, parameter.stringData);
    case ParameterKind::cbc16Data:
      requireA(16);
      std::memcpy(parameter.cbc16.iv, a.data(), 16);
      parameter.cbc16.pData = dataOrNull(b);
      parameter.cbc16.length = b.size();
      return pointAt(mechanism, parameter.cbc16);
    case ParameterKind::cbc8Data:
      requireA(8);
      std::memcpy(parameter.cbc8.iv, a.data(), 8);
      parameter.cbc8.pData = dataOrNull(b);
      parameter.cbc8.length = b.size();
      return pointAt(mechanism, parameter.cbc8);
    case ParameterKind::number:
      parameter.number = n1;
      return pointAt(mechanism, parameter.number);
  }
  refuse("mechanism is of an unknown kind");
}

void readTemplate(napi_env env, napi_value value, Template& into) {
  const View view = toView(env, value, "template");
  Unpacker packed(view, "template");
  const size_t count = packed.number(4);
  // Each value starts at a multiple of 8: modules read numbers in place. An attribute's own fields leave room for that.
  into.values.allocate(view.size + 8);
  into.attributes.reserve(std::min(count, view.size / 12));
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    const CK_ATTRIBUTE_TYPE type = packed.number(8);
    const size_t length = packed.number(4);
    const CK_BYTE* from = packed.take(length);
    // The value of an array of attributes holds pointers, which nobody outside can make.
    if ((type & CKF_ARRAY_ATTRIBUTE) != 0 && type != CKA_ALLOWED_MECHANISMS) refuse("template has an array of attributes");
    CK_BYTE* to = into.values.data() + at;
    std::memcpy(to, from, length);
    into.attributes.push_back({type, length > 0 ? to : nullptr, length});
    at += (length + 7) & ~size_t{7};
  }
  packed.end();
}

void readTypes(napi_env env, napi_value value, std::vector<CK_ATTRIBUTE_TYPE>& into) {
  const uint32_t count = js::lengthOf(env, value, "the list of attribute types");
  if (count > kMostItems) refuse("too many attribute types");
  for (uint32_t i = 0; i < count; i++) into.push_back(toULong(env, js::get(env, value, i), "an attribute type"));
}

bool isCryptographic(Operation operation) {
  switch (operation) {
    case Operation::encrypt:
    case Operation::decrypt:
    case Operation::sign:
    case Operation::verify:
    case Operation::digest:
    case Operation::seal:
      return true;
    default:
      return false;
  }
}

PinObject& toPin(napi_env env, napi_value value) {
  PinObject* pin = PinObject::from(env, value);
  if (pin == nullptr) refuse("pin is no Pin");
  if (!pin->secret()) refuse("the pin has been wiped");
  return *pin;
}

// `fourth`: the signature to verify, or the PIN of a key that wants one: null where the token asks for it itself.
void readStep(napi_env env, napi_value mechanism, napi_value key, napi_value data, napi_value fourth, Step& step) {
  readMechanism(env, mechanism, step.mechanism);
  step.key = step.operation == Operation::digest ? 0 : toULong(env, key, "key");
  readBytes(env, data, "data", step.data);
  if (step.operation == Operation::verify) readBytes(env, fourth, "signature", step.signature);
  const bool takesPin = step.operation == Operation::sign || step.operation == Operation::decrypt;
  step.logsIn = takesPin && js::typeOf(env, fourth) != napi_undefined;
  if (step.logsIn && js::typeOf(env, fourth) != napi_null) step.pin = toPin(env, fourth).secret();
}

void readItem(napi_env env, napi_value item, Step& step) {
  js::lengthOf(env, item, "an item of a batch");
  const CK_ULONG operation = toULong(env, js::get(env, item, 0U), "an item's operation");
  if (operation >= static_cast<CK_ULONG>(Operation::count) || !isCryptographic(static_cast<Operation>(operation))) {
    refuse("an item of a batch is no cryptographic operation");
  }
  step.operation = static_cast<Operation>(operation);
  readStep(env, js::get(env, item, 1U), js::get(env, item, 2U), js::get(env, item, 3U), js::get(env, item, 4U), step);
}

void readBatch(napi_env env, napi_value items, Job& job) {
  const uint32_t count = js::lengthOf(env, items, "a batch");
  if (count > kMostItems) refuse("a batch has too many items");
  auto& steps = job.more().steps;
  steps = std::vector<Step>(count);
  for (uint32_t i = 0; i < count; i++) {
    napi_handle_scope scope = nullptr;
    if (napi_open_handle_scope(env, &scope) != napi_ok) throw js::Pending();
    try {
      readItem(env, js::get(env, items, i), steps[i]);
    } catch (...) {
      napi_close_handle_scope(env, scope);
      throw;
    }
    napi_close_handle_scope(env, scope);
  }
}

}  // namespace

void readArguments(napi_env env, const napi_value* arguments, size_t count, Job& job) {
  auto argument = [&](size_t index) { return index < count ? arguments[index] : js::undefined(env); };
  Step& step = job.step;
  step.operation = job.operation;
  if (isCryptographic(job.operation)) {
    const bool digests = job.operation == Operation::digest;
    return readStep(env, argument(0), argument(1), argument(digests ? 1 : 2), argument(3), step);
  }
  switch (job.operation) {
    case Operation::load:
      job.more().path = js::text(env, argument(0), "path");
      if (js::typeOf(env, argument(1)) != napi_undefined) job.more().initializeArgs = js::text(env, argument(1), "initializeArgs");
      break;
    case Operation::inspect:
      job.more().wantsMechanisms = js::typeOf(env, argument(0)) == napi_undefined || toULong(env, argument(0), "mechanisms") != 0;
      break;
    case Operation::openSession:
      job.more().number = toULong(env, argument(0), "slot");
      job.more().flags = toULong(env, argument(1), "flags");
      break;
    case Operation::login:
      job.more().number = toULong(env, argument(0), "user type");
      if (js::typeOf(env, argument(1)) != napi_null) job.more().pin = toPin(env, argument(1)).secret();
      break;
    case Operation::loadPin: {
      PinObject& pin = toPin(env, argument(0));
      job.more().path = pin.file();
      job.more().pin = pin.secret();
      break;
    }
    case Operation::reinitialize:
      job.more().number = toULong(env, argument(0), "milliseconds");
      job.more().flags = toULong(env, argument(1), "even if shared");
      break;
    case Operation::tokenInfo:
      job.more().number = toULong(env, argument(0), "slot");
      break;
    case Operation::find:
      readTemplate(env, argument(0), job.more().first);
      job.more().number = toULong(env, argument(1), "count");
      job.more().wantsAttributes = js::typeOf(env, argument(2)) != napi_null;
      if (job.more().wantsAttributes) readTypes(env, argument(2), job.more().types);
      break;
    case Operation::getAttributes:
      job.more().object = toULong(env, argument(0), "object");
      readTypes(env, argument(1), job.more().types);
      break;
    case Operation::setAttributes:
    case Operation::copyObject:
      job.more().object = toULong(env, argument(0), "object");
      readTemplate(env, argument(1), job.more().first);
      break;
    case Operation::createObject:
      readTemplate(env, argument(0), job.more().first);
      break;
    case Operation::destroyObject:
      job.more().object = toULong(env, argument(0), "object");
      break;
    case Operation::generateKey:
      readMechanism(env, argument(0), step.mechanism);
      readTemplate(env, argument(1), job.more().first);
      break;
    case Operation::generateKeyPair:
      readMechanism(env, argument(0), step.mechanism);
      readTemplate(env, argument(1), job.more().first);
      readTemplate(env, argument(2), job.more().second);
      break;
    case Operation::wrapKey:
      readMechanism(env, argument(0), step.mechanism);
      step.key = toULong(env, argument(1), "wrapping key");
      job.more().object = toULong(env, argument(2), "key");
      break;
    case Operation::unwrapKey:
      readMechanism(env, argument(0), step.mechanism);
      step.key = toULong(env, argument(1), "unwrapping key");
      readBytes(env, argument(2), "wrapped key", step.data);
      readTemplate(env, argument(3), job.more().first);
      break;
    case Operation::deriveKey:
      readMechanism(env, argument(0), step.mechanism);
      step.key = toULong(env, argument(1), "base key");
      readTemplate(env, argument(2), job.more().first);
      break;
    case Operation::generateRandom:
      job.more().number = toULong(env, argument(0), "length");
      if (job.details->number > kLongestRandom) refuse("length is over 64 MiB");
      break;
    case Operation::seedRandom:
      readBytes(env, argument(0), "seed", step.data);
      break;
    case Operation::batch:
      readBatch(env, argument(0), job);
      break;
    default:
      break;  // those that take none
  }
}

}  // namespace pkcs11_pool
