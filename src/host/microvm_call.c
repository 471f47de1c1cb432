/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.microvm.execute (REQ-CFG-13): a program starts another one, in a cell of its own, with less than it has itself.
 *
 *   {:program {:type "RtfsSource" :source "(+ 1 2)"}
 *             {:type "Script" :language "Python" :source "..."}
 *             {:type "ExternalProgram" :path "/bin/ls" :args ["-l"]}
 *    :args [...] :provider "kvm"
 *    :config {:timeout_ms 1000 :memory_limit_mb 64 :capabilities ["ccos.math.*"] :env_vars {"A" "1"}
 *             :network_policy "Denied" or {:AllowList ["a.example"]}
 *             :fs_policy "None" or {:ReadOnly ["/data"]} or {:ReadWrite ["/out"]}}}
 *
 * (1) It is an execution like any other, decided, recorded, walled and limited by the context of its caller (nested.c).
 *     Scripts and external programs need the grant external_program, as they do everywhere.
 * (2) :config only narrows. What the caller does not have is denied, and what is not known is refused.
 *     Below level full: of a caller of that level only what is named is granted then.
 * (3) A program that failed, or was denied, is a reply, which says nothing that differs between walls; one that could not
 *     be started is an error. */
#include <base/err.h>
#include <base/slice.h>
#include <host/host.h>
#include <host/nested.h>
#include <policy/cover.h>
#include <security/grants.h>
#include <string.h>
#include <wire/cbor.h>

#define ITEMS_MAX 256

struct request {
        struct mv_call *call;
        struct mv_context *context;
        struct mv_execution x;
        char provider[32], language[32], *path, *argv[ITEMS_MAX + 1];
        bool narrowed; /* below a caller of level full: to what is named */
};

static int wrong(const struct request *q, const char *key, const char *expected)
{
        return mv_call_fail(q->call, "InvalidArgument", "%s: %s is expected", key, expected);
}

static char *text_of(const struct request *q, const struct mv_value *v)
{
        struct mv_slice s;
        if (!mv_as_text(v, &s) || memchr(s.p, 0, s.len))
                return NULL;
        char *p = mv_call_alloc(q->call, s.len + 1);
        if (p && s.len)
                memcpy(p, s.p, s.len);
        if (p)
                p[s.len] = '\0';
        return p;
}

/* --- narrowing (2) ---------------------------------------------------------------------------- */
static int deny(const struct request *q, const char *kind, const char *text)
{
        struct mv_decision d;
        mv_decision_none(&d);
        mv_fmt(d.rule, sizeof d.rule, "no grant");
        mv_fmt(d.operation, sizeof d.operation, "nested_execution");
        mv_fmt(d.capability, sizeof d.capability, "%s", q->call->capability->id);
        mv_fmt(d.context, sizeof d.context, "%s '%.120s' is not granted to the caller", kind, text);
        return q->call->host.deny(q->call->host.ctx, &d);
}

/* Of one kind, what is named and is there; the caller itself must have all of it. */
static int narrow(struct request *q, enum mv_grant_kind kind, const char *const *items,
                  uint32_t count)
{
        static const char *const names[MV_GRANT_KINDS] = { "capability", "path", "path",
                                                           "host",       "host", "variable" };
        for (uint32_t i = 0; i < count; i++)
                if (!mv_grant_covered(q->context, kind, items[i]))
                        return deny(q, names[kind], items[i]);
        q->narrowed = true;
        for (uint32_t k = 0; k <= q->context->narrowings_count; k++) {
                struct mv_context *c = k ? q->context->narrowings[k - 1].context : q->context;
                struct mv_grant_list named = { 0 };
                struct mv_err err;
                int r = 0;
                for (uint32_t i = 0; r == 0 && i < count; i++)
                        if (mv_grant_covered(c, kind, items[i]))
                                r = mv__grants_add(&named, items[i], &err);
                mv__grants_clear(c, kind);
                for (uint32_t i = 0; r == 0 && i < named.count; i++)
                        r = mv__grant(c, kind, named.items[i], &err);
                mv__grants_done(&named);
                if (r < 0)
                        return mv_call_fail(q->call, "InvalidArgument", "%s", err.msg);
        }
        return 0;
}

