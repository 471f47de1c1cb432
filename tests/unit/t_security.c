/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <policy/cover.h>
#include <security/security.h>
#include <security/terms.h>
#include <wire/cbor.h>
#include <stdio.h>
#include <stdlib.h>

static struct mv_context *controlled(const char *grant)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        if (grant)
                CHECK(mv_context_allow(c, grant, NULL) == 0);
        return c;
}

static struct mv_decision ask(const struct mv_context *c, const char *id)
{
        struct mv_decision d;
        mv_authorize_capability(c, id, NULL, NULL, 0, &d);
        return d;
}

/* REQ-SEC-02, -03 */
TEST(each_level_starts_with_its_limits)
{
        struct mv_context *p = mv_context_new(MV_LEVEL_PURE), *c = controlled(NULL),
                          *f = mv_context_new(MV_LEVEL_FULL);
        CHECK(p->limits.wall_ns_max == 1000000000ull && p->limits.memory_bytes_max == 16u << 20 &&
              !p->use_microvm);
        CHECK(c->limits.wall_ns_max == 5000000000ull && c->limits.memory_bytes_max == 64u << 20 &&
              c->use_microvm);
        CHECK(f->limits.wall_ns_max == 0 && f->limits.memory_bytes_max == 0 && !f->use_microvm);
        CHECK(p->log_capability_calls && c->log_capability_calls && f->log_capability_calls);
        mv_context_free(p);
        mv_context_free(c);
        mv_context_free(f);
        CHECK(mv_context_new(MV_LEVEL_MAX_) == NULL);
        CHECK(mv_context_free(NULL) == NULL);
}

/* REQ-SEC-01, -04; X-26 */
TEST(pure_and_a_missing_context_allow_nothing_and_full_allows_everything)
{
        struct mv_context *p = mv_context_new(MV_LEVEL_PURE), *f = mv_context_new(MV_LEVEL_FULL);
        CHECK(!mv_context_allows(NULL, "ccos.math.add") && !mv_context_allows(p, "ccos.math.add"));
        CHECK(mv_context_allows(f, "any.capability"));
        CHECK(mv_context_allow(p, "ccos.math.add", NULL) == -MV_E_INVALID);
        CHECK(!ask(NULL, "ccos.math.add").allowed);
        CHECK_STR(ask(NULL, "ccos.math.add").hint, "--level controlled --allow ccos.math.add");
        CHECK_STR(ask(f, "any.capability").rule, "level full");
        mv_context_free(p);
        mv_context_free(f);
}

/* REQ-SEC-05, X-24 */
TEST(a_prefix_grant_counts_on_dot_boundaries_only)
{
        struct mv_context *c = controlled("ccos.math.*");
        CHECK(mv_context_allows(c, "ccos.math.add") && mv_context_allows(c, "ccos.math.deep.add"));
        CHECK(!mv_context_allows(c, "ccos.math") && !mv_context_allows(c, "ccos.mathematics.add"));
        CHECK(!mv_context_allows(c, "ccos.math.*") && !mv_context_allows(c, "ccos.math."));
        CHECK(!mv_context_allows(c, "ccos.math.add\n") && !mv_context_allows(c, "ccos.io.log"));
        CHECK_STR(ask(c, "ccos.math.add").rule, "grant ccos.math.*");
        mv_context_free(c);
}

TEST(grants_that_are_not_grants_are_refused_with_the_reason)
{
        static const char *const bad[] = {
                "",      "*",     ".*",  "ccos.*.add",   "ccos.ma*",         "ccos..add",
                ".ccos", "ccos.", "a b", "ccos.math.**", "cc\xc3\xb6s.math", "ccos.math\n"
        };
        struct mv_context *c = controlled(NULL);
        struct mv_err err;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                err.msg[0] = '\0';
                CHECK(mv_context_allow(c, bad[i], &err) == -MV_E_INVALID);
                CHECK(err.msg[0] != '\0' && !strchr(err.msg, '\n'));
        }
        char longest[200];
        memset(longest, 'a', sizeof longest);
        longest[MV_CAPABILITY_ID_MAX] = '\0';
        CHECK(mv_context_allow(c, longest, &err) == 0 && ask(c, longest).allowed);
        longest[MV_CAPABILITY_ID_MAX] = 'a';
        longest[MV_CAPABILITY_ID_MAX + 1] = '\0';
        CHECK(mv_context_allow(c, longest, &err) == -MV_E_INVALID && !ask(c, longest).allowed);
        CHECK(c->capabilities.count == 1);
        CHECK(mv_context_allow(c, ":nlp.*", &err) == 0 && mv_context_allows(c, ":nlp.parse"));
        mv_context_free(c);
}

