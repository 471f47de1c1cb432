/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.system: the clock, waiting, and granted environment variables. */
#include <capability/builtin.h>
#include <errno.h>
#include <policy/policy.h>
#include <stdlib.h>
#include <time.h>
#include <wire/text.h>

/* How often a sleeping call looks at its cancel flag. */
#define SLEEP_SLICE_NS 10000000u
#define NS_PER_MS      1000000u

/* The clock of the call: the host's, or inside a step that demands determinism one that only the
 * calls before it move. */
static struct timespec clock_of(const struct mv_call *call)
{
        struct timespec t = { .tv_sec = (time_t)(call->fixed_clock_ms / 1000),
                              .tv_nsec = (long)(call->fixed_clock_ms % 1000) * NS_PER_MS };
        if (!call->fixed_clock_ms)
                clock_gettime(CLOCK_REALTIME, &t);
        return t;
}

static int current_time(struct mv_call *call, const struct mv_value *args, uint32_t n,
                        struct mv_value *ret)
{
        struct timespec t = clock_of(call);
        *ret = mv__int(t.tv_sec);
        return 0;
}

static int current_time_iso(struct mv_call *call, const struct mv_value *args, uint32_t n,
                            struct mv_value *ret)
{
        struct timespec t = clock_of(call);
        struct tm utc;
        char text[48];
        gmtime_r(&t.tv_sec, &utc);
        size_t len = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc);
        return mv__copy_text(call, mv_slice(text, len), ret) ? 0
                                                             : mv__fail_memory(call, "the time");
}

static int current_timestamp_ms(struct mv_call *call, const struct mv_value *args, uint32_t n,
                                struct mv_value *ret)
{
        struct timespec t = clock_of(call);
        *ret = mv__int((int64_t)t.tv_sec * 1000 + t.tv_nsec / NS_PER_MS);
        return 0;
}

static void sleep_until(uint64_t ns)
{
        struct timespec t = { .tv_sec = (time_t)(ns / 1000000000u),
                              .tv_nsec = (long)(ns % 1000000000u) };
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL) == EINTR)
                ;
}

static int sleep_ms(struct mv_call *call, const struct mv_value *args, uint32_t n,
                    struct mv_value *ret)
{
        int64_t ms = args[0].integer;
        if (ms < 0)
                return mv_call_fail(call, "InvalidArgument", "Sleep duration cannot be negative");
        uint64_t now = mv__now_ns(), wait, end;
        if (__builtin_mul_overflow((uint64_t)ms, (uint64_t)NS_PER_MS, &wait) ||
            __builtin_add_overflow(now, wait, &end))
                end = UINT64_MAX; /* longer than any deadline: ends by it, or by cancel */
        const char *why;
        while (now < end) {
                if (mv__call_ended(call, &why))
                        return mv_call_fail(call, "Generic", "sleep-ms: %s", why);
                uint64_t next = end - now > SLEEP_SLICE_NS ? now + SLEEP_SLICE_NS : end;
                if (call->deadline_ns && next > call->deadline_ns)
                        next = call->deadline_ns;
                sleep_until(next);
                now = mv__now_ns();
        }
        *ret = mv__nil();
        return 0;
}

static int check_env(const struct mv_context *c, const struct mv_value *args, uint32_t n,
                     struct mv_decision *d, struct mv_fault *fault)
{
        struct mv_decision policy;
        const char *value;
        if (n == 0 || args[0].kind != MV_STRING) {
                mv__fault_set(fault, "InvalidArgument",
                              "No name provided for an environment variable");
                return -(int)MV_E_PROGRAM;
        }
        mv_policy_env(c, args[0].text, d->capability, &policy, &value);
        mv__decision_narrow(d, &policy);
        return 0;
}

/* Only what check_env allowed gets here; the grant's own value wins over the host's. */
static int get_env(struct mv_call *call, const struct mv_value *args, uint32_t n,
                   struct mv_value *ret)
{
        struct mv_decision d = { 0 };
        const char *value = NULL;
        if (!mv_policy_env(call->context, args[0].text, call->capability->id, &d, &value))
                return call->host.deny(call->host.ctx, &d);
        struct mv_value name;
        if (!mv__copy_text(call, args[0].text, &name)) /* terminated: the arena is zeroed */
                return mv__fail_memory(call, "the variable");
        if (!value && strlen((const char *)name.text.p) == name.text.len)
                value = getenv((const char *)name.text.p);
        *ret = mv__nil();
        if (!value)
                return 0;
        if (!mv_utf8_valid(mv_slice_str(value)))
                return mv_call_fail(call, "Generic", "get-env %.*s: the value is not valid UTF-8",
                                    MV_SARG(args[0].text));
        return mv__copy_text(call, mv_slice_str(value), ret)
                       ? 0
                       : mv__fail_memory(call, "the variable");
}

static const struct mv_builtin items[] = {
        { .capability = { .id = "ccos.system.current-time",
                          .arguments = "()",
                          .result = "integer",
                          .summary = "Seconds since 1970-01-01 UTC.",
                          .effects = MV_EFFECT_SYSTEM,
                          .idempotent = true,
                          .call = current_time },
          .kinds = "*" },
        { .capability = { .id = "ccos.system.current-time-iso",
                          .arguments = "()",
                          .result = "string",
                          .summary = "The time as text, 2025-01-31T12:00:00Z.",
                          .effects = MV_EFFECT_SYSTEM,
                          .idempotent = true,
                          .call = current_time_iso },
          .kinds = "*" },
        { .capability = { .id = "ccos.system.current-timestamp-ms",
                          .arguments = "()",
                          .result = "integer",
                          .summary = "Milliseconds since 1970-01-01 UTC.",
                          .effects = MV_EFFECT_SYSTEM,
                          .idempotent = true,
                          .call = current_timestamp_ms },
          .kinds = "*" },
        { .capability = { .id = "ccos.system.sleep-ms",
                          .arguments = "(milliseconds)",
                          .result = "nil",
                          .summary = "Waits; never beyond the execution's deadline.",
                          .effects = MV_EFFECT_SYSTEM,
                          .args_min = 1,
                          .args_max = 1,
                          .idempotent = true,
                          .call = sleep_ms },
          .kinds = "i" },
        { .capability = { .id = "ccos.system.get-env",
                          .arguments = "(name)",
                          .result = "string or nil",
                          .summary = "A granted environment variable.",
                          .effects = MV_EFFECT_SYSTEM,
                          .permission = "ccos.system.environment",
                          .args_min = 1,
                          .args_max = 1,
                          .idempotent = true,
                          .call = get_env },
          .kinds = "s",
          .check = check_env },
};
MV_FAMILY(mv__family_system, items);
