/* A PKCS#11 2.40 module that passes every call on to another module and, on the way, does to it what a test has asked for: it
 * delays it, hangs it, or fails it. Rules and counters live in the file `<this module's own path>.control`, which both sides share:
 * this module maps it, the test writes and reads it (`src/wrapped-module.ts`; the layout below is repeated there).
 *
 * One copy of this file's binary is one module with rules of its own, so several can be loaded into one process. */
#define _GNU_SOURCE
#include "cryptoki.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_FUNCTIONS 128
#define MAX_PATH_LENGTH 4096
#ifndef CKR_SESSION_COUNT
#define CKR_SESSION_COUNT 0xB1UL
#endif

/* Call numbers count from 1 in each function; `first` to `last` inclusive are affected. */
struct range {
  _Atomic int64_t first, last;
};

struct function {
  _Atomic int64_t calls;         /* entered so far */
  _Atomic int64_t running;       /* inside now */
  _Atomic int64_t delay_us;      /* how long each call waits first */
  struct range hang;             /* these wait until the range no longer contains them */
  struct range fail;             /* these return `fail_rv` and never reach the real module */
  _Atomic int64_t fail_rv;
};

struct control {
  char module[MAX_PATH_LENGTH];  /* the real one */
  _Atomic int64_t open_sessions;
  _Atomic int64_t hanging;
  _Atomic int64_t max_sessions;  /* how many may be open; 0 is as many as the real module lets */
  _Atomic int64_t repeats;       /* so many C_OpenSession answer with the handle of a session that is open */
  struct function functions[MAX_FUNCTIONS];
};

enum {
#define INDEX(name, parameters) INDEX_##name,
  CRYPTOKI_2_40_FUNCTIONS(INDEX)
#undef INDEX
  FUNCTION_COUNT
};
_Static_assert(FUNCTION_COUNT <= MAX_FUNCTIONS, "the control file has a place for each function");

static struct control *control;
static CK_FUNCTION_LIST *real;

static CK_RV load(void) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&lock);
  if (real == NULL) {
    Dl_info self;
    char path[MAX_PATH_LENGTH + 16];
    if (dladdr((void *)&load, &self) == 0) abort();
    snprintf(path, sizeof path, "%s.control", self.dli_fname);
    int file = open(path, O_RDWR | O_CLOEXEC);
    struct control *mapped = MAP_FAILED;
    if (file >= 0) {
      mapped = mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      close(file);
    }
    if (mapped != MAP_FAILED) {
      CK_RV (*get_list)(CK_FUNCTION_LIST **) = NULL;
      void *library = dlopen(mapped->module, RTLD_NOW | RTLD_LOCAL);
      if (library != NULL) *(void **)&get_list = dlsym(library, "C_GetFunctionList");
      control = mapped;
      if (get_list == NULL || get_list(&real) != CKR_OK) real = NULL;
    }
    if (real == NULL) fprintf(stderr, "wrap: cannot load the module that %s names: %s\n", path, dlerror());
  }
  pthread_mutex_unlock(&lock);
  return real == NULL ? CKR_GENERAL_ERROR : CKR_OK;
}

static int contains(struct range *range, int64_t call) {
  return call >= atomic_load(&range->first) && call <= atomic_load(&range->last);
}

static void wait_us(int64_t us) {
  struct timespec time = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000};
  while (nanosleep(&time, &time) != 0) continue;
}

/* Applies a function's rules to one call; CKR_OK lets it through. */
static CK_RV enter(int index) {
  struct function *function = &control->functions[index];
  int64_t call = atomic_fetch_add(&function->calls, 1) + 1;
  atomic_fetch_add(&function->running, 1);
  if (contains(&function->hang, call)) {
    atomic_fetch_add(&control->hanging, 1);
    while (contains(&function->hang, call)) wait_us(500);
    atomic_fetch_sub(&control->hanging, 1);
  }
  int64_t delay = atomic_load(&function->delay_us);
  if (delay > 0) wait_us(delay);
  return contains(&function->fail, call) ? (CK_RV)atomic_load(&function->fail_rv) : CKR_OK;
}

