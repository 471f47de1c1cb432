/* SPDX-License-Identifier: Apache-2.0 */
/* What a program's metadata says about the calls under it: `^{:runtime.idempotency-key "order-7"} (call ...)`. The evaluator
 * sends it as STEP events before the form and clears it behind (spec 3.15); here it is read.
 *
 *   runtime.idempotency-key     "text", or {:key "text" :scope :plan|:global :window-ms n}
 *   runtime.idempotent          true: the calls may be repeated
 *   runtime.learning.retry      true or {:max-retries n :backoff-ms n or [n...] :backoff-multiplier n}
 *   runtime.timeout             n: each of the calls ends after so many milliseconds; or runtime.learning.timeout
 *                               {:absolute-ms n}; true: 30 s
 *   runtime.compensate          ["capability.id" arg...]: undoes the call, should the execution fail
 *   runtime.learning.cache            true or {:ttl-ms 60000 :max-entries 100}
 *   runtime.learning.circuit-breaker  true or {:failure-threshold 5 :cooldown-ms 30000 :success-threshold 2}
 *   runtime.learning.rate-limit       true or {:requests-per-second 10 :burst 5}; these three: resilience.c
 *   runtime.learning.metrics          true: pure calls are timed too
 *   (runtime.learning.fallback is the compiler's: rtfs/compile_data.c)
 *
 * (1) Hints come from the program: they decide how its own calls are carried out, never what it may do.
 * (2) One of these that cannot be understood makes the call fail: it is not left out in silence. Other keys mean nothing here. */
#include <broker/internal.h>
#include <stdlib.h>
#include <wire/cbor.h>

#define BACKOFF_MS_MAX     60000
#define BACKOFF_MS_DEFAULT 100
#define TIMEOUT_MS_DEFAULT 30000
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
        bool on = true;
        if (v->kind != MV_MAP && !mv_as_bool(v, &on))
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
        h->retries = on ? (uint32_t)max : 0;
        return NULL;
}

/* Each attempt by itself; never beyond the deadlines that there are. */
static const char *take_timeout(struct mv__hints *h, const struct mv_value *v)
{
        static const struct mv_value usual = { .kind = MV_INT, .integer = TIMEOUT_MS_DEFAULT };
        int64_t ms = 0;
        bool on;
        const struct mv_value *n = v->kind == MV_MAP          ? mv_map_get(v, "absolute-ms")
                                   : mv_as_bool(v, &on) && on ? &usual
                                                              : v;
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

struct setting {
        const char *key, *other; /* :ttl-ms, :ttl_ms */
        double min, max, *ret;   /* with the default in it */
};

static bool take_setting(const struct setting *s, const struct mv_entry *e)
{
        struct mv_slice key = { NULL, 0 };
        int64_t n;
        mv_as_text(&e->key, &key);
        if (!mv_slice_eq_str(key, s->key) && !mv_slice_eq_str(key, s->other))
                return false;
        if (mv_as_int(&e->value, &n))
                *s->ret = (double)n;
        else if (!mv_as_float(&e->value, s->ret))
                return false;
        return *s->ret >= s->min && *s->ret <= s->max;
}

/* true: as they are; a map: some of them are otherwise, and there are no others; false: *ret_off. */
static bool take_settings(const struct setting *s, const struct mv_value *v, bool *ret_off)
{
        bool on = true;
        if (v->kind != MV_MAP) {
                bool known = mv_as_bool(v, &on);
                *ret_off = !on;
                return known;
        }
        *ret_off = false;
        for (uint32_t i = 0; i < v->count; i++) {
                const struct setting *one = s;
                while (one->key && !take_setting(one, &v->entries[i]))
                        one++;
                if (!one->key)
                        return false;
        }
        return true;
}

static const char *take_cache(struct mv__hints *h, const struct mv_value *v)
{
        double ms = 60000, entries = 100;
        bool off;
        const struct setting s[] = { { "ttl-ms", "ttl_ms", 1, TIMEOUT_MS_MAX, &ms },
                                     { "max-entries", "max_entries", 1, 1000, &entries },
                                     { 0 } };
        if (!take_settings(s, v, &off))
                return "runtime.learning.cache: true or {:ttl-ms 1 to a day, :max-entries 1 to "
                       "1000}";
        h->cache_ms = off ? 0 : (uint64_t)ms;
        h->cache_entries = (uint32_t)entries;
        return NULL;
}

static const char *take_breaker(struct mv__hints *h, const struct mv_value *v)
{
        double failures = 5, ms = 30000, successes = 2;
        bool off;
        const struct setting s[] = {
                { "failure-threshold", "failure_threshold", 1, 1000000, &failures },
                { "cooldown-ms", "cooldown_ms", 1, TIMEOUT_MS_MAX, &ms },
                { "success-threshold", "success_threshold", 1, 1000000, &successes },
                { 0 }
        };
        if (!take_settings(s, v, &off))
                return "runtime.learning.circuit-breaker: true or {:failure-threshold 1 to "
                       "1000000, "
                       ":cooldown-ms 1 to a day, :success-threshold 1 to 1000000}";
        h->breaker_failures = off ? 0 : (uint32_t)failures;
        h->breaker_successes = (uint32_t)successes;
        h->breaker_ms = (uint64_t)ms;
        return NULL;
}

static const char *take_rate(struct mv__hints *h, const struct mv_value *v)
{
        double rate = 10, burst = 5;
        bool off;
        const struct setting s[] = { { "requests-per-second", "requests_per_second", 0.001, 1000000,
                                       &rate },
                                     { "burst", "burst", 1, 1000000, &burst },
                                     { 0 } };
        if (!take_settings(s, v, &off))
                return "runtime.learning.rate-limit: true or {:requests-per-second 0.001 to "
                       "1000000, "
                       ":burst 1 to 1000000}";
        h->rate = off ? 0 : rate;
        h->burst = burst;
        return NULL;
}

static const char *take_metrics(struct mv__hints *h, const struct mv_value *v)
{
        return mv_as_bool(v, &h->metrics) ? NULL : "runtime.learning.metrics: true or false";
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
        { "runtime.idempotency-key", take_key },
        { "runtime.idempotent", take_idempotent },
        { "runtime.learning.retry", take_retry },
        { "runtime.timeout", take_timeout },
        { "runtime.learning.timeout", take_timeout },
        { "runtime.compensate", take_compensation },
        { "runtime.learning.cache", take_cache },
        { "runtime.learning.circuit-breaker", take_breaker },
        { "runtime.learning.rate-limit", take_rate },
        { "runtime.learning.metrics", take_metrics },
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
