/* SPDX-License-Identifier: Apache-2.0 */
/* What a program's metadata says about the calls under it: `^{:runtime.idempotency-key "order-7"} (call ...)`. The evaluator
 * sends it as STEP events before the form and clears it behind (spec 3.15); here it is read.
 *
 *   runtime.idempotency-key     "text", or {:key "text" :scope :plan|:global :window-ms n}
 *   runtime.idempotent          true: the calls may be repeated
 *   runtime.learning.retry      {:max-retries n :backoff-ms n or [n...] :backoff-multiplier n}
 *   runtime.timeout             n: each of the calls ends after so many milliseconds; or runtime.learning.timeout
 *                               {:absolute-ms n}
 *   runtime.compensate          ["capability.id" arg...]: undoes the call, should the execution fail
 *
 * (1) Hints come from the program: they decide how its own calls are carried out, never what it may do.
 * (2) One of these that cannot be understood makes the call fail: it is not left out in silence. Other keys mean nothing here. */
#include <broker/internal.h>
#include <stdlib.h>
#include <wire/cbor.h>

#define BACKOFF_MS_MAX     60000
#define BACKOFF_MS_DEFAULT 100
#define TIMEOUT_MS_MAX     86400000

static void clear(struct mv__hints *h)
{
        struct bytes kept = h->compensation;
        memset(h, 0, sizeof *h);
        h->compensation = kept;
        h->compensation.len = 0;
}

void mv__hints_free(struct mv__hints *h)
{
        if (h)
                free(h->compensation.p);
        free(h);
}

static const char *take_key(struct mv__hints *h, const struct mv_value *v)
{
        struct mv_slice text = { NULL, 0 }, scope = MV_SLICE("plan");
        int64_t window = MV_KEYED_WINDOW_MS;
        const struct mv_value *key = v;
        if (v->kind == MV_MAP) {
                const struct mv_value *s = mv_map_get(v, "scope"), *w = mv_map_get(v, "window-ms");
                key = mv_map_get(v, "key");
                if ((s && !mv_as_text(s, &scope)) || (w && !mv_as_int(w, &window)))
                        return "runtime.idempotency-key: :scope is :plan or :global, :window-ms a "
                               "number";
        }
        if (!key || key->kind != MV_STRING || !mv_as_text(key, &text) || !text.len ||
            text.len > sizeof h->key)
                return "runtime.idempotency-key: a text of 1 to 256 bytes";
        h->key_global = mv_slice_eq_str(scope, "global");
        if (!h->key_global && !mv_slice_eq_str(scope, "plan"))
                return "runtime.idempotency-key: :scope is :plan or :global";
        if (window < 1 || (uint64_t)window > MV_KEYED_WINDOW_MS_MAX)
                return "runtime.idempotency-key: :window-ms is at least 1, and at most 366 days";
        memcpy(h->key, text.p, text.len);
        h->key_len = text.len;
        h->window_ms = (uint64_t)window;
        return NULL;
}

static const struct mv_value *either(const struct mv_value *map, const char *a, const char *b)
{
        const struct mv_value *v = mv_map_get(map, a);
        return v ? v : mv_map_get(map, b);
}

static bool number(const struct mv_value *v, double *ret)
{
        int64_t n;
        if (mv_as_int(v, &n))
                *ret = (double)n;
        else if (!mv_as_float(v, ret))
                return false;
        return *ret >= 0 && *ret <= BACKOFF_MS_MAX;
}