static void leave(int index) { atomic_fetch_sub(&control->functions[index].running, 1); }

/* The sessions opened through this module, so that C_CloseAllSessions and C_Finalize count right. */
static struct session {
  CK_SESSION_HANDLE handle;
  CK_SLOT_ID slot;
} *sessions;
static size_t session_count, session_capacity, sessions_opening;
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;

/* A place for one more, where there is one. */
static int reserve_session(void) {
  int64_t max = atomic_load(&control->max_sessions);
  pthread_mutex_lock(&sessions_lock);
  int free = max == 0 || (int64_t)(session_count + sessions_opening) < max;
  if (free) sessions_opening += 1;
  pthread_mutex_unlock(&sessions_lock);
  return free;
}

/* Takes the place that was reserved, or gives it back where nothing was opened. */
static void add_session(CK_RV opened, CK_SESSION_HANDLE handle, CK_SLOT_ID slot) {
  pthread_mutex_lock(&sessions_lock);
  sessions_opening -= 1;
  if (opened != CKR_OK) {
    pthread_mutex_unlock(&sessions_lock);
    return;
  }
  if (session_count == session_capacity) {
    session_capacity = session_capacity == 0 ? 64 : session_capacity * 2;
    sessions = realloc(sessions, session_capacity * sizeof *sessions);
    if (sessions == NULL) abort();
  }
  sessions[session_count++] = (struct session){handle, slot};
  atomic_store(&control->open_sessions, (int64_t)session_count);
  pthread_mutex_unlock(&sessions_lock);
}

enum scope { ONE_SESSION, ONE_SLOT, EVERYTHING };

static void remove_sessions(enum scope scope, CK_ULONG which) {
  pthread_mutex_lock(&sessions_lock);
  size_t kept = 0;
  for (size_t i = 0; i < session_count; i++) {
    CK_ULONG value = scope == ONE_SESSION ? sessions[i].handle : sessions[i].slot;
    if (scope != EVERYTHING && value != which) sessions[kept++] = sessions[i];
  }
  session_count = kept;
  atomic_store(&control->open_sessions, (int64_t)session_count);
  pthread_mutex_unlock(&sessions_lock);
}

