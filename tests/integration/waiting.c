/* SPDX-License-Identifier: Apache-2.0 */
/* For t_durable_cli.py: a plan whose one call waits for two approvals. Usage: waiting STORE FILE [EXECUTION]. Prints what came
 * out, or the error. */
#include <microvm/microvm.h>
#include <stdio.h>

static int finish(int rc, struct mv_result *r, const struct mv_err *err)
{
        if (rc < 0)
                printf("%s\n", err->msg);
        else if (mv_result_ok(r))
                printf("done\n");
        else
                printf("%s\n", mv_result_error(r)->message);
        mv_result_free(rc < 0 ? NULL : r);
        return 0;
}

int main(int argc, char **argv)
{
        struct mv_err err;
        struct mv_host *h;
        struct mv_result *r = NULL;
        char text[512];
        static const struct mv_rule ask = { .id = "writes",
                                            .action = MV_RULE_REQUIRE_APPROVAL,
                                            .capability = "ccos.io.write-file",
                                            .approvals = 2 };
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        if (argc < 3 || mv_context_allow(c, "ccos.io.write-file", &err) < 0 ||
            mv_context_allow_write(c, argv[2], &err) < 0 ||
            mv_context_add_rule(c, &ask, &err) < 0 ||
            mv_host_new(&(struct mv_host_options){ .audit_path = argv[1] }, &h, &err) < 0)
                return 1;
        snprintf(text, sizeof text, "(call \"ccos.io.write-file\" \"%s\" \"\\u001b[31m\")",
                 argv[2]);
        struct mv_execution x = { .program = mv_program_source(text),
                                  .context = c,
                                  .provider = "mock" };
        struct mv_resumption again = { .execution_id = argv[3], .context = c, .provider = "mock" };
        int rc = argc > 3 ? mv_resume(h, &again, &r, &err) : mv_execute(h, &x, &r, &err);
        finish(rc, r, &err);
        mv_context_free(c);
        mv_host_free(h);
        return 0;
}
