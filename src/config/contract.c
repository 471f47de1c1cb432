/* SPDX-License-Identifier: Apache-2.0 */
/* The invariants are in contract.h. */
#include <base/err.h>
#include <config/bind.h>
#include <config/config.h>
#include <config/contract.h>
#include <config/forms.h>
#include <config/lexical.h>
#include <config/settings.h>
#include <config/text.h>
#include <security/lexical.h>
#include <security/terms.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool mv__place_at(const char *directory, struct mv_slice path, char ret[MV_PLACE_BYTES])
{
        char whole[MV_PLACE_BYTES];
        size_t n = 0;
        bool relative = path.len == 0 || path.p[0] != '/';
        if (path.len + strlen(directory) + 2 > sizeof whole)
                return false;
        mv_fmt(whole, sizeof whole, "%s/%.*s", relative ? directory : "", MV_SARG(path));
        for (char *save, *part = strtok_r(whole, "/", &save); part;
             part = strtok_r(NULL, "/", &save)) {
                if (strcmp(part, ".") == 0)
                        continue;
                if (strcmp(part, "..") == 0) {
                        while (n > 0 && ret[--n] != '/')
                                ;
                        continue;
                }
                n += mv_fmt(ret + n, MV_PLACE_BYTES - n, "/%s", part);
        }
        if (n == 0)
                ret[n++] = '/';
        ret[n] = '\0';
        return true;
}

/* --- effects ---------------------------------------------------------------------------------- */
#define KINDS_MAX 32
struct effect {
        struct mv_slice kind;
        const struct mv_form *attributes; /* MAP, or NULL: no restriction */
};
struct effects {
        bool given;
        struct effect rows[KINDS_MAX];
        uint32_t count;
};

static bool is_word(const struct mv_form *f)
{
        return f->kind == MV_KEYWORD || f->kind == MV_STRING;
}

/* Under one name, whoever spells it. */
static struct mv_slice kind_name(struct mv_slice s)
{
        if (s.len && s.p[0] == ':')
                s = mv_slice(s.p + 1, s.len - 1);
        return mv_slice_eq_str(s, "filesystem") ? MV_SLICE("fs") : s;
}

static const struct mv_form *attribute(const struct effect *e, const char *name)
{
        for (uint32_t i = 0; e->attributes && i + 1 < e->attributes->count; i += 2)
                if (is_word(&e->attributes->items[i]) &&
                    mv__name_is(e->attributes->items[i].text, name))
                        return &e->attributes->items[i + 1];
        return NULL;
}

static bool add_effect(struct effects *to, const struct mv_form *kind,
                       const struct mv_form *attributes)
{
        if (to->count == KINDS_MAX || !is_word(kind) || (attributes && attributes->kind != MV_MAP))
                return false;
        to->rows[to->count++] = (struct effect){ kind_name(kind->text), attributes };
        return true;
}

/* :network, or [:network {...}], or {:kind :network ...}. */
static bool read_effect(struct effects *to, const struct mv_form *f)
{
        if (is_word(f))
                return add_effect(to, f, NULL);
        if (f->kind == MV_VECTOR && f->count >= 1 && f->count <= 2)
                return add_effect(to, &f->items[0], f->count == 2 ? &f->items[1] : NULL);
        struct effect whole = { .attributes = f };
        const struct mv_form *kind = f->kind == MV_MAP ? attribute(&whole, "kind") : NULL;
        return kind && add_effect(to, kind, f);
}

/* A vector of those, or a map of kinds. */
static bool read_effects(const struct mv_item *item, struct effects *ret)
{
        *ret = (struct effects){ .given = item->given };
        const struct mv_form *f = item->given ? item->any : NULL;
        if (!f)
                return true;
        if (f->kind != MV_VECTOR && f->kind != MV_MAP)
                return false;
        bool fine = true;
        uint32_t step = f->kind == MV_MAP ? 2 : 1;
        for (uint32_t i = 0; fine && i < f->count; i += step)
                fine = step == 2 ? add_effect(ret, &f->items[i], &f->items[i + 1])
                                 : read_effect(ret, &f->items[i]);
        return fine;
}

