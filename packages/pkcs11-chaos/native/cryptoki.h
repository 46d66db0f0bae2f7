// The binary interface of PKCS#11 2.40 and 3.0 as far as a module in between needs it: the two function lists, and the few structures it
// reads or changes. What it only hands on is a `void *`. Layout follows OASIS PKCS#11 3.0 "Base Specification" on Unix.
#pragma once

typedef unsigned char CK_BYTE;
typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_RV;
typedef CK_RV (*CK_NOTIFY)(CK_ULONG session, CK_ULONG event, void* application);

// Not looked into: a type of its own only to tell it from other pointers.
struct CK_MECHANISM;

struct CK_VERSION {
  CK_BYTE major, minor;
};

struct CK_SLOT_INFO {
  CK_BYTE slotDescription[64];
  CK_BYTE manufacturerID[32];
  CK_ULONG flags;
  CK_VERSION hardwareVersion, firmwareVersion;
};

struct CK_TOKEN_INFO {
  CK_BYTE label[32];
  CK_BYTE manufacturerID[32];
  CK_BYTE model[16];
  CK_BYTE serialNumber[16];
  CK_ULONG flags;
  CK_ULONG ulMaxSessionCount, ulSessionCount, ulMaxRwSessionCount, ulRwSessionCount;
  CK_ULONG ulMaxPinLen, ulMinPinLen;
  CK_ULONG ulTotalPublicMemory, ulFreePublicMemory, ulTotalPrivateMemory, ulFreePrivateMemory;
  CK_VERSION hardwareVersion, firmwareVersion;
  CK_BYTE utcTime[16];
};

struct CK_INTERFACE {
  char* pInterfaceName;
  void* pFunctionList;
  CK_ULONG flags;
};

