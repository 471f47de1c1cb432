/* SPDX-License-Identifier: Apache-2.0 */
#include <config/governance.h>
#include <config/lexical.h>
#include <security/rules.h>

#define RULES_MAX         256
#define RULE_TEXT_MAX     255
#define TIMEOUT_DAYS_MAX  366
#define MS_OF_A_DAY       86400000ll
#define CONDITION_TEXT_OK "A text of 1 to 255 bytes; a `*` at its end stands for any end"

#define ROW(name_, kind, member, fallback_, doc_, ...)                                             \
        {                                                                                          \
                .name = name_, .type = MV_F_##kind,                                                \
                .offset = offsetof(struct mv_rule_section, member), .fallback = fallback_,         \
                .doc = doc_, __VA_ARGS__                                                           \
        }

static const struct mv_field rule_fields[] = {
        ROW("id", TEXT, id, NULL, "name of the rule, in every record of its decisions",
            .check = MV_CHECK_ID, .code = "INVALID_RULE_ID", .required = true),
        ROW("action", TEXT, action, NULL,
            "what happens to a call that all conditions hold for; a rule never allows what is not "
            "granted",
            .choices = "allow|deny|require-approval", .code = "UNKNOWN_RULE_ACTION",
            .required = true),
        ROW("capability", TEXT, capability, NULL, "condition: an id, or a prefix such as ccos.io.*",
            .check = MV_CHECK_GRANT, .code = "INVALID_CAPABILITY_ID"),
        ROW("effects", TEXTS, effects, "", "condition: the capability has one of these effects",
            .choices = "filesystem|network|system|output", .code = "UNKNOWN_EFFECT"),
        ROW("risk-tier", TEXT, risk_tier, NULL,
            "condition: calls of this risk or more; high touches the network, medium files and the "
            "system",
            .choices = "low|medium|high", .code = "UNKNOWN_RISK_TIER"),
        ROW("argument", TEXT, argument, NULL,
            "condition: a text anywhere in the arguments, whole or up to a `*` at the end"),
        ROW("step", TEXT, step, NULL,
            "condition: the call is made in a step of this name, whole or up to a `*` at the end; "
            "the names of steps are the program's own words"),
        ROW("approvals", INTEGER, approvals, NULL,
            "people who must agree, of require-approval; 1 when absent", .min = 1, .max = 16,
            .code = "INVALID_APPROVALS"),
        ROW("timeout", DURATION, timeout, NULL,
            "then it is denied, of require-approval; a day when absent"),
};
const struct mv_section mv__rule_schema = {
        .what = "rule",
        .doc = "One rule of the constitution: the first whose conditions all hold decides.",
        .size = sizeof(struct mv_rule_section),
        .fields = rule_fields,
        .count = sizeof rule_fields / sizeof rule_fields[0],
};

/* --- checking --------------------------------------------------------------------------------- */
struct finding {
        const char *code, *field, *message, *suggestion;
};

struct checking {
        struct mv_diagnostics *d;
        const char *path;
        uint32_t index;
        const struct mv_rule_section *rule;
};

/* At the value, or at the rule when it is not there. */
static void wrong(const struct checking *k, const struct mv_item *at, const struct finding *f)
{
        char path[200];
        mv_fmt(path, sizeof path, "%s[%u]%s%s", k->path, k->index, f->field[0] ? "." : "",
               f->field);
        struct mv_report r = { .severity = MV_SEVERE_ERROR,
                               .code = f->code,
                               .path = path,
                               .suggestion = f->suggestion,
                               .line = at && at->line ? at->line : k->rule->at.line,
                               .column = at && at->line ? at->column : k->rule->at.column };
        mv__diagnose(k->d, &r, "%s", f->message);
}

static void check_id(const struct checking *k)
{
        const struct mv_item *id = &k->rule->id;
        if (!id->given)
                wrong(k, NULL,
                      &(struct finding){ "MISSING_RULE_ID", "id",
                                         "A rule has an id: records name it by it",
                                         "id no-deletes, for example" });
        else if (id->text.len > MV_RULE_ID_MAX)
                wrong(k, id,
                      &(struct finding){ "INVALID_RULE_ID", "id",
                                         "The id of a rule has at most 63 characters", NULL });
        for (uint32_t i = 0; id->text.len && i < k->index; i++)
                if (mv_slice_eq(k->rule[(int64_t)i - k->index].id.text, id->text)) {
                        wrong(k, id,
                              &(struct finding){ "DUPLICATE_RULE_ID", "id",
                                                 "An earlier rule has this id",
                                                 "Call one of them something else" });
                        return;
                }
}