static const struct effect *effect_of(const struct effects *l, struct mv_slice kind)
{
        for (uint32_t i = 0; i < l->count; i++)
                if (mv_slice_eq(l->rows[i].kind, kind))
                        return &l->rows[i];
        return NULL;
}

/* --- lists of an effect ----------------------------------------------------------------------- */
static int refused(struct mv_err *err, const char *what, struct mv_slice detail)
{
        char shown[160];
        mv__show(shown, sizeof shown, detail);
        return mv_fail(err, MV_E_INVALID, 0, "%s%s%s%s", what, detail.len ? " '" : "",
                       detail.len ? shown : "", detail.len ? "'" : "");
}

/* A context that grants exactly what a list of domains or paths names. */
static int granting(const struct mv_form *list, enum mv_grant_kind kind, struct mv_context **ret,
                    struct mv_err *err)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        int r = c ? 0 : mv_fail(err, MV_E_NOMEM, 0, "context");
        if (r == 0 && list->kind != MV_VECTOR)
                r = refused(err, "domains and paths are lists", mv_slice(NULL, 0));
        for (uint32_t i = 0; r == 0 && i < list->count; i++) {
                char text[MV_PLACE_BYTES];
                const struct mv_form *f = &list->items[i];
                if (!is_word(f) || f->text.len >= sizeof text)
                        r = refused(err, "domains and paths are texts", mv_slice(NULL, 0));
                if (r < 0)
                        break;
                mv_fmt(text, sizeof text, "%.*s", MV_SARG(f->text));
                r = mv__grant(c, kind, text, err);
        }
        if (r < 0)
                mv_context_free(c);
        else
                *ret = c;
        return r;
}

static int list_within(const struct mv_form *narrow, const struct mv_form *wide,
                       enum mv_grant_kind kind, struct mv_err *err)
{
        struct mv_context *most, *least;
        int r = granting(wide, kind, &most, err);
        if (r < 0)
                return r;
        r = granting(narrow, kind, &least, err);
        const struct mv_grant_list *l = r == 0 ? mv__grant_list(least, kind) : NULL;
        for (uint32_t i = 0; r == 0 && i < l->count; i++)
                if (!mv_grant_covered(most, kind, l->items[i]))
                        r = refused(err, "its contract does not allow", mv_slice_str(l->items[i]));
        if (l)
                mv_context_free(least);
        mv_context_free(most);
        return r;
}

static bool words_within(const struct mv_form *narrow, const struct mv_form *wide)
{
        for (uint32_t i = 0; narrow->kind == MV_VECTOR && i < narrow->count; i++) {
                bool found = false;
                for (uint32_t k = 0; wide->kind == MV_VECTOR && k < wide->count; k++)
                        found |= is_word(&narrow->items[i]) && is_word(&wide->items[k]) &&
                                 mv_slice_eq(narrow->items[i].text, wide->items[k].text);
                if (!found)
                        return false;
        }
        return narrow->kind == MV_VECTOR;
}

/* (1) for what this file can enforce; anything else was refused by known_attributes. */
static int effect_within(const struct effect *e, const struct effect *contract, struct mv_err *err)
{
        const struct mv_form *domains = attribute(e, "domains"), *paths = attribute(e, "paths"),
                             *modes = attribute(e, "modes");
        const struct mv_form *wide = attribute(contract, "domains");
        int r = domains && wide ? list_within(domains, wide, MV_GRANT_HOST, err) : 0;
        wide = attribute(contract, "paths");
        if (r == 0 && paths && wide)
                r = list_within(paths, wide, MV_GRANT_READ, err);
        wide = attribute(contract, "modes");
        if (r == 0 && modes && wide && !words_within(modes, wide))
                r = refused(err, "its contract does not allow these modes", mv_slice(NULL, 0));
        return r;
}

