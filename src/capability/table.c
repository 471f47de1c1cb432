/* SPDX-License-Identifier: Apache-2.0 */
/* The table: sorted by id, found by bisection.
 * (1) Ids and aliases are one name space: what is registered later never shadows what a program could already say.
 * (2) A built-in capability is found by its id, so nothing an embedder registers inherits its argument rules. */
#include <capability/builtin.h>
#include <base/nearest.h>
#include <base/limits.h>
#include <policy/profile.h>
#include <stdlib.h>

struct entry {
        struct mv_capability capability;
        const struct mv_builtin *builtin; /* NULL: the embedder's, and its texts are ours to free */
};
struct mv_capability_table {
        struct entry **entries; /* pointers: a descriptor stays where it is while the table grows */
        uint32_t count, cap;
};

static const struct mv_family *const families[] = {
        &mv__family_core, &mv__family_data,   &mv__family_system, &mv__family_output,
        &mv__family_file, &mv__family_handle, &mv__family_random,
#ifdef MV_HAVE_CURL
        &mv__family_http,
#endif
};

const struct mv_builtin *mv__builtin_at(uint32_t i)
{
        for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
                if (i < families[f]->count)
                        return &families[f]->items[i];
                i -= families[f]->count;
        }
        return NULL;
}

/* Index of id, or of the place where it belongs. */
static uint32_t bisect(const struct mv_capability_table *t, struct mv_slice id, bool *ret_found)
{
        uint32_t lo = 0, hi = t->count;
        while (lo < hi) {
                uint32_t mid = lo + (hi - lo) / 2;
                int c = mv_slice_cmp(mv_slice_str(t->entries[mid]->capability.id), id);
                if (c == 0) {
                        *ret_found = true;
                        return mid;
                }
                if (c < 0)
                        lo = mid + 1;
                else
                        hi = mid;
        }
        *ret_found = false;
        return lo;
}

static struct entry *entry_of(const struct mv_capability_table *t, const char *id)
{
        bool found;
        uint32_t at = bisect(t, mv_slice_str(id), &found);
        return found ? t->entries[at] : NULL;
}

/* Of a descriptor that this table gave out. */
static const struct entry *entry_around(const struct mv_capability *c)
{
        return (const struct entry *)((const char *)c - offsetof(struct entry, capability));
}

static struct entry *entry_free(struct entry *e)
{
        if (!e)
                return NULL;
        if (!e->builtin) {
                free((char *)e->capability.id);
                free((char *)e->capability.arguments);
                free((char *)e->capability.result);
                free((char *)e->capability.summary);
                free((char *)e->capability.permission);
                free((char *)e->capability.tags);
        }
        free(e);
        return NULL;
}

/* Takes e, also on failure. */
static int insert(struct mv_capability_table *t, struct entry *e, struct mv_err *err)
{
        if (t->count == t->cap) {
                uint32_t cap = t->cap ? t->cap * 2 : 64;
                struct entry **p = realloc(t->entries, cap * sizeof *p);
                if (!p) {
                        entry_free(e);
                        return mv_fail(err, MV_E_NOMEM, 0, "capability table");
                }
                t->entries = p;
                t->cap = cap;
        }
        bool found;
        uint32_t at = bisect(t, mv_slice_str(e->capability.id), &found);
        memmove(&t->entries[at + 1], &t->entries[at], (t->count - at) * sizeof *t->entries);
        t->entries[at] = e;
        t->count++;
        return 0;
}

int mv_capability_table_new(struct mv_capability_table **ret, struct mv_err *err)
{
        struct mv_capability_table *t = calloc(1, sizeof *t);
        if (!t)
                return mv_fail(err, MV_E_NOMEM, 0, "capability table");
        const struct mv_builtin *b;
        for (uint32_t i = 0; (b = mv__builtin_at(i)); i++) {
                struct entry *e = calloc(1, sizeof *e);
                if (!e) {
                        mv_capability_table_free(t);
                        return mv_fail(err, MV_E_NOMEM, 0, "capability table");
                }
                e->capability = b->capability;
                e->builtin = b;
                int r = insert(t, e, err);
                if (r < 0) {
                        mv_capability_table_free(t);
                        return r;
                }
        }
        *ret = t;
        return 0;
}

struct mv_capability_table *mv_capability_table_free(struct mv_capability_table *t)
{
        if (!t)
                return NULL;
        for (uint32_t i = 0; i < t->count; i++)
                entry_free(t->entries[i]);
        free(t->entries);
        free(t);
        return NULL;
}

/* Printable ASCII without blanks, no leading colon: an id is also a grant, a command-line word
 * and a record's text. */
