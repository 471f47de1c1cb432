/* SPDX-License-Identifier: Apache-2.0 */
/* The evaluator alone, without a wall: one run of a program, or one number about the evaluator itself.
 *
 *   bench-rtfs run FILE [TEXT]   "SECONDS<tab>VALUE" of one run; TEXT: a file whose text becomes (first args)
 *   bench-rtfs compile           MB/s from source to compiled functions, on 10 MB of generated source
 *   bench-rtfs small             seconds from the source "(+ 1 2)" to its value, in a warm evaluator
 *   bench-rtfs call              seconds of one host call there and back, arguments and reply included
 *
 * (1) Seconds are processor time: other programs on the machine do not count.
 * (2) The evaluator is built before the clock starts; reading, compiling and running count. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <base/slice.h>
#include <rtfs/rtfs.h>
#include <wire/cbor.h>

#define ARENA_BYTES  ((size_t)3 << 30)
#define SOURCE_BYTES ((size_t)10 << 20)
#define SMALL_RUNS   200000u
#define CALLS        300000u

static double seconds_now(void)
{
        struct timespec t;
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static _Noreturn void stop(const char *what, const char *why)
{
        fprintf(stderr, "bench-rtfs: %s: %s\n", what, why);
        exit(1);
}

static void must(int r, const struct mv_err *err)
{
        if (r < 0)
                stop("evaluator", err->msg);
}

static void *memory(size_t bytes)
{
        void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED)
                stop("memory", "not enough address space");
        return p;
}

static struct mv_rtfs *evaluator(void)
{
        struct mv_rtfs_options o = { .fuel = 1ull << 60 };
        struct mv_rtfs *r;
        struct mv_err err;
        must(mv_rtfs_init(memory(ARENA_BYTES), ARENA_BYTES, &o, &r, &err), &err);
        return r;
}

static struct mv_slice file_text(const char *path)
{
        FILE *f = fopen(path, "rb");
        if (!f || fseek(f, 0, SEEK_END) != 0)
                stop(path, "cannot be read");
        size_t len = (size_t)ftell(f);
        uint8_t *text = memory(len + 1);
        rewind(f);
        if (fread(text, 1, len, f) != len)
                stop(path, "cannot be read");
        fclose(f);
        return mv_slice(text, len);
}

static void must_be(struct mv_rtfs *r, enum mv_rtfs_status want, enum mv_rtfs_status got)
{
        struct mv_rtfs_error e;
        char text[512];
        if (got == want)
                return;
        if (got != MV_RTFS_ERROR)
                stop("program", "did not end as expected");
        mv_rtfs_error(r, &e);
        snprintf(text, sizeof text, "line %u: %.*s", e.line,
                 (int)(e.message.len < 400 ? e.message.len : 400), (const char *)e.message.p);
        stop("program", text);
}

static void set_text(struct mv_rtfs *r, const char *path)
{
        struct mv_slice text = file_text(path);
        struct mv_out args = mv_out(memory(text.len + 64), text.len + 64);
        struct mv_err err;
        mv_cbor_put_array(&args, 1);
        mv_cbor_put_text(&args, text);
        must(mv_rtfs_set_args(r, mv_out_slice(&args), &err), &err);
}

static void run_file(const char *path, const char *text)
{
        struct mv_rtfs *r = evaluator();
        struct mv_slice source = file_text(path);
        struct mv_err err;
        uint8_t shown[4096];
        struct mv_out o = mv_out(shown, sizeof shown);
        if (text)
                set_text(r, text);
        double start = seconds_now();
        must(mv_rtfs_load_source(r, source, &err), &err);
        must_be(r, MV_RTFS_DONE, mv_rtfs_run(r));
        double took = seconds_now() - start;
        if (!mv_rtfs_display_result(r, &o))
                stop(path, "its value is too long");
        printf("%.6f\t%.*s\n", took, (int)o.len, (const char *)o.p);
}

/* Functions as people write them, until the bytes are full. A program has at most 4096 globals:
 * names come again. */
