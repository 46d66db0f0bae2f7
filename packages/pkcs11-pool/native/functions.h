// Which C_ function a return value came from: an index that TypeScript turns back into the name.
#pragma once

#include <cstddef>

#include "cryptoki.h"

namespace pkcs11_pool {

#define PKCS11_POOL_ENUM(name, parameters) name,
enum class Fn : int { none, CRYPTOKI_2_40_FUNCTIONS(PKCS11_POOL_ENUM) CRYPTOKI_3_0_FUNCTIONS(PKCS11_POOL_ENUM) count };
#undef PKCS11_POOL_ENUM

#define PKCS11_POOL_NAME(name, parameters) #name,
inline constexpr const char* kFunctionNames[] = {
    "", CRYPTOKI_2_40_FUNCTIONS(PKCS11_POOL_NAME) CRYPTOKI_3_0_FUNCTIONS(PKCS11_POOL_NAME)};
#undef PKCS11_POOL_NAME

static_assert(sizeof(kFunctionNames) / sizeof(kFunctionNames[0]) == static_cast<size_t>(Fn::count));

}  // namespace pkcs11_pool
