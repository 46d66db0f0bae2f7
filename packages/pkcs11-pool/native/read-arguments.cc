#include <climits>
#include <cmath>

#include "marshal.h"
#include "pin-object.h"

namespace pkcs11_pool {

namespace {

constexpr double kLargestExact = 9007199254740991.0;  // 2^53 - 1
constexpr CK_ULONG kLongestRandom = CK_ULONG{64} << 20;
constexpr size_t kMostItems = 100'000;

[[noreturn]] void refuse(Napi::Env env, const std::string& message) { throw Napi::TypeError::New(env, message); }

CK_ULONG toULong(const Napi::Value& value, const char* name) {
  if (value.IsNumber()) {
    const double number = value.As<Napi::Number>().DoubleValue();
    if (number >= 0 && number <= kLargestExact && std::trunc(number) == number && number <= static_cast<double>(ULONG_MAX)) {
      return static_cast<CK_ULONG>(number);
    }
  } else if (value.IsBigInt()) {
    bool lossless = false;
    const uint64_t number = value.As<Napi::BigInt>().Uint64Value(&lossless);
    if (lossless && number <= ULONG_MAX) return static_cast<CK_ULONG>(number);
  }
  refuse(value.Env(), std::string(name) + " is no unsigned integer");
}

struct View {
  const CK_BYTE* data;
  size_t size;
};

View toView(const Napi::Value& value, const char* name) {
  napi_typedarray_type type;
  size_t length = 0;
  void* data = nullptr;
  if (!value.IsTypedArray() ||
      napi_get_typedarray_info(value.Env(), value, &type, &length, &data, nullptr, nullptr) != napi_ok || type != napi_uint8_array) {
    refuse(value.Env(), std::string(name) + " is no Uint8Array");
  }
  return {static_cast<const CK_BYTE*>(data), length};
}

void readBytes(const Napi::Value& value, const char* name, Bytes& into) {
  const View view = toView(value, name);
  into.assign(view.data, view.size);
}

// Reads little-endian fields of a packed mechanism or template.
class Unpacker {
 public:
  Unpacker(Napi::Env env, View view, const char* name) : env_(env), view_(view), name_(name) {}

  CK_ULONG number(size_t width) {
    const CK_BYTE* from = take(width);
    uint64_t value = 0;
    for (size_t i = width; i > 0; i--) value = value << 8 | from[i - 1];
    if (value > ULONG_MAX) refuse(env_, std::string(name_) + " holds a number that is too large for this machine");
    return static_cast<CK_ULONG>(value);
  }

  const CK_BYTE* take(size_t length) {
    if (length > view_.size - at_) refuse(env_, std::string(name_) + " is cut short");
    const CK_BYTE* from = view_.data + at_;
    at_ += length;
    return from;
  }

  void end() {
    if (at_ != view_.size) refuse(env_, std::string(name_) + " has bytes left over");
  }

