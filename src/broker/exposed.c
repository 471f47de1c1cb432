/* SPDX-License-Identifier: Apache-2.0 */
/* What a program says about itself, and to which capabilities that is shown (REQ-SEC-13): its variables, and what it sets with
 * context/set. It comes with the STEP events that are recorded anyway.
 *
 * (1) Who may see it is the context's word (mv_context_expose) and nobody else's. What a step says (:expose-context,
 *     :context-keys) comes from the guest, so it chooses among that: the innermost step that says something counts.
 * (2) What a step with an isolation level has set is gone behind it, as in the evaluator: it may have run in another cell.
 * (3) It is bounded. Beyond the bounds nothing is forgotten in silence: a call that would be shown it fails. */
#include <broker/internal.h>
#include <stdlib.h>
#include <wire/cbor.h>

#define SAID_BYTES_MAX ((size_t)4 << 20) /* of host memory */
#define SAID_MAX       256u

enum kind {
        SAID_VALUE, /* a key and its value */
        SAID_RULE,  /* from here on it is shown, or not */
        SAID_CELL   /* here begins a step with an isolation level (2) */
};
struct said {
        struct said *before;
        enum kind kind;
        uint32_t depth; /* CELL: steps that are open in it */
        bool show;      /* RULE */
        struct mv_slice key;
        const struct mv_value *value; /* of the key; RULE: the keys, or nil for all */
        size_t taken;                 /* of the bounds */
        struct mv_arena arena;
        alignas(16) uint8_t small[256]; /* of the arena: most need no more */
};
struct mv_exposed {
        struct said *newest;
        size_t bytes;
        uint32_t count;
        bool lost; /* (3) */
};

static void drop(struct mv_exposed *x, struct said **at)
{
        struct said *s = *at;
        *at = s->before;
        x->bytes -= s->taken;
        x->count--;
        mv_arena_done(&s->arena);
        free(s);
}

static bool keep(struct said *s, struct mv_slice key, const struct mv_value *v)
{
        const struct mv_value text = { .kind = MV_STRING, .text = key };
        const struct mv_value *k = mv_value_copy(&text, &s->arena);
        s->value = v && k ? mv_value_copy(v, &s->arena) : NULL;
        if (k)
                s->key = k->text;
        return k && (s->value || !v);
}

/* NULL: (3) */
static struct said *add(struct mv_exposed *x, enum kind kind, struct mv_slice key,
                        const struct mv_value *v)
{
        size_t room = SAID_BYTES_MAX - x->bytes;
        bool fits = x->count < SAID_MAX && room > sizeof(struct said);
        struct said *s = fits ? calloc(1, sizeof *s) : NULL;
        if (s) {
                room -= sizeof *s;
                s->arena = mv_arena_grow_behind(s->small, sizeof s->small, room);
        }
        if (!s || !keep(s, key, v)) {
                x->lost = true;
                if (s)
                        mv_arena_done(&s->arena);
                free(s);
                return NULL;
        }
        s->kind = kind;
        s->taken = sizeof *s + (room - s->arena.left);
        s->before = x->newest;
        x->newest = s;
        x->bytes += s->taken;
        x->count++;
        return s;
}

/* The newest of this kind that the innermost step with an isolation level added; NULL: none. */
static struct said **find_here(struct mv_exposed *x, enum kind kind, const struct mv_slice *key)
{
        for (struct said **at = &x->newest; *at && (*at)->kind != SAID_CELL; at = &(*at)->before)
                if ((*at)->kind == kind && (!key || mv_slice_eq((*at)->key, *key)))
                        return at;
        return NULL;
}

static void set(struct mv_exposed *x, struct mv_slice key, const struct mv_value *v)
{
        struct said **old = find_here(x, SAID_VALUE, &key);
        if (old)
                drop(x, old);
        add(x, SAID_VALUE, key, v);
}

static void step_ended(struct mv_exposed *x, uint32_t open)
{
        struct said *cell = x->newest;
        while (cell && (cell->kind != SAID_CELL || cell->depth <= open))
                cell = cell->before;
        for (bool more = cell != NULL; more;) { /* (2) */
                more = x->newest != cell;
                drop(x, &x->newest);
        }
}

struct mv_exposed *mv_exposed_new(const struct mv_value *variables)
{
        struct mv_exposed *x = calloc(1, sizeof *x);
        for (uint32_t i = 0; x && variables && i < variables->count; i++)
                set(x, variables->entries[i].key.text, &variables->entries[i].value);
        return x;
}

struct mv_exposed *mv_exposed_free(struct mv_exposed *x)
{
        while (x && x->newest)
                drop(x, &x->newest);
        free(x);
        return NULL;
}