static int known_attributes(const struct effect *e, struct mv_err *err) /* (2) */
{
        static const char known[] = "kind|domains|paths|modes";
        for (uint32_t i = 0; e->attributes && i + 1 < e->attributes->count; i += 2) {
                const struct mv_form *key = &e->attributes->items[i];
                if (!is_word(key))
                        return refused(err, "an effect has names for keys", mv_slice(NULL, 0));
                if (!mv__choice_has(known, key->text))
                        return refused(err, "nothing here can keep the restriction", key->text);
        }
        return 0;
}

/* --- narrowing -------------------------------------------------------------------------------- */
static int keep_listed(struct mv_context *c, const struct mv_form *list, enum mv_grant_kind kind,
                       struct mv_err *err)
{
        struct mv_context *most;
        struct mv_context *now = mv_context_copy(c);
        int r = now ? granting(list, kind == MV_GRANT_WRITE ? MV_GRANT_READ : kind, &most, err)
                    : mv_fail(err, MV_E_NOMEM, 0, "context");
        if (r == 0) {
                if (kind == MV_GRANT_WRITE) /* the list names places, not what is done there */
                        for (uint32_t i = 0; r == 0 && i < most->reads.count; i++)
                                r = mv_context_allow_write(most, most->reads.items[i], err);
                if (r == 0)
                        r = mv__intersect_kind(c, now, most, kind, err);
                mv_context_free(most);
        }
        mv_context_free(now);
        return r;
}

static bool names_mode(const struct mv_form *modes, const char *a, const char *b)
{
        for (uint32_t i = 0; modes->kind == MV_VECTOR && i < modes->count; i++)
                if (is_word(&modes->items[i]) && (mv_slice_eq_str(modes->items[i].text, a) ||
                                                  mv_slice_eq_str(modes->items[i].text, b)))
                        return true;
        return false;
}

static int apply_effect(const struct effect *e, struct mv_context *narrow, struct mv_err *err)
{
        const struct mv_form *domains = attribute(e, "domains"), *paths = attribute(e, "paths"),
                             *modes = attribute(e, "modes");
        int r = domains ? keep_listed(narrow, domains, MV_GRANT_HOST, err) : 0;
        if (r == 0 && paths)
                r = keep_listed(narrow, paths, MV_GRANT_READ, err);
        if (r == 0 && paths)
                r = keep_listed(narrow, paths, MV_GRANT_WRITE, err);
        if (modes && !names_mode(modes, "write", "rw"))
                mv__grants_clear(narrow, MV_GRANT_WRITE);
        if (modes && !names_mode(modes, "read", "rw") && !names_mode(modes, "ro", "write"))
                mv__grants_clear(narrow, MV_GRANT_READ);
        return r;
}

/* What is not among the effects is not reached. */
static void drop_missing(const struct effects *e, struct mv_context *narrow)
{
        if (!e->given)
                return;
        if (!effect_of(e, MV_SLICE("network")))
                mv__grants_clear(narrow, MV_GRANT_HOST);
        if (!effect_of(e, MV_SLICE("fs"))) {
                mv__grants_clear(narrow, MV_GRANT_READ);
                mv__grants_clear(narrow, MV_GRANT_WRITE);
        }
}

static int narrow_effects(const struct effects *wire, const struct effects *contract,
                          struct mv_context *narrow, struct mv_err *err)
{
        const struct effects *both[] = { contract, wire };
        int r = 0;
        for (uint32_t i = 0; r == 0 && contract->given && i < wire->count; i++) {
                const struct effect *c = effect_of(contract, wire->rows[i].kind);
                r = c ? effect_within(&wire->rows[i], c, err)
                      : refused(err, "its contract has no effect", wire->rows[i].kind);
        }
        for (size_t k = 0; r == 0 && k < 2; k++) {
                for (uint32_t i = 0; r == 0 && i < both[k]->count; i++) {
                        r = known_attributes(&both[k]->rows[i], err);
                        if (r == 0)
                                r = apply_effect(&both[k]->rows[i], narrow, err);
                }
                drop_missing(both[k], narrow);
        }
        return r;
}

/* --- contracts -------------------------------------------------------------------------------- */
struct loaded {
        struct mv_arena arena;
        struct mv_contract contract;
        char path[MV_PLACE_BYTES], digest[72];
};

