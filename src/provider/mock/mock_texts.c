/* SPDX-License-Identifier: Apache-2.0 */
#include <base/fmt.h>
#include <base/slice.h>
#include <provider/mock/mock_texts.h>

/* --- texts (REQ-MOCK-03, -05) ----------------------------------------------------------------- */

static void external_text(const struct mv_program *p, char *buf, size_t cap)
{
        size_t at = mv_fmt(buf, cap, "Mock external program: %s [", p->path ? p->path : "");
        for (size_t i = 0; p->argv && p->argv[i]; i++)
                at += mv_fmt(buf + at, cap - at, "%s\"%s\"", i ? ", " : "", p->argv[i]);
        mv_fmt(buf + at, cap - at, "]");
}

static void math_add_text(const struct mv_value *args, char *buf, size_t cap)
{
        int64_t a, b, sum;
        if (!mv_seq_at(args, 1))
                mv_fmt(buf, cap, "Mock capability execution: Insufficient arguments for math.add");
        else if (!mv_as_int(mv_seq_at(args, 0), &a) || !mv_as_int(mv_seq_at(args, 1), &b) ||
                 __builtin_add_overflow(a, b, &sum))
                mv_fmt(buf, cap, "Mock capability execution: Invalid arguments for math.add");
        else
                mv_fmt(buf, cap, "Mock capability execution result: %lld + %lld = %lld",
                       (long long)a, (long long)b, (long long)sum);
}

static void capability_text(const struct mv_execution *x, char *buf, size_t cap)
{
        if (!x->capability_id)
                mv_fmt(buf, cap, "Mock capability execution: No capability ID provided");
        else if (strcmp(x->capability_id, "ccos.math.add") == 0)
                math_add_text(x->args, buf, cap);
        else
                mv_fmt(buf, cap, "Mock capability execution for: %s", x->capability_id);
}

/* Neither program nor capability, nor anything else that says a capability was meant? */
static bool asks_for_nothing(const struct mv_execution *x)
{
        return !x->capability_id && x->permissions_count == 0 && !x->args;
}

bool mv_mock_text(const struct mv_execution *x, char *buf, size_t cap)
{
        const struct mv_program *p = &x->program;
        const char *language = p->language ? p->language : "Unknown";
        if (cap == 0)
                return false;
        buf[0] = 0;
        switch (p->kind) {
        case MV_PROGRAM_AST:
                mv_fmt(buf, cap, "Mock AST evaluation result");
                return true;
        case MV_PROGRAM_BYTECODE:
                mv_fmt(buf, cap, "Mock bytecode evaluation result");
                return true;
        case MV_PROGRAM_EXTERNAL:
                external_text(p, buf, cap);
                return true;
        case MV_PROGRAM_SCRIPT:
                mv_fmt(buf, cap, "Mock %s script result: %zu bytes", language, p->bytes.len);
                return true;
        case MV_PROGRAM_BINARY:
                mv_fmt(buf, cap, "Mock %s binary result: %zu bytes", language, p->bytes.len);
                return true;
        case MV_PROGRAM_NONE:
                if (asks_for_nothing(x))
                        mv_fmt(buf, cap, "No program provided");
                else
                        capability_text(x, buf, cap);
                return true;
        default:
                return false;
        }
}

/* --- values (REQ-MOCK-08) --------------------------------------------------------------------- */

static struct mv_value text_value(struct mv_slice s)
{
        return (struct mv_value){ .kind = MV_STRING, .text = s };
}

/* prefix, then the text of the first argument. */
static bool prefixed(const char *prefix, struct mv_slice first, struct mv_arena *a,
                     struct mv_value *ret)
{
        size_t len = strlen(prefix);
        uint8_t *p = mv_new(a, uint8_t, len + first.len + 1);
        if (!p)
                return false;
        memcpy(p, prefix, len);
        if (first.len)
                memcpy(p + len, first.p, first.len);
        *ret = text_value(mv_slice(p, len + first.len));
        return true;
}

static struct mv_value keyword(const char *name)
{
        return (struct mv_value){ .kind = MV_KEYWORD, .text = mv_slice_str(name) };
}

/* {:body {:mock true, :url URL}, :status 200} */
static bool http_reply(struct mv_slice url, struct mv_arena *a, struct mv_value *ret)
{
        struct mv_entry *body = mv_new(a, struct mv_entry, 2), *all = mv_new(a, struct mv_entry, 2);
        if (!body || !all)
                return false;
        body[0] = (struct mv_entry){ keyword("mock"), { .kind = MV_BOOL, .boolean = true } };
        body[1] = (struct mv_entry){ keyword("url"), text_value(url) };
        all[0] = (struct mv_entry){ keyword("body"),
                                    { .kind = MV_MAP, .count = 2, .entries = body } };
        all[1] = (struct mv_entry){ keyword("status"), { .kind = MV_INT, .integer = 200 } };
        *ret = (struct mv_value){ .kind = MV_MAP, .count = 2, .entries = all };
        return true;
}

static bool contains(struct mv_slice s, const char *word)
{
        return s.len && memmem(s.p, s.len, word, strlen(word)) != NULL;
}

static bool row(const char *id, struct mv_slice first, struct mv_arena *a, struct mv_value *ret)
{
        *ret = (struct mv_value){ .kind = MV_BOOL, .boolean = true };
        if (strcmp(id, "ccos.network.http-fetch") == 0)
                return http_reply(first, a, ret);
        if (strcmp(id, "ccos.io.open-file") == 0)
                return prefixed("Mock file handle for: ", first, a, ret);
        if (strcmp(id, "ccos.io.read-line") == 0)
                return prefixed("Mock file content line", mv_slice(NULL, 0), a, ret);
        if (strcmp(id, "ccos.io.write-line") == 0 || strcmp(id, "ccos.io.close-file") == 0)
                return true;
        if (strcmp(id, "ccos.system.get-env") == 0)
                return prefixed("Mock environment variable: ", first, a, ret);
        if (strcmp(id, "ccos.system.current-time") == 0)
                return prefixed("2024-01-01T00:00:00Z", mv_slice(NULL, 0), a, ret);
        if (strcmp(id, "ccos.system.current-timestamp-ms") == 0) {
                *ret = (struct mv_value){ .kind = MV_INT, .integer = 1704067200000 };
                return true;
        }
        ret->boolean = contains(first, "exists");
        return strcmp(id, "ccos.io.file-exists") == 0;
}

const struct mv_value *mv_mock_value(const char *capability_id, const struct mv_value *args,
                                     struct mv_arena *a)
{
        struct mv_slice first = { 0 };
        struct mv_value *v = mv_new(a, struct mv_value, 1);
        mv_as_text(mv_seq_at(args, 0), &first);
        return v && row(capability_id, first, a, v) ? v : NULL;
}
