/* SPDX-License-Identifier: Apache-2.0 */
/* Faults a test asks for, per capability (REQ-MOCK-10):
 *
 *   {"faults": {"ccos.io.read-file": {"delay-ms": 20, "error": "IoError"}, "ccos.x": {"timeout": true}}}
 *
 * (1) A call is handed to the host first and its reply is replaced afterwards: it is authorised, recorded and carried out
 *     as without the fault, like a reply that is lost on the way. A denial is not replaced (REQ-MOCK-09).
 * (2) "timeout" and "oom" end the run before the call: the host never sees it. */
#include <time.h>
#include <base/slice.h>
#include <provider/mock/mock.h>
#include <wire/cbor.h>
#include <wire/frame.h>

#define DELAY_MS_MAX   3600000
#define KIND_BYTES_MAX 64
#define STEP_NS        2000000ull

static const char *const fault_keys[] = { "delay-ms", "error", "timeout", "oom", NULL };

static int one_check(struct mv_slice id, const struct mv_value *fault, struct mv_err *err)
{
        int64_t delay = 0;
        bool yes;
        struct mv_slice kind = { 0 };
        const struct mv_value *error = mv_map_get(fault, "error"),
                              *timeout = mv_map_get(fault, "timeout"),
                              *oom = mv_map_get(fault, "oom");
        if (mv__config_keys(fault, fault_keys, err) < 0 ||
            mv__config_int(fault, "delay-ms", 0, DELAY_MS_MAX, &delay, err) < 0)
                return mv_wrap(err, "faults: %.*s", MV_SARG(id));
        if (error && (!mv_as_text(error, &kind) || kind.len == 0 || kind.len > KIND_BYTES_MAX))
                return mv_fail(err, MV_E_INVALID, 0,
                               "faults: %.*s: error is not the name of an error kind", MV_SARG(id));
        if ((timeout && !mv_as_bool(timeout, &yes)) || (oom && !mv_as_bool(oom, &yes)))
                return mv_fail(err, MV_E_INVALID, 0,
                               "faults: %.*s: timeout and oom are true or false", MV_SARG(id));
        return 0;
}

int mv__mock_faults_check(const struct mv_value *faults, struct mv_err *err)
{
        if (!faults)
                return 0;
        if (faults->kind != MV_MAP)
                return mv_fail(err, MV_E_INVALID, 0, "faults is a %s, not a map of capability ids",
                               mv_kind_name(faults->kind));
        int r = 0;
        for (uint32_t i = 0; i < faults->count && r == 0; i++) {
                struct mv_slice id = { 0 };
                mv_as_text(&faults->entries[i].key, &id);
                r = one_check(id, &faults->entries[i].value, err);
        }
        return r;
}

static const struct mv_value *fault_of(const struct mv_cell *c, struct mv_slice id)
{
        const struct mv_value *all = c->provider->faults;
        for (uint32_t i = 0; all && i < all->count; i++) {
                struct mv_slice key = { 0 };
                if (mv_as_text(&all->entries[i].key, &key) && mv_slice_eq(key, id))
                        return &all->entries[i].value;
        }
        return NULL;
}

static bool wants(const struct mv_value *fault, const char *key)
{
        bool yes = false;
        return mv_as_bool(mv_map_get(fault, key), &yes) && yes;
}

/* Until then, or until the run has to stop. */
static bool sleep_until(struct mv_cell *c, uint64_t until_ns)
{
        for (;;) {
                if (mv__mock_stopped(c))
                        return false;
                uint64_t now = mv__now_ns();
                if (now >= until_ns)
                        return true;
                uint64_t step = until_ns - now < STEP_NS ? until_ns - now : STEP_NS;
                nanosleep(&(struct timespec){ 0, (long)step }, NULL);
        }
}

bool mv__mock_fault_before(struct mv_cell *c, struct mv_slice id)
{
        const struct mv_value *fault = fault_of(c, id);
        int64_t delay_ms = 0;
        if (!fault)
                return true;
        mv_as_int(mv_map_get(fault, "delay-ms"), &delay_ms);
        if (delay_ms > 0 && !sleep_until(c, mv__now_ns() + (uint64_t)delay_ms * 1000000u))
                return false;
        if (wants(fault, "oom"))
                mv__mock_end(c, MV_END_MEMORY, "out of memory: injected at a call of %.*s",
                             MV_SARG(id));
        else if (wants(fault, "timeout") && !c->deadline_ns)
                mv__mock_end(c, MV_END_TIMEOUT,
                             "Execution timeout after 0ms: injected at a call of %.*s",
                             MV_SARG(id));
        else if (wants(fault, "timeout"))
                sleep_until(c, UINT64_MAX);
        return !c->ended;
}

static bool is_reply(struct mv_slice frame)
{
        struct mv_frame f;
        struct mv_err err;
        return mv_frame_decode(frame, &f, &err) == 0 && f.type == MV_FRAME_REPLY;
}

struct mv_slice mv__mock_fault_after(struct mv_cell *c, struct mv_slice id, uint64_t seq,
                                     struct mv_slice reply)
{
        const struct mv_value *fault = fault_of(c, id);
        struct mv_slice kind;
        if (!fault || !mv_as_text(mv_map_get(fault, "error"), &kind) || !is_reply(reply))
                return reply;
        struct mv_out o = mv_out(c->fault, sizeof c->fault);
        size_t at = mv_frame_open(&o, MV_FRAME_FAULT, seq);
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "kind");
        mv_cbor_put_text(&o, kind);
        mv_cbor_put_str(&o, "message");
        mv_cbor_put_str(&o, "injected by the mock provider's configuration");
        mv_frame_close(&o, at);
        return mv_out_slice(&o);
}
