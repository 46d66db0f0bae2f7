// What the program gets in place of the real module's function lists.
#pragma once

#include "cryptoki.h"

namespace pkcs11_chaos {

CK_RV getFunctionList(CK_FUNCTION_LIST** list);
// The interface `PKCS 11` in 2.40 and, where the real module has it, 3.x. A vendor's own interfaces are not offered: what is called
// through them would not be seen.
CK_RV getInterfaceList(CK_INTERFACE* interfaces, CK_ULONG* count);
CK_RV getInterface(const CK_BYTE* name, const CK_VERSION* version, CK_INTERFACE** interface, CK_ULONG flags);

}  // namespace pkcs11_chaos