// One line a function, in the order of the function lists: X(name, scope, family, phase, parameters). Everything that is done for each
// function is generated from it. `scope` is what the first parameter names, `family` and `phase` place it among the operations that a
// session carries from an Init to an end (see functions.h).
#define CRYPTOKI_2_40(X) \
  X(C_Initialize, free, none, other, (void* args)) \
  X(C_Finalize, library, none, other, (void* reserved)) \
  X(C_GetInfo, library, none, other, (void* info)) \
  X(C_GetFunctionList, free, none, other, (struct CK_FUNCTION_LIST * *list)) \
  X(C_GetSlotList, library, none, other, (CK_BYTE tokenPresent, CK_ULONG * slots, CK_ULONG * count)) \
  X(C_GetSlotInfo, slot, none, other, (CK_ULONG slot, CK_SLOT_INFO * info)) \
  X(C_GetTokenInfo, slot, none, other, (CK_ULONG slot, CK_TOKEN_INFO * info)) \
  X(C_GetMechanismList, slot, none, other, (CK_ULONG slot, CK_ULONG * types, CK_ULONG * count)) \
  X(C_GetMechanismInfo, slot, none, other, (CK_ULONG slot, CK_ULONG type, void* info)) \
  X(C_InitToken, slot, none, other, (CK_ULONG slot, CK_BYTE * pin, CK_ULONG pinLen, CK_BYTE * label)) \
  X(C_InitPIN, session, none, other, (CK_ULONG session, CK_BYTE * pin, CK_ULONG pinLen)) \
  X(C_SetPIN, session, none, other, \
    (CK_ULONG session, CK_BYTE * oldPin, CK_ULONG oldLen, CK_BYTE * newPin, CK_ULONG newLen)) \
  X(C_OpenSession, slot, none, other, \
    (CK_ULONG slot, CK_ULONG flags, void* application, CK_NOTIFY notify, CK_ULONG* session)) \
  X(C_CloseSession, session, none, other, (CK_ULONG session)) \
  X(C_CloseAllSessions, slot, none, other, (CK_ULONG slot)) \
  X(C_GetSessionInfo, session, none, other, (CK_ULONG session, void* info)) \
  X(C_GetOperationState, session, none, other, (CK_ULONG session, CK_BYTE * state, CK_ULONG * stateLen)) \
  X(C_SetOperationState, session, none, other, \
    (CK_ULONG session, CK_BYTE * state, CK_ULONG stateLen, CK_ULONG encryptionKey, CK_ULONG authenticationKey)) \
  X(C_Login, session, none, other, (CK_ULONG session, CK_ULONG user, CK_BYTE * pin, CK_ULONG pinLen)) \
  X(C_Logout, session, none, other, (CK_ULONG session)) \
  X(C_CreateObject, session, none, other, (CK_ULONG session, void* attributes, CK_ULONG count, CK_ULONG* object)) \
  X(C_CopyObject, session, none, other, \
    (CK_ULONG session, CK_ULONG object, void* attributes, CK_ULONG count, CK_ULONG* copy)) \
  X(C_DestroyObject, session, none, other, (CK_ULONG session, CK_ULONG object)) \
  X(C_GetObjectSize, session, none, other, (CK_ULONG session, CK_ULONG object, CK_ULONG * size)) \
  X(C_GetAttributeValue, session, none, other, (CK_ULONG session, CK_ULONG object, void* attributes, CK_ULONG count)) \
  X(C_SetAttributeValue, session, none, other, (CK_ULONG session, CK_ULONG object, void* attributes, CK_ULONG count)) \
  X(C_FindObjectsInit, session, find, init, (CK_ULONG session, void* attributes, CK_ULONG count)) \
  X(C_FindObjects, session, find, other, (CK_ULONG session, CK_ULONG * objects, CK_ULONG max, CK_ULONG * count)) \
  X(C_FindObjectsFinal, session, find, final, (CK_ULONG session)) \
  X(C_EncryptInit, session, encrypt, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_Encrypt, session, encrypt, once, (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_EncryptUpdate, session, encrypt, update, \
    (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_EncryptFinal, session, encrypt, final, (CK_ULONG session, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_DecryptInit, session, decrypt, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_Decrypt, session, decrypt, once, (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_DecryptUpdate, session, decrypt, update, \
    (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_DecryptFinal, session, decrypt, final, (CK_ULONG session, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_DigestInit, session, digest, init, (CK_ULONG session, CK_MECHANISM * mechanism)) \
  X(C_Digest, session, digest, once, (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_DigestUpdate, session, digest, update, (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen)) \
  X(C_DigestKey, session, digest, update, (CK_ULONG session, CK_ULONG key)) \
  X(C_DigestFinal, session, digest, final, (CK_ULONG session, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_SignInit, session, sign, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_Sign, session, sign, once, (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_SignUpdate, session, sign, update, (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen)) \
  X(C_SignFinal, session, sign, final, (CK_ULONG session, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_SignRecoverInit, session, signRecover, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_SignRecover, session, signRecover, once, \
    (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_VerifyInit, session, verify, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_Verify, session, verify, once, \
    (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * signature, CK_ULONG signatureLen)) \
  X(C_VerifyUpdate, session, verify, update, (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen)) \
  X(C_VerifyFinal, session, verify, final, (CK_ULONG session, CK_BYTE * signature, CK_ULONG signatureLen)) \
  X(C_VerifyRecoverInit, session, verifyRecover, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_VerifyRecover, session, verifyRecover, once, \
    (CK_ULONG session, CK_BYTE * signature, CK_ULONG signatureLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_DigestEncryptUpdate, session, none, other, \
    (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_DecryptDigestUpdate, session, none, other, \
    (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_SignEncryptUpdate, session, none, other, \
    (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_DecryptVerifyUpdate, session, none, other, \
    (CK_ULONG session, CK_BYTE * in, CK_ULONG inLen, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_GenerateKey, session, none, other, \
    (CK_ULONG session, CK_MECHANISM * mechanism, void* attributes, CK_ULONG count, CK_ULONG* key)) \
  X(C_GenerateKeyPair, session, none, other, \
    (CK_ULONG session, CK_MECHANISM * mechanism, void* publicAttributes, CK_ULONG publicCount, void* privateAttributes, \
     CK_ULONG privateCount, CK_ULONG* publicKey, CK_ULONG* privateKey)) \
  X(C_WrapKey, session, none, other, \
    (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG wrappingKey, CK_ULONG key, CK_BYTE * out, CK_ULONG * outLen)) \
  X(C_UnwrapKey, session, none, other, \
    (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG unwrappingKey, CK_BYTE * wrapped, CK_ULONG wrappedLen, \
     void* attributes, CK_ULONG count, CK_ULONG* key)) \
  X(C_DeriveKey, session, none, other, \
    (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG baseKey, void* attributes, CK_ULONG count, CK_ULONG* key)) \
  X(C_SeedRandom, session, none, other, (CK_ULONG session, CK_BYTE * seed, CK_ULONG seedLen)) \
  X(C_GenerateRandom, session, none, other, (CK_ULONG session, CK_BYTE * random, CK_ULONG randomLen)) \
  X(C_GetFunctionStatus, library, none, other, (CK_ULONG session)) \
  X(C_CancelFunction, library, none, other, (CK_ULONG session)) \
  X(C_WaitForSlotEvent, library, none, other, (CK_ULONG flags, CK_ULONG * slot, void* reserved))

// What 3.0 adds behind it. The messages of one Init may be many, so that only the Final ends them.
#define CRYPTOKI_3_0(X) \
  X(C_GetInterfaceList, free, none, other, (CK_INTERFACE * interfaces, CK_ULONG * count)) \
  X(C_GetInterface, free, none, other, (CK_BYTE * name, CK_VERSION * version, CK_INTERFACE * *interface, CK_ULONG flags)) \
  X(C_LoginUser, session, none, other, \
    (CK_ULONG session, CK_ULONG user, CK_BYTE * pin, CK_ULONG pinLen, CK_BYTE * name, CK_ULONG nameLen)) \
  X(C_SessionCancel, session, none, other, (CK_ULONG session, CK_ULONG flags)) \
  X(C_MessageEncryptInit, session, messageEncrypt, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_EncryptMessage, session, messageEncrypt, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* aad, CK_ULONG aadLen, CK_BYTE* in, CK_ULONG inLen, \
     CK_BYTE* out, CK_ULONG* outLen)) \
  X(C_EncryptMessageBegin, session, messageEncrypt, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* aad, CK_ULONG aadLen)) \
  X(C_EncryptMessageNext, session, messageEncrypt, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* in, CK_ULONG inLen, CK_BYTE* out, CK_ULONG* outLen, \
     CK_ULONG flags)) \
  X(C_MessageEncryptFinal, session, messageEncrypt, final, (CK_ULONG session)) \
  X(C_MessageDecryptInit, session, messageDecrypt, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_DecryptMessage, session, messageDecrypt, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* aad, CK_ULONG aadLen, CK_BYTE* in, CK_ULONG inLen, \
     CK_BYTE* out, CK_ULONG* outLen)) \
  X(C_DecryptMessageBegin, session, messageDecrypt, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* aad, CK_ULONG aadLen)) \
  X(C_DecryptMessageNext, session, messageDecrypt, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* in, CK_ULONG inLen, CK_BYTE* out, CK_ULONG* outLen, \
     CK_ULONG flags)) \
  X(C_MessageDecryptFinal, session, messageDecrypt, final, (CK_ULONG session)) \
  X(C_MessageSignInit, session, messageSign, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_SignMessage, session, messageSign, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* in, CK_ULONG inLen, CK_BYTE* out, CK_ULONG* outLen)) \
  X(C_SignMessageBegin, session, messageSign, other, (CK_ULONG session, void* parameter, CK_ULONG parameterLen)) \
  X(C_SignMessageNext, session, messageSign, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* in, CK_ULONG inLen, CK_BYTE* out, CK_ULONG* outLen)) \
  X(C_MessageSignFinal, session, messageSign, final, (CK_ULONG session)) \
  X(C_MessageVerifyInit, session, messageVerify, init, (CK_ULONG session, CK_MECHANISM * mechanism, CK_ULONG key)) \
  X(C_VerifyMessage, session, messageVerify, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* in, CK_ULONG inLen, CK_BYTE* signature, \
     CK_ULONG signatureLen)) \
  X(C_VerifyMessageBegin, session, messageVerify, other, (CK_ULONG session, void* parameter, CK_ULONG parameterLen)) \
  X(C_VerifyMessageNext, session, messageVerify, other, \
    (CK_ULONG session, void* parameter, CK_ULONG parameterLen, CK_BYTE* in, CK_ULONG inLen, CK_BYTE* signature, \
     CK_ULONG signatureLen)) \
  X(C_MessageVerifyFinal, session, messageVerify, final, (CK_ULONG session))

#define CRYPTOKI_MEMBER(name, scope, family, phase, parameters) CK_RV(*name) parameters;
struct CK_FUNCTION_LIST {
  CK_VERSION version;
  CRYPTOKI_2_40(CRYPTOKI_MEMBER)
};
// The 3.0 list begins like the one of 2.40.
struct CK_FUNCTION_LIST_3_0 : CK_FUNCTION_LIST {
  CRYPTOKI_3_0(CRYPTOKI_MEMBER)
};
#undef CRYPTOKI_MEMBER

constexpr CK_RV CKR_OK = 0x0;
constexpr CK_RV CKR_GENERAL_ERROR = 0x5;
constexpr CK_RV CKR_FUNCTION_FAILED = 0x6;
constexpr CK_RV CKR_ARGUMENTS_BAD = 0x7;
constexpr CK_RV CKR_DEVICE_REMOVED = 0x32;
constexpr CK_RV CKR_FUNCTION_NOT_SUPPORTED = 0x54;
constexpr CK_RV CKR_PIN_INCORRECT = 0xA0;
constexpr CK_RV CKR_PIN_INVALID = 0xA1;
constexpr CK_RV CKR_PIN_LEN_RANGE = 0xA2;
constexpr CK_RV CKR_PIN_EXPIRED = 0xA3;
constexpr CK_RV CKR_PIN_LOCKED = 0xA4;
constexpr CK_RV CKR_SESSION_COUNT = 0xB1;
constexpr CK_RV CKR_SESSION_HANDLE_INVALID = 0xB3;
constexpr CK_RV CKR_TOKEN_NOT_PRESENT = 0xE0;
constexpr CK_RV CKR_USER_ALREADY_LOGGED_IN = 0x100;
constexpr CK_RV CKR_USER_ANOTHER_ALREADY_LOGGED_IN = 0x104;
constexpr CK_RV CKR_BUFFER_TOO_SMALL = 0x150;
constexpr CK_RV CKR_CRYPTOKI_NOT_INITIALIZED = 0x190;
constexpr CK_RV CKR_CRYPTOKI_ALREADY_INITIALIZED = 0x191;

constexpr CK_ULONG CKF_TOKEN_PRESENT = 0x1;