static bool id_valid(const char *id)
{
        if (!id || !*id || *id == ':' || strlen(id) > MV_CAPABILITY_ID_MAX)
                return false;
        for (const char *p = id; *p; p++)
                if (*p <= ' ' || *p > '~' || *p == '*')
                        return false;
        return true;
}

static int descriptor_check(const struct mv_capability *c, struct mv_err *err)
{
        if (!id_valid(c->id))
                return mv_fail(err, MV_E_INVALID, 0,
                               "capability id: 1 to %d printable ASCII characters without blanks, "
                               "'*' and leading ':'",
                               MV_CAPABILITY_ID_MAX);
        if (!c->call)
                return mv_fail(err, MV_E_INVALID, 0, "capability %s: call is missing", c->id);
        if (c->args_min > c->args_max)
                return mv_fail(err, MV_E_INVALID, 0, "capability %s: args_min is above args_max",
                               c->id);
        if (c->permission &&
            strlen(c->permission) >= sizeof((struct mv_decision *)0)->permissions[0])
                return mv_fail(err, MV_E_INVALID, 0,
                               "capability %s: permission is longer than %d bytes", c->id,
                               MV_CAPABILITY_ID_MAX);
        return 0;
}

/* NULL stays NULL; false only when memory ran out. */
static bool copy_text(const char *from, const char **ret)
{
        *ret = from ? strdup(from) : NULL;
        return !from || *ret;
}

static struct entry *entry_copy(const struct mv_capability *c)
{
        struct entry *e = calloc(1, sizeof *e);
        if (!e)
                return NULL;
        e->capability = *c;
        struct mv_capability *d = &e->capability;
        d->id = d->arguments = d->result = d->summary = d->permission = d->tags = NULL;
        if (copy_text(c->id, &d->id) &&
            copy_text(c->arguments ? c->arguments : "(any...)", &d->arguments) &&
            copy_text(c->result ? c->result : "any", &d->result) &&
            copy_text(c->summary ? c->summary : "", &d->summary) &&
            copy_text(c->permission, &d->permission) && copy_text(c->tags, &d->tags))
                return e;
        return entry_free(e);
}

int mv_capability_table_add(struct mv_capability_table *t, const struct mv_capability *c,
                            struct mv_err *err)
{
        int r = descriptor_check(c, err);
        if (r < 0)
                return r;
        const struct mv_capability *taken = mv_capability_find(t, mv_slice_str(c->id)); /* (1) */
        if (taken)
                return mv_fail(err, MV_E_EXISTS, 0, "capability %s exists already%s%s", c->id,
                               strcmp(taken->id, c->id) ? ", as an alias of " : "",
                               strcmp(taken->id, c->id) ? taken->id : "");
        struct entry *e = entry_copy(c);
        if (!e)
                return mv_fail(err, MV_E_NOMEM, 0, "capability %s", c->id);
        return insert(t, e, err);
}

const struct mv_capability *mv_capability_find(const struct mv_capability_table *t,
                                               struct mv_slice id)
{
        if (id.len && id.p[0] == ':')
                id = mv_slice(id.p + 1, id.len - 1);
        bool found;
        uint32_t at = bisect(t, id, &found);
        if (found)
                return &t->entries[at]->capability;
        const char *canonical = mv__alias_find(id);
        struct entry *e = canonical ? entry_of(t, canonical) : NULL;
        return e ? &e->capability : NULL;
}

bool mv_capability_repeatable(const struct mv_capability_table *t, const struct mv_capability *c,
                              const struct mv_value *args, uint32_t args_count)
{
        const struct entry *e = entry_of(t, c->id);
        if (c->pure || c->idempotent || c->effects == MV_EFFECT_OUTPUT)
                return true;
        return e && e->builtin && e->builtin->repeatable &&
               e->builtin->repeatable(args, args_count);
}

uint32_t mv_capability_count(const struct mv_capability_table *t)
{
        return t->count;
}

const struct mv_capability *mv_capability_at(const struct mv_capability_table *t, uint32_t i)
{
        return i < t->count ? &t->entries[i]->capability : NULL;
}

bool mv__is_builtin(const struct mv_capability_table *t, const struct mv_capability *c)
{
        const struct entry *e = entry_of(t, c->id);
        return e && e->builtin;
}

/* --- did you mean ----------------------------------------------------------------------------- */
/* UINT32_MAX: more than `most`, of the id and of what follows its "ccos." */
static unsigned distance_to(struct mv_slice asked, const char *id, unsigned most)
{
        struct mv_slice whole = mv_slice_str(id);
        unsigned best = mv_edit_distance(asked, whole, most);
        if (!mv_slice_starts(whole, "ccos."))
                return best;
        unsigned brief = mv_edit_distance(asked, mv_slice(whole.p + 5, whole.len - 5), most);
        return brief < best ? brief : best;
}

