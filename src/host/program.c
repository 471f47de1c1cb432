/* SPDX-License-Identifier: Apache-2.0 */
/* What a program is: descriptions, hints, and whether a request makes sense at all. */
#include <base/slice.h>
#include <host/egress.h>
#include <host/host.h>
#include <security/effects.h>
#include <security/rules.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wire/text.h>

#define SEED_BYTES_MAX 256

struct mv_program mv_program_source(const char *text)
{
        return (struct mv_program){ .kind = MV_PROGRAM_SOURCE, .bytes = mv_slice_str(text) };
}

const char *mv__program_kind_name(enum mv_program_kind kind)
{
        static const char *const names[MV_PROGRAM_MAX_] = {
                [MV_PROGRAM_SOURCE] = "source",     [MV_PROGRAM_BYTECODE] = "bytecode",
                [MV_PROGRAM_AST] = "ast",           [MV_PROGRAM_NATIVE] = "native",
                [MV_PROGRAM_EXTERNAL] = "external", [MV_PROGRAM_SCRIPT] = "script",
                [MV_PROGRAM_BINARY] = "binary",     [MV_PROGRAM_NONE] = "capability",
        };
        return kind < MV_PROGRAM_MAX_ ? names[kind] : "unknown";
}

const char *mv__purpose_name(enum mv_purpose purpose)
{
        static const char *const names[MV_PURPOSE_MAX_] = {
                [MV_PURPOSE_RUN] = "run",
                [MV_PURPOSE_COMPILE] = "compile",
                [MV_PURPOSE_PARSE] = "parse",
                [MV_PURPOSE_INSPECT] = "inspect",
        };
        return purpose < MV_PURPOSE_MAX_ ? names[purpose] : "unknown";
}

bool mv__program_is_rtfs(enum mv_program_kind kind)
{
        return kind == MV_PROGRAM_SOURCE || kind == MV_PROGRAM_BYTECODE || kind == MV_PROGRAM_AST;
}

bool mv__is_bytecode(struct mv_slice bytes)
{
        return bytes.len > 8 && memcmp(bytes.p, "RTFB", 4) == 0 && bytes.p[6] == 0 &&
               bytes.p[7] == 0;
}

enum mv_program_class mv__program_class(enum mv_program_kind kind)
{
        switch (kind) {
        case MV_PROGRAM_NATIVE:
                return MV_PROGRAM_CLASS_NATIVE;
        case MV_PROGRAM_EXTERNAL:
                return MV_PROGRAM_CLASS_EXTERNAL;
        case MV_PROGRAM_SCRIPT:
        case MV_PROGRAM_BINARY:
                return MV_PROGRAM_CLASS_SCRIPT;
        default:
                return MV_PROGRAM_CLASS_RTFS;
        }
}

/* --- rules ------------------------------------------------------------------------------------ */
/* What an external program, a script or a native function does, nobody is asked about: it is one call, and its effects are
 * all that the context lets it reach. */
static struct mv_capability program_as_call(const struct mv_context *c, enum mv_program_kind kind)
{
        bool native = kind == MV_PROGRAM_NATIVE; /* the embedder's own, behind no wall */
        return (struct mv_capability){
                .id = native ? "native_function" : "external_program",
                .effects = MV_EFFECT_FILESYSTEM | MV_EFFECT_SYSTEM | MV_EFFECT_OUTPUT |
                           (native || mv__egress_granted(c) ? MV_EFFECT_NETWORK : 0)
        };
}

int mv__program_rules(const struct mv_context *c, const struct mv_program *p, struct mv_decision *d,
                      struct mv_err *err)
{
        if (!c || mv__program_class(p->kind) == MV_PROGRAM_CLASS_RTFS)
                return 0;
        struct mv_capability call = program_as_call(c, p->kind);
        uint32_t count = 0;
        while (p->kind == MV_PROGRAM_EXTERNAL && p->argv && p->argv[count])
                count++;
        struct mv_value *args = calloc((size_t)count + 1, sizeof *args);
        if (!args)
                return mv_fail(err, MV_E_NOMEM, 0, "the rules about a program");
        args[0] = (struct mv_value){ .kind = MV_STRING,
                                     .text = mv_slice_str(p->path ? p->path : "") };
        for (uint32_t i = 0; i < count; i++)
                args[i + 1] =
                        (struct mv_value){ .kind = MV_STRING, .text = mv_slice_str(p->argv[i]) };
        struct mv_governed g = { .capability = &call, .args = args, .args_count = count + 1 };
        mv__effects_decide(c, call.id, call.effects, d);
        mv_rules_explain(c, &g, d);
        free(args);
        return 0;
}

/* --- descriptions (REQ-PROG-06) --------------------------------------------------------------- */
static void describe_external(const struct mv_program *p, char *buf, size_t cap)
{
        size_t n = mv_fmt(buf, cap, "External program: %s [", p->path ? p->path : "");
        for (size_t i = 0; p->argv && p->argv[i]; i++)
                n += mv_fmt(buf + n, cap - n, "%s\"%s\"", i ? ", " : "", p->argv[i]);
        mv_fmt(buf + n, cap - n, "]");
}