TEST(a_context_with_thousands_of_grants_finds_each_and_no_other)
{
        struct mv_context *c = controlled(NULL);
        char id[64];
        for (unsigned i = 0; i < MV_GRANTS_MAX; i++) {
                snprintf(id, sizeof id, "x.g%u", i * 2654435761u);
                CHECK(mv_context_allow(c, id, NULL) == 0);
        }
        CHECK(c->capabilities.count == MV_GRANTS_MAX);
        for (unsigned i = 0; i < MV_GRANTS_MAX; i++) {
                snprintf(id, sizeof id, "x.g%u", i * 2654435761u);
                CHECK(mv_context_allows(c, id));
                CHECK(mv_context_allow(c, id, NULL) == 0); /* again: no second entry */
                snprintf(id, sizeof id, "x.g%uz", i * 2654435761u);
                CHECK(!mv_context_allows(c, id));
        }
        CHECK(mv_context_allow(c, "one.more", NULL) == -MV_E_LIMIT);
        mv_context_free(c);
}

/* REQ-AUTH-01, REQ-ERR-02 */
TEST(a_denial_says_what_was_asked_and_the_smallest_grant)
{
        struct mv_context *c = controlled("ccos.math.add");
        struct mv_decision d = ask(c, "ccos.io.open-file");
        char text[600];
        CHECK(!d.allowed);
        CHECK_STR(d.operation, "capability_authorization");
        CHECK_STR(d.capability, "ccos.io.open-file");
        CHECK_STR(d.context, "Capability 'ccos.io.open-file' not allowed by runtime context");
        CHECK_STR(d.hint, "--allow ccos.io.open-file");
        CHECK_STR(d.rule, "no grant");
        mv_decision_text(&d, text, sizeof text);
        CHECK_STR(text, "Security violation: capability_authorization operation on capability "
                        "'ccos.io.open-file' not "
                        "allowed in context: Capability 'ccos.io.open-file' not allowed by runtime "
                        "context");
        d = ask(c, "bad\x1b[31m id");
        CHECK(!d.allowed);
        CHECK_STR(d.capability, "bad?[31m id");
        CHECK_STR(d.hint, "");
        CHECK(!ask(c, NULL).allowed);
        mv_context_free(c);
}

/* REQ-AUTH-02, -03, -04 */
TEST(permissions_begin_with_the_id_and_derived_ones_follow)
{
        struct mv_context *f = mv_context_new(MV_LEVEL_FULL);
        struct mv_value path = { .kind = MV_STRING, .text = MV_SLICE("/x") },
                        handle = { .kind = MV_INT, .integer = 3 };
        struct mv_capability custom = { .id = "my.read", .permission = "my.files" };
        struct mv_decision d;
        mv_authorize_capability(f, "ccos.io.open-file", NULL, &path, 1, &d);
        CHECK(d.permissions_count == 2);
        CHECK_STR(d.permissions[0], "ccos.io.open-file");
        CHECK_STR(d.permissions[1], "ccos.io.file-access");
        mv_authorize_capability(f, "ccos.io.open-file", NULL, NULL, 0, &d);
        CHECK(d.permissions_count == 1);
        mv_authorize_capability(f, "ccos.io.close-file", NULL, &handle, 1, &d);
        CHECK_STR(d.permissions[1], "ccos.io.file-access");
        d = ask(f, "ccos.network.http-fetch");
        CHECK_STR(d.permissions[1], "ccos.network.outbound");
        d = ask(f, "ccos.system.get-env");
        CHECK_STR(d.permissions[1], "ccos.system.environment");
        mv_authorize_capability(f, "my.read", &custom, NULL, 0, &d);
        CHECK(d.permissions_count == 2);
        CHECK_STR(d.permissions[1], "my.files");
        mv_context_free(f);
}

/* REQ-AUTH-04: a derived permission in the grants gives nothing */
TEST(a_derived_permission_is_no_grant)
{
        struct mv_context *c = controlled("ccos.network.outbound");
        CHECK(!ask(c, "ccos.network.http-fetch").allowed);
        mv_context_free(c);
}

