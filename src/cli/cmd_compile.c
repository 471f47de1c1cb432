/* SPDX-License-Identifier: Apache-2.0 */
/* microvm compile: a program as bytecode, or as a tree of forms. The compiler runs behind the wall like a program does; what comes out is
 * verified there again before it runs, so nothing has to trust the file. */
#include <base/err.h>
#include <cli/cli.h>
#include <errno.h>
#include <fcntl.h>
#include <host/jsonw.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* F.rtfs becomes F.rtfsb, or F.cbor; any other name says nothing about a place to write to.
 * malloc'ed, or NULL. */
static char *default_output(const char *name, bool ast)
{
        static const char *const endings[] = { ".rtfs", ".cbor" };
        size_t n = strlen(name);
        char *out = NULL;
        for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
                size_t m = strlen(endings[i]);
                if (n > m && strcmp(name + n - m, endings[i]) == 0 &&
                    asprintf(&out, "%.*s.%s", (int)(n - m), name, ast ? "cbor" : "rtfsb") < 0)
                        return NULL;
        }
        return out;
}

static int write_fd(int fd, const char *path, struct mv_slice s, struct mv_err *err)
{
        while (s.len > 0) {
                ssize_t n = write(fd, s.p, s.len);
                if (n < 0 && errno != EINTR)
                        return mv_fail(err, MV_E_SYS, errno, "write %s", path);
                if (n > 0)
                        s = (struct mv_slice){ s.p + n, s.len - (size_t)n };
        }
        return 0;
}

static int write_file(const char *path, struct mv_slice bytes, struct mv_err *err)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd < 0)
                return mv_fail(err, MV_E_SYS, errno, "open %s", path);
        int r = write_fd(fd, path, bytes, err);
        if (close(fd) < 0 && r == 0)
                r = mv_fail(err, MV_E_SYS, errno, "close %s", path);
        return r;
}

static int print_json(const char *path, const struct mv_result *r)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_bool(&w, "ok", true);
        mv__json_str(&w, "output", path);
        mv__json_uint(&w, "bytes", mv_result_compiled(r).len);
        mv__json_str(&w, "execution_id", mv_result_execution_id(r));
        mv__json_str(&w, "provider", mv_result_provider(r));
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

static int compile(struct cli_request *q, const struct cli_options *o, const char *path)
{
        struct mv_result *result;
        struct mv_err err;
        int code = CLI_DONE;
        if (mv_execute(q->host, &q->x, &result, &err) < 0)
                return cli_error(&err, o->json);
        if (!mv_result_ok(result))
                code = cli_result(result, o, &q->x.program);
        else if (write_file(path, mv_result_compiled(result), &err) < 0)
                code = cli_error(&err, o->json);
        else if (o->json)
                code = print_json(path, result);
        mv_result_free(result);
        return code;
}

int cmd_compile(int argc, char **argv)
{
        struct cli_options o;
        struct cli_request q;
        struct mv_program program;
        struct mv_err err;
        int r = cli_options(argc, argv, CLI_LIMITS | CLI_OUTPUT | CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 1, 1, "one FILE, or - for standard input");
        if (r)
                return r;
        char *made = o.output ? NULL : default_output(o.operands.items[0], o.ast);
        const char *path = o.output ? o.output : made;
        if (!path)
                return cli_usage("compile: -o FILE says where the program goes");
        if (cli_program(o.operands.items[0], &program, &err) < 0) {
                r = cli_error(&err, o.json);
        } else {
                if ((r = cli_request(&o, &q)) == 0) {
                        q.x.program = program;
                        q.x.purpose = o.ast ? MV_PURPOSE_PARSE : MV_PURPOSE_COMPILE;
                        r = compile(&q, &o, path);
                        cli_request_done(&q);
                }
                cli_program_done(&program);
        }
        free(made);
        return r;
}
