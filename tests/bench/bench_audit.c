/* SPDX-License-Identifier: Apache-2.0 */
/* What a record costs in a store in memory: batches of each operation, interleaved, medians per operation. Every round
 * has a store of its own, so that no round pays for the bytes of another. */
#include <assert.h>
#include <audit/audit.h>
#include <base/slice.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROUNDS         101
#define BATCH          400
#define BATCH_UNSEALED 60 /* fewer roots than wait for a seal */
static_assert(BATCH_UNSEALED < MV_SEAL_ROOTS_MAX, "audit/seal.c");

static uint64_t now_ns(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
        return (x > y) - (x < y);
}

static void must(int r, const struct mv_err *err)
{
        if (r < 0) {
                fprintf(stderr, "%s\n", err->msg);
                exit(1);
        }
}

static struct mv_err err;
static uint8_t payload[200];
static const char id[] = "exec_00000000-0000-4000-8000-000000000000";

static struct mv_trail *begin(struct mv_audit *a)
{
        struct mv_trail *t;
        must(mv_trail_begin(a, id, &t, &err), &err);
        return t;
}

static void append(struct mv_trail *t, size_t len)
{
        must(mv_trail_append(t, MV_REC_CALL, mv_slice(payload, len), mv_slice(NULL, 0), &err),
             &err);
}

static void measure_begin(struct mv_audit *a, int batch)
{
        for (int i = 0; i < batch; i++)
                mv_trail_free(begin(a));
}

static void measure_append(struct mv_audit *a, int batch)
{
        static const size_t whole = 260 - 64 - 36 - (sizeof id - 1);
        struct mv_trail *t = begin(a);
        for (int i = 0; i < batch; i++)
                append(t, whole);
        mv_trail_free(t);
}

static void measure_execution(struct mv_audit *a, int batch)
{
        uint8_t root[MV_DIGEST_BYTES];
        uint32_t n;
        for (int i = 0; i < batch; i++) {
                struct mv_trail *t = begin(a);
                for (int k = 0; k < 3; k++)
                        append(t, 119);
                must(mv_trail_end(t, root, &n, &err), &err);
                mv_trail_free(t);
        }
}

static const struct {
        const char *name;
        void (*run)(struct mv_audit *, int batch);
        int batch;
} rows[] = {
        { "begin+free", measure_begin, BATCH },
        { "append of a record of 260 bytes", measure_append, BATCH },
        { "begin+3 appends+end+free, no seal", measure_execution, BATCH_UNSEALED },
        { "begin+3 appends+end+free, seals included", measure_execution, BATCH },
};
#define ROWS (sizeof rows / sizeof *rows)

int main(void)
{
        static uint64_t ns[ROWS][ROUNDS];
        memset(payload, 0x40, sizeof payload);
        for (int round = 0; round < ROUNDS; round++)
                for (size_t i = 0; i < ROWS; i++) {
                        struct mv_audit *a;
                        must(mv_audit_open(&(struct mv_audit_options){ .path = NULL }, &a, &err),
                             &err);
                        uint64_t from = now_ns();
                        rows[i].run(a, rows[i].batch);
                        ns[i][round] = (now_ns() - from) / (uint64_t)rows[i].batch;
                        mv_audit_close(a);
                }
        for (size_t i = 0; i < ROWS; i++) {
                qsort(ns[i], ROUNDS, sizeof ns[i][0], by_size);
                printf("%-42s p50 %6lu ns  p95 %6lu ns  n %d batches of %d\n", rows[i].name,
                       (unsigned long)ns[i][ROUNDS / 2], (unsigned long)ns[i][ROUNDS * 95 / 100],
                       ROUNDS, rows[i].batch);
        }
        return 0;
}