static int narrow_list(struct request *q, enum mv_grant_kind kind, const char *key,
                       const struct mv_value *v)
{
        const char *items[ITEMS_MAX];
        if (v->kind != MV_VECTOR || v->count > ITEMS_MAX)
                return wrong(q, key, "a vector of at most 256 texts");
        for (uint32_t i = 0; i < v->count; i++)
                if (!(items[i] = text_of(q, &v->items[i])))
                        return wrong(q, key, "a vector of texts");
        return narrow(q, kind, items, v->count);
}

/* A word that takes everything, or a map of one list. */
static int take_policy(struct request *q, const char *key, const struct mv_value *v)
{
        static const struct {
                const char *key, *name;
                enum mv_grant_kind kind;
        } lists[] = { { ":network_policy", "AllowList", MV_GRANT_HOST },
                      { ":fs_policy", "ReadOnly", MV_GRANT_READ },
                      { ":fs_policy", "ReadWrite", MV_GRANT_WRITE } };
        bool network = key[1] == 'n';
        struct mv_slice word, name = { NULL, 0 };
        bool none = mv_as_text(v, &word) && mv_slice_eq_str(word, network ? "Denied" : "None");
        if (!none && (v->kind != MV_MAP || v->count != 1 || !mv_as_text(&v->entries[0].key, &name)))
                return wrong(q, key,
                             network ? "\"Denied\" or {:AllowList [...]}"
                                     : "\"None\", {:ReadOnly [...]} or {:ReadWrite [...]}");
        bool known = none;
        for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
                bool named = !none && mv_slice_eq_str(name, lists[i].name);
                if (strcmp(key, lists[i].key) != 0)
                        continue;
                known |= named;
                int r = named ? narrow_list(q, lists[i].kind, key, &v->entries[0].value)
                              : narrow(q, lists[i].kind, NULL, 0);
                if (r < 0)
                        return r;
        }
        return known ? 0 : wrong(q, key, "a policy that there is");
}

static int take_env(struct request *q, const char *key, const struct mv_value *v)
{
        const char *items[ITEMS_MAX];
        struct mv_slice name, value;
        if (v->kind != MV_MAP || v->count > ITEMS_MAX)
                return wrong(q, key, "a map of at most 256 variables");
        for (uint32_t i = 0; i < v->count; i++) {
                if (!mv_as_text(&v->entries[i].key, &name) ||
                    !mv_as_text(&v->entries[i].value, &value))
                        return wrong(q, key, "a map of names to texts");
                char *p = mv_call_alloc(q->call, name.len + value.len + 2);
                if (!p)
                        return mv_call_fail(q->call, "BudgetExhausted", "no memory for %s", key);
                mv_fmt(p, name.len + value.len + 2, "%.*s=%.*s", MV_SARG(name), MV_SARG(value));
                items[i] = p;
        }
        return narrow(q, MV_GRANT_ENV, items, v->count);
}

static int take_limit(struct request *q, const char *key, const struct mv_value *v)
{
        int64_t n = 0;
        if (!mv_as_int(v, &n) || n < 1 || n > 1 << 30)
                return wrong(q, key, "a positive number");
        struct mv_limits l = { 0 };
        if (key[1] == 't')
                l.wall_ns_max = (uint64_t)n * 1000000;
        else
                l.memory_bytes_max = (uint64_t)n << 20;
        q->x.limits = mv_limits_min(q->x.limits, l);
        return 0;
}

static int take_capabilities(struct request *q, const char *key, const struct mv_value *v)
{
        return narrow_list(q, MV_GRANT_CAPABILITY, key, v);
}

/* --- the map ---------------------------------------------------------------------------------- */
struct entry_rule {
        const char *key; /* as it is written: ":config" */
        int (*take)(struct request *q, const char *key, const struct mv_value *v);
};

static int take_map(struct request *q, const char *what, const struct mv_value *map,
                    const struct entry_rule *rules)
{
        if (map->kind != MV_MAP)
                return wrong(q, what, "a map");
        for (uint32_t i = 0; i < map->count; i++) {
                struct mv_slice key = { NULL, 0 };
                const struct entry_rule *rule = rules;
                (void)mv_as_text(&map->entries[i].key, &key);
                while (rule->key && !mv_slice_eq_str(key, rule->key + 1))
                        rule++;
                if (!rule->key)
                        return mv_call_fail(q->call, "InvalidArgument", "%s has no key %.*s", what,
                                            (int)(key.len < 60 ? key.len : 60),
                                            (const char *)key.p);
                int r = rule->take(q, rule->key, &map->entries[i].value);
                if (r < 0)
                        return r;
        }
        return 0;
}

