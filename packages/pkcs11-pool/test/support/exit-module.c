/* A PKCS#11 module whose static destructor takes away what one of its calls is reading, as those of real modules do, so that the process
 * ends by a signal where exit() runs it beside the call. That call is the one that EXIT_MODULE_CALL names, and never returns. It makes the file
 * EXIT_MODULE_FILES.inside, waits for EXIT_MODULE_FILES.leaving, registers the destructor, and makes EXIT_MODULE_FILES.registered.
 * Where EXIT_MODULE_READS_INPUT is set, it then waits for input that never comes, with the lock of that stream held. */
#define _GNU_SOURCE
#include "cryptoki.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int value;
static int *volatile shared = &value;

static void take_away(void) { shared = NULL; }

static const char *path_of(char *path, size_t size, const char *what) {
  snprintf(path, size, "%s.%s", getenv("EXIT_MODULE_FILES"), what);
  return path;
}

static void make(const char *what) {
  char path[4096];
  close(open(path_of(path, sizeof path, what), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

static void await(const char *what) {
  char path[4096];
  path_of(path, sizeof path, what);
  while (access(path, F_OK) != 0) usleep(200);
}

static void read_for_ever(void) {
  int ends[2];
  char line[16];
  FILE *input = pipe(ends) == 0 ? fdopen(ends[0], "r") : NULL;
  if (input != NULL) fgets(line, sizeof line, input);
}

/* A write that the compiler must not leave out. */
static void use_for_ever(void) {
  for (;;) {
    *(volatile int *)shared += 1;
    usleep(200);
  }
}

static void enter(const char *name) {
  if (strcmp(name, getenv("EXIT_MODULE_CALL")) != 0) return;
  char path[4096];
  FILE *log = fopen(path_of(path, sizeof path, "log"), "we");
  if (log != NULL) fputs("said by the module", log);
  make("inside");
  await("leaving");
  atexit(take_away);
  make("registered");
  if (getenv("EXIT_MODULE_READS_INPUT") != NULL) read_for_ever();
  use_for_ever();
}

#define ENTER(name, parameters) \
  static CK_RV enter_##name parameters { \
    enter(#name); \
    return CKR_FUNCTION_NOT_SUPPORTED; \
  }
CRYPTOKI_2_40_FUNCTIONS(ENTER)
#undef ENTER

static CK_RV initialize(void *initArgs) {
  enter("C_Initialize");
  return CKR_OK;
}

CK_RV C_GetFunctionList(CK_FUNCTION_LIST **list) {
  static CK_FUNCTION_LIST own = {
      .version = {2, 40},
#define MEMBER(name, parameters) .name = enter_##name,
      CRYPTOKI_2_40_FUNCTIONS(MEMBER)
#undef MEMBER
  };
  own.C_Initialize = initialize;
  *list = &own;
  return CKR_OK;
}
