/* The binary interface of PKCS#11 2.40 as far as this library, its test modules and its benchmarks need it, and the head of the
 * 3.0 function list. Layout follows OASIS PKCS#11 2.40 "Base Specification" on Unix: CK_ULONG is an unsigned long, structures
 * have the machine's own alignment. Plain C, so that C programs of this repository can use it too. */
#ifndef PKCS11_POOL_CRYPTOKI_H
#define PKCS11_POOL_CRYPTOKI_H

#ifdef __cplusplus
extern "C" {
#endif

typedef unsigned char CK_BYTE;
typedef CK_BYTE CK_BBOOL;
typedef unsigned long CK_ULONG;
typedef CK_ULONG CK_FLAGS;
typedef CK_ULONG CK_RV;
typedef CK_ULONG CK_SLOT_ID;
typedef CK_ULONG CK_SESSION_HANDLE;
typedef CK_ULONG CK_OBJECT_HANDLE;
typedef CK_ULONG CK_USER_TYPE;
typedef CK_ULONG CK_STATE;
typedef CK_ULONG CK_MECHANISM_TYPE;
typedef CK_ULONG CK_ATTRIBUTE_TYPE;
typedef CK_ULONG CK_NOTIFICATION;

typedef struct { CK_BYTE major, minor; } CK_VERSION;

typedef struct {
  CK_VERSION cryptokiVersion;
  CK_BYTE manufacturerID[32];
  CK_FLAGS flags;
  CK_BYTE libraryDescription[32];
  CK_VERSION libraryVersion;
} CK_INFO;

typedef struct {
  CK_BYTE slotDescription[64];
  CK_BYTE manufacturerID[32];
  CK_FLAGS flags;
  CK_VERSION hardwareVersion;
  CK_VERSION firmwareVersion;
} CK_SLOT_INFO;

typedef struct {
  CK_BYTE label[32];
  CK_BYTE manufacturerID[32];
  CK_BYTE model[16];
  CK_BYTE serialNumber[16];
  CK_FLAGS flags;
  CK_ULONG ulMaxSessionCount;
  CK_ULONG ulSessionCount;
  CK_ULONG ulMaxRwSessionCount;
  CK_ULONG ulRwSessionCount;
  CK_ULONG ulMaxPinLen;
  CK_ULONG ulMinPinLen;
  CK_ULONG ulTotalPublicMemory;
  CK_ULONG ulFreePublicMemory;
  CK_ULONG ulTotalPrivateMemory;
  CK_ULONG ulFreePrivateMemory;
  CK_VERSION hardwareVersion;
  CK_VERSION firmwareVersion;
  CK_BYTE utcTime[16];
} CK_TOKEN_INFO;

typedef struct {
  CK_SLOT_ID slotID;
  CK_STATE state;
  CK_FLAGS flags;
  CK_ULONG ulDeviceError;
} CK_SESSION_INFO;

typedef struct {
  CK_ULONG ulMinKeySize;
  CK_ULONG ulMaxKeySize;
  CK_FLAGS flags;
} CK_MECHANISM_INFO;

typedef struct {
  CK_ATTRIBUTE_TYPE type;
  void *pValue;
  CK_ULONG ulValueLen;
} CK_ATTRIBUTE;

typedef struct {
  CK_MECHANISM_TYPE mechanism;
  void *pParameter;
  CK_ULONG ulParameterLen;
} CK_MECHANISM;

typedef struct {
  CK_BYTE *pIv;
  CK_ULONG ulIvLen;
  CK_ULONG ulIvBits;
  CK_BYTE *pAAD;
  CK_ULONG ulAADLen;
  CK_ULONG ulTagBits;
} CK_GCM_PARAMS;

typedef struct {
  CK_ULONG ulDataLen;
  CK_BYTE *pNonce;
  CK_ULONG ulNonceLen;
  CK_BYTE *pAAD;
  CK_ULONG ulAADLen;
  CK_ULONG ulMACLen;
} CK_CCM_PARAMS;

typedef struct {
  CK_ULONG ulCounterBits;
  CK_BYTE cb[16];
} CK_AES_CTR_PARAMS;

typedef struct {
  CK_MECHANISM_TYPE hashAlg;
  CK_ULONG mgf;
  CK_ULONG source;
  void *pSourceData;
  CK_ULONG ulSourceDataLen;
} CK_RSA_PKCS_OAEP_PARAMS;

typedef struct {
  CK_MECHANISM_TYPE hashAlg;
  CK_ULONG mgf;
  CK_ULONG sLen;
} CK_RSA_PKCS_PSS_PARAMS;

typedef struct {
  CK_ULONG kdf;
  CK_ULONG ulSharedDataLen;
  CK_BYTE *pSharedData;
  CK_ULONG ulPublicDataLen;
  CK_BYTE *pPublicData;
} CK_ECDH1_DERIVE_PARAMS;

typedef struct {
  CK_BYTE *pData;
  CK_ULONG ulLen;
} CK_KEY_DERIVATION_STRING_DATA;

typedef struct {
  CK_BYTE iv[16];
  CK_BYTE *pData;
  CK_ULONG length;
} CK_AES_CBC_ENCRYPT_DATA_PARAMS;

typedef struct {
  CK_BYTE iv[8];
  CK_BYTE *pData;
  CK_ULONG length;
} CK_DES_CBC_ENCRYPT_DATA_PARAMS;

typedef CK_RV (*CK_NOTIFY)(CK_SESSION_HANDLE, CK_NOTIFICATION, void *);

typedef struct {
  CK_RV (*CreateMutex)(void **);
  CK_RV (*DestroyMutex)(void *);
  CK_RV (*LockMutex)(void *);
  CK_RV (*UnlockMutex)(void *);
  CK_FLAGS flags;
  void *pReserved;
} CK_C_INITIALIZE_ARGS;

typedef struct {
  char *pInterfaceName;
  void *pFunctionList;
  CK_FLAGS flags;
} CK_INTERFACE;

struct CK_FUNCTION_LIST;

/* One line a function, in the order of the function list: X(name, parameters). Every user of the list, the structure below and
 * the test modules, is generated from it. */
#define CRYPTOKI_2_40_FUNCTIONS(X) \
  X(C_Initialize, (void *initArgs)) \
  X(C_Finalize, (void *reserved)) \
  X(C_GetInfo, (CK_INFO *info)) \
  X(C_GetFunctionList, (struct CK_FUNCTION_LIST **list)) \
  X(C_GetSlotList, (CK_BBOOL tokenPresent, CK_SLOT_ID *slots, CK_ULONG *count)) \
  X(C_GetSlotInfo, (CK_SLOT_ID slot, CK_SLOT_INFO *info)) \
  X(C_GetTokenInfo, (CK_SLOT_ID slot, CK_TOKEN_INFO *info)) \
  X(C_GetMechanismList, (CK_SLOT_ID slot, CK_MECHANISM_TYPE *types, CK_ULONG *count)) \
  X(C_GetMechanismInfo, (CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)) \
  X(C_InitToken, (CK_SLOT_ID slot, CK_BYTE *pin, CK_ULONG pinLen, CK_BYTE *label)) \
  X(C_InitPIN, (CK_SESSION_HANDLE session, CK_BYTE *pin, CK_ULONG pinLen)) \
  X(C_SetPIN, (CK_SESSION_HANDLE session, CK_BYTE *oldPin, CK_ULONG oldLen, CK_BYTE *newPin, CK_ULONG newLen)) \
  X(C_OpenSession, (CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session)) \
  X(C_CloseSession, (CK_SESSION_HANDLE session)) \
  X(C_CloseAllSessions, (CK_SLOT_ID slot)) \
  X(C_GetSessionInfo, (CK_SESSION_HANDLE session, CK_SESSION_INFO *info)) \
  X(C_GetOperationState, (CK_SESSION_HANDLE session, CK_BYTE *state, CK_ULONG *stateLen)) \
  X(C_SetOperationState, (CK_SESSION_HANDLE session, CK_BYTE *state, CK_ULONG stateLen, CK_OBJECT_HANDLE encryptionKey, \
                          CK_OBJECT_HANDLE authenticationKey)) \
  X(C_Login, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG pinLen)) \
  X(C_Logout, (CK_SESSION_HANDLE session)) \
  X(C_CreateObject, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *object)) \
  X(C_CopyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes, CK_ULONG count, \
                   CK_OBJECT_HANDLE *copy)) \
  X(C_DestroyObject, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object)) \
  X(C_GetObjectSize, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ULONG *size)) \
  X(C_GetAttributeValue, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes, CK_ULONG count)) \
  X(C_SetAttributeValue, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE object, CK_ATTRIBUTE *attributes, CK_ULONG count)) \
  X(C_FindObjectsInit, (CK_SESSION_HANDLE session, CK_ATTRIBUTE *attributes, CK_ULONG count)) \
  X(C_FindObjects, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE *objects, CK_ULONG max, CK_ULONG *count)) \
  X(C_FindObjectsFinal, (CK_SESSION_HANDLE session)) \
  X(C_EncryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
  X(C_Encrypt, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_EncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_EncryptFinal, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_DecryptInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
  X(C_Decrypt, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_DecryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_DecryptFinal, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_DigestInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism)) \
  X(C_Digest, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_DigestUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen)) \
  X(C_DigestKey, (CK_SESSION_HANDLE session, CK_OBJECT_HANDLE key)) \
  X(C_DigestFinal, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_SignInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
  X(C_Sign, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_SignUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen)) \
  X(C_SignFinal, (CK_SESSION_HANDLE session, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_SignRecoverInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
  X(C_SignRecover, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_VerifyInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
  X(C_Verify, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *signature, CK_ULONG signatureLen)) \
  X(C_VerifyUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen)) \
  X(C_VerifyFinal, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signatureLen)) \
  X(C_VerifyRecoverInit, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE key)) \
  X(C_VerifyRecover, (CK_SESSION_HANDLE session, CK_BYTE *signature, CK_ULONG signatureLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_DigestEncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_DecryptDigestUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_SignEncryptUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_DecryptVerifyUpdate, (CK_SESSION_HANDLE session, CK_BYTE *in, CK_ULONG inLen, CK_BYTE *out, CK_ULONG *outLen)) \
  X(C_GenerateKey, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *attributes, CK_ULONG count, \
                    CK_OBJECT_HANDLE *key)) \
  X(C_GenerateKeyPair, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_ATTRIBUTE *publicAttributes, CK_ULONG publicCount, \
                        CK_ATTRIBUTE *privateAttributes, CK_ULONG privateCount, CK_OBJECT_HANDLE *publicKey, \
                        CK_OBJECT_HANDLE *privateKey)) \
  X(C_WrapKey, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE wrappingKey, CK_OBJECT_HANDLE key, \
                CK_BYTE *wrapped, CK_ULONG *wrappedLen)) \
  X(C_UnwrapKey, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE unwrappingKey, CK_BYTE *wrapped, \
                  CK_ULONG wrappedLen, CK_ATTRIBUTE *attributes, CK_ULONG count, CK_OBJECT_HANDLE *key)) \
  X(C_DeriveKey, (CK_SESSION_HANDLE session, CK_MECHANISM *mechanism, CK_OBJECT_HANDLE baseKey, CK_ATTRIBUTE *attributes, \
                  CK_ULONG count, CK_OBJECT_HANDLE *key)) \
  X(C_SeedRandom, (CK_SESSION_HANDLE session, CK_BYTE *seed, CK_ULONG seedLen)) \
  X(C_GenerateRandom, (CK_SESSION_HANDLE session, CK_BYTE *random, CK_ULONG randomLen)) \
  X(C_GetFunctionStatus, (CK_SESSION_HANDLE session)) \
  X(C_CancelFunction, (CK_SESSION_HANDLE session)) \
  X(C_WaitForSlotEvent, (CK_FLAGS flags, CK_SLOT_ID *slot, void *reserved))