 private:
  Napi::Env env_;
  View view_;
  const char* name_;
  size_t at_ = 0;
};

enum class ParameterKind { none, bytes, gcm, ctr, oaep, pss, ecdh1, ccm, stringData, cbc16Data, cbc8Data, number };

CK_BYTE* dataOrNull(Bytes& bytes) { return bytes.size() > 0 ? bytes.data() : nullptr; }

template <typename Parameters>
void pointAt(Mechanism& mechanism, Parameters& parameters) {
  mechanism.value.pParameter = &parameters;
  mechanism.value.ulParameterLen = sizeof(parameters);
}

void readMechanism(const Napi::Value& value, Mechanism& mechanism) {
  Napi::Env env = value.Env();
  Unpacker packed(env, toView(value, "mechanism"), "mechanism");
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

  auto& parameter = mechanism.parameter;
  auto requireA = [&](size_t length) {
    if (a.size() != length) refuse(env, "mechanism has " + std::to_string(a.size()) + " bytes where " + std::to_string(length) + " belong");
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
  refuse(env, "mechanism is of an unknown kind");
}

void readTemplate(const Napi::Value& value, Template& into) {
  const View view = toView(value, "template");
  Unpacker packed(value.Env(), view, "template");
  const size_t count = packed.number(4);
  // Each value starts at a multiple of 8: modules read numbers in place. An attribute's own fields leave room for that.
  into.values.allocate(view.size + 8);
  into.attributes.reserve(std::min(count, view.size / 12));
  size_t at = 0;
  for (size_t i = 0; i < count; i++) {
    const CK_ATTRIBUTE_TYPE type = packed.number(8);
    const size_t length = packed.number(4);
    const CK_BYTE* from = packed.take(length);
    CK_BYTE* to = into.values.data() + at;
    std::memcpy(to, from, length);
    into.attributes.push_back({type, length > 0 ? to : nullptr, length});
    at += (length + 7) & ~size_t{7};
  }
  packed.end();
}

void readTypes(const Napi::Value& value, std::vector<CK_ATTRIBUTE_TYPE>& into) {
  if (!value.IsArray()) refuse(value.Env(), "attribute types are no array");
  Napi::Array types = value.As<Napi::Array>();
  const uint32_t count = types.Length();
  if (count > kMostItems) refuse(value.Env(), "too many attribute types");
  for (uint32_t i = 0; i < count; i++) into.push_back(toULong(types.Get(i), "an attribute type"));
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

void readStep(const Napi::Value& mechanism, const Napi::Value& key, const Napi::Value& data, const Napi::Value& signature, Step& step) {
  readMechanism(mechanism, step.mechanism);
  step.key = step.operation == Operation::digest ? 0 : toULong(key, "key");
  readBytes(data, "data", step.data);
  if (step.operation == Operation::verify) readBytes(signature, "signature", step.signature);
}

void readBatch(const Napi::Value& value, Job& job) {
  Napi::Env env = value.Env();
  if (!value.IsArray()) refuse(env, "a batch is no array");
  Napi::Array items = value.As<Napi::Array>();
  const uint32_t count = items.Length();
  if (count > kMostItems) refuse(env, "a batch has too many items");
  auto& steps = job.more().steps;
  steps = std::vector<Step>(count);
  for (uint32_t i = 0; i < count; i++) {
    Napi::HandleScope scope(env);
    Napi::Value item = items.Get(i);
    if (!item.IsArray()) refuse(env, "an item of a batch is no array");
    Napi::Array fields = item.As<Napi::Array>();
    const CK_ULONG operation = toULong(fields.Get(0U), "an item's operation");
    if (operation >= static_cast<CK_ULONG>(Operation::count) || !isCryptographic(static_cast<Operation>(operation)) ||
        static_cast<Operation>(operation) == Operation::seal) {
      refuse(env, "an item of a batch is no cryptographic operation");
    }
    steps[i].operation = static_cast<Operation>(operation);
    readStep(fields.Get(1U), fields.Get(2U), fields.Get(3U), fields.Get(4U), steps[i]);
  }
}

PinObject& toPin(const Napi::Value& value) {
  PinObject* pin = PinObject::from(value);
  if (pin == nullptr) refuse(value.Env(), "pin is no Pin");
  if (!pin->secret()) refuse(value.Env(), "the pin has been wiped");
  return *pin;
}

}  // namespace

void readArguments(Napi::Env env, const Napi::Value* arguments, size_t count, Job& job) {
  auto argument = [&](size_t index) { return index < count ? arguments[index] : env.Undefined(); };
  Step& step = job.step;
  step.operation = job.operation;
  if (isCryptographic(job.operation)) {
    const bool digests = job.operation == Operation::digest;
    return readStep(argument(0), argument(1), argument(digests ? 1 : 2), argument(3), step);
  }
  switch (job.operation) {
    case Operation::load:
      if (!argument(0).IsString()) refuse(env, "path is no string");
      job.more().path = argument(0).As<Napi::String>().Utf8Value();
      break;
    case Operation::inspect:
      job.more().wantsMechanisms = argument(0).IsUndefined() || toULong(argument(0), "mechanisms") != 0;
      break;
    case Operation::openSession:
      job.more().number = toULong(argument(0), "slot");
      job.more().flags = toULong(argument(1), "flags");
      break;
    case Operation::login:
      job.more().number = toULong(argument(0), "user type");
      if (!argument(1).IsNull()) job.more().pin = toPin(argument(1)).secret();
      break;
    case Operation::loadPin: {
      PinObject& pin = toPin(argument(0));
      job.more().path = pin.file();
      job.more().pin = pin.secret();
      break;
    }
    case Operation::tokenInfo:
      job.more().number = toULong(argument(0), "slot");
      break;
    case Operation::find:
      readTemplate(argument(0), job.more().first);
      job.more().number = toULong(argument(1), "count");
      job.more().wantsAttributes = !argument(2).IsNull();
      if (job.more().wantsAttributes) readTypes(argument(2), job.more().types);
      break;
    case Operation::getAttributes:
      job.more().object = toULong(argument(0), "object");
      readTypes(argument(1), job.more().types);
      break;
    case Operation::setAttributes:
    case Operation::copyObject:
      job.more().object = toULong(argument(0), "object");
      readTemplate(argument(1), job.more().first);
      break;
    case Operation::createObject:
      readTemplate(argument(0), job.more().first);
      break;
    case Operation::destroyObject:
      job.more().object = toULong(argument(0), "object");
      break;
    case Operation::generateKey:
      readMechanism(argument(0), step.mechanism);
      readTemplate(argument(1), job.more().first);
      break;
    case Operation::generateKeyPair:
      readMechanism(argument(0), step.mechanism);
      readTemplate(argument(1), job.more().first);
      readTemplate(argument(2), job.more().second);
      break;
    case Operation::wrapKey:
      readMechanism(argument(0), step.mechanism);
      step.key = toULong(argument(1), "wrapping key");
      job.more().object = toULong(argument(2), "key");
      break;
    case Operation::unwrapKey:
      readMechanism(argument(0), step.mechanism);
      step.key = toULong(argument(1), "unwrapping key");
      readBytes(argument(2), "wrapped key", step.data);
      readTemplate(argument(3), job.more().first);
      break;
    case Operation::deriveKey:
      readMechanism(argument(0), step.mechanism);
      step.key = toULong(argument(1), "base key");
      readTemplate(argument(2), job.more().first);
      break;
    case Operation::generateRandom:
      job.more().number = toULong(argument(0), "length");
      if (job.details->number > kLongestRandom) refuse(env, "length is over 64 MiB");
      break;
    case Operation::seedRandom:
      readBytes(argument(0), "seed", step.data);
      break;
    case Operation::batch:
      readBatch(argument(0), job);
      break;
    default:
      break;  // those that take none
  }
}

}  // namespace pkcs11_pool