void mv__exposed_begin(struct mv_exposed *x)
{
        for (struct said **at = x ? &x->newest : NULL; at && *at;)
                if ((*at)->kind == SAID_VALUE)
                        at = &(*at)->before;
                else
                        drop(x, at);
}

void mv__exposed_event(struct mv_broker *b, const struct mv_value *event, bool entered)
{
        struct mv_exposed *x = b->o.exposed;
        struct mv_slice what = event->items[0].text, key = { NULL, 0 };
        if (!x || (b->o.replay && !b->o.replay->goes_on))
                return;
        if (mv_slice_eq_str(what, "ctx-set") && mv_as_text(&event->items[1], &key)) {
                set(x, key, &event->items[2]);
        } else if (mv_slice_eq_str(what, "expose")) {
                struct said *s = add(x, SAID_RULE, key, &event->items[2]);
                if (s)
                        s->show = event->items[1].boolean;
        } else if (mv_slice_eq_str(what, "clear-expose")) {
                struct said **at = find_here(x, SAID_RULE, NULL);
                if (at)
                        drop(x, at);
        } else if (entered) {
                struct said *s = add(x, SAID_CELL, key, NULL);
                if (s)
                        s->depth = b->steps.open_count;
        } else if (mv_slice_eq_str(what, "step-completed") ||
                   mv_slice_eq_str(what, "step-failed")) {
                step_ended(x, b->steps.open_count);
        }
}

/* --- a call ----------------------------------------------------------------------------------- */
static const struct said *rule_now(const struct mv_exposed *x)
{
        const struct said *s = x->newest;
        while (s && s->kind != SAID_RULE)
                s = s->before;
        return s;
}

static bool is_chosen(const struct said *rule, struct mv_slice key)
{
        if (!rule || rule->value->kind != MV_VECTOR)
                return true;
        struct mv_slice one;
        for (uint32_t i = 0; i < rule->value->count; i++)
                if (mv_as_text(&rule->value->items[i], &one) && mv_slice_eq(one, key))
                        return true;
        return false;
}

static bool is_there(const struct mv_entry *entries, uint32_t count, struct mv_slice key)
{
        for (uint32_t i = 0; i < count; i++)
                if (mv_slice_eq(entries[i].key.text, key))
                        return true;
        return false;
}

/* The newest value of each key that is chosen. It is for the call alone: what it points at stays as long. NULL: no memory. */
static const struct mv_value *snapshot(const struct mv_exposed *x, const struct said *rule,
                                       struct mv_arena *a)
{
        struct mv_value *map = mv_new(a, struct mv_value, 1);
        struct mv_entry *entries = mv_new(a, struct mv_entry, x->count + 1);
        uint32_t count = 0;
        if (!map || !entries)
                return NULL;
        for (const struct said *s = x->newest; s; s = s->before)
                if (s->kind == SAID_VALUE && is_chosen(rule, s->key) &&
                    !is_there(entries, count, s->key))
                        entries[count++] = (struct mv_entry){ { .kind = MV_STRING, .text = s->key },
                                                              *s->value };
        *map = (struct mv_value){ .kind = MV_MAP, .count = count, .entries = entries };
        return mv_entries_sort(entries, count) ? map : NULL;
}

/* {"exposed": [key...]} */
static bool note(struct asked *q)
{
        size_t bytes = 32;
        for (uint32_t i = 0; i < q->exposed->count; i++)
                bytes += q->exposed->entries[i].key.text.len + 9;
        struct mv_out o = mv_out(mv_new(&q->arena, uint8_t, bytes), bytes);
        if (!o.p)
                return false;
        mv_cbor_put_map(&o, 1);
        mv_cbor_put_str(&o, "exposed");
        mv_cbor_put_array(&o, q->exposed->count);
        for (uint32_t i = 0; i < q->exposed->count; i++)
                mv_cbor_put_text(&o, q->exposed->entries[i].key.text);
        q->exposed_note = mv_out_slice(&o);
        return !o.overflow;
}

bool mv__expose(struct mv_broker *b, struct asked *q)
{
        const struct mv_exposed *x = b->o.exposed;
        if (!x || !mv_context_exposes(b->o.context, q->capability))
                return true;
        const struct said *rule = rule_now(x);
        if (!x->lost && rule && !rule->show)
                return true;
        q->exposed = x->lost ? NULL : snapshot(x, rule, &q->arena);
        if (q->exposed && note(q))
                return true;
        mv_fmt(q->fault.kind, sizeof q->fault.kind, "LimitExceeded");
        mv_fmt(q->fault.message, sizeof q->fault.message,
               "%s is shown the program's context, and that is more than %u values or %zu MiB",
               q->capability->id, SAID_MAX, SAID_BYTES_MAX >> 20);
        return false;
}