/* REQ-AUTH-05, -06; REQ-PRV-10 */
TEST(programs_need_their_class_and_their_capability)
{
        struct mv_context *c = controlled("ccos.io.open-file");
        struct mv_decision d;
        mv_authorize_program(NULL, MV_PROGRAM_CLASS_RTFS, NULL, &d);
        CHECK(d.allowed && d.permissions_count == 0);
        mv_authorize_program(c, MV_PROGRAM_CLASS_RTFS, "ccos.echo", &d);
        CHECK(!d.allowed);
        CHECK_STR(d.operation, "program_authorization");
        CHECK_STR(d.context, "Capability 'ccos.echo' not allowed for program execution");
        mv_authorize_program(c, MV_PROGRAM_CLASS_EXTERNAL, "ccos.io.open-file", &d);
        CHECK(!d.allowed);
        CHECK_STR(d.operation, "external_program_authorization");
        CHECK_STR(d.context, "External program execution not permitted");
        CHECK_STR(d.hint, "--allow external_program");
        mv_authorize_program(c, MV_PROGRAM_CLASS_NATIVE, NULL, &d);
        CHECK(!d.allowed);
        CHECK_STR(d.operation, "native_function_authorization");
        CHECK_STR(d.context, "Native function execution not permitted");
        mv_authorize_program(NULL, MV_PROGRAM_CLASS_SCRIPT, NULL, &d); /* REQ-PRV-11 */
        CHECK(!d.allowed);
        CHECK(mv_context_allow(c, "external_program", NULL) == 0);
        mv_authorize_program(c, MV_PROGRAM_CLASS_EXTERNAL, "ccos.io.open-file", &d);
        CHECK(d.allowed && d.permissions_count == 2);
        CHECK_STR(d.permissions[0], "ccos.io.open-file");
        CHECK_STR(d.permissions[1], "external_program");
        CHECK_STR(d.rule, "grant external_program");
        mv_context_free(c);
}

/* REQ-PRV-09, REQ-AUTH-07, -12 */
TEST(the_boundary_gate_wants_the_id_itself_in_the_token)
{
        const char *token[] = { "ccos.math.add", "ccos.system.*" };
        struct mv_decision d;
        mv_token_check("execute_capability", "ccos.math.add", token, 2, &d);
        CHECK(d.allowed);
        mv_token_check("execute_program", NULL, NULL, 0, &d);
        CHECK(d.allowed);
        mv_token_check("execute_capability", "ccos.system.shutdown", token, 2, &d);
        CHECK(!d.allowed);
        CHECK_STR(d.operation, "execute_capability");
        CHECK_STR(d.context, "Boundary validation failed - capability not in permissions: "
                             "[\"ccos.math.add\", \"ccos.system.*\"]");
        mv_token_check("execute_program", "ccos.io.open-file", NULL, 0, &d);
        CHECK_STR(d.context, "Boundary validation failed - capability not in permissions: []");
        mv_token_check("execution_context_validation", "p", token, 1, &d);
        CHECK_STR(d.context, "Required permission 'p' not in execution context permissions: "
                             "[\"ccos.math.add\"]");
}

/* REQ-SEC-09 */
TEST(named_policies_grant_exactly_their_lists)
{
        static const struct {
                const char *name, *yes, *no;
                uint32_t count;
        } rows[] = {
                { "user_code", "ccos.ai.llm-execute", "ccos.io.println", 4 },
                { "system_management", "ccos.system.current-timestamp-ms", "ccos.system.get-env",
                  9 },
                { "data_processing", "ccos.network.http-fetch", "ccos.io.read-file", 8 },
                { "agent_coordination", "ccos.agent.establish-system-baseline", "ccos.echo", 7 },
                { "file_operations", "ccos.io.close-file", "ccos.ai.llm-execute", 6 },
                { "test_capabilities", "ccos.math.add", "ccos.io.print", 7 },
        };
        struct mv_err err;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                struct mv_context *c = mv_context_new_policy(rows[i].name, &err);
                REQUIRE(c);
                CHECK(c->capabilities.count == rows[i].count && c->level == MV_LEVEL_CONTROLLED &&
                      c->use_microvm);
                CHECK(mv_context_allows(c, rows[i].yes) && !mv_context_allows(c, rows[i].no));
                CHECK(mv_context_validate(c, &err) == 0);
                CHECK_STR(c->policy_name, rows[i].name);
                mv_context_free(c);
        }
        struct mv_context *files = mv_context_new_policy("file_operations", &err);
        CHECK(files->limits.wall_ns_max == 10000000000ull &&
              files->limits.memory_bytes_max == 32u << 20);
        mv_context_free(files);
        CHECK(!mv_context_new_policy("root", &err) && err.code == MV_E_NOT_FOUND);
        CHECK(!mv_context_new_policy(NULL, &err) && err.code == MV_E_NOT_FOUND);
}