static const char *take_retry(struct mv__hints *h, const struct mv_value *v)
{
        static const char wrong[] = "runtime.learning.retry: {:max-retries 0 to 10, :backoff-ms 0 "
                                    "to 60000 or a vector of them, "
                                    ":backoff-multiplier 0 to 60000}";
        int64_t max = 3;
        double wait = BACKOFF_MS_DEFAULT, factor = 2;
        if (v->kind != MV_MAP)
                return wrong;
        const struct mv_value *m = either(v, "max-retries", "max"),
                              *w = either(v, "backoff-ms", "backoff_ms"),
                              *f = mv_map_get(v, "backoff-multiplier");
        bool list = w && w->kind == MV_VECTOR && w->count;
        if ((m && !mv_as_int(m, &max)) || max < 0 || max > MV__RETRIES_MAX ||
            (w && !list && !number(w, &wait)) || (f && !number(f, &factor)))
                return wrong;
        for (int64_t i = 0; i < max; i++) {
                if (list && (uint64_t)i < w->count && !number(&w->items[i], &wait))
                        return wrong;
                h->backoff_ms[i] = (uint32_t)wait;
                if (!list)
                        wait = wait * factor < BACKOFF_MS_MAX ? wait * factor : BACKOFF_MS_MAX;
        }
        h->retries = (uint32_t)max;
        return NULL;
}

/* Each attempt by itself; never beyond the deadlines that there are. */
static const char *take_timeout(struct mv__hints *h, const struct mv_value *v)
{
        int64_t ms = 0;
        const struct mv_value *n = v->kind == MV_MAP ? mv_map_get(v, "absolute-ms") : v;
        if (!n || (v->kind == MV_MAP && v->count != 1) || !mv_as_int(n, &ms) || ms < 1 ||
            ms > TIMEOUT_MS_MAX)
                return "runtime.timeout: milliseconds from 1 to a day, and "
                       "runtime.learning.timeout "
                       "{:absolute-ms milliseconds}; nothing here knows what a call usually takes";
        h->timeout_ms = (uint64_t)ms;
        return NULL;
}

static const char *take_idempotent(struct mv__hints *h, const struct mv_value *v)
{
        return mv_as_bool(v, &h->idempotent) ? NULL : "runtime.idempotent: true or false";
}

/* As the CALL frame will hold it: [id [args...]]. */
static void put_call(struct mv_out *o, const struct mv_value *v)
{
        mv_cbor_put_array(o, 2);
        mv_cbor_put_text(o, v->items[0].text);
        mv_cbor_put_array(o, v->count - 1);
        for (uint32_t i = 1; i < v->count; i++)
                mv_value_encode(o, &v->items[i]);
}

static const char *take_compensation(struct mv__hints *h, const struct mv_value *v)
{
        if (v->kind != MV_VECTOR || !v->count || v->items[0].kind != MV_STRING)
                return "runtime.compensate: [\"capability.id\" arg...]";
        for (size_t room = 256;; room *= 2) {
                if (room > MV_AUDIT_PAYLOAD_MAX || !mv__bytes_reserve(&h->compensation, room))
                        return "runtime.compensate: too large";
                struct mv_out o = mv_out(h->compensation.p, h->compensation.cap);
                put_call(&o, v);
                h->compensation.len = o.len;
                if (!o.overflow)
                        return NULL;
        }
}

static const struct {
        const char *key;
        const char *(*take)(struct mv__hints *h, const struct mv_value *v);
} rows[] = {
        { "runtime.idempotency-key", take_key },      { "runtime.idempotent", take_idempotent },
        { "runtime.learning.retry", take_retry },     { "runtime.timeout", take_timeout },
        { "runtime.learning.timeout", take_timeout }, { "runtime.compensate", take_compensation },
};

static int take(struct mv_broker *b, struct mv_slice key, const struct mv_value *v,
                struct mv_err *err)
{
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                if (!mv_slice_eq_str(key, rows[i].key))
                        continue;
                if (!b->hints && !(b->hints = calloc(1, sizeof *b->hints)))
                        return mv_fail(err, MV_E_NOMEM, 0, "broker: hints");
                const char *wrong = rows[i].take(b->hints, v);
                if (wrong)
                        b->hints->wrong = wrong;
        }
        return 0;
}

int mv__take_hint(struct mv_broker *b, const struct mv_value *event, struct mv_err *err)
{
        struct mv_slice name = event->items[0].text, key;
        if (b->hints && mv_slice_eq_str(name, "clear-hints"))
                clear(b->hints);
        if (!mv_slice_eq_str(name, "hint") || !mv_as_text(&event->items[1], &key))
                return 0;
        return take(b, key, &event->items[2], err);
}