static void check_condition(const struct checking *k, const struct mv_item *text, const char *field)
{
        if (text->given && (text->text.len == 0 || text->text.len > RULE_TEXT_MAX))
                wrong(k, text,
                      &(struct finding){ "INVALID_RULE_CONDITION", field,
                                         "A condition is a text of 1 to 255 bytes",
                                         CONDITION_TEXT_OK });
}

static void check_asking(const struct checking *k)
{
        const struct mv_rule_section *r = k->rule;
        bool asks = mv_slice_eq_str(r->action.text, "require-approval");
        const struct finding alone = { "APPROVALS_WITHOUT_ASKING",
                                       r->approvals.given ? "approvals" : "timeout",
                                       "Only a rule that requires approval has approvals and a "
                                       "timeout",
                                       "Use action require-approval, or leave them out" };
        if (!r->action.given)
                wrong(k, NULL,
                      &(struct finding){ "MISSING_RULE_ACTION", "action", "A rule has an action",
                                         "Use allow, deny or require-approval" });
        else if (r->action.text.len && !asks && (r->approvals.given || r->timeout.given))
                wrong(k, r->approvals.given ? &r->approvals : &r->timeout, &alone);
        if (r->timeout.integer > TIMEOUT_DAYS_MAX * MS_OF_A_DAY)
                wrong(k, &r->timeout,
                      &(struct finding){ "INVALID_RULE_TIMEOUT", "timeout",
                                         "An approval is waited for at most 366 days", NULL });
}

void mv__check_rules(const struct mv_sections *rules, const char *path, struct mv_diagnostics *d)
{
        const struct mv_rule_section *r = rules->items;
        for (uint32_t i = 0; i < rules->count; i++) {
                struct checking k = { d, path, i, &r[i] };
                if (i == RULES_MAX) {
                        wrong(&k, NULL,
                              &(struct finding){ "TOO_MANY_RULES", "", "At most 256 rules", NULL });
                        return;
                }
                check_id(&k);
                check_asking(&k);
                check_condition(&k, &r[i].argument, "argument");
                check_condition(&k, &r[i].step, "step");
        }
}

/* --- rules ------------------------------------------------------------------------------------ */
static uint32_t effects_of(const struct mv_item *names)
{
        static const struct {
                const char *name;
                enum mv_effect effect;
        } rows[] = { { "filesystem", MV_EFFECT_FILESYSTEM },
                     { "network", MV_EFFECT_NETWORK },
                     { "system", MV_EFFECT_SYSTEM },
                     { "output", MV_EFFECT_OUTPUT } };
        uint32_t effects = 0;
        for (uint32_t i = 0; i < names->count; i++)
                for (size_t k = 0; k < sizeof rows / sizeof rows[0]; k++)
                        if (mv_slice_eq_str(names->texts[i].text, rows[k].name))
                                effects |= rows[k].effect;
        return effects;
}

/* The one whose name it is; the first for a text that is not given. */
static int named(struct mv_slice text, const char *(*name)(int i), int count)
{
        for (int i = 0; i < count; i++)
                if (mv_slice_eq_str(text, name(i)))
                        return i;
        return 0;
}

static const char *action_at(int i)
{
        return mv_rule_action_name((enum mv_rule_action)i);
}

static const char *risk_at(int i)
{
        return mv_risk_name((enum mv_risk)i);
}

static const char *text_of(const struct mv_item *item, char *buf, size_t cap)
{
        if (!item->given)
                return NULL;
        mv_fmt(buf, cap, "%.*s", MV_SARG(item->text));
        return buf;
}

static int add_rule(const struct mv_rule_section *s, struct mv_context *c, struct mv_err *err)
{
        char id[MV_RULE_ID_MAX + 2], capability[MV_CAPABILITY_ID_MAX + 2],
                argument[RULE_TEXT_MAX + 2], step[RULE_TEXT_MAX + 2];
        struct mv_rule r = { .id = text_of(&s->id, id, sizeof id),
                             .action = (enum mv_rule_action)named(s->action.text, action_at,
                                                                  MV_RULE_ACTION_MAX_),
                             .capability = text_of(&s->capability, capability, sizeof capability),
                             .effects = effects_of(&s->effects),
                             .risk_min =
                                     (enum mv_risk)named(s->risk_tier.text, risk_at, MV_RISK_MAX_),
                             .argument = text_of(&s->argument, argument, sizeof argument),
                             .step = text_of(&s->step, step, sizeof step),
                             .approvals = (uint32_t)s->approvals.integer,
                             .timeout_ms = (uint64_t)s->timeout.integer };
        return mv_context_add_rule(c, &r, err);
}