static struct mv_slice generated_source(void)
{
        struct mv_out o = mv_out(memory(SOURCE_BYTES), SOURCE_BYTES);
        char form[512];
        for (unsigned i = 0; !o.overflow; i++) {
                int n = snprintf(
                        form, sizeof form,
                        "; order %u\n(defn f%u [{:keys [price count]} rate]\n"
                        "  (let [sum (* price count) tax (* sum rate)]\n"
                        "    (if (> sum %u)\n      {:kind :large :sum (+ sum tax) :text \"more "
                        "than %u\"}\n"
                        "      (reduce (fn [acc x] (+ acc (* x 1.5))) tax [sum %u 3 4]))))\n",
                        i, i % 2000, i % 1000, i, i);
                if ((size_t)n > o.cap - o.len)
                        break;
                mv_put_bytes(&o, form, (size_t)n);
        }
        return mv_out_slice(&o);
}

/* The forms only define: running them is reading and compiling them. */
static void bench_compile(void)
{
        struct mv_rtfs *r = evaluator();
        struct mv_slice source = generated_source();
        struct mv_err err;
        double start = seconds_now();
        must(mv_rtfs_load_source(r, source, &err), &err);
        must_be(r, MV_RTFS_DONE, mv_rtfs_run(r));
        printf("%.3f\t%zu\n", (double)source.len / 1e6 / (seconds_now() - start), source.len);
}

static void bench_small(void)
{
        struct mv_rtfs_options o = { .fuel = 1ull << 60 };
        struct mv_rtfs *r = evaluator();
        struct mv_err err;
        uint8_t value[64];
        double start = seconds_now();
        for (unsigned i = 0; i < SMALL_RUNS; i++) {
                struct mv_out out = mv_out(value, sizeof value);
                mv_rtfs_reset(r, &o);
                must(mv_rtfs_load_source(r, mv_slice_str("(+ 1 2)"), &err), &err);
                must_be(r, MV_RTFS_DONE, mv_rtfs_run(r));
                if (!mv_rtfs_encode_result(r, &out) || out.len != 1 || value[0] != 3)
                        stop("small", "1 + 2 is not 3");
        }
        printf("%.9f\t3\n", (seconds_now() - start) / SMALL_RUNS);
}

static void bench_call(void)
{
        struct mv_rtfs *r = evaluator();
        struct mv_err err;
        uint8_t args[256];
        char source[160];
        snprintf(source, sizeof source,
                 "(loop [i 0 sum 0] (if (< i %u) (recur (+ i 1) (+ sum (call \"bench.echo\" i))) "
                 "sum))",
                 CALLS);
        must(mv_rtfs_load_source(r, mv_slice_str(source), &err), &err);
        double start = seconds_now();
        for (unsigned i = 0; i < CALLS; i++) {
                struct mv_out o = mv_out(args, sizeof args);
                must_be(r, MV_RTFS_CALL, mv_rtfs_run(r));
                if (!mv_rtfs_encode_call_args(r, &o) || o.len < 2)
                        stop("call", "no arguments");
                must(mv_rtfs_reply(r, mv_slice(args + 1, o.len - 1), &err), &err);
        }
        must_be(r, MV_RTFS_DONE, mv_rtfs_run(r));
        printf("%.9f\t%u\n", (seconds_now() - start) / CALLS, CALLS);
}

int main(int argc, char **argv)
{
        const char *mode = argc > 1 ? argv[1] : "";
        if (strcmp(mode, "run") == 0 && (argc == 3 || argc == 4))
                run_file(argv[2], argc == 4 ? argv[3] : NULL);
        else if (strcmp(mode, "compile") == 0 && argc == 2)
                bench_compile();
        else if (strcmp(mode, "small") == 0 && argc == 2)
                bench_small();
        else if (strcmp(mode, "call") == 0 && argc == 2)
                bench_call();
        else
                stop("usage", "run FILE [TEXT] | compile | small | call");
        return 0;
}
