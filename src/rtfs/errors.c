/* SPDX-License-Identifier: Apache-2.0 */
/* Raising errors (spec section 6). An error is a value; raising it means making it r->pending and returning N_ERROR.
 * Resource ends (fuel, memory, output, interrupt) are not values: nothing in the program can catch them. */
#include <rtfs/vm.h>
#include <wire/cbor.h>

static const struct {
        const char *name, *prefix;
} kinds[] = {
#define X(id, name, keyword) [E_##id] = { name, "" },
        ERROR_KIND_MAP(X)
#undef X
};

static const char *prefix_of(enum error_kind kind)
{
        switch (kind) {
        case E_TYPE:
                return "Type error in ";
        case E_DIV_ZERO:
                return "Division by zero";
        case E_UNDEFINED:
                return "Undefined symbol: ";
        case E_ARITY:
                return "Arity mismatch in ";
        case E_INVALID_ARGUMENT:
                return "Invalid argument: ";
        case E_INVALID_ARGUMENTS:
                return "Invalid arguments: ";
        case E_TYPE_VALIDATION:
                return "Type validation error: ";
        case E_MATCH:
                return "Match error: ";
        case E_NOT_IMPLEMENTED:
                return "Not implemented: ";
        case E_GENERIC:
                return "Runtime error: ";
        case E_INTERNAL:
                return "Internal error: ";
        case E_UNKNOWN_CAPABILITY:
                return "Unknown capability: ";
        case E_STACK:
                return "Stack overflow: ";
        case E_MODULE_NOT_FOUND:
                return "Module not found: ";
        case E_MODULE:
                return "Module error: ";
        case E_OVERFLOW:
                return "Integer overflow in ";
        case E_PARSE:
                return "Parse error: ";
        case E_IO:
                return "I/O error: ";
        case E_NETWORK:
                return "Network error: ";
        case E_JSON:
                return "JSON error: ";
        default:
                return "";
        }
}

const char *error_kind_name(const struct error *e)
{
        return e->kind < E_MAX_ ? kinds[e->kind].name : "";
}

enum error_kind error_kind_of(struct mv_slice name)
{
        for (int k = 0; k < E_OTHER; k++)
                if (mv_slice_eq_str(name, kinds[k].name))
                        return (enum error_kind)k;
        return E_OTHER;
}

val error_new(struct mv_rtfs *r, enum error_kind kind, struct mv_slice message, val data)
{
        val text = string_new(r, message);
        struct error *e = nomem(text) ? NULL : heap_alloc(r, O_ERROR, sizeof *e);
        if (!e)
                return NOMEM_VAL;
        e->kind = (uint16_t)kind;
        e->name = NIL;
        e->message = e->display = text;
        e->data = data;
        e->operation = e->capability = e->context = NIL;
        return OBJ(T_ERROR, e);
}

enum native_status raise_value(struct mv_rtfs *r, val error)
{
        if (nomem(error))
                return N_NOMEM;
        if (r->source_pos && !as_error(error)->pos)
                as_error(error)->pos = r->source_pos;
        r->pending = error;
        return N_ERROR;
}

enum native_status raise_fmt(struct mv_rtfs *r, enum error_kind kind, const char *fmt, ...)
{
        char text[1024];
        va_list ap;
        size_t n = mv_fmt(text, sizeof text, "%s", prefix_of(kind));
        va_start(ap, fmt);
        n += mv_vfmt(text + n, sizeof text - n, fmt, ap);
        va_end(ap);
        while (n && (text[n - 1] & 0xc0) == 0x80 && n == sizeof text - 1)
                n--; /* a cut text stays valid UTF-8: drop a broken last character */
        if (n == sizeof text - 1 && (text[n - 1] & 0x80))
                n--;
        return raise_value(r, error_new(r, kind, mv_slice(text, n), NIL));
}

enum native_status raise_type_text(struct mv_rtfs *r, const char *op, const char *expected,
                                   const char *actual)
{
        return raise_fmt(r, E_TYPE, "%s: expected %s, got %s", op, expected, actual);
}

