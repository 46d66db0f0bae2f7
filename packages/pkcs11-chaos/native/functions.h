// The functions of PKCS#11 as numbers, and what each is to a session.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string_view>

#include "cryptoki.h"

namespace pkcs11_chaos {

#define CHAOS_NAME(name, scope, family, phase, parameters) name,
enum class Fn : int { CRYPTOKI_2_40(CHAOS_NAME) CRYPTOKI_3_0(CHAOS_NAME) count };
#undef CHAOS_NAME

constexpr size_t kFunctions = static_cast<size_t>(Fn::count);
constexpr size_t indexOf(Fn fn) { return static_cast<size_t>(fn); }

// What a function needs: nothing, a library that is initialised, and beyond that a slot or a session in its first parameter.
enum class Scope { free, library, slot, session };

// An operation that a session carries from its Init to its end.
enum class Family {
  none, find, encrypt, decrypt, digest, sign, signRecover, verify, verifyRecover, messageEncrypt, messageDecrypt, messageSign, messageVerify
};

// What a call does to it. `once` and `final` end it, unless they only ask for a length; so does an `update` that fails.
enum class Phase { other, init, update, once, final };

struct FunctionTraits {
  std::string_view name;
  Scope scope;
  Family family;
  Phase phase;
};

#define CHAOS_TRAITS(name, scope, family, phase, parameters) \
  FunctionTraits{#name, Scope::scope, Family::family, Phase::phase},
inline constexpr std::array<FunctionTraits, kFunctions> kTraits = {{CRYPTOKI_2_40(CHAOS_TRAITS) CRYPTOKI_3_0(CHAOS_TRAITS)}};
#undef CHAOS_TRAITS

constexpr const FunctionTraits& traitsOf(Fn fn) { return kTraits[indexOf(fn)]; }

inline std::optional<Fn> functionNamed(std::string_view name) {
  for (size_t i = 0; i < kFunctions; i++)
    if (kTraits[i].name == name) return static_cast<Fn>(i);
  return std::nullopt;
}

// The bit of an operation in a session's set of active ones.
constexpr unsigned bitOf(Family family) { return family == Family::none ? 0 : 1U << static_cast<unsigned>(family); }

}  // namespace pkcs11_chaos
