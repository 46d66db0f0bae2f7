/* The limit that the library is measured against: the same operation on the same token from plain C, each thread with a session
 * of its own and the key's handle at hand, nothing in between.
 *
 *   limit --module FILE --token LABEL --pin-file FILE --op aes|ecdsa|rsa --keys LABEL[,LABEL…] --data HEX [--iv HEX]
 *         --threads N --warmup-ms N --measure-ms N
 *
 * One JSON object on stdout: the rate, the latencies, and in `outputs` each thread's last result with the number of its key, for
 * the caller to verify. An operation counts when it ends within the time measured.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "token.h"

enum { MAX_THREADS = 64, MAX_OUTPUT = 512, MAX_LATENCIES = 1 << 20 };

typedef struct {
  CK_MECHANISM_TYPE mechanism;
  CK_ULONG key_class;
  CK_ULONG output_length;
  CK_RV (*init)(CK_SESSION_HANDLE, CK_MECHANISM *, CK_OBJECT_HANDLE);
  CK_RV (*run)(CK_SESSION_HANDLE, CK_BYTE *, CK_ULONG, CK_BYTE *, CK_ULONG *);
  const char *init_name;
  const char *run_name;
} operation;

/* The same for all threads. */
static operation op;
static CK_OBJECT_HANDLE *keys;
static size_t key_count;
static CK_BYTE data[256], iv[16];
static size_t data_length, iv_length;
static atomic_uint_fast64_t measure_from, measure_until;
static pthread_barrier_t start_line;

typedef struct {
  CK_SESSION_HANDLE session;
  size_t number;
  uint64_t operations;
  uint32_t *latencies;
  size_t latency_count;
  size_t last_key;
  CK_ULONG output_length;
  CK_BYTE output[MAX_OUTPUT];
} worker;

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void *work(void *argument) {
  worker *w = argument;
  CK_MECHANISM mechanism = {op.mechanism, iv_length == 0 ? NULL : iv, iv_length};
  size_t next = w->number;
  pthread_barrier_wait(&start_line);
  uint64_t from = measure_from, until = measure_until, before = now_ns();
  while (before < until) {
    w->last_key = next++ % key_count;
    w->output_length = sizeof w->output;
    check(op.init(w->session, &mechanism, keys[w->last_key]), op.init_name);
    check(op.run(w->session, data, data_length, w->output, &w->output_length), op.run_name);
    if (w->output_length != op.output_length) fail("%s wrote %lu bytes", op.run_name, w->output_length);
    uint64_t after = now_ns();
    if (after >= from && after <= until) {
      w->operations++;
      if (w->latency_count < MAX_LATENCIES) w->latencies[w->latency_count++] = (uint32_t)(after - before);
    }
    before = after;
  }
  return NULL;
}

static int by_value(const void *a, const void *b) {
  uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
  return (x > y) - (x < y);
}

static double percentile_us(const uint32_t *sorted, size_t count, double fraction) {
  return count == 0 ? 0 : sorted[(size_t)(fraction * (double)(count - 1))] / 1000.0;
}

static void run(worker *workers, size_t threads, uint64_t warmup_ms, uint64_t measure_ms) {
  pthread_t handles[MAX_THREADS];
  pthread_barrier_init(&start_line, NULL, (unsigned)threads + 1);
  for (size_t i = 0; i < threads; i++)
    if (pthread_create(&handles[i], NULL, work, &workers[i]) != 0) fail("cannot start thread %zu", i);
  measure_from = now_ns() + warmup_ms * 1000000;
  measure_until = measure_from + measure_ms * 1000000;
  pthread_barrier_wait(&start_line);
  for (size_t i = 0; i < threads; i++) pthread_join(handles[i], NULL);
}

static void print_latencies(const worker *workers, size_t threads) {
  size_t count = 0, filled = 0;
  for (size_t i = 0; i < threads; i++) count += workers[i].latency_count;
  uint32_t *all = malloc((count + 1) * sizeof *all);
  if (all == NULL) fail("no memory for %zu latencies", count);
  for (size_t i = 0; i < threads; filled += workers[i++].latency_count)
    memcpy(all + filled, workers[i].latencies, workers[i].latency_count * sizeof *all);
  qsort(all, count, sizeof *all, by_value);
  printf("\"p50_us\":%.2f,\"p95_us\":%.2f,\"p99_us\":%.2f", percentile_us(all, count, 0.5), percentile_us(all, count, 0.95),
         percentile_us(all, count, 0.99));
  free(all);
}