static int take_config(struct request *q, const char *key, const struct mv_value *v)
{
        static const struct entry_rule rules[] = { { ":timeout_ms", take_limit },
                                                   { ":memory_limit_mb", take_limit },
                                                   { ":capabilities", take_capabilities },
                                                   { ":network_policy", take_policy },
                                                   { ":fs_policy", take_policy },
                                                   { ":env_vars", take_env },
                                                   { NULL, NULL } };
        int r = take_map(q, key, v, rules);
        /* what is not named is not granted */
        for (uint32_t i = 0; r == 0 && q->narrowed && i <= q->context->narrowings_count; i++) {
                struct mv_context *c = i ? q->context->narrowings[i - 1].context : q->context;
                if (c->level == MV_LEVEL_FULL)
                        c->level = MV_LEVEL_CONTROLLED;
        }
        return r;
}

static int take_type(struct request *q, const char *key, const struct mv_value *v)
{
        static const struct {
                const char *name;
                enum mv_program_kind kind;
        } types[] = { { "RtfsSource", MV_PROGRAM_SOURCE },
                      { "Script", MV_PROGRAM_SCRIPT },
                      { "ExternalProgram", MV_PROGRAM_EXTERNAL } };
        struct mv_slice name = { NULL, 0 };
        for (size_t i = 0; mv_as_text(v, &name) && i < sizeof types / sizeof types[0]; i++)
                if (mv_slice_eq_str(name, types[i].name)) {
                        q->x.program.kind = types[i].kind;
                        return 0;
                }
        return wrong(q, key, "\"RtfsSource\", \"Script\" or \"ExternalProgram\"");
}

static int take_source(struct request *q, const char *key, const struct mv_value *v)
{
        return mv_as_text(v, &q->x.program.bytes) ? 0 : wrong(q, key, "a text");
}

static int take_name(struct request *q, const char *key, const struct mv_value *v)
{
        struct mv_slice s = { NULL, 0 };
        bool language = key[1] == 'l';
        if (!mv_as_text(v, &s) || s.len >= sizeof q->language)
                return wrong(q, key, "a name");
        mv_fmt(language ? q->language : q->provider, sizeof q->language, "%.*s", MV_SARG(s));
        return 0;
}

static int take_path(struct request *q, const char *key, const struct mv_value *v)
{
        q->path = text_of(q, v);
        return q->path ? 0 : wrong(q, key, "a path");
}

static int take_argv(struct request *q, const char *key, const struct mv_value *v)
{
        if (v->kind != MV_VECTOR || v->count > ITEMS_MAX)
                return wrong(q, key, "a vector of at most 256 texts");
        for (uint32_t i = 0; i < v->count; i++)
                if (!(q->argv[i] = text_of(q, &v->items[i])))
                        return wrong(q, key, "a vector of texts");
        return 0;
}

static int take_program(struct request *q, const char *key, const struct mv_value *v)
{
        static const struct entry_rule rules[] = {
                { ":type", take_type }, { ":source", take_source }, { ":language", take_name },
                { ":path", take_path }, { ":args", take_argv },     { NULL, NULL }
        };
        q->x.program.kind = MV_PROGRAM_NONE;
        int r = take_map(q, key, v, rules);
        if (r == 0 && q->x.program.kind == MV_PROGRAM_NONE)
                r = wrong(q, key, "a :type");
        bool external = q->x.program.kind == MV_PROGRAM_EXTERNAL;
        if (r == 0 && (external ? !q->path : !q->x.program.bytes.p))
                r = wrong(q, key, external ? "a :path" : "a :source");
        return r;
}

static int take_args(struct request *q, const char *key, const struct mv_value *v)
{
        q->x.args = v;
        return v->kind == MV_VECTOR ? 0 : wrong(q, key, "a vector");
}