/* REQ-SEC-17: limits go down only */
TEST(limits_may_only_be_lowered)
{
        struct mv_context *c = controlled(NULL);
        mv_context_limit(c, &(struct mv_limits){ .wall_ns_max = 9000000000ull,
                                                 .memory_bytes_max = 1 << 20,
                                                 .fuel_max = 7 });
        CHECK(c->limits.wall_ns_max == 5000000000ull && c->limits.memory_bytes_max == 1 << 20 &&
              c->limits.fuel_max == 7);
        mv_context_limit(c, &(struct mv_limits){ .fuel_max = 9 });
        CHECK(c->limits.fuel_max == 7 && c->limits.memory_bytes_max == 1 << 20);
        mv_context_free(c);
}

/* REQ-SEC-10, -17: whoever makes a context gives; from there on it goes down only */
TEST(a_context_is_given_no_more_than_the_validator_takes)
{
        struct mv_context *c = controlled(NULL), *f = mv_context_new(MV_LEVEL_FULL);
        struct mv_limits much = { .wall_ns_max = UINT64_MAX, .memory_bytes_max = UINT64_MAX },
                         some = { .wall_ns_max = 30000000000ull, .fuel_max = 7 };
        mv_context_give(c, &some);
        CHECK(c->limits.wall_ns_max == 30000000000ull && c->limits.memory_bytes_max == 64u << 20 &&
              c->limits.fuel_max == 7);
        mv_context_give(c, &much);
        CHECK(c->limits.wall_ns_max == 60000000000ull && c->limits.memory_bytes_max == 512u << 20);
        CHECK(mv_context_validate(c, NULL) == 0);
        mv_context_limit(c, &some);
        CHECK(c->limits.wall_ns_max == 30000000000ull);
        mv_context_give(f, &some);
        CHECK(f->limits.wall_ns_max == 30000000000ull && f->limits.memory_bytes_max == 0);
        mv_context_free(c);
        mv_context_free(f);
}

/* REQ-SEC-10 */
TEST(the_validator_names_what_is_too_high_or_unwalled)
{
        struct mv_context *c = controlled("ccos.io.*");
        struct mv_err err;
        c->limits.wall_ns_max = 60000000001ull;
        CHECK(mv_context_validate(c, &err) == -MV_E_INVALID);
        CHECK_STR(err.msg, "Execution time limit too high");
        c->limits.wall_ns_max = 1;
        c->limits.memory_bytes_max = (512u << 20) + 1;
        CHECK(mv_context_validate(c, &err) == -MV_E_INVALID);
        CHECK_STR(err.msg, "Memory limit too high");
        c->limits.memory_bytes_max = 1;
        CHECK(mv_context_validate(c, &err) == 0);
        c->use_microvm = false;
        CHECK(mv_context_validate(c, &err) == -MV_E_INVALID);
        CHECK_STR(err.msg, "File operations require microVM execution");
        mv_context_free(c);
        c = controlled("ccos.network.http-fetch");
        c->use_microvm = false;
        CHECK(mv_context_validate(c, &err) == -MV_E_INVALID);
        CHECK_STR(err.msg, "Network operations require microVM execution");
        c->level = MV_LEVEL_FULL;
        CHECK(mv_context_validate(c, &err) == 0);
        mv_context_free(c);
}

/* REQ-SEC-06: full permission is not the absence of isolation */
TEST(file_and_network_capabilities_require_the_wall)
{
        struct mv_context *c = controlled(NULL), *f = mv_context_new(MV_LEVEL_FULL);
        CHECK(mv_context_requires_microvm(c, "ccos.io.open-file") &&
              mv_context_requires_microvm(c, "ccos.system.get-env"));
        CHECK(mv_context_requires_microvm(f, "ccos.network.http-fetch"));
        CHECK(!mv_context_requires_microvm(c, "ccos.math.add") &&
              !mv_context_requires_microvm(c, "ccos.io.println"));
        CHECK(!mv_context_requires_microvm(NULL, "ccos.io.open-file"));
        mv_context_free(c);
        mv_context_free(f);
}

