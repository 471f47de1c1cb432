/* SPDX-License-Identifier: Apache-2.0 */
/* Programs from files: reading them, and telling what they are. */
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
        { ".rtfsb", NULL, NULL, MV_PROGRAM_BYTECODE },
        { ".cbor", NULL, NULL, MV_PROGRAM_AST },
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

/* What a program without a telling name is, by its first bytes. */
static const struct language *by_content(const uint8_t *p, size_t len)
{
        char line[128];
        size_t n = 0;
        if (len > 8 && memcmp(p, "RTFB", 4) == 0 && p[6] == 0 && p[7] == 0)
                return &languages[1];
        if (len < 2 || memcmp(p, "#!", 2) != 0)
                return &languages[0];
        for (; n < sizeof line - 1 && n < len && p[n] != '\n'; n++)
                line[n] = (char)p[n];
        line[n] = 0;
        for (size_t i = 1; i < LANGUAGES_COUNT; i++)
                if (languages[i].interpreter && strstr(line, languages[i].interpreter))
                        return &languages[i];
        return &languages[0];
}

static const struct language *language_of(const char *name, const uint8_t *p, size_t len)
{
        for (size_t i = 0; i < LANGUAGES_COUNT; i++)
                if (ends_with(name, languages[i].extension))
                        return &languages[i];
        return by_content(p, len);
}

int cli_program(const char *name, struct mv_program *ret, struct mv_err *err)
{
        uint8_t *text;
        size_t len;
        int r = read_file(name, &text, &len, err);
        if (r < 0)
                return r;
        const struct language *l = language_of(name, text, len);
        *ret = (struct mv_program){ .kind = l->kind,
                                    .bytes = { text, len },
                                    .language = l->name,
                                    .name = strcmp(name, "-") == 0 ? "standard input" : name };
        return 0;
}

void cli_program_done(struct mv_program *p)
{
        free((void *)(uintptr_t)p->bytes.p);
        p->bytes = (struct mv_slice){ NULL, 0 };
}
