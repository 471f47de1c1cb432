/* SPDX-License-Identifier: Apache-2.0 */
/* What every capability may use: reply memory, failing, small values. */
#include <capability/builtin.h>
#include <base/cur.h>
#include <base/limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <wire/text.h>

/* Room a frame and a map around one text need: header, heads, keys. */
#define REPLY_FRAME_BYTES 4096

void *mv_call_alloc(struct mv_call *call, size_t bytes)
{
        return mv_arena_alloc(call->arena, 1, 16, bytes);
}

void *mv_call_ctx(struct mv_call *call)
{
        return call->capability->ctx;
}

const struct mv_value *mv_call_program_context(const struct mv_call *call)
{
        return call->exposed;
}

int mv_call_fail(struct mv_call *call, const char *kind, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        mv_fmt(call->fault.kind, sizeof call->fault.kind, "%s", kind);
        mv_vfmt(call->fault.message, sizeof call->fault.message, format, ap);
        va_end(ap);
        return -(int)MV_E_PROGRAM;
}

static int spend(struct mv_call *call, enum mv_spending what, uint64_t amount, bool untouched)
{
        struct mv_room room = { .policy = "" };
        if (!call->host.spend || call->host.spend(call->host.ctx, what, amount, untouched, &room))
                return 0;
        return mv_call_fail(call, "BudgetExhausted",
                            "%s: %llu %s more, the budget is %llu; %llu would allow it (policy: "
                            "%s)",
                            call->capability->id, (unsigned long long)amount,
                            mv_spending_name(what), (unsigned long long)room.max,
                            (unsigned long long)room.needed, room.policy);
}

int mv_call_spend(struct mv_call *call, enum mv_spending what, uint64_t amount)
{
        return spend(call, what, amount, false);
}

int mv_call_reserve(struct mv_call *call, enum mv_spending what, uint64_t amount)
{
        return spend(call, what, amount, true);
}

void mv__fault_set(struct mv_fault *f, const char *kind, const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        mv_fmt(f->kind, sizeof f->kind, "%s", kind);
        mv_vfmt(f->message, sizeof f->message, format, ap);
        va_end(ap);
}

/* Spec 6.2. A kind that is not listed prints its message alone. */
static const char *kind_prefix(const char *kind)
{
        static const struct {
                const char *kind, *prefix;
        } rows[] = {
                { "Generic", "Runtime error: " },
                { "IoError", "I/O error: " },
                { "NetworkError", "Network error: " },
                { "JsonError", "JSON error: " },
                { "InvalidArgument", "Invalid argument: " },
                { "UnknownCapability", "Unknown capability: " },
                { "ArityMismatch", "Arity mismatch in " },
                { "TypeError", "Type error in " },
                { "IntegerOverflow", "Integer overflow in " },
                { "BudgetExhausted", "Resource budget exhausted: " },
                { "NotImplemented", "Not implemented: " },
                { "InternalError", "Internal error: " },
                { "StackOverflow", "Stack overflow: " },
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
                if (strcmp(rows[i].kind, kind) == 0)
                        return rows[i].prefix;
        return "";
}

/* Where a character begins that the end of the text may have cut off. */
static size_t last_character(const char *text, size_t len)
{
        size_t at = len;
        while (at && len - at < 3 && ((unsigned char)text[at - 1] & 0xc0) == 0x80)
                at--;
        return at && (unsigned char)text[at - 1] >= 0xc0 ? at - 1 : len;
}

/* A message may have been cut in the middle of a character, or carry bytes of a file name: what
 * leaves is UTF-8. */
void mv_text_make_utf8(char *text)
{
        size_t len = strlen(text);
        if (mv_utf8_valid(mv_slice(text, len)))
                return;
        size_t cut = last_character(text, len);
        if (mv_utf8_valid(mv_slice(text, cut))) {
                text[cut] = '\0';
                return;
        }
        for (char *p = text; *p; p++)
                if ((unsigned char)*p >= 0x80)
                        *p = '?';
}

void mv_fault_text(const struct mv_fault *f, char *buf, size_t cap)
{
        mv_fmt(buf, cap, "%s%s", kind_prefix(f->kind), f->message);
        mv_text_make_utf8(buf);
}

struct mv_value mv__nil(void)
{
        return (struct mv_value){ .kind = MV_NIL };
}

struct mv_value mv__bool(bool v)
{
        return (struct mv_value){ .kind = MV_BOOL, .boolean = v };
}

struct mv_value mv__int(int64_t v)
{
        return (struct mv_value){ .kind = MV_INT, .integer = v };
}

struct mv_value mv__text(struct mv_slice s)
{
        return (struct mv_value){ .kind = MV_STRING, .text = s };
}

struct mv_value mv__keyword(const char *name)
{
        return (struct mv_value){ .kind = MV_KEYWORD, .text = mv_slice_str(name) };
}

bool mv__copy_text(struct mv_call *call, struct mv_slice s, struct mv_value *ret)
{
        uint8_t *p = mv_call_alloc(call, s.len + 1);
        if (!p)
                return false;
        if (s.len)
                memcpy(p, s.p, s.len);
        *ret = mv__text(mv_slice(p, s.len));
        return true;
}

int mv__fail_memory(struct mv_call *call, const char *what)
{
        return mv_call_fail(
                call, "MemoryExhausted",
                "%s: the reply of %s needs more than the memory limit of %lu bytes; raise --memory",
                call->capability->id, what, (unsigned long)call->limits.memory_bytes_max);
}

uint64_t mv__reply_bytes_max(const struct mv_call *call, const char **ret_limit)
{
        uint64_t memory = call->limits.memory_bytes_max,
                 frame = MV_FRAME_PAYLOAD_MAX - REPLY_FRAME_BYTES;
        *ret_limit = memory < frame ? "memory limit" : "limit of one reply";
        return memory < frame ? memory : frame;
}

bool mv__call_ended(const struct mv_call *call, const char **ret_why)
{
        if (call->cancel && *call->cancel) {
                *ret_why = "the execution was cancelled";
                return true;
        }
        if (call->deadline_ns && mv__now_ns() >= call->deadline_ns) {
                *ret_why = "the execution's deadline came first";
                return true;
        }
        return false;
}

void mv__decision_narrow(struct mv_decision *d, const struct mv_decision *policy)
{
        d->allowed = policy->allowed;
        /* every text ends at its NUL: nothing behind it is copied */
        mv_fmt(d->rule, sizeof d->rule, "%s", policy->rule);
        mv_fmt(d->operation, sizeof d->operation, "%s", policy->operation);
        mv_fmt(d->capability, sizeof d->capability, "%s", policy->capability);
        mv_fmt(d->context, sizeof d->context, "%s", policy->context);
        mv_fmt(d->hint, sizeof d->hint, "%s", policy->hint);
        for (uint32_t i = 0; i < policy->permissions_count; i++)
                mv__decision_permission(d, policy->permissions[i]);
}
