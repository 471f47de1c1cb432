/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.sandbox.python, .javascript, .shell (REQ-CAP-49): a script as a capability of another
 * program.
 *
 * (1) The script is an execution of its own: decided, recorded, walled and limited like any other,
 *     by the caller's own context, in which other capabilities keep the settings of their own. The grant of the capability stands for "external_program"; it
 *     adds nothing else.
 * (2) It ends with its caller: the time left, the memory and output limits and the cancel flag are
 *     the caller's.
 * (3) The reply has four keys: result, stdout, stderr, exit_code. A script that failed is a reply
 *     (its exit code says so); one that was killed, or could not be run, is an error. */
#include <base/slice.h>
#include <host/host.h>
#include <host/nested.h>
#include <stdlib.h>
#include <string.h>
#include <wire/cbor.h>

struct sandbox {
        struct mv_host *host;
        const char *language;
};

struct request {
        struct mv_slice code;
        const struct mv_value *args;
        char provider[32];
};

static bool key_is(const struct mv_value *key, const char *name)
{
        struct mv_slice s;
        return mv_as_text(key, &s) && mv_slice_eq_str(s, name);
}

/* {:code "..." :args [...] :provider "..."}, or the code alone. What is not known is refused:
 * somebody relied on it. */
static int request_read(struct mv_call *call, const struct mv_value *v, struct request *ret)
{
        struct mv_slice text;
        *ret = (struct request){ 0 };
        if (v->kind == MV_STRING) {
                ret->code = v->text;
                return 0;
        }
        if (v->kind != MV_MAP)
                return mv_call_fail(call, "TypeError",
                                    "a script is text, or a map with :code, got %s",
                                    mv_kind_name(v->kind));
        for (uint32_t i = 0; i < v->count; i++) {
                const struct mv_value *key = &v->entries[i].key, *value = &v->entries[i].value;
                if (key_is(key, "code") && value->kind == MV_STRING)
                        ret->code = value->text;
                else if (key_is(key, "args") && value->kind == MV_VECTOR)
                        ret->args = value;
                else if (key_is(key, "provider") && mv_as_text(value, &text) &&
                         text.len < sizeof ret->provider)
                        mv_fmt(ret->provider, sizeof ret->provider, "%.*s", MV_SARG(text));
                else
                        return mv_call_fail(
                                call, "InvalidArgument",
                                "a script's map may hold :code (text), :args (a vector) and "
                                ":provider (a name), nothing else");
        }
        return ret->code.p ? 0
                           : mv_call_fail(call, "InvalidArgument", "a script's map needs :code");
}

static int reply(struct mv_call *call, const struct mv_result *r, struct mv_value *ret)
{
        static const char *const keys[] = { "result", "stdout", "stderr", "exit_code" };
        struct mv_entry *entries = mv_call_alloc(call, 4 * sizeof *entries);
        const struct mv_value *value =
                mv_result_ok(r) ? mv_value_copy(mv_result_value(r), call->arena) : NULL;
        if (!entries || (mv_result_ok(r) && !value))
                return mv_call_fail(
                        call, "BudgetExhausted",
                        "the script's output does not fit into this execution's memory");
        for (int i = 0; i < 4; i++)
                entries[i].key =
                        (struct mv_value){ .kind = MV_STRING, .text = mv_slice_str(keys[i]) };
        entries[0].value = value ? *value : (struct mv_value){ .kind = MV_NIL };
        entries[1].value = mv__nested_text(call, mv_result_stdout(r));
        entries[2].value = mv__nested_text(call, mv_result_stderr(r));
        entries[3].value =
                (struct mv_value){ .kind = MV_INT, .integer = mv_result_metadata(r)->exit_code };
        mv_entries_sort(entries, 4);
        *ret = (struct mv_value){ .kind = MV_MAP, .count = 4, .entries = entries };
        return 0;
}

static int judge(struct mv_call *call, const struct mv_result *r, struct mv_value *ret)
{
        bool ended = mv_result_ok(r) || mv_result_metadata(r)->exit_code > 0;
        if (ended && mv_result_termination(r) != MV_END_DENIED)
                return reply(call, r, ret);
        const struct mv_program_error *e = mv_result_error(r);
        return mv_call_fail(call, "Generic", "the script ended by %s: %s",
                            mv_termination_name(mv_result_termination(r)), e ? e->message : "");
}

static int run(struct mv_call *call, const struct mv_value *args, uint32_t args_count,
               struct mv_value *ret)
{
        const struct sandbox *s = mv_call_ctx(call);
        struct request q;
        struct mv_err err;
        struct mv_result *r;
        char seed[MV_SEED_TEXT_BYTES];
        int rc = request_read(call, &args[0], &q);
        if (rc < 0)
                return rc;
        struct mv_context *c;
        rc = mv__nested_context(call, &c);
        if (rc < 0)
                return rc;
        rc = mv_context_level(c) == MV_LEVEL_CONTROLLED
                     ? mv_context_allow(c, "external_program", &err)
                     : 0; /* (1) */
        struct mv_execution x = {
                .program = { .kind = MV_PROGRAM_SCRIPT, .bytes = q.code, .language = s->language },
                .context = c,
                .provider = q.provider[0] ? q.provider : NULL,
                .tier_min = call->tier_min != MV_TIER_NONE ? call->tier_min : MV_TIER_PROCESS,
                .args = q.args,
                .limits = mv__nested_limits(call),
                .seed = mv__nested_seed(call, seed),
                .cancel = call->cancel
        };
        if (rc == 0)
                rc = mv_execute(s->host, &x, &r, &err);
        mv_context_free(c);
        if (rc < 0)
                return mv_call_fail(call, "Generic", "%s", err.msg);
        rc = judge(call, r, ret);
        mv_result_free(r);
        return rc;
}

int mv__sandbox_register(struct mv_host *h, struct mv_err *err)
{
        static const struct {
                const char *id, *language, *summary;
        } rows[] = {
                { "ccos.sandbox.python", "Python", "Run a Python script behind the process wall." },
                { "ccos.sandbox.javascript", "JavaScript",
                  "Run a JavaScript program behind the process wall." },
                { "ccos.sandbox.shell", "Shell", "Run a shell script behind the process wall." },
        };
        h->sandboxes = calloc(sizeof rows / sizeof rows[0], sizeof *h->sandboxes);
        if (!h->sandboxes)
                return mv_fail(err, MV_E_NOMEM, 0, "sandbox capabilities");
        int r = 0;
        for (size_t i = 0; r == 0 && i < sizeof rows / sizeof rows[0]; i++) {
                h->sandboxes[i] = (struct sandbox){ h, rows[i].language };
                struct mv_capability c = { .id = rows[i].id,
                                           .arguments = "({:code :args})",
                                           .summary = rows[i].summary,
                                           .result = "map: result stdout stderr exit_code",
                                           .effects = MV_EFFECT_SYSTEM,
                                           .permission = "external_program",
                                           .args_min = 1,
                                           .args_max = 1,
                                           .call = run,
                                           .ctx = &h->sandboxes[i] };
                r = mv_capability_table_add(h->table, &c, err);
        }
        return r;
}