static int find_contract(const struct mv_wire *w, const struct mv_contract_places *p,
                         char ret[MV_PLACE_BYTES], struct mv_err *err)
{
        for (uint32_t i = 0; i < p->registries_count; i++)
                if (mv__place_at(p->registries[i], w->contract.text, ret) && access(ret, F_OK) == 0)
                        return 0;
        if (p->registries_count == 0 && mv__place_at(p->directory, w->contract.text, ret))
                return 0;
        return refused(err, "no registry has its contract", w->contract.text);
}

static int bind_contract(struct loaded *l, struct mv_slice text, struct mv_err *err)
{
        struct mv_diagnostics d = { .arena = &l->arena };
        struct mv_syntax_error error = { 0 };
        struct mv_agent_reading how = { &l->arena, NULL, &error };
        enum mv_syntax syntax = mv_syntax_of(l->path);
        struct mv_form form;
        int r = syntax == MV_SYNTAX_JSON   ? mv__read_json(text, &l->arena, &form, &error, err)
                : syntax == MV_SYNTAX_TOML ? mv__read_toml(text, &l->arena, &form, &error, err)
                                           : mv__read_agent(text, &how, &form, err);
        if (r < 0 && r != -(int)MV_E_INVALID)
                return r;
        if (r < 0)
                return mv_fail(err, MV_E_INVALID, 0, "its contract, line %u: %s", error.line,
                               error.message);
        if (form.kind != MV_MAP)
                return refused(err, "its contract is not a map", mv_slice(NULL, 0));
        struct mv_binding b = { .arena = &l->arena,
                                .diagnostics = &d,
                                .strict = true,
                                .string_keys = syntax != MV_SYNTAX_RTFS };
        mv__defaults(&mv__contract_schema, &l->contract);
        mv__bind(&b, &mv__contract_schema, &form, form.items, form.count, &l->contract);
        if (d.failed)
                return mv_fail(err, MV_E_LIMIT, 0, "its contract is too large");
        return d.errors ? mv_fail(err, MV_E_INVALID, 0, "its contract, line %u: %s",
                                  d.items[0].line, d.items[0].message)
                        : 0;
}

static int load_contract(const struct mv_wire *w, const struct mv_contract_places *p,
                         struct loaded *l, struct mv_err *err)
{
        char *text;
        size_t len;
        int r = find_contract(w, p, l->path, err);
        struct stat st;
        if (r == 0 && (stat(l->path, &st) < 0 || !S_ISREG(st.st_mode))) /* a pipe might never end */
                r = refused(err,
                            "its contract is not a file that can be read:", mv_slice_str(l->path));
        if (r == 0 && mv__read_file(l->path, "its contract", &text, &len, err) < 0) {
                err->code = MV_E_INVALID;
                return -(int)MV_E_INVALID;
        }
        if (r < 0)
                return r;
        if (len > MV_CONFIG_BYTES_MAX)
                r = refused(err, "its contract is too large", mv_slice(NULL, 0));
        mv__digest_text(mv_slice(text, len), l->digest);
        if (r == 0)
                r = bind_contract(l, mv_slice(text, len), err);
        free(text);
        return r;
}

/* A digest, an id, or an id and a version in the file `revoked` of a registry. */
static int check_revoked(const struct loaded *l, const struct mv_contract_places *p,
                         struct mv_err *err)
{
        char path[MV_PLACE_BYTES], exact[300], whole[200];
        mv_fmt(whole, sizeof whole, "%.*s", MV_SARG(l->contract.id.text));
        mv_fmt(exact, sizeof exact, "%s@%.*s", whole, MV_SARG(l->contract.version.text));
        for (uint32_t i = 0; i < p->registries_count; i++) {
                char *text;
                size_t len;
                if (!mv__place_at(p->registries[i], MV_SLICE("revoked"), path) ||
                    access(path, F_OK) < 0)
                        continue;
                if (mv__read_file(path, "the list of what was revoked", &text, &len, err) < 0)
                        return -(int)(err->code = MV_E_INVALID);
                bool found = len > MV_CONFIG_BYTES_MAX; /* what is cut off may name it */
                text[len - (len > MV_CONFIG_BYTES_MAX)] = '\0';
                for (char *save, *line = strtok_r(text, " \t\r\n", &save); line && !found;
                     line = strtok_r(NULL, " \t\r\n", &save))
                        found = strcmp(line, whole) == 0 || strcmp(line, exact) == 0 ||
                                strcasecmp(line, l->digest) == 0;
                free(text);
                if (found)
                        return refused(err, "it was revoked by", mv_slice_str(path));
        }
        return 0;
}

