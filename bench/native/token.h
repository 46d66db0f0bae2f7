/* What the benchmarks' C programs share: a module opened, a token chosen by its label, sessions that are logged in, keys found. */
#ifndef BENCH_TOKEN_H
#define BENCH_TOKEN_H

#include <stddef.h>

#include "cryptoki.h"

#define CKU_USER 1UL
#define CKO_PRIVATE_KEY 3UL
#define CKO_SECRET_KEY 4UL
#define CKK_AES 0x1fUL
#define CKA_CLASS 0x000UL
#define CKA_TOKEN 0x001UL
#define CKA_PRIVATE 0x002UL
#define CKA_LABEL 0x003UL
#define CKA_KEY_TYPE 0x100UL
#define CKA_ID 0x102UL
#define CKA_SENSITIVE 0x103UL
#define CKA_ENCRYPT 0x104UL
#define CKA_DECRYPT 0x105UL
#define CKA_VALUE_LEN 0x161UL
#define CKA_EXTRACTABLE 0x162UL
#define CKM_SHA256_RSA_PKCS 0x040UL
#define CKM_ECDSA 0x1041UL
#define CKM_AES_KEY_GEN 0x1080UL
#define CKM_AES_CBC_PAD 0x1085UL

typedef struct {
  CK_FUNCTION_LIST *p11;
  CK_SLOT_ID slot;
  char pin[256];
} token;

/* The value of `--name value` among the arguments, or the fallback; without a fallback its absence ends the program. */
const char *option(int argc, char **argv, const char *name, const char *fallback);

/* Ends the program with a message on stderr that names the function and its return value, unless rv is CKR_OK. */
void check(CK_RV rv, const char *fn);

/* Ends the program with a message on stderr. */
void fail(const char *format, ...);

/* Loads `--module`, initialises it, selects the token `--token` and reads its PIN from `--pin-file`. */
token open_token(int argc, char **argv);

/* Opens a session with these flags added to CKF_SERIAL_SESSION; the first one logs the whole program in. */
CK_SESSION_HANDLE open_session(token *t, CK_FLAGS flags);

/* The one key with the label and class; none or several end the program. */
CK_OBJECT_HANDLE find_key(token *t, CK_SESSION_HANDLE session, CK_ULONG class, const char *label);

#endif