static void print_outputs(const worker *workers, size_t threads) {
  for (size_t i = 0; i < threads; i++) {
    printf("%s{\"key\":%zu,\"hex\":\"", i > 0 ? "," : "", workers[i].last_key);
    for (CK_ULONG j = 0; j < workers[i].output_length; j++) printf("%02x", workers[i].output[j]);
    printf("\"}");
  }
}

static operation choose(CK_FUNCTION_LIST *p11, const char *name) {
  if (strcmp(name, "aes") == 0)
    return (operation){CKM_AES_CBC_PAD, CKO_SECRET_KEY, 0, p11->C_EncryptInit, p11->C_Encrypt, "C_EncryptInit", "C_Encrypt"};
  if (strcmp(name, "ecdsa") == 0)
    return (operation){CKM_ECDSA, CKO_PRIVATE_KEY, 64, p11->C_SignInit, p11->C_Sign, "C_SignInit", "C_Sign"};
  if (strcmp(name, "rsa") == 0)
    return (operation){CKM_SHA256_RSA_PKCS, CKO_PRIVATE_KEY, 256, p11->C_SignInit, p11->C_Sign, "C_SignInit", "C_Sign"};
  fail("--op is %s, expected aes, ecdsa or rsa", name);
  return (operation){0};
}

static size_t parse_hex(const char *hex, CK_BYTE *bytes, size_t capacity) {
  size_t length = strlen(hex) / 2;
  if (length > capacity) fail("%zu bytes of hex, expected at most %zu", length, capacity);
  for (size_t i = 0; i < length; i++)
    if (sscanf(hex + 2 * i, "%2hhx", &bytes[i]) != 1) fail("%s is not hex", hex);
  return length;
}

static void find_keys(token *t, CK_SESSION_HANDLE session, const char *labels) {
  keys = malloc((strlen(labels) + 1) * sizeof *keys);
  if (keys == NULL) fail("no memory for the keys");
  for (const char *at = labels; *at != '\0'; at += strcspn(at, ","), at += *at == ',') {
    char label[64];
    snprintf(label, sizeof label, "%.*s", (int)strcspn(at, ","), at);
    keys[key_count++] = find_key(t, session, op.key_class, label);
  }
}

int main(int argc, char **argv) {
  token t = open_token(argc, argv);
  op = choose(t.p11, option(argc, argv, "--op", NULL));
  data_length = parse_hex(option(argc, argv, "--data", NULL), data, sizeof data);
  iv_length = parse_hex(option(argc, argv, "--iv", ""), iv, sizeof iv);
  if (op.output_length == 0) op.output_length = data_length - data_length % 16 + 16;
  uint64_t warmup_ms = strtoull(option(argc, argv, "--warmup-ms", NULL), NULL, 10);
  uint64_t measure_ms = strtoull(option(argc, argv, "--measure-ms", NULL), NULL, 10);
  size_t threads = strtoul(option(argc, argv, "--threads", NULL), NULL, 10);
  if (threads < 1 || threads > MAX_THREADS || measure_ms < 1) fail("--threads and --measure-ms are at least 1, threads at most %d", MAX_THREADS);

  static worker workers[MAX_THREADS];
  for (size_t i = 0; i < threads; i++) {
    workers[i].number = i;
    workers[i].session = open_session(&t, 0);
    workers[i].latencies = malloc(MAX_LATENCIES * sizeof *workers[i].latencies);
    if (workers[i].latencies == NULL) fail("no memory for thread %zu", i);
  }
  find_keys(&t, workers[0].session, option(argc, argv, "--keys", NULL));
  run(workers, threads, warmup_ms, measure_ms);

  uint64_t operations = 0;
  for (size_t i = 0; i < threads; i++) operations += workers[i].operations;
  printf("{\"ops_per_s\":%.3f,", (double)operations * 1000 / (double)measure_ms);
  print_latencies(workers, threads);
  printf(",\"outputs\":[");
  print_outputs(workers, threads);
  printf("]}\n");
  check(t.p11->C_Finalize(NULL), "C_Finalize");
  return 0;
}