int mv__add_rules(const struct mv_sections *rules, const struct mv_rules_place *place,
                  struct mv_context *c, struct mv_err *err)
{
        const struct mv_rule_section *s = rules->items;
        char path[200], id[MV_RULE_ID_MAX + 2];
        int r = 0;
        for (uint32_t i = 0; r == 0 && i < rules->count; i++) {
                mv_fmt(path, sizeof path, "%s[%u]", place->path, i);
                mv_fmt(id, sizeof id, "%.*s", MV_SARG(s[i].id.text));
                struct mv_origin o = { .kind = MV_ORIGIN_RULE,
                                       .file = place->file,
                                       .text = id,
                                       .path = path,
                                       .line = s[i].at.line,
                                       .column = s[i].at.column };
                r = add_rule(&s[i], c, err);
                if (r < 0)
                        return mv_wrap(err, "%s:%u:%u: %s", o.file, o.line, o.column, path);
                r = mv__origin_add(place->arena, place->origins, &o, err);
        }
        return r;
}

/* --- budgets ---------------------------------------------------------------------------------- */
#define POLICIES "hard-stop|soft-warn|approval-required"
#define AMOUNT(name_, member_, doc_, min_, code_)                                                  \
        {                                                                                          \
                .name = name_, .type = MV_F_INTEGER,                                               \
                .offset = offsetof(struct mv_budget_amounts, member_), .doc = doc_, .min = min_,   \
                .max = INT64_MAX, .code = code_,                                                   \
        }
#define AMOUNT_REAL(name_, member_, doc_)                                                          \
        {                                                                                          \
                .name = name_, .type = MV_F_NUMBER,                                                \
                .offset = offsetof(struct mv_budget_amounts, member_), .doc = doc_,                \
                .not_negative = true, .code = "NEGATIVE_BUDGET",                                   \
        }
#define AMOUNTS(min_, code_)                                                                       \
        AMOUNT_REAL("cost-usd", cost_usd, "US dollars"), AMOUNT_REAL("tokens", tokens, "tokens"),  \
                AMOUNT("calls", calls, "calls of capabilities", min_, code_),                      \
                AMOUNT("steps", steps, "steps that begin", min_, code_),                           \
                { .name = "time",                                                                  \
                  .type = MV_F_DURATION,                                                           \
                  .offset = offsetof(struct mv_budget_amounts, time),                              \
                  .doc = "time that the run has taken" },                                          \
                AMOUNT("egress-bytes", egress_bytes, "bytes that capabilities send", min_, code_), \
                AMOUNT("written-bytes", written_bytes, "bytes that capabilities write", min_,      \
                       code_)
static const struct mv_field warn_fields[] = { AMOUNTS(1, "INVALID_BUDGET_WARNING") };
static const struct mv_field extension_fields[] = { AMOUNTS(0, "NEGATIVE_BUDGET") };
const struct mv_section mv__warn_schema = {
        .what = "warn",
        .doc = "Whoever spends so much is told of, and goes on.",
        .size = sizeof(struct mv_budget_amounts),
        .fields = warn_fields,
        .count = sizeof warn_fields / sizeof warn_fields[0],
};
const struct mv_section mv__extension_schema = {
        .what = "extension",
        .doc = "What one approval adds to a budget, and at least what the waiting call needs; an "
               "approver may say another amount.",
        .size = sizeof(struct mv_budget_amounts),
        .fields = extension_fields,
        .count = sizeof extension_fields / sizeof extension_fields[0],
};

#define POLICY(name_, member_, doc_)                                                               \
        {                                                                                          \
                .name = name_, .type = MV_F_TEXT,                                                  \
                .offset = offsetof(struct mv_budget_exhausted, member_), .doc = doc_,              \
                .choices = POLICIES, .code = "UNKNOWN_BUDGET_POLICY",                              \
        }
