#include "token.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void fail(const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vfprintf(stderr, format, arguments);
  va_end(arguments);
  fputc('\n', stderr);
  exit(1);
}

void check(CK_RV rv, const char *fn) {
  if (rv != CKR_OK) fail("%s returned 0x%08lx, expected CKR_OK", fn, rv);
}

const char *option(int argc, char **argv, const char *name, const char *fallback) {
  for (int i = 1; i + 1 < argc; i++)
    if (strcmp(argv[i], name) == 0) return argv[i + 1];
  if (fallback == NULL) fail("%s is missing", name);
  return fallback;
}

static void read_pin(token *t, const char *path) {
  FILE *file = fopen(path, "r");
  if (file == NULL) fail("cannot read the PIN file %s", path);
  size_t length = fread(t->pin, 1, sizeof t->pin - 1, file);
  fclose(file);
  t->pin[length] = '\0';
  t->pin[strcspn(t->pin, "\r\n")] = '\0';
}

static void find_slot(token *t, const char *label) {
  CK_SLOT_ID slots[64];
  CK_ULONG count = sizeof slots / sizeof *slots;
  CK_BYTE padded[32];
  memset(padded, ' ', sizeof padded);
  memcpy(padded, label, strnlen(label, sizeof padded));
  check(t->p11->C_GetSlotList(CK_TRUE, slots, &count), "C_GetSlotList");
  for (CK_ULONG i = 0; i < count; i++) {
    CK_TOKEN_INFO info;
    if (t->p11->C_GetTokenInfo(slots[i], &info) != CKR_OK) continue;
    if (memcmp(info.label, padded, sizeof padded) != 0) continue;
    t->slot = slots[i];
    return;
  }
  fail("no token is labelled %s", label);
}

token open_token(int argc, char **argv) {
  token t = {0};
  const char *path = option(argc, argv, "--module", NULL);
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == NULL) fail("cannot load %s: %s", path, dlerror());
  CK_RV (*get_list)(CK_FUNCTION_LIST **) = (CK_RV(*)(CK_FUNCTION_LIST **))dlsym(library, "C_GetFunctionList");
  if (get_list == NULL) fail("%s has no C_GetFunctionList", path);
  check(get_list(&t.p11), "C_GetFunctionList");
  CK_C_INITIALIZE_ARGS arguments = {.flags = CKF_OS_LOCKING_OK};
  check(t.p11->C_Initialize(&arguments), "C_Initialize");
  read_pin(&t, option(argc, argv, "--pin-file", NULL));
  find_slot(&t, option(argc, argv, "--token", NULL));
  return t;
}

CK_SESSION_HANDLE open_session(token *t, CK_FLAGS flags) {
  static int logged_in = 0;
  CK_SESSION_HANDLE session;
  check(t->p11->C_OpenSession(t->slot, CKF_SERIAL_SESSION | flags, NULL, NULL, &session), "C_OpenSession");
  if (!logged_in) {
    check(t->p11->C_Login(session, CKU_USER, (CK_BYTE *)t->pin, strlen(t->pin)), "C_Login");
    logged_in = 1;
  }
  return session;
}

CK_OBJECT_HANDLE find_key(token *t, CK_SESSION_HANDLE session, CK_ULONG class, const char *label) {
  CK_ATTRIBUTE filter[] = {{CKA_CLASS, &class, sizeof class}, {CKA_LABEL, (void *)label, strlen(label)}};
  CK_OBJECT_HANDLE found[2];
  CK_ULONG count = 0;
  check(t->p11->C_FindObjectsInit(session, filter, 2), "C_FindObjectsInit");
  check(t->p11->C_FindObjects(session, found, 2, &count), "C_FindObjects");
  check(t->p11->C_FindObjectsFinal(session), "C_FindObjectsFinal");
  if (count != 1) fail("%s key is labelled %s, expected one", count == 0 ? "no" : "more than one", label);
  return found[0];
}
