/* SPDX-License-Identifier: Apache-2.0 */
#include <base/err.h>
#include <cli/cli.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROGRAM_BYTES_MAX                                                                          \
        ((size_t)64 << 20) /* the library refuses far less; this only bounds the reading */

static int read_all(FILE *f, const char *name, uint8_t **ret, size_t *ret_len, struct mv_err *err)
{
        size_t cap = 64 << 10, len = 0;
        uint8_t *p = malloc(cap);
        while (p) {
                len += fread(p + len, 1, cap - len, f);
                if (ferror(f) || len < cap)
                        break;
                if (cap >= PROGRAM_BYTES_MAX) {
                        free(p);
                        return mv_fail(err, MV_E_LIMIT, 0, "%s: a program of more than %zu bytes",
                                       name, PROGRAM_BYTES_MAX);
                }
                uint8_t *more = realloc(p, cap *= 2);
                if (!more)
                        free(p);
                p = more;
        }
        if (!p)
                return mv_fail(err, MV_E_NOMEM, 0, "read %s", name);
        if (ferror(f)) {
                int sys = errno;
                free(p);
                return mv_fail(err, MV_E_SYS, sys, "read %s", name);
        }
        *ret = p;
        *ret_len = len;
        return 0;
}

static int read_file(const char *name, uint8_t **ret, size_t *ret_len, struct mv_err *err)
{
        if (strcmp(name, "-") == 0)
                return read_all(stdin, "standard input", ret, ret_len, err);
        FILE *f = fopen(name, "re");
        if (!f)
                return mv_fail(err, MV_E_SYS, errno, "open %s", name);
        int r = read_all(f, name, ret, ret_len, err);
        fclose(f);
        return r;
}

/* --- what kind of program it is: extension first, then the shebang (REQ-PROG-03, -05) --------- */
static const struct language {
        const char *extension, *name, *interpreter;
        enum mv_program_kind kind;
} languages[] = {
        { ".rtfs", NULL, "rtfs", MV_PROGRAM_SOURCE },
        { ".wasm", "Wasm", "wasmtime", MV_PROGRAM_BINARY },
        { ".py", "Python", "python", MV_PROGRAM_SCRIPT },
        { ".js", "JavaScript", "node", MV_PROGRAM_SCRIPT },
        { ".sh", "Shell", "sh", MV_PROGRAM_SCRIPT },
        { ".rb", "Ruby", "ruby", MV_PROGRAM_SCRIPT },
        { ".lua", "Lua", "lua", MV_PROGRAM_SCRIPT },
};
#define LANGUAGES_COUNT (sizeof languages / sizeof languages[0])

static bool ends_with(const char *text, const char *end)
{
        size_t n = strlen(text), m = strlen(end);
        return n >= m && strcmp(text + n - m, end) == 0;
}

static const struct language *by_shebang(const uint8_t *p, size_t len)
{
        char line[128];
        size_t n = 0;
        if (len < 2 || memcmp(p, "#!", 2) != 0)
                return &languages[0];
        for (; n < sizeof line - 1 && n < len && p[n] != '\n'; n++)
                line[n] = (char)p[n];
        line[n] = 0;
        for (size_t i = 1; i < LANGUAGES_COUNT; i++)
                if (strstr(line, languages[i].interpreter))
                        return &languages[i];
        return &languages[0];
}

static const struct language *language_of(const char *name, const uint8_t *p, size_t len)
{
        for (size_t i = 0; i < LANGUAGES_COUNT; i++)
                if (ends_with(name, languages[i].extension))
                        return &languages[i];
        return by_shebang(p, len);
}

int cmd_run(int argc, char **argv)
{
        struct cli_options o;
        struct cli_request q;
        struct mv_err err;
        uint8_t *text;
        size_t len;
        int r = cli_options(argc, argv, CLI_RUNNING | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, 1, "one FILE, or - for standard input");
        if (r)
                return r;
        const char *name = o.operands.items[0];
        if (read_file(name, &text, &len, &err) < 0)
                return cli_error(&err, o.json);
        r = cli_request(&o, &q);
        if (r == 0) {
                const struct language *l = language_of(name, text, len);
                q.x.program = (struct mv_program){ .kind = l->kind,
                                                   .bytes = { text, len },
                                                   .language = l->name,
                                                   .name = strcmp(name, "-") == 0 ? "standard input"
                                                                                  : name };
                r = cli_execute(&q, &o, NULL);
        }
        free(text);
        return r;
}