static const struct mv_field exhausted_fields[] = {
        POLICY("cost-usd", cost_usd, "of US dollars"),
        POLICY("tokens", tokens, "of tokens"),
        POLICY("calls", calls, "of calls"),
        POLICY("steps", steps, "of steps"),
        POLICY("time", time, "of time"),
        POLICY("egress-bytes", egress_bytes, "of bytes that are sent"),
        POLICY("written-bytes", written_bytes, "of bytes that are written"),
        {
                .name = "approvals",
                .type = MV_F_INTEGER,
                .offset = offsetof(struct mv_budget_exhausted, approvals),
                .doc = "people who must agree, of approval-required; 1 when absent",
                .min = 1,
                .max = 16,
                .code = "INVALID_APPROVALS",
        },
        {
                .name = "timeout",
                .type = MV_F_DURATION,
                .offset = offsetof(struct mv_budget_exhausted, timeout),
                .doc = "then it is a hard stop, of approval-required; a day when absent",
        },
};

/* A row of each kind: budget, threshold, extension and policy of it. */
#define KINDS 7
struct kind_items {
        const char *name;
        enum mv_spending what;
        const struct mv_item *max, *warn, *extension, *policy;
        double unit; /* of REAL: so many are counted for one; 0: an integer */
};

static void kinds_of(const struct mv_budgets *b, struct kind_items ret[KINDS])
{
        const struct mv_budget_amounts *w = &b->warn, *e = &b->extension;
        const struct mv_budget_exhausted *x = &b->on_exhausted;
        const struct kind_items rows[KINDS] = {
                { "cost_usd", MV_SPEND_COST_MICROUSD, &b->max_cost_usd, &w->cost_usd, &e->cost_usd,
                  &x->cost_usd, 1e6 },
                { "tokens", MV_SPEND_TOKENS, &b->token_budget, &w->tokens, &e->tokens, &x->tokens,
                  1 },
                { "calls", MV_SPEND_CALLS, &b->max_calls, &w->calls, &e->calls, &x->calls, 0 },
                { "steps", MV_SPEND_STEPS, &b->max_steps, &w->steps, &e->steps, &x->steps, 0 },
                { "time", MV_SPEND_TIME_MS, &b->max_time, &w->time, &e->time, &x->time, 0 },
                { "egress_bytes", MV_SPEND_EGRESS_BYTES, &b->max_egress_bytes, &w->egress_bytes,
                  &e->egress_bytes, &x->egress_bytes, 0 },
                { "written_bytes", MV_SPEND_WRITTEN_BYTES, &b->max_written_bytes, &w->written_bytes,
                  &e->written_bytes, &x->written_bytes, 0 },
        };
        memcpy(ret, rows, sizeof rows);
}

/* One word is the policy of every kind. */
static bool exhausted_word(struct mv_slice word, void *ret_section)
{
        struct mv_budget_exhausted *x = ret_section;
        struct mv_item *kinds[KINDS] = { &x->cost_usd,     &x->tokens, &x->calls,
                                         &x->steps,        &x->time,   &x->egress_bytes,
                                         &x->written_bytes };
        for (size_t i = 0; i < KINDS; i++) {
                kinds[i]->text = word;
                kinds[i]->given = true;
        }
        return mv__choice_has(POLICIES, word);
}

const struct mv_section mv__exhausted_schema = {
        .what = "on_exhausted",
        .doc = "What happens at the end of a budget: `hard-stop` (when nothing is said), "
               "`soft-warn` "
               "or `approval-required`; a word alone is the policy of every kind.",
        .size = sizeof(struct mv_budget_exhausted),
        .fields = exhausted_fields,
        .count = sizeof exhausted_fields / sizeof exhausted_fields[0],
        .shorthand = exhausted_word,
        .shorthand_what = "budget policy",
        .shorthand_choices = POLICIES,
        .shorthand_code = "UNKNOWN_BUDGET_POLICY",
};

static uint64_t whole(double v, double unit)
{
        return v * unit >= 1.8e19 ? MV_SPEND_ANY - 1 : (uint64_t)(v * unit);
}

static uint64_t amount_of(const struct mv_item *item, double unit, uint64_t otherwise)
{
        if (!item->given)
                return otherwise;
        return unit > 0 ? whole(item->real, unit) : (uint64_t)item->integer;
}

/* A threshold of nothing is reached by the first thing that is spent. Nothing is added: only what the waiting call needs. */
static uint64_t least_one(const struct mv_item *item, double unit)
{
        uint64_t n = amount_of(item, unit, 0);
        return item->given && n == 0 ? 1 : n;
}

static enum mv_exhausted policy_of(const struct mv_item *word)
{
        for (int i = 0; word->given && i < MV_EXHAUSTED_MAX_; i++)
                if (mv_slice_eq_str(word->text, mv_exhausted_name((enum mv_exhausted)i)))
                        return (enum mv_exhausted)i;
        return MV_EXHAUSTED_STOP;
}

