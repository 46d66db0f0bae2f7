/* Puts many AES-256 keys on a token, labelled PREFIX0, PREFIX1, and so on, with the number as a 4-byte CKA_ID.
 *
 *   fill --module FILE --token LABEL --pin-file FILE --prefix PREFIX --count N
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "token.h"

int main(int argc, char **argv) {
  token t = open_token(argc, argv);
  const char *prefix = option(argc, argv, "--prefix", NULL);
  unsigned long count = strtoul(option(argc, argv, "--count", NULL), NULL, 10);
  CK_SESSION_HANDLE session = open_session(&t, CKF_RW_SESSION);

  CK_MECHANISM mechanism = {CKM_AES_KEY_GEN, NULL, 0};
  CK_ULONG class = CKO_SECRET_KEY, type = CKK_AES, bytes = 32;
  CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
  for (unsigned long i = 0; i < count; i++) {
    char label[64];
    int length = snprintf(label, sizeof label, "%s%lu", prefix, i);
    CK_BYTE id[4] = {(CK_BYTE)(i >> 24), (CK_BYTE)(i >> 16), (CK_BYTE)(i >> 8), (CK_BYTE)i};
    CK_ATTRIBUTE attributes[] = {
        {CKA_CLASS, &class, sizeof class},    {CKA_KEY_TYPE, &type, sizeof type}, {CKA_VALUE_LEN, &bytes, sizeof bytes},
        {CKA_TOKEN, &yes, sizeof yes},        {CKA_PRIVATE, &yes, sizeof yes},    {CKA_SENSITIVE, &yes, sizeof yes},
        {CKA_EXTRACTABLE, &no, sizeof no},    {CKA_ENCRYPT, &yes, sizeof yes},    {CKA_DECRYPT, &yes, sizeof yes},
        {CKA_LABEL, label, (CK_ULONG)length}, {CKA_ID, id, sizeof id},
    };
    CK_OBJECT_HANDLE key;
    check(t.p11->C_GenerateKey(session, &mechanism, attributes, sizeof attributes / sizeof *attributes, &key), "C_GenerateKey");
    if ((i + 1) % 1000 == 0) fprintf(stderr, "  %lu of %lu keys\n", i + 1, count);
  }
  check(t.p11->C_Finalize(NULL), "C_Finalize");
  return 0;
}