/* (3): what is known of the capability, and what the wire says it must be. */
static int check_contract(const struct loaded *l, const struct mv_wire *w,
                          const struct effects *effects, struct mv_err *err)
{
        const struct mv_contract *c = &l->contract;
        char id[MV_CAPABILITY_ID_MAX + 2];
        mv_fmt(id, sizeof id, "%.*s", MV_SARG(w->capability.text));
        struct mv_slice label = kind_name(mv_slice_str(mv_effect_label(id)));
        bool matters = mv_slice_eq_str(label, "fs") || mv_slice_eq_str(label, "network");
        if (!c->id.given || !mv_slice_eq(c->id.text, w->capability.text))
                return refused(err, "its contract is of another capability:", c->id.text);
        if (!c->version.given)
                return refused(err, "its contract has no version", mv_slice(NULL, 0));
        if (w->digest.given &&
            (w->digest.text.len != strlen(l->digest) ||
             strncasecmp((const char *)w->digest.text.p, l->digest, w->digest.text.len) != 0))
                return refused(err, "its contract has the digest", mv_slice_str(l->digest));
        if (matters && !effect_of(effects, label))
                return refused(err, "its contract does not name the effect", label);
        return 0;
}

static int check_time(const struct mv_item *asked, const struct mv_item *most, struct mv_err *err)
{
        if (asked->given && most->given && asked->integer > most->integer)
                return mv_fail(err, MV_E_INVALID, 0,
                               "max_time_ms %lld is more than the %lld of its contract",
                               (long long)asked->integer, (long long)most->integer);
        return 0;
}

static void limit_time(struct mv_context *narrow, const struct mv_item *ms)
{
        struct mv_limits limits = { .wall_ns_max =
                                            ms->given ? (uint64_t)ms->integer * 1000000 : 0 };
        mv_context_limit(narrow, &limits);
}

/* --- terms ------------------------------------------------------------------------------------ */
#define TERM_ARENA_BYTES ((size_t)8 << 20)

/* One form, and a program that can be compiled. */
static int check_term(const char *name, const char *text, const char *program, struct mv_err *err)
{
        struct mv_rtfs_error e = { 0 };
        struct mv_form forms = { 0 };
        struct mv_rtfs *r;
        void *scratch = aligned_alloc(16, TERM_ARENA_BYTES), *out = malloc(TERM_ARENA_BYTES);
        struct mv_arena a = mv_arena_grow(MV_RTFS_READ_ARENA_BYTES(MV_TERM_BYTES_MAX));
        struct mv_out bytecode = mv_out(out, out ? TERM_ARENA_BYTES : 0);
        int rc = scratch && out ? mv_rtfs_read_forms(scratch, TERM_ARENA_BYTES, mv_slice_str(text),
                                                     &a, &forms, &e, err)
                                : mv_fail(err, MV_E_NOMEM, 0, "contract");
        bool wrong = rc == -(int)MV_E_INVALID;
        if (rc == 0 && forms.count != 1)
                rc = mv_fail(err, MV_E_INVALID, 0, "its contract: %s is one expression", name);
        if (rc == 0)
                rc = mv_rtfs_init(scratch, TERM_ARENA_BYTES, &(struct mv_rtfs_options){ 0 }, &r,
                                  err);
        if (rc == 0)
                wrong = !mv_rtfs_compile(r, mv_slice_str(program), &bytecode, &e);
        if (wrong)
                rc = mv_fail(err, MV_E_INVALID, 0, "its contract: %s: %.*s", name,
                             MV_SARG(e.message));
        mv_arena_done(&a);
        free(out);
        free(scratch);
        return rc;
}

