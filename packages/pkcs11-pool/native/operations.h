// Runs jobs against a module: every C_ function the library calls is called in operations.cc or crypto.cc. Decides nothing: a
// failure is reported with its CK_RV and the function it came from.
#pragma once

#include "job.h"
#include "module.h"

namespace pkcs11_pool {

// Where a job runs: the module's functions and the session, and where the function last called is noted.
struct CallSite {
  const CK_FUNCTION_LIST* functions;
  const CK_FUNCTION_LIST_3_0* functions3;
  CK_SESSION_HANDLE session;
};

// Any operation but load, unload and loadPin, which are not about an initialised module's functions.
void runOperation(const Module& module, Job& job);

// One cryptographic operation, Init and the one-shot call with as large a buffer as it turns out to need.
void runStep(const CallSite& site, Step& step);

// Ends an operation that is still active, so that the session can be used again; false where the module offers no way.
bool cancelOperation(const CallSite& site, CK_FLAGS kind);

// A module that claims to have written more than there was room for has written over our memory or lies: no such answer.
inline CK_RV believed(CK_RV rv, CK_ULONG length, CK_ULONG room) { return rv == CKR_OK && length > room ? CKR_GENERAL_ERROR : rv; }

CK_RV closeSession(const Module& module, CK_SESSION_HANDLE session);

// Does it say that the session it was made in is not there any more? Its handle may be another's by now.
bool saysSessionEnded(CK_RV rv);

// Has C_CloseSession left it open, as far as is known?
bool refusedToClose(CK_RV rv);

}  // namespace pkcs11_pool

// Calls a function of the list and notes its name in `noted`; modules leave what they do not have as null.
#define PKCS11_POOL_CALL(noted, list, name, ...) \
  ((noted) = Fn::name, (list)->name != nullptr ? (list)->name(__VA_ARGS__) : CKR_FUNCTION_NOT_SUPPORTED)