#define ARGUMENTS_C_Initialize (initArgs)
#define ARGUMENTS_C_Finalize (reserved)
#define ARGUMENTS_C_GetInfo (info)
#define ARGUMENTS_C_GetSlotList (tokenPresent, slots, count)
#define ARGUMENTS_C_GetSlotInfo (slot, info)
#define ARGUMENTS_C_GetTokenInfo (slot, info)
#define ARGUMENTS_C_GetMechanismList (slot, types, count)
#define ARGUMENTS_C_GetMechanismInfo (slot, type, info)
#define ARGUMENTS_C_InitToken (slot, pin, pinLen, label)
#define ARGUMENTS_C_InitPIN (session, pin, pinLen)
#define ARGUMENTS_C_SetPIN (session, oldPin, oldLen, newPin, newLen)
#define ARGUMENTS_C_OpenSession (slot, flags, application, notify, session)
#define ARGUMENTS_C_CloseSession (session)
#define ARGUMENTS_C_CloseAllSessions (slot)
#define ARGUMENTS_C_GetSessionInfo (session, info)
#define ARGUMENTS_C_GetOperationState (session, state, stateLen)
#define ARGUMENTS_C_SetOperationState (session, state, stateLen, encryptionKey, authenticationKey)
#define ARGUMENTS_C_Login (session, user, pin, pinLen)
#define ARGUMENTS_C_Logout (session)
#define ARGUMENTS_C_CreateObject (session, attributes, count, object)
#define ARGUMENTS_C_CopyObject (session, object, attributes, count, copy)
#define ARGUMENTS_C_DestroyObject (session, object)
#define ARGUMENTS_C_GetObjectSize (session, object, size)
#define ARGUMENTS_C_GetAttributeValue (session, object, attributes, count)
#define ARGUMENTS_C_SetAttributeValue (session, object, attributes, count)
#define ARGUMENTS_C_FindObjectsInit (session, attributes, count)
#define ARGUMENTS_C_FindObjects (session, objects, max, count)
#define ARGUMENTS_C_FindObjectsFinal (session)
#define ARGUMENTS_C_EncryptInit (session, mechanism, key)
#define ARGUMENTS_C_Encrypt (session, in, inLen, out, outLen)
#define ARGUMENTS_C_EncryptUpdate (session, in, inLen, out, outLen)
#define ARGUMENTS_C_EncryptFinal (session, out, outLen)
#define ARGUMENTS_C_DecryptInit (session, mechanism, key)
#define ARGUMENTS_C_Decrypt (session, in, inLen, out, outLen)
#define ARGUMENTS_C_DecryptUpdate (session, in, inLen, out, outLen)
#define ARGUMENTS_C_DecryptFinal (session, out, outLen)
#define ARGUMENTS_C_DigestInit (session, mechanism)
#define ARGUMENTS_C_Digest (session, in, inLen, out, outLen)
#define ARGUMENTS_C_DigestUpdate (session, in, inLen)
#define ARGUMENTS_C_DigestKey (session, key)
#define ARGUMENTS_C_DigestFinal (session, out, outLen)
#define ARGUMENTS_C_SignInit (session, mechanism, key)
#define ARGUMENTS_C_Sign (session, in, inLen, out, outLen)
#define ARGUMENTS_C_SignUpdate (session, in, inLen)
#define ARGUMENTS_C_SignFinal (session, out, outLen)
#define ARGUMENTS_C_SignRecoverInit (session, mechanism, key)
#define ARGUMENTS_C_SignRecover (session, in, inLen, out, outLen)
#define ARGUMENTS_C_VerifyInit (session, mechanism, key)
#define ARGUMENTS_C_Verify (session, in, inLen, signature, signatureLen)
#define ARGUMENTS_C_VerifyUpdate (session, in, inLen)
#define ARGUMENTS_C_VerifyFinal (session, signature, signatureLen)
#define ARGUMENTS_C_VerifyRecoverInit (session, mechanism, key)
#define ARGUMENTS_C_VerifyRecover (session, signature, signatureLen, out, outLen)
#define ARGUMENTS_C_DigestEncryptUpdate (session, in, inLen, out, outLen)
#define ARGUMENTS_C_DecryptDigestUpdate (session, in, inLen, out, outLen)
#define ARGUMENTS_C_SignEncryptUpdate (session, in, inLen, out, outLen)
#define ARGUMENTS_C_DecryptVerifyUpdate (session, in, inLen, out, outLen)
#define ARGUMENTS_C_GenerateKey (session, mechanism, attributes, count, key)
#define ARGUMENTS_C_GenerateKeyPair (session, mechanism, publicAttributes, publicCount, privateAttributes, privateCount, publicKey, privateKey)
#define ARGUMENTS_C_WrapKey (session, mechanism, wrappingKey, key, wrapped, wrappedLen)
#define ARGUMENTS_C_UnwrapKey (session, mechanism, unwrappingKey, wrapped, wrappedLen, attributes, count, key)
#define ARGUMENTS_C_DeriveKey (session, mechanism, baseKey, attributes, count, key)
#define ARGUMENTS_C_SeedRandom (session, seed, seedLen)
#define ARGUMENTS_C_GenerateRandom (session, random, randomLen)
#define ARGUMENTS_C_GetFunctionStatus (session)
#define ARGUMENTS_C_CancelFunction (session)
#define ARGUMENTS_C_WaitForSlotEvent (flags, slot, reserved)

