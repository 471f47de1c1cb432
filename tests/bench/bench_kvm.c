/* SPDX-License-Identifier: Apache-2.0 */
/* What the kvm wall costs on this machine; prints p50 / p99 in microseconds and the backend they
 * belong to. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <provider/kvm/kvm.h>
#include <provider/provider.h>
#include <wire/cbor.h>
#include <wire/frame.h>
#include "../escape/kvm_hostile.h"

extern const uint8_t kvm_hostile_elf[], kvm_hostile_elf_end[];
#define OPS      (&mv_provider_kvm)
#define RUNS_MAX 5000

static struct mv_provider *provider;
static uint8_t echo[64];
static double samples[4][RUNS_MAX];

static int on_frame(void *ctx, struct mv_slice frame, struct mv_slice *ret, struct mv_err *err)
{
        if (frame.p[5] == MV_FRAME_RESULT || frame.p[5] == MV_FRAME_ERROR)
                return MV_DOOR_DONE;
        memcpy(echo, frame.p, frame.len < sizeof echo ? frame.len : sizeof echo);
        echo[5] = MV_FRAME_REPLY;
        *ret = (struct mv_slice){ echo, frame.len };
        return MV_DOOR_REPLY;
}

static void must(int r, const struct mv_err *err)
{
        if (r < 0) {
                fprintf(stderr, "%s\n", err->msg);
                exit(1);
        }
}

static uint64_t owned_bytes;

static void run_start(struct mv_cell *c, struct mv_slice start)
{
        struct mv_err err;
        struct mv_exit x;
        struct mv_run r = { .execution_id = "b",
                            .start = start,
                            .door = { NULL, on_frame },
                            .limits = { .wall_ns_max = 10000000000u } };
        must(OPS->run(c, &r, &x, &err), &err);
        if (x.termination != MV_END_COMPLETED) {
                fprintf(stderr, "%s\n", x.detail);
                exit(1);
        }
        owned_bytes = x.memory_peak_bytes;
}

static void run(struct mv_cell *c, enum hostile_act act, uint32_t n)
{
        uint8_t start[MV_FRAME_HEADER_BYTES + 5] = { 5, 0, 0, 0, 1, MV_FRAME_START };
        start[16] = (uint8_t)act;
        memcpy(start + 17, &n, 4);
        run_start(c, (struct mv_slice){ start, sizeof start });
}

static int by_value(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static void report(const char *what, double *v, int n)
{
        qsort(v, (size_t)n, sizeof *v, by_value);
        printf("%-44s p50 %8.1f  p99 %8.1f  min %8.1f  n %d\n", what, v[n / 2], v[n * 99 / 100],
               v[0], n);
}

static double us(uint64_t from, uint64_t to)
{
        return (double)(to - from) / 1e3;
}

static struct mv_cell *open_cell(uint64_t memory)
{
        struct mv_err err;
        struct mv_cell *c;
        struct mv_cell_spec spec = { "b", { .memory_bytes_max = memory } };
        must(OPS->open_cell(provider, &spec, &c, &err), &err);
        return c;
}

static void cold(uint64_t memory, int n)
{
        char name[64];
        OPS->close_cell(open_cell(memory));
        for (int i = 0; i < n; i++) {
                uint64_t a = mv__now_ns();
                struct mv_cell *c = open_cell(memory);
                uint64_t b = mv__now_ns();
                run(c, ACT_FINISH, 0);
                uint64_t d = mv__now_ns();
                OPS->close_cell(c);
                uint64_t e = mv__now_ns();
                samples[0][i] = us(a, b);
                samples[1][i] = us(b, d);
                samples[2][i] = us(a, d);
                samples[3][i] = us(d, e);
        }
        snprintf(name, sizeof name, "%llu MiB: open", (unsigned long long)(memory >> 20));
        report(name, samples[0], n);
        report("         first run", samples[1], n);
        report("         open and first run", samples[2], n);
        report("         close", samples[3], n);
}

static void pooled(const char *what, enum hostile_act act, uint32_t arg, int n)
{
        struct mv_err err;
        char name[64];
        struct mv_cell *c = open_cell(64u << 20);
        for (int i = -20; i < n; i++) {
                uint64_t a = mv__now_ns();
                run(c, act, arg);
                uint64_t b = mv__now_ns();
                must(OPS->reset(c, &err), &err);
                uint64_t d = mv__now_ns();
                if (i < 0)
                        continue;
                samples[0][i] = us(a, b);
                samples[1][i] = us(b, d);
                samples[2][i] = us(a, d);
        }
        snprintf(name, sizeof name, "%s: run", what);
        report(name, samples[0], n);
        report("         reset", samples[1], n);
        report("         run and reset", samples[2], n);
        OPS->close_cell(c);
}

static struct mv_slice program(uint8_t *buf, size_t cap, const char *source)
{
        struct mv_out o = mv_out(buf, cap);
        size_t at = mv_frame_open(&o, MV_FRAME_START, 0);
        mv_cbor_put_map(&o, 1);
        mv_cbor_put_str(&o, "program");
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "kind");
        mv_cbor_put_str(&o, "source");
        mv_cbor_put_str(&o, "bytes");
        mv_cbor_put_str(&o, source);
        mv_frame_close(&o, at);
        return mv_out_slice(&o);
}

static void evaluator(const char *source, int n)
{
        struct mv_err err;
        uint8_t buf[512];
        struct mv_slice start = program(buf, sizeof buf, source);
        struct mv_cell *c;
        for (int i = -2; i < n / 10; i++) {
                uint64_t a = mv__now_ns();
                c = open_cell(0);
                run_start(c, start);
                uint64_t b = mv__now_ns();
                OPS->close_cell(c);
                if (i >= 0)
                        samples[3][i] = us(a, b);
        }
        c = open_cell(0);
        for (int i = -20; i < n; i++) {
                uint64_t a = mv__now_ns();
                run_start(c, start);
                uint64_t b = mv__now_ns();
                must(OPS->reset(c, &err), &err);
                uint64_t d = mv__now_ns();
                if (i < 0)
                        continue;
                samples[0][i] = us(a, b);
                samples[1][i] = us(b, d);
                samples[2][i] = us(a, d);
        }
        printf("%s (%llu KiB of guest memory in use)\n", source,
               (unsigned long long)owned_bytes >> 10);
        report("         open and first run", samples[3], n / 10);
        report("         run", samples[0], n);
        report("         reset", samples[1], n);
        report("         run and reset", samples[2], n);
        OPS->close_cell(c);
}

int main(void)
{
        struct mv_err err;
        struct mv_kvm_image image = { { kvm_hostile_elf,
                                        (size_t)(kvm_hostile_elf_end - kvm_hostile_elf) } };
        must(mv_kvm_init_image(&image, 0, &provider, &err), &err);
        printf("backend %s, page scan by %s, microseconds\n", mv_kvm_backend(),
               provider->pagemap_how == MV_PAGEMAP_SCAN ? "ioctl" : "read");
        cold(16u << 20, 300);
        cold(64u << 20, 300);
        pooled("tiny program", ACT_FINISH, 0, 3000);
        pooled("10 calls", ACT_CALLS, 10, 500);
        pooled("110 calls", ACT_CALLS, 110, 200);
        pooled("16 arena pages written", ACT_TOUCH_PAGES, 16, 1000);
        pooled("64 arena pages written", ACT_TOUCH_PAGES, 64, 1000);
        pooled("512 arena pages written", ACT_TOUCH_PAGES, 512, 100);
        OPS->fini(provider);
        if (OPS->probe(&err) < 0) {
                printf("no evaluator: %s\n", err.msg);
                return 0;
        }
        must(OPS->init(NULL, &provider, &err), &err);
        evaluator("(+ 1 2)", 2000);
        evaluator("(map inc (range 100))", 1000);
        OPS->fini(provider);
        return 0;
}