/* The first of the functions that 3.0 adds behind the 2.40 list; the message functions after them are not used here. */
#define CRYPTOKI_3_0_FUNCTIONS(X) \
  X(C_GetInterfaceList, (CK_INTERFACE *interfaces, CK_ULONG *count)) \
  X(C_GetInterface, (CK_BYTE *name, CK_VERSION *version, CK_INTERFACE **interface, CK_FLAGS flags)) \
  X(C_LoginUser, (CK_SESSION_HANDLE session, CK_USER_TYPE user, CK_BYTE *pin, CK_ULONG pinLen, CK_BYTE *name, CK_ULONG nameLen)) \
  X(C_SessionCancel, (CK_SESSION_HANDLE session, CK_FLAGS flags))

#define CRYPTOKI_MEMBER(name, parameters) CK_RV(*name) parameters;
typedef struct CK_FUNCTION_LIST {
  CK_VERSION version;
  CRYPTOKI_2_40_FUNCTIONS(CRYPTOKI_MEMBER)
} CK_FUNCTION_LIST;

typedef struct CK_FUNCTION_LIST_3_0 {
  CK_VERSION version;
  CRYPTOKI_2_40_FUNCTIONS(CRYPTOKI_MEMBER)
  CRYPTOKI_3_0_FUNCTIONS(CRYPTOKI_MEMBER)
} CK_FUNCTION_LIST_3_0;
#undef CRYPTOKI_MEMBER