#define PASS(name, parameters) \
  static CK_RV pass_##name parameters { \
    CK_RV rv = enter(INDEX_##name); \
    if (rv == CKR_OK) rv = real->name ARGUMENTS_##name; \
    leave(INDEX_##name); \
    return rv; \
  }
#define ARGUMENTS_C_GetFunctionList (list)
CRYPTOKI_2_40_FUNCTIONS(PASS)
#undef PASS

/* The handle of a session that is open, where one is to be given out twice. */
static int repeat_handle(CK_SESSION_HANDLE *session) {
  pthread_mutex_lock(&sessions_lock);
  int repeat = session_count > 0 && atomic_load(&control->repeats) > 0;
  if (repeat) {
    atomic_fetch_sub(&control->repeats, 1);
    *session = sessions[session_count - 1].handle;
  }
  pthread_mutex_unlock(&sessions_lock);
  return repeat;
}

static CK_RV open_session(CK_SLOT_ID slot, CK_FLAGS flags, void *application, CK_NOTIFY notify, CK_SESSION_HANDLE *session) {
  CK_RV rv = enter(INDEX_C_OpenSession);
  int repeated = rv == CKR_OK && repeat_handle(session);
  if (rv == CKR_OK && !repeated && !reserve_session()) {
    rv = CKR_SESSION_COUNT;
  } else if (rv == CKR_OK && !repeated) {
    rv = real->C_OpenSession(slot, flags, application, notify, session);
    add_session(rv, rv == CKR_OK ? *session : 0, slot);
  }
  leave(INDEX_C_OpenSession);
  return rv;
}

/* Tells of a limit that is set what a token tells of its own; sessions that only read are not told apart. */
static CK_RV get_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info) {
  CK_RV rv = pass_C_GetTokenInfo(slot, info);
  CK_ULONG max = (CK_ULONG)atomic_load(&control->max_sessions);
  if (rv != CKR_OK || max == 0) return rv;
  info->ulMaxSessionCount = info->ulMaxRwSessionCount = max;
  info->ulSessionCount = info->ulRwSessionCount = (CK_ULONG)atomic_load(&control->open_sessions);
  return rv;
}

/* The two below forget first: the moment the real module has closed a session, another thread may be given the same handle. */
static CK_RV close_session(CK_SESSION_HANDLE session) {
  CK_RV rv = enter(INDEX_C_CloseSession);
  if (rv == CKR_OK) {
    remove_sessions(ONE_SESSION, session);
    rv = real->C_CloseSession(session);
  }
  leave(INDEX_C_CloseSession);
  return rv;
}

static CK_RV close_all_sessions(CK_SLOT_ID slot) {
  CK_RV rv = enter(INDEX_C_CloseAllSessions);
  if (rv == CKR_OK) {
    remove_sessions(ONE_SLOT, slot);
    rv = real->C_CloseAllSessions(slot);
  }
  leave(INDEX_C_CloseAllSessions);
  return rv;
}

static CK_RV finalize(void *reserved) {
  CK_RV rv = pass_C_Finalize(reserved);
  if (rv == CKR_OK) remove_sessions(EVERYTHING, 0);
  return rv;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
  static CK_FUNCTION_LIST own = {
      .version = {2, 40},
#define MEMBER(name, parameters) .name = pass_##name,
      CRYPTOKI_2_40_FUNCTIONS(MEMBER)
#undef MEMBER
  };
  CK_RV rv = load();
  if (rv != CKR_OK) return rv;
  own.C_GetFunctionList = C_GetFunctionList;
  own.C_GetTokenInfo = get_token_info;
  own.C_OpenSession = open_session;
  own.C_CloseSession = close_session;
  own.C_CloseAllSessions = close_all_sessions;
  own.C_Finalize = finalize;
  *list = &own;
  return CKR_OK;
}