void mv__add_budgets(const struct mv_budgets *from, bool closed, struct mv_context *c)
{
        struct kind_items kinds[KINDS];
        struct mv_budget budget = {
                .approvals = (uint32_t)amount_of(&from->on_exhausted.approvals, 0, 0),
                .timeout_ms = amount_of(&from->on_exhausted.timeout, 0, 0),
        };
        kinds_of(from, kinds);
        for (size_t i = 0; i < KINDS; i++) {
                const struct kind_items *k = &kinds[i];
                bool paid = k->what == MV_SPEND_TOKENS || k->what == MV_SPEND_COST_MICROUSD;
                budget.max[k->what] = amount_of(k->max, k->unit, closed && paid ? 0 : MV_SPEND_ANY);
                budget.warn[k->what] = least_one(k->warn, k->unit);
                budget.extension[k->what] = least_one(k->extension, k->unit);
                budget.exhausted[k->what] = policy_of(k->policy);
        }
        mv_context_budget(c, &budget);
}

/* --- checking budgets ------------------------------------------------------------------------- */
struct budget_finding {
        enum mv_severity severity;
        const char *code, *section, *field, *message, *suggestion;
};

static void report(struct mv_diagnostics *d, const char *path, const struct mv_item *at,
                   const struct budget_finding *f)
{
        char whole_path[200];
        mv_fmt(whole_path, sizeof whole_path, "%s.%s.%s", path, f->section, f->field);
        struct mv_report r = { .severity = f->severity,
                               .code = f->code,
                               .path = whole_path,
                               .suggestion = f->suggestion,
                               .line = at->line,
                               .column = at->column };
        mv__diagnose(d, &r, "%s", f->message);
}

/* A threshold above its budget is never reached: whoever wrote it thinks it is. */
static void check_warning(const struct kind_items *k, const char *path, struct mv_diagnostics *d)
{
        if (k->warn->given && k->max->given &&
            (k->unit > 0 ? k->warn->real > k->max->real : k->warn->integer > k->max->integer))
                report(d, path, k->warn,
                       &(struct budget_finding){
                               MV_SEVERE_WARNING, "BUDGET_WARNING_UNREACHABLE", "warn", k->name,
                               "The budget ends before this is spent: nobody is warned",
                               "Warn below the budget" });
}

static void check_extension(const struct kind_items *k, const char *path, struct mv_diagnostics *d)
{
        if (k->extension->given && policy_of(k->policy) != MV_EXHAUSTED_ASK)
                report(d, path, k->extension,
                       &(struct budget_finding){
                               MV_SEVERE_WARNING, "BUDGET_EXTENSION_UNUSED", "extension", k->name,
                               "Nobody is asked at the end of this budget: it is not extended",
                               "Set on_exhausted of this kind to approval-required" });
}

static void check_asking_budgets(const struct mv_budget_exhausted *x, bool asks, const char *path,
                                 struct mv_diagnostics *d)
{
        const struct mv_item *at = x->approvals.given ? &x->approvals : &x->timeout;
        if (!asks && at->given)
                report(d, path, at,
                       &(struct budget_finding){
                               MV_SEVERE_ERROR, "APPROVALS_WITHOUT_ASKING", "on_exhausted",
                               x->approvals.given ? "approvals" : "timeout",
                               "Only a budget that is approval-required has approvals and a "
                               "timeout",
                               "Make one of them approval-required, or leave them out" });
        if (x->timeout.given && x->timeout.integer > TIMEOUT_DAYS_MAX * MS_OF_A_DAY)
                report(d, path, &x->timeout,
                       &(struct budget_finding){
                               MV_SEVERE_ERROR, "INVALID_BUDGET_TIMEOUT", "on_exhausted", "timeout",
                               "An approval is waited for at most 366 days", NULL });
}

void mv__check_budgets(const struct mv_budgets *b, const char *path, struct mv_diagnostics *d)
{
        struct kind_items kinds[KINDS];
        bool asks = false;
        kinds_of(b, kinds);
        for (size_t i = 0; i < KINDS; i++) {
                check_warning(&kinds[i], path, d);
                check_extension(&kinds[i], path, d);
                asks |= policy_of(kinds[i].policy) == MV_EXHAUSTED_ASK;
        }
        check_asking_budgets(&b->on_exhausted, asks, path, d);
}