/* Return values that the engine itself must tell apart; all others are named in src/pkcs11/return-values.ts. */
#define CKR_OK 0x00000000UL
#define CKR_HOST_MEMORY 0x00000002UL
#define CKR_GENERAL_ERROR 0x00000005UL
#define CKR_FUNCTION_FAILED 0x00000006UL
#define CKR_ARGUMENTS_BAD 0x00000007UL
#define CKR_ATTRIBUTE_SENSITIVE 0x00000011UL
#define CKR_ATTRIBUTE_TYPE_INVALID 0x00000012UL
#define CKR_DEVICE_REMOVED 0x00000032UL
#define CKR_FUNCTION_NOT_SUPPORTED 0x00000054UL
#define CKR_KEY_TYPE_INCONSISTENT 0x00000063UL
#define CKR_OPERATION_ACTIVE 0x00000090UL
#define CKR_SESSION_CLOSED 0x000000B0UL
#define CKR_SESSION_HANDLE_INVALID 0x000000B3UL
#define CKR_TOKEN_NOT_PRESENT 0x000000E0UL
#define CKR_BUFFER_TOO_SMALL 0x00000150UL
#define CKR_CRYPTOKI_NOT_INITIALIZED 0x00000190UL
#define CKR_CRYPTOKI_ALREADY_INITIALIZED 0x00000191UL

#define CKF_OS_LOCKING_OK 0x00000002UL
#define CKF_TOKEN_PRESENT 0x00000001UL
#define CKF_RW_SESSION 0x00000002UL
#define CKF_SERIAL_SESSION 0x00000004UL
#define CKF_ENCRYPT 0x00000100UL
#define CKF_DECRYPT 0x00000200UL
#define CKF_DIGEST 0x00000400UL
#define CKF_SIGN 0x00000800UL
#define CKF_VERIFY 0x00002000UL
#define CKF_FIND_OBJECTS 0x00000040UL

#define CKZ_DATA_SPECIFIED 0x00000001UL
#define CK_UNAVAILABLE_INFORMATION (~0UL)
#define CK_TRUE 1
#define CK_FALSE 0

#ifdef __cplusplus
}
#endif

#endif