const char *mv_capability_nearest(const struct mv_capability_table *t, struct mv_slice id)
{
        if (id.len && id.p[0] == ':')
                id = mv_slice(id.p + 1, id.len - 1);
        if (id.len == 0 || id.len > MV_NEAREST_TEXT_MAX)
                return NULL;
        unsigned most = mv_edit_tolerance(id.len);
        const char *nearest = NULL;
        for (uint32_t i = 0; i < t->count; i++) {
                unsigned d = distance_to(id, t->entries[i]->capability.id, most);
                if (d > most)
                        continue;
                nearest = t->entries[i]->capability.id;
                if (d == 0)
                        break;
                most = d - 1; /* only a nearer one replaces it */
        }
        return nearest;
}

/* --- arguments and the decision --------------------------------------------------------------- */
static void expected_count(const struct mv_capability *c, char *buf, size_t cap)
{
        if (c->args_min == c->args_max)
                mv_fmt(buf, cap, "%u", (unsigned)c->args_min);
        else if (c->args_max == UINT16_MAX)
                mv_fmt(buf, cap, "at least %u", (unsigned)c->args_min);
        else
                mv_fmt(buf, cap, "between %u and %u", (unsigned)c->args_min, (unsigned)c->args_max);
}

static const char *kind_wanted(char letter, const struct mv_value *v)
{
        switch (letter) {
        case 's':
                return v->kind == MV_STRING ? NULL : "string";
        case 'i':
                return v->kind == MV_INT ? NULL : "integer";
        case 'b':
                return v->kind == MV_BOOL ? NULL : "boolean";
        default:
                return NULL;
        }
}

int mv_capability_check(const struct mv_capability *c, const struct mv_value *args,
                        uint32_t args_count, struct mv_fault *ret)
{
        if (args_count < c->args_min || args_count > c->args_max) {
                char expected[48];
                expected_count(c, expected, sizeof expected);
                mv__fault_set(ret, "ArityMismatch", "%s: expected %s, got %u", c->id, expected,
                              args_count);
                return -(int)MV_E_PROGRAM;
        }
        const struct mv_builtin *builtin = entry_around(c)->builtin;
        const char *kinds = builtin ? builtin->kinds : "*";
        for (uint32_t i = 0; i < args_count; i++) {
                const char *wanted = kind_wanted(*kinds, &args[i]);
                if (wanted) {
                        mv__fault_set(ret, "TypeError", "%s: expected %s, got %s", c->id, wanted,
                                      mv_kind_name(args[i].kind));
                        return -(int)MV_E_PROGRAM;
                }
                kinds += kinds[1] != '\0';
        }
        return 0;
}

/* The grant that allows the capability may not be enough: name the one for its path, host or
 * variable as well. */
static void add_second_hint(const struct mv_builtin *b, const struct mv_context *c,
                            const struct mv_value *args, uint32_t args_count, struct mv_decision *d)
{
        struct mv_decision also = { 0 };
        struct mv_fault fault;
        size_t n = strlen(d->hint);
        static const char level[] = "--level controlled "; /* said already */
        if (b->check(c, args, args_count, &also, &fault) < 0 || also.allowed || !also.hint[0] || !n)
                return;
        const char *more = strncmp(also.hint, level, sizeof level - 1) == 0
                                   ? also.hint + sizeof level - 1
                                   : also.hint;
        if (n + 1 + strlen(more) < sizeof d->hint)
                mv_fmt(d->hint + n, sizeof d->hint - n, " %s", more);
}

bool mv_capability_decided_by_id(const struct mv_capability *c)
{
        const struct mv_builtin *builtin = entry_around(c)->builtin;
        return builtin && !builtin->check && !(c->effects & MV_EFFECT_FILESYSTEM);
}

int mv_capability_decide(const struct mv_context *c, const struct mv_capability *cap,
                         const struct mv_value *args, uint32_t args_count, struct mv_decision *ret,
                         struct mv_fault *ret_fault)
{
        mv_authorize_capability(c, cap->id, cap, args, args_count, ret);
        const struct mv_builtin *builtin = entry_around(cap)->builtin;
        if (c && c->steps && ret->allowed) {
                mv_profile_capability(c->steps, cap, builtin, ret);
                if (!ret->allowed)
                        return 0;
        }
        if (!builtin || !builtin->check)
                return 0;
        if (!ret->allowed) { /* (2) */
                add_second_hint(builtin, c, args, args_count, ret);
                return 0;
        }
        return builtin->check(c, args, args_count, ret, ret_fault);
}