/* REQ-SEC-08, -11 */
TEST(effect_labels_and_recommended_levels_follow_the_table)
{
        const char *labels[2];
        CHECK_STR(mv_effect_label("ccos.io.read-file"), ":filesystem");
        CHECK_STR(mv_effect_label("ccos.io.println"), ":compute");
        CHECK_STR(mv_effect_label("ccos.network.http-fetch"), ":network");
        CHECK_STR(mv_effect_label("ccos.system.sleep-ms"), ":system");
        CHECK_STR(mv_effect_label("ccos.ai.llm-execute"), ":ai");
        CHECK_STR(mv_effect_label("ccos.agent.ask-human"), ":agent");
        CHECK_STR(mv_effect_label("ccos.stream.open"), ":streaming");
        CHECK_STR(mv_effect_label("nobody.knows"), ":compute");
        CHECK(mv_effect_labels("ccos.user.ask", labels) == 2);
        CHECK_STR(labels[0], ":io");
        CHECK_STR(labels[1], ":user-interaction");
        CHECK(mv_recommended_level("ccos.math.add") == MV_LEVEL_PURE &&
              !mv_requires_elevated_permissions("ccos.math.add"));
        CHECK(mv_recommended_level("ccos.data.parse-json") == MV_LEVEL_CONTROLLED);
        CHECK(mv_recommended_level("ccos.system.current-time") == MV_LEVEL_CONTROLLED);
        CHECK(mv_requires_elevated_permissions("ccos.system.get-env")); /* */
        CHECK(mv_requires_elevated_permissions("ccos.io.file-exists"));
        CHECK(mv_requires_elevated_permissions("nobody.knows"));
}

/* REQ-SEC-18 */
static struct mv_decision ask_cap(const struct mv_context *c, const char *id, uint32_t effects)
{
        struct mv_capability cap = { .id = id, .effects = effects };
        struct mv_decision d;
        mv_authorize_capability(c, id, &cap, NULL, 0, &d);
        return d;
}

/* REQ-SEC-07 */
TEST(an_effect_that_is_denied_is_denied_whatever_grants_the_capability)
{
        static const char *const spellings[] = { "network", ":network", "Network", ":NETWORK" };
        struct mv_err err;
        for (size_t i = 0; i < 4; i++) {
                struct mv_context *f = mv_context_new(MV_LEVEL_FULL);
                CHECK(ask(f, "ccos.network.http-fetch").allowed);
                CHECK(mv_context_deny_effect(f, spellings[i], &err) == 0);
                struct mv_decision d = ask(f, "ccos.network.http-fetch");
                CHECK(!d.allowed);
                CHECK_STR(d.operation, "effect_policy");
                CHECK_STR(d.context, "Effect ':network' denied by runtime context");
                CHECK(ask(f, "ccos.io.read-file").allowed);
                mv_context_free(f);
        }
        struct mv_context *c = controlled("a.*");
        CHECK(mv_context_deny_effect(c, "netwrok", &err) == -MV_E_INVALID && err.msg[0]);
        CHECK(mv_context_deny_effect(c, "", &err) == -MV_E_INVALID);
        CHECK(mv_context_deny_effect(c, "network", &err) == 0);
        /* by what its descriptor says, not by its name alone; what has another effect too is denied as well */
        CHECK(ask_cap(c, "a.b", MV_EFFECT_FILESYSTEM).allowed);
        CHECK(!ask_cap(c, "a.b", MV_EFFECT_FILESYSTEM | MV_EFFECT_NETWORK).allowed);
        CHECK_STR(ask_cap(c, "x.y", MV_EFFECT_NETWORK).rule, "no grant");
        mv_context_free(c);
}