enum native_status raise_type(struct mv_rtfs *r, const char *op, const char *expected, val actual)
{
        return raise_type_text(r, op, expected, type_name(actual));
}

enum native_status raise_arity(struct mv_rtfs *r, const char *function, const char *expected,
                               uint32_t actual)
{
        return raise_fmt(r, E_ARITY, "%s: expected %s, got %u", function, expected, actual);
}

enum native_status raise_index(struct mv_rtfs *r, int64_t index, uint64_t length)
{
        char text[128];
        size_t n =
                mv_fmt(text, sizeof text, "Index %lld out of bounds for collection of length %llu",
                       (long long)index, (unsigned long long)length);
        val e = error_new(r, E_INDEX, mv_slice(text, n), NIL);
        if (nomem(e))
                return N_NOMEM;
        n = mv_fmt(text, sizeof text, "Index out of bounds: index %lld is not in range [0, %llu)",
                   (long long)index, (unsigned long long)length);
        val display = string_new(r, mv_slice(text, n));
        if (nomem(display))
                return N_NOMEM;
        as_error(e)->display = display;
        return raise_value(r, e);
}

enum native_status raise_memory(struct mv_rtfs *r, const char *doing)
{
        r->fatal = E_MEMORY;
        mv_fmt(r->fatal_text, sizeof r->fatal_text, "Memory limit exceeded: %s", doing);
        return N_FATAL;
}

static bool interrupted(struct mv_rtfs *r)
{
        r->fatal = E_INTERRUPTED;
        mv_fmt(r->fatal_text, sizeof r->fatal_text, "Interrupted");
        return false;
}

static bool fuel_is_out(struct mv_rtfs *r)
{
        r->fuel_left = 0;
        r->fatal = E_FUEL;
        mv_fmt(r->fatal_text, sizeof r->fatal_text, "Fuel limit exceeded: %llu steps",
               (unsigned long long)r->fuel_start);
        return false;
}

bool fuel_goes_on(struct mv_rtfs *r)
{
        if (r->interrupt)
                return interrupted(r);
        if (r->fuel_left < 0)
                return fuel_is_out(r);
        if (r->options.tick && !r->options.tick(r->options.event_ctx))
                return interrupted(r);
        fuel_next_stop(r);
        return true;
}

/* An interrupt may come at any moment, from another thread too: it is looked for after its mark
 * was written over. */
void fuel_next_stop(struct mv_rtfs *r)
{
        bool ticks = r->options.tick && r->fuel_left > MV_TICK_FUEL;
        r->fuel_stop = ticks ? r->fuel_left - MV_TICK_FUEL : 0;
        if (r->interrupt)
                r->fuel_stop = INT64_MAX;
}

enum native_status charge(struct mv_rtfs *r, uint64_t units)
{
        if (r->interrupt)
                return interrupted(r), N_FATAL;
        if (units > (uint64_t)r->fuel_left)
                return fuel_is_out(r), N_FATAL;
        r->fuel_left -= (int64_t)units;
        return r->fuel_left >= r->fuel_stop || fuel_goes_on(r) ? N_OK : N_FATAL;
}

enum native_status emit_event(struct mv_rtfs *r, const char *event, const val *items,
                              uint32_t count)
{
        return emit_to(r, r->options.event, event, items, count);
}

enum native_status emit_to(struct mv_rtfs *r, bool (*to)(void *ctx, struct mv_slice cbor_array),
                           const char *event, const val *items, uint32_t count)
{
        struct mv_out o = scratch(r);
        if (!to)
                return N_OK;
        mv_cbor_put_array(&o, 1 + count);
        mv_cbor_put_str(&o, event);
        for (uint32_t i = 0; i < count; i++)
                if (!encode_value(&o, items[i]))
                        break;
        if (o.overflow)
                return N_NOMEM;
        if (to(r->options.event_ctx, mv_out_slice(&o)))
                return N_OK;
        r->fatal = E_OUTPUT;
        mv_fmt(r->fatal_text, sizeof r->fatal_text, "Output limit exceeded: too many events");
        return N_FATAL;
}