/* --- the reply (3) ---------------------------------------------------------------------------- */
static struct mv_value text(struct mv_call *call, const char *s)
{
        return mv__nested_text(call, mv_slice_str(s));
}

static int reply(struct mv_call *call, const struct mv_result *r, struct mv_value *ret)
{
        const struct mv_program_error *e = mv_result_error(r);
        const struct mv_value *value =
                mv_result_ok(r) ? mv_value_copy(mv_result_value(r), call->arena) : NULL;
        const struct {
                const char *key;
                struct mv_value value;
        } rows[] = {
                { "ok", { .kind = MV_BOOL, .boolean = mv_result_ok(r) } },
                { "value", value ? *value : (struct mv_value){ .kind = MV_NIL } },
                { "error", text(call, e ? e->message : "") },
                { "error_kind", text(call, e ? e->kind : "") },
                { "termination", text(call, mv_termination_name(mv_result_termination(r))) },
                { "stdout", mv__nested_text(call, mv_result_stdout(r)) },
                { "stderr", mv__nested_text(call, mv_result_stderr(r)) },
                { "exit_code", { .kind = MV_INT, .integer = mv_result_metadata(r)->exit_code } },
        };
        enum { ROWS = sizeof rows / sizeof rows[0] };
        struct mv_entry *entries = mv_call_alloc(call, ROWS * sizeof *entries);
        if (!entries || (mv_result_ok(r) && !value))
                return mv_call_fail(call, "BudgetExhausted",
                                    "the result does not fit into this execution's memory");
        for (size_t i = 0; i < ROWS; i++)
                entries[i] =
                        (struct mv_entry){ { .kind = MV_STRING, .text = mv_slice_str(rows[i].key) },
                                           rows[i].value };
        mv_entries_sort(entries, ROWS);
        *ret = (struct mv_value){ .kind = MV_MAP, .count = ROWS, .entries = entries };
        return 0;
}

static int execute(struct request *q, struct mv_value *ret)
{
        struct mv_result *result;
        struct mv_err err;
        char seed[MV_SEED_TEXT_BYTES];
        q->x.context = q->context;
        q->x.tier_min = q->call->tier_min;
        q->x.cancel = q->call->cancel;
        q->x.seed = mv__nested_seed(q->call, seed);
        q->x.prelude = true;
        q->x.provider = q->provider[0] ? q->provider : NULL;
        q->x.program.language = q->x.program.kind == MV_PROGRAM_SCRIPT ? q->language : NULL;
        q->x.program.path = q->path;
        q->x.program.argv = (const char *const *)q->argv;
        if (mv_execute(mv_call_ctx(q->call), &q->x, &result, &err) < 0)
                return mv_call_fail(q->call, "Generic", "%s", err.msg);
        int r = reply(q->call, result, ret);
        mv_result_free(result);
        return r;
}

static int run(struct mv_call *call, const struct mv_value *args, uint32_t args_count,
               struct mv_value *ret)
{
        static const struct entry_rule rules[] = { { ":program", take_program },
                                                   { ":args", take_args },
                                                   { ":provider", take_name },
                                                   { ":config", take_config },
                                                   { NULL, NULL } };
        struct request q = { .call = call,
                             .x = { .program = { .kind = MV_PROGRAM_MAX_ },
                                    .limits = mv__nested_limits(call) } };
        int r = mv__nested_context(call, &q.context);
        if (r < 0)
                return r;
        r = take_map(&q, "the request", &args[0], rules);
        if (r == 0 && q.x.program.kind == MV_PROGRAM_MAX_)
                r = wrong(&q, "the request", "a :program");
        if (r == 0)
                r = execute(&q, ret);
        mv_context_free(q.context);
        return r;
}

int mv__microvm_call_register(struct mv_host *h, struct mv_err *err)
{
        struct mv_capability c = {
                .id = "ccos.microvm.execute",
                .arguments = "({:program {:type :source} :args :provider :config})",
                .summary = "Run a program in a cell of its own, with less than the caller has.",
                .result = "map: ok value error termination stdout stderr exit_code ...",
                .effects = MV_EFFECT_SYSTEM,
                .args_min = 1,
                .args_max = 1,
                .call = run,
                .ctx = h
        };
        return mv_capability_table_add(h->table, &c, err);
}