/* REQ-SEC-07, -18 */
TEST(only_the_named_effects_are_allowed_denying_wins_and_both_only_narrow)
{
        static const char *const two[] = { "compute", ":filesystem" }, *const one[] = { "system" };
        struct mv_err err;
        struct mv_context *c = controlled("ccos.*"), *most = controlled("ccos.*");
        uint8_t a[4096], b[4096];
        struct mv_out x = mv_out(a, sizeof a), y = mv_out(b, sizeof b);
        CHECK(mv_context_encode(c, &x));
        CHECK(mv_context_only_effects(c, two, 2, &err) == 0);
        CHECK(mv_context_encode(c, &y) && x.len != y.len);
        CHECK(ask(c, "ccos.math.add").allowed && ask(c, "ccos.io.read-file").allowed);
        struct mv_decision d = ask(c, "ccos.system.get-env");
        CHECK_STR(d.context, "Effect ':system' not permitted by runtime context allowlist");
        CHECK(!d.allowed && !ask(c, "ccos.user.ask").allowed);
        CHECK(mv_context_deny_effect(c, "filesystem", &err) == 0);
        CHECK_STR(ask(c, "ccos.io.read-file").context,
                  "Effect ':filesystem' denied by runtime context");
        struct mv_context *copy = mv_context_copy(c);
        CHECK(!ask(copy, "ccos.io.read-file").allowed && ask(copy, "ccos.math.add").allowed);
        CHECK(mv_context_only_effects(most, one, 1, &err) == 0);
        CHECK(mv__context_join(copy, most, &err) == 0); /* of two lists what both have: nothing */
        CHECK(!ask(copy, "ccos.math.add").allowed && !ask(copy, "ccos.system.get-env").allowed);
        /* what one capability sees is narrowed too, before and after */
        struct mv_context *own = controlled("ccos.*");
        CHECK(mv_context_narrow(c, "ccos.io.read-file", own, &err) == 0);
        CHECK(!ask(mv_context_for(c, "ccos.io.read-file"), "ccos.io.read-file").allowed);
        CHECK(mv_context_deny_effect(c, "compute", &err) == 0);
        CHECK(!ask(mv_context_for(c, "ccos.io.read-file"), "ccos.math.add").allowed);
        mv_context_free(copy);
        mv_context_free(most);
        mv_context_free(c);
}

/* REQ-IDEM-06 */
TEST(terms_of_a_contract_are_in_copies_and_digests_and_both_hold_of_two)
{
        struct mv_err err;
        uint8_t a[2048], b[2048], mem[16384];
        struct mv_context *c = controlled("ccos.math.*"), *other = controlled("ccos.math.*");
        struct mv_context *own = mv_context_copy(c), *theirs = mv_context_copy(other);
        CHECK(mv__term_add(own, "pre", "(= 1 1)", &err) == 0);
        CHECK(mv__term_add(own, "pre", "(= 1 1)", &err) == 0); /* is there already */
        CHECK(mv__term_add(theirs, "output-schema", ":int", &err) == 0);
        CHECK(mv__term_add(own, "before", "true", &err) == -MV_E_INVALID);
        CHECK(mv__term_add(own, "pre:", "true", &err) == -MV_E_INVALID);
        char *large = malloc(MV_TERM_BYTES_MAX + 2);
        REQUIRE(large != NULL);
        memset(large, ' ', MV_TERM_BYTES_MAX + 1);
        large[MV_TERM_BYTES_MAX + 1] = '\0';
        CHECK(mv__term_add(own, "post", large, &err) == -MV_E_INVALID);
        free(large);
        struct mv_out without = mv_out(a, sizeof a), with = mv_out(b, sizeof b);
        CHECK(mv_context_encode(c, &without));
        CHECK(mv_context_narrow(c, "ccos.math.add", own, &err) == 0);
        CHECK(mv_context_narrow(other, "ccos.math.add", theirs, &err) == 0);
        struct mv_context *copy = mv_context_copy(c);
        CHECK(mv_context_encode(copy, &with) && memmem(b, with.len, "pre:(= 1 1)", 11));
        struct mv_arena arena = mv_arena_fixed(mem, sizeof mem);
        const struct mv_value *v;
        CHECK(mv_value_decode(mv_out_slice(&with), &arena, &v, &err) == 0); /* in canonical order */
        CHECK(mv__take_narrowing(copy, &other->narrowings[0], &err) == 0);
        const struct mv_context *both = mv_context_for(copy, "ccos.math.add");
        CHECK(both->terms.count == 2);
        CHECK_STR(both->terms.items[0], "output-schema::int");
        CHECK(mv__term_asked(both->terms.items[0], true) &&
              !mv__term_asked(both->terms.items[0], false));
        CHECK(mv__term_asked(both->terms.items[1], false) &&
              !mv__term_asked(both->terms.items[1], true));
        CHECK(mv__term_asked("invariant:x", false) && mv__term_asked("invariant:x", true));
        mv_context_free(copy);
        mv_context_free(other);
        mv_context_free(c);
}

