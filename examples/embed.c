/* SPDX-License-Identifier: Apache-2.0 */
/* A program of yours that runs other people's programs: it offers a capability of its own
 * (stock.level), offers a native function, and runs programs on two threads at once. Build it
 * against an installed library with
 *
 *     cc embed.c -o embed $(pkg-config --cflags --libs microvm) -pthread
 * */
#include <microvm/microvm.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RUNS_PER_THREAD 20

/* (call :stock.level "anvil"): how many are in the store. Arguments were counted before this
 * runs; their kinds are ours to check. ctx is whatever was registered with it. */
static int stock_level(struct mv_call *call, const struct mv_value *args, uint32_t args_count,
                       struct mv_value *ret)
{
        const int64_t *level = mv_call_ctx(call);
        struct mv_slice product;
        (void)args_count;
        if (!mv_as_text(&args[0], &product))
                return mv_call_fail(call, "TypeError", "stock.level: expected string, got %s",
                                    mv_kind_name(args[0].kind));
        *ret = (struct mv_value){ .kind = MV_INT };
        ret->integer = product.len == 5 && memcmp(product.p, "anvil", 5) == 0 ? *level : 0;
        return 0;
}

/* A native function runs in this very process: no wall is around it, so the context must grant
 * "native_function". */
static int greet(struct mv_call *call, const struct mv_value *args, uint32_t args_count,
                 struct mv_value *ret)
{
        char *text = mv_call_alloc(call, 64);
        if (!text)
                return mv_call_fail(call, "Generic", "out of memory");
        (void)args;
        int n = snprintf(text, 64, "Native function called with %u args", args_count);
        *ret = (struct mv_value){ .kind = MV_STRING };
        ret->text = (struct mv_slice){ (const uint8_t *)text, (size_t)n };
        return 0;
}

static struct mv_host *host;

/* 1 when the program gave what was expected. */
static int run(const struct mv_execution *x, const char *expected)
{
        struct mv_result *result;
        struct mv_err err;
        if (mv_execute(host, x, &result, &err) < 0) {
                fprintf(stderr, "nothing ran: %s\n", err.msg);
                return 0;
        }
        int ok = 0;
        if (mv_result_ok(result)) {
                char *text = mv_value_display(mv_result_value(result), NULL);
                ok = text && strcmp(text, expected) == 0;
                free(text);
        } else {
                fprintf(stderr, "%s: %s\n", mv_result_error(result)->kind,
                        mv_result_error(result)->message);
        }
        mv_result_free(result);
        return ok;
}

static void *worker(void *arg)
{
        const struct mv_context *context = arg;
        struct mv_execution x = { .program =
                                          mv_program_source("(* 2 (call :stock.level \"anvil\"))"),
                                  .context = context };
        long good = 0;
        for (int i = 0; i < RUNS_PER_THREAD; i++)
                good += run(&x, "84");
        return (void *)good;
}

static long on_two_threads(struct mv_context *context)
{
        pthread_t other;
        void *theirs = NULL;
        if (pthread_create(&other, NULL, worker, context) != 0)
                return 0;
        long mine = (long)worker(context);
        pthread_join(other, &theirs);
        return mine + (long)theirs;
}

static int run_native(struct mv_context *context)
{
        static const struct mv_value items[2] = { { .kind = MV_INT, .integer = 1 },
                                                  { .kind = MV_INT, .integer = 2 } };
        static const struct mv_value args = { .kind = MV_VECTOR, .count = 2, .items = items };
        struct mv_execution x = {
                .program = { .kind = MV_PROGRAM_NATIVE, .native = greet, .name = "greet" },
                .context = context,
                .args = &args,
                .provider = "process"
        };
        return run(&x, "\"Native function called with 2 args\"");
}

/* The same program without the grant: a result that says what was refused, and what would allow
 * it. */
static int run_denied(void)
{
        struct mv_execution x = { .program = mv_program_source("(call :stock.level \"anvil\")") };
        struct mv_result *result;
        struct mv_err err;
        if (mv_execute(host, &x, &result, &err) < 0)
                return 0;
        int denied = mv_result_termination(result) == MV_END_DENIED;
        if (denied)
                printf("without a grant: %s\n", mv_result_error(result)->message);
        mv_result_free(result);
        return denied;
}

int main(void)
{
        static int64_t level = 42;
        struct mv_capability stock = { .id = "stock.level",
                                       .arguments = "(product)",
                                       .result = "integer",
                                       .summary = "How many of a product are in the store.",
                                       .args_min = 1,
                                       .args_max = 1,
                                       .call = stock_level,
                                       .ctx = &level };
        struct mv_err err;
        if (mv_host_new(NULL, &host, &err) < 0 || mv_host_add_capability(host, &stock, &err) < 0) {
                fprintf(stderr, "%s\n", err.msg);
                return 1;
        }
        struct mv_context *may = mv_context_new(MV_LEVEL_CONTROLLED);
        if (!may || mv_context_allow(may, "stock.level", &err) < 0 ||
            mv_context_allow(may, "native_function", &err) < 0) {
                fprintf(stderr, "%s\n", may ? err.msg : "out of memory");
                return 1;
        }
        long good = on_two_threads(may);
        int native = run_native(may), denied = run_denied();
        printf("%ld of %d runs on two threads gave 84; native function: %s\n", good,
               2 * RUNS_PER_THREAD, native ? "ran" : "failed");
        mv_context_free(may);
        mv_host_free(host);
        return good == 2 * RUNS_PER_THREAD && native && denied ? 0 : 1;
}