void mv_program_description(const struct mv_program *p, char *buf, size_t cap)
{
        const char *language = p->language ? p->language : "Unknown";
        if (!cap)
                return;
        switch (p->kind) {
        case MV_PROGRAM_SOURCE:
                mv_fmt(buf, cap, "RTFS source: %.*s", MV_SARG(p->bytes));
                break;
        case MV_PROGRAM_BYTECODE:
                mv_fmt(buf, cap, "RTFS bytecode (%zu bytes)", p->bytes.len);
                break;
        case MV_PROGRAM_AST:
                mv_fmt(buf, cap, "RTFS AST");
                break;
        case MV_PROGRAM_NATIVE:
                mv_fmt(buf, cap, "Native function");
                break;
        case MV_PROGRAM_EXTERNAL:
                describe_external(p, buf, cap);
                break;
        case MV_PROGRAM_SCRIPT:
                mv_fmt(buf, cap, "%s script: %zu bytes", language, p->bytes.len);
                break;
        case MV_PROGRAM_BINARY:
                mv_fmt(buf, cap, "%s binary: %zu bytes", language, p->bytes.len);
                break;
        default:
                mv_fmt(buf, cap, "No program");
        }
}

/* --- hints (REQ-PROG-07, -08): never an enforcement point ------------------------------------- */
static bool word_char(uint8_t c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Whole words only: "io" must not be found in "function". */
static bool has_word(struct mv_slice text, const char *word)
{
        size_t n = strlen(word);
        for (size_t i = 0; i + n <= text.len; i++) {
                bool starts = i == 0 || !word_char(text.p[i - 1]);
                bool ends = i + n == text.len || !word_char(text.p[i + n]);
                if (starts && ends && memcmp(text.p + i, word, n) == 0)
                        return true;
        }
        return false;
}

static bool has_any_word(struct mv_slice text, const char *const *words)
{
        for (; *words; words++)
                if (has_word(text, *words))
                        return true;
        return false;
}

static bool hints_at(const struct mv_program *p, const char *const *words, const char *const *tools)
{
        if (mv__program_is_rtfs(p->kind) || p->kind == MV_PROGRAM_SCRIPT)
                return has_any_word(p->bytes, words);
        if (p->kind != MV_PROGRAM_EXTERNAL)
                return false;
        if (has_any_word(mv_slice_str(p->path), tools))
                return true;
        for (size_t i = 0; p->argv && p->argv[i]; i++)
                if (has_any_word(mv_slice_str(p->argv[i]), words))
                        return true;
        return false;
}

bool mv_program_is_network_operation(const struct mv_program *p)
{
        static const char *const words[] = { "http", "https", "network", NULL };
        static const char *const tools[] = { "curl", "wget", NULL };
        return hints_at(p, words, tools);
}

bool mv_program_is_file_operation(const struct mv_program *p)
{
        static const char *const words[] = { "file", "io", NULL };
        static const char *const tools[] = { "cat", "ls", "cp", NULL };
        return hints_at(p, words, tools);
}

/* The first line that is not UTF-8, from 1; 0: all are. */
static unsigned bad_line(struct mv_slice text)
{
        unsigned line = 1;
        for (size_t at = 0; at < text.len; line++) {
                const uint8_t *end = memchr(text.p + at, '\n', text.len - at);
                size_t len = end ? (size_t)(end - text.p) - at : text.len - at;
                if (!mv_utf8_valid(mv_slice(text.p + at, len)))
                        return line;
                at += len + 1;
        }
        return 0;
}

/* --- the request ------------------------------------------------------------------------------ */
static int source_check(const struct mv_program *p, struct mv_err *err)
{
        unsigned line = bad_line(p->bytes);
        return line ? mv_fail(err, MV_E_INVALID, 0, "%s:%u: the program is not UTF-8 text",
                              p->name ? p->name : "program", line)
                    : 0;
}

static int program_check(const struct mv_execution *x, struct mv_err *err)
{
        const struct mv_program *p = &x->program;
        switch (p->kind) {
        case MV_PROGRAM_SOURCE:
                return source_check(p, err);
        case MV_PROGRAM_NATIVE:
                return p->native
                               ? 0
                               : mv_fail(err, MV_E_INVALID, 0, "native program without a function");
        case MV_PROGRAM_EXTERNAL:
                return p->path && p->path[0]
                               ? 0
                               : mv_fail(err, MV_E_INVALID, 0, "external program without a path");
        case MV_PROGRAM_SCRIPT:
        case MV_PROGRAM_BINARY:
                return p->language ? 0
                                   : mv_fail(err, MV_E_INVALID, 0, "%s without a language",
                                             mv__program_kind_name(p->kind));
        case MV_PROGRAM_NONE: /* REQ-PROG-12; the mock provider keeps its own words */
                if (x->capability_id)
                        return 0;
                return mv_fail(err, MV_E_INVALID, 0,
                               x->provider && strcmp(x->provider, "mock") == 0
                                       ? "No program provided"
                                       : "No program specified for execution");
        default:
                return 0;
        }
}

static int purpose_check(const struct mv_execution *x, struct mv_err *err)
{
        if ((unsigned)x->purpose >= MV_PURPOSE_MAX_)
                return mv_fail(err, MV_E_INVALID, 0, "purpose %u", (unsigned)x->purpose);
        if (x->purpose != MV_PURPOSE_RUN && !mv__program_is_rtfs(x->program.kind))
                return mv_fail(err, MV_E_INVALID, 0, "%s: an RTFS program is needed, this is %s",
                               mv__purpose_name(x->purpose),
                               mv__program_kind_name(x->program.kind));
        if (x->purpose == MV_PURPOSE_COMPILE && x->program.kind == MV_PROGRAM_BYTECODE)
                return mv_fail(err, MV_E_INVALID, 0, "compile: the program is bytecode already");
        if (x->purpose == MV_PURPOSE_PARSE && x->program.kind != MV_PROGRAM_SOURCE)
                return mv_fail(err, MV_E_INVALID, 0, "parse: source text is needed, this is %s",
                               mv__program_kind_name(x->program.kind));
        return 0;
}

static bool behalf_text(const char *s)
{
        return !s || (strlen(s) <= MV_BEHALF_TEXT_MAX && mv_utf8_valid(mv_slice_str(s)));
}

static int behalf_check(const struct mv_behalf *b, struct mv_err *err)
{
        bool ok = behalf_text(b->agent) && behalf_text(b->tenant) && behalf_text(b->user) &&
                  b->configs_count <= MV__BEHALF_CONFIGS_MAX;
        for (uint32_t i = 0; ok && i < b->configs_count; i++)
                ok = b->configs[i].name && b->configs[i].digest &&
                     behalf_text(b->configs[i].name) && behalf_text(b->configs[i].digest);
        return ok ? 0
                  : mv_fail(err, MV_E_INVALID, 0,
                            "on whose behalf: texts are UTF-8 of at most %d bytes, and there are "
                            "at most %d files",
                            MV_BEHALF_TEXT_MAX, MV__BEHALF_CONFIGS_MAX);
}

int mv__execution_check(const struct mv_execution *x, struct mv_err *err)
{
        if ((unsigned)x->program.kind >= MV_PROGRAM_MAX_)
                return mv_fail(err, MV_E_INVALID, 0, "program kind %u", (unsigned)x->program.kind);
        if ((unsigned)x->tier_min >= MV_TIER_MAX_)
                return mv_fail(err, MV_E_INVALID, 0, "tier %u", (unsigned)x->tier_min);
        if (x->input && isatty(x->input_fd))
                return mv_fail(err, MV_E_INVALID, 0, "a terminal is no input for a program");
        if (x->input && !mv__program_is_foreign(x->program.kind))
                return mv_fail(err, MV_E_INVALID, 0, "only programs and scripts have an input");
        if (purpose_check(x, err) < 0 || (x->behalf && behalf_check(x->behalf, err) < 0))
                return -(int)err->code;
        if (x->args && x->args->kind != MV_VECTOR)
                return mv_fail(err, MV_E_INVALID, 0, "args must be a vector, got %s",
                               mv_kind_name(x->args->kind));
        if (x->variables && x->variables->kind != MV_MAP)
                return mv_fail(err, MV_E_INVALID, 0, "variables must be a map, got %s",
                               mv_kind_name(x->variables->kind));
        for (uint32_t i = 0; x->variables && i < x->variables->count; i++)
                if (x->variables->entries[i].key.kind != MV_STRING)
                        return mv_fail(err, MV_E_INVALID, 0,
                                       "the keys of variables are strings, got %s",
                                       mv_kind_name(x->variables->entries[i].key.kind));
        if (x->program.bytes.len > MV_FRAME_PAYLOAD_MAX / 2)
                return mv_fail(err, MV_E_LIMIT, 0, "program of %zu bytes, at most %u",
                               x->program.bytes.len, MV_FRAME_PAYLOAD_MAX / 2);
        if (!mv_utf8_valid(mv_slice_str(x->capability_id)) ||
            !mv_utf8_valid(mv_slice_str(x->program.name)))
                return mv_fail(err, MV_E_INVALID, 0,
                               "a capability id and a program's name are UTF-8 text");
        if (x->seed && (strlen(x->seed) > SEED_BYTES_MAX || !mv_utf8_valid(mv_slice_str(x->seed))))
                return mv_fail(err, MV_E_INVALID, 0, "a seed is UTF-8 text of at most %d bytes",
                               SEED_BYTES_MAX);
        if (x->capability_id && strlen(x->capability_id) >= MV_ID_MAX)
                return mv_fail(err, MV_E_LIMIT, 0, "capability id longer than %d bytes",
                               MV_ID_MAX - 1);
        return program_check(x, err);
}