TEST(a_copy_is_frozen_and_equal)
{
        struct mv_context *c = controlled("ccos.math.*");
        uint8_t a[2048], b[2048];
        CHECK(mv_context_allow_read(c, "/data/", NULL) == 0 &&
              mv_context_allow_host(c, "Example.COM.", NULL) == 0);
        CHECK(mv_context_allow_env(c, "TOKEN=secret", NULL) == 0 &&
              mv_context_deny_host(c, "*.evil.com", NULL) == 0);
        CHECK(mv_context_allow_write(c, "/out", NULL) == 0);
        struct mv_context *copy = mv_context_copy(c);
        struct mv_out oa = mv_out(a, sizeof a), ob = mv_out(b, sizeof b);
        CHECK(mv_context_encode(c, &oa) && mv_context_encode(copy, &ob));
        CHECK(mv_slice_eq(mv_out_slice(&oa), mv_out_slice(&ob)));
        CHECK(mv_context_allow(c, "ccos.io.log", NULL) == 0);
        CHECK(!mv_context_allows(copy, "ccos.io.log"));
        CHECK(!memmem(b, ob.len, "secret", 6) && memmem(b, ob.len, "TOKEN", 5));
        ob = mv_out(b, sizeof b);
        CHECK(mv_context_encode(c, &ob) && !mv_slice_eq(mv_out_slice(&oa), mv_out_slice(&ob)));
        mv_context_free(c);
        mv_context_free(copy);
}

TEST(an_encoded_context_is_deterministic_cbor_and_null_encodes_as_pure)
{
        uint8_t a[1024], b[1024], mem[16384];
        struct mv_context *p = mv_context_new(MV_LEVEL_PURE);
        struct mv_out oa = mv_out(a, sizeof a), ob = mv_out(b, sizeof b), tiny = mv_out(b, 3);
        CHECK(mv_context_encode(NULL, &oa) && mv_context_encode(p, &ob));
        CHECK(mv_slice_eq(mv_out_slice(&oa), mv_out_slice(&ob)));
        struct mv_arena arena = mv_arena_fixed(mem, sizeof mem);
        const struct mv_value *v;
        struct mv_err err;
        CHECK(mv_value_decode(mv_out_slice(&oa), &arena, &v, &err) == 0);
        CHECK(!mv_context_encode(NULL, &tiny));
        mv_context_free(p);
        struct mv_context *copy = mv_context_copy(NULL);
        CHECK(mv_context_level(copy) == MV_LEVEL_PURE);
        mv_context_free(copy);
}

TEST(the_last_word_about_a_variable_counts_and_values_stay_out_of_messages)
{
        struct mv_context *c = controlled(NULL);
        struct mv_err err;
        CHECK(mv_context_allow_env(c, "A=1", &err) == 0 &&
              mv_context_allow_env(c, "A=2", &err) == 0);
        CHECK(c->env.count == 1);
        CHECK_STR(c->env.items[0], "A=2");
        CHECK(mv_context_allow_env(c, "A", &err) == 0 && c->env.count == 1);
        CHECK_STR(c->env.items[0], "A");
        CHECK(mv_context_allow_env(c, "9A=hunter2", &err) == -MV_E_INVALID &&
              !strstr(err.msg, "hunter2"));
        CHECK(mv_context_allow_env(c, "=x", &err) == -MV_E_INVALID &&
              mv_context_allow_env(c, "", &err) == -MV_E_INVALID);
        mv_context_free(c);
}

TEST(a_long_token_is_cut_in_the_text_at_a_whole_item)
{
        const char *token[40];
        struct mv_decision d;
        for (size_t i = 0; i < 40; i++)
                token[i] = "ccos.agent.discover-and-assess-agents";
        mv_token_check("execute_program", "x", token, 40, &d);
        size_t n = strlen(d.context);
        CHECK(!d.allowed);
        REQUIRE(n > 7);
        CHECK_STR(d.context + n - 7, "\", ...]");
}