static int add_term(struct mv_context *narrow, const char *name, const char *text,
                    struct mv_err *err)
{
        int r = mv__term_add(narrow, name, text, err);
        char term[MV_TERM_BYTES_MAX + 32];
        if (r < 0)
                return r;
        mv_fmt(term, sizeof term, "%s:%s", name, text);
        char *program = mv__term_program(term);
        r = program ? check_term(name, text, program, err)
                    : mv_fail(err, MV_E_NOMEM, 0, "contract");
        free(program);
        return r;
}

/* A schema is a type; JSON and TOML write it as a text. */
static int add_terms(const struct mv_contract *c, struct mv_context *narrow, struct mv_err *err)
{
        const struct {
                const char *name;
                const struct mv_item *item;
                bool form;
        } rows[] = { { "input-schema", &c->input_schema, true },
                     { "output-schema", &c->output_schema, true },
                     { "pre", &c->pre, false },
                     { "post", &c->post, false },
                     { "invariant", &c->invariant, false } };
        int r = 0;
        for (size_t i = 0; r == 0 && i < sizeof rows / sizeof rows[0]; i++) {
                struct mv_text t = { 0 };
                if (!rows[i].item->given)
                        continue;
                const struct mv_form *form = rows[i].form ? rows[i].item->any : NULL;
                struct mv_slice text = form ? form->text : rows[i].item->text;
                if (form && form->kind != MV_STRING)
                        mv__print_form(form, MV_SYNTAX_RTFS, &t);
                else
                        mv_text_put(&t, text.p, text.len);
                text.len = t.len; /* a NUL in it would hide the rest */
                char *whole = mv_text_take(&t);
                if (!whole)
                        r = mv_fail(err, MV_E_NOMEM, 0, "contract");
                else if (strlen(whole) != text.len)
                        r = refused(err, "its contract has a NUL in", mv_slice_str(rows[i].name));
                else
                        r = add_term(narrow, rows[i].name, whole, err);
                free(whole);
        }
        return r;
}

static int narrow_with(const struct mv_wire *w, const struct mv_contract_places *places,
                       struct loaded *l, struct mv_context *narrow, struct mv_err *err)
{
        struct effects wire, contract = { 0 };
        int r = w->contract.given ? load_contract(w, places, l, err) : 0;
        if (r < 0)
                return r;
        if (!read_effects(&w->effects, &wire) || !read_effects(&l->contract.effects, &contract))
                return refused(err, "effects are rows such as [:network {:domains [..]}]",
                               mv_slice(NULL, 0));
        contract.given = w->contract.given; /* without rows it has no effect */
        if (w->contract.given)
                r = check_contract(l, w, &contract, err);
        if (r == 0 && w->contract.given)
                r = check_revoked(l, places, err);
        if (r == 0)
                r = check_time(&w->resources.max_time_ms, &l->contract.resources.max_time_ms, err);
        if (r == 0)
                r = narrow_effects(&wire, &contract, narrow, err);
        if (r == 0)
                r = add_terms(&l->contract, narrow, err);
        limit_time(narrow, &w->resources.max_time_ms);
        limit_time(narrow, &l->contract.resources.max_time_ms);
        return r;
}

int mv_wire_narrow(const struct mv_wire *w, const struct mv_contract_places *places,
                   struct mv_context *narrow, struct mv_err *err)
{
        struct loaded *l = calloc(1, sizeof *l);
        if (!l)
                return mv_fail(err, MV_E_NOMEM, 0, "contract");
        l->arena = mv_arena_grow(MV_CONFIG_ARENA_BYTES);
        int r = w->digest.given && !w->contract.given
                        ? refused(err, "a digest needs a contract", mv_slice(NULL, 0))
                        : narrow_with(w, places, l, narrow, err);
        mv_arena_done(&l->arena);
        free(l);
        return r;
}
