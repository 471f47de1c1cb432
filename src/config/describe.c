/* SPDX-License-Identifier: Apache-2.0 */
/* A schema as documentation: Markdown, a manual page, JSON Schema. The files in docs/config and man are this text; a test
 * compares them. */
#include <config/config.h>
#include <config/contract.h>
#include <config/describe.h>
#include <config/settings.h>
#include <config/lexical.h>
#include <stdlib.h>

static const char *type_name(const struct mv_field *f)
{
        static const char *const names[] = {
                [MV_F_TEXT] = "string",
                [MV_F_BOOL] = "boolean",
                [MV_F_INTEGER] = "integer",
                [MV_F_NUMBER] = "number",
                [MV_F_DURATION] = "duration",
                [MV_F_TEXTS] = "strings",
                [MV_F_SECTION] = "section",
                [MV_F_NAMED] = "sections by name",
                [MV_F_LISTED] = "list of sections",
                [MV_F_ANY] = "any",
        };
        return names[f->type];
}

static void spelled(const char *name, char dash, char buf[64])
{
        size_t n = mv_fmt(buf, 64, "%s", name);
        for (size_t i = 0; i < n; i++)
                buf[i] = buf[i] == '-' ? dash : buf[i];
}

/* What a value may be, and what it is when it is not given. */
static void put_values(struct mv_text *t, const struct mv_field *f)
{
        char list[200];
        mv__choice_list(f->choices, list, sizeof list);
        if (f->choices)
                mv_text_printf(t, "; %s", list);
        if (f->max)
                mv_text_printf(t, "; %lld to %lld", (long long)f->min, (long long)f->max);
        if (f->not_negative)
                mv_text_str(t, "; not negative");
        if (f->fallback && f->type == MV_F_TEXTS)
                mv_text_str(t, "; default empty");
        else if (f->fallback)
                mv_text_printf(t, "; default %s%s%s", f->fallback[0] ? "" : "\"", f->fallback,
                               f->fallback[0] ? "" : "\"");
        else if (f->required)
                mv_text_str(t, "; required");
        else if (f->type < MV_F_SECTION || f->type == MV_F_ANY || f->optional)
                mv_text_str(t, "; optional");
}

/* --- rows, each with its whole path ----------------------------------------------------------- */
typedef void row_fn(struct mv_text *t, const struct mv_field *f, const char *path);

static void each_row(struct mv_text *t, const struct mv_section *s, const char *outer, row_fn *row)
{
        for (uint32_t i = 0; i < s->count; i++) {
                const struct mv_field *f = &s->fields[i];
                char name[64], path[300];
                spelled(f->name, '_', name);
                mv_fmt(path, sizeof path, "%s%s%s", outer, outer[0] ? "." : "", name);
                row(t, f, path);
                if (f->type == MV_F_NAMED)
                        mv_fmt(path + strlen(path), sizeof path - strlen(path), ".NAME");
                if (f->type == MV_F_LISTED)
                        mv_fmt(path + strlen(path), sizeof path - strlen(path), "[n]");
                if (f->section)
                        each_row(t, f->section, path, row);
        }
}

/* --- Markdown --------------------------------------------------------------------------------- */
static void markdown_row(struct mv_text *t, const struct mv_field *f, const char *path)
{
        mv_text_printf(t, "| `%s` | %s", path, type_name(f));
        put_values(t, f);
        mv_text_printf(t, " | %s%s%s |\n", f->doc, f->code ? " · " : "", f->code ? f->code : "");
}

static void describe_markdown(const struct mv_section *s, const char *title, const char *intro,
                              struct mv_text *ret)
{
        mv_text_printf(ret, "# %s\n\n", title);
        mv_text_str(ret, intro);
        mv_text_str(ret,
                    "\n| field | type and values | meaning · code of its error |\n|---|---|---|\n");
        each_row(ret, s, "", markdown_row);
}

/* --- manual page ------------------------------------------------------------------------------ */
static void roff(struct mv_text *t, const char *s)
{
        for (; *s; s++) {
                if (*s == '\\' || *s == '-')
                        mv_text_str(t, *s == '-' ? "\\-" : "\\\\");
                else if (*s != '`')
                        mv_text_put(t, s, 1);
        }
}

static void man_row(struct mv_text *t, const struct mv_field *f, const char *path)
{
        struct mv_text values = { 0 };
        put_values(&values, f);
        char *v = mv_text_take(&values);
        mv_text_str(t, ".TP\n.B ");
        roff(t, path);
        mv_text_printf(t, "\n(%s", type_name(f));
        if (v)
                roff(t, v);
        else
                t->failed = true;
        free(v);
        mv_text_str(t, ")\n");
        roff(t, f->doc);
        mv_text_str(t, ".\n");
}

static void describe_man(const struct mv_section *s, const char *name, const char *summary,
                         const char *intro, struct mv_text *ret)
{
        mv_text_printf(ret, ".TH %s 5 \"\" ccos-microvm\n.SH NAME\n%s \\- %s\n.SH DESCRIPTION\n",
                       name, name, summary);
        roff(ret, intro);
        mv_text_str(ret, ".SH FIELDS\n");
        each_row(ret, s, "", man_row);
        mv_text_str(ret, ".SH SEE ALSO\n.B microvm config check FILE\n");
}

/* --- JSON Schema ------------------------------------------------------------------------------ */
static void schema_section(struct mv_text *t, const struct mv_section *s);

static void schema_choices(struct mv_text *t, const char *choices)
{
        mv_json_open(t, "enum", '[');
        while (choices && *choices) {
                size_t n = strcspn(choices, "|");
                mv_json_text(t, NULL, mv_slice(choices, n));
                choices += n + (choices[n] == '|');
        }
        mv_json_close(t, ']');
}

static void schema_default(struct mv_text *t, const struct mv_field *f)
{
        if (!f->fallback)
                return;
        if (f->type == MV_F_TEXTS) {
                mv_json_open(t, "default", '[');
                mv_json_close(t, ']');
        } else if (f->type == MV_F_TEXT || f->type == MV_F_DURATION) {
                mv_json_str(t, "default", f->fallback);
        } else if (f->type == MV_F_BOOL) {
                mv_json_bool(t, "default", f->fallback[0] == 't');
        } else if (f->type == MV_F_INTEGER) {
                mv_json_int(t, "default", strtoll(f->fallback, NULL, 10));
        } else {
                mv_json_real(t, "default", strtod(f->fallback, NULL));
        }
}

static void schema_range(struct mv_text *t, const struct mv_field *f)
{
        if (f->type == MV_F_INTEGER) {
                mv_json_int(t, "minimum", f->min);
                mv_json_int(t, "maximum", f->max ? f->max : UINT32_MAX);
        }
        if (f->not_negative)
                mv_json_int(t, "minimum", 0);
}

/* Properties of one field, inside its brackets. */
static void schema_field(struct mv_text *t, const struct mv_field *f)
{
        static const char *const types[] = {
                [MV_F_TEXT] = "string",   [MV_F_BOOL] = "boolean", [MV_F_INTEGER] = "integer",
                [MV_F_NUMBER] = "number", [MV_F_TEXTS] = "array",  [MV_F_NAMED] = "object",
                [MV_F_LISTED] = "array",  [MV_F_DURATION] = NULL,  [MV_F_SECTION] = NULL,
                [MV_F_ANY] = NULL
        };
        mv_json_str(t, "description", f->doc);
        if (types[f->type])
                mv_json_str(t, "type", types[f->type]);
        if (f->choices && f->type != MV_F_TEXTS)
                schema_choices(t, f->choices);
        schema_range(t, f);
        schema_default(t, f);
        if (f->type == MV_F_TEXTS) {
                mv_json_open(t, "items", '{');
                mv_json_str(t, "type", "string");
                if (f->choices)
                        schema_choices(t, f->choices);
                mv_json_close(t, '}');
        }
        if (f->type == MV_F_SECTION)
                schema_section(t, f->section);
        if (f->type == MV_F_NAMED || f->type == MV_F_LISTED) {
                mv_json_open(t, f->type == MV_F_NAMED ? "additionalProperties" : "items", '{');
                schema_section(t, f->section);
                mv_json_close(t, '}');
        }
}

static void schema_required(struct mv_text *t, const struct mv_section *s)
{
        char name[64];
        bool any = false;
        for (uint32_t i = 0; i < s->count; i++) {
                if (!s->fields[i].required)
                        continue;
                if (!any)
                        mv_json_open(t, "required", '[');
                any = true;
                spelled(s->fields[i].name, '_', name);
                mv_json_str(t, NULL, name);
        }
        if (any)
                mv_json_close(t, ']');
}

static void schema_properties(struct mv_text *t, const struct mv_section *s)
{
        char name[64];
        mv_json_str(t, "type", "object");
        mv_json_bool(t, "additionalProperties", false);
        mv_json_open(t, "properties", '{');
        for (uint32_t i = 0; i < s->count; i++) {
                spelled(s->fields[i].name, '_', name);
                mv_json_open(t, name, '{');
                schema_field(t, &s->fields[i]);
                mv_json_close(t, '}');
        }
        mv_json_close(t, '}');
        schema_required(t, s);
}

static void schema_section(struct mv_text *t, const struct mv_section *s)
{
        if (!s->shorthand) {
                schema_properties(t, s);
                return;
        }
        mv_json_open(t, "anyOf", '[');
        mv_json_open(t, NULL, '{');
        mv_json_str(t, "type", "string");
        mv_json_close(t, '}');
        mv_json_open(t, NULL, '{');
        schema_properties(t, s);
        mv_json_close(t, '}');
        mv_json_close(t, ']');
}

static void describe_schema(const struct mv_section *s, const char *title, struct mv_text *ret)
{
        mv_json_open(ret, NULL, '{');
        mv_json_str(ret, "$schema", "https://json-schema.org/draft/2020-12/schema");
        mv_json_str(ret, "title", title);
        mv_json_str(ret, "description", s->doc);
        schema_section(ret, s);
        mv_json_close(ret, '}');
        mv_text_str(ret, "\n");
}

/* --- the documents ------------------------------------------------------------------------ */
static const char agent_intro[] =
        "An agent.config says what an agent is and may do. It is written as RTFS text, "
        "`(agent.config :key value ...)` or a\n"
        "map `{:key value ...}`, as TOML or as JSON; the extension of the file decides. Keys may "
        "be spelled with dashes or\n"
        "underscores. A string may be written as a keyword. What is not data is evaluated without "
        "capabilities, with\n"
        "profile:minimal (agent-id), profile:networked (agent-id domains), profile:microvm-min "
        "(agent-id rootfs-hash) and\n"
        "profile:microvm-networked (agent-id domains rootfs-hash pins...) at hand. Unknown and "
        "duplicate keys are warnings, with\n"
        "--strict errors. When the section microvm is there, its rules apply: the mode is microvm, "
        "the file system ephemeral,\n"
        "egress goes through a proxy to named domains, attestation has digests.\n"
        "\n"
        "`microvm run --agent FILE` (or AGENT_CONFIG_PATH in its environment) runs a program as "
        "the agent: behind the wall of\n`orchestrator.isolation.mode` or a stronger one, "
        "never a weaker; with the files of `capabilities.fs.paths` (read) and of the mounts, the "
        "hosts of `network.egress` that\n"
        "`capabilities.http` has too, and the capabilities that are wired; within the settings "
        "file of --policy. Other options only\n"
        "narrow that. It has 5 s, and the memory of `microvm.resources` or 64 MiB, unless the "
        "settings "
        "or an option say otherwise;\n"
        "at most 60 s and 512 MiB. What is asked for and cannot be kept here is not given, and a "
        "note names it: "
        "data loss\n"
        "prevention closes the network, a language model is not there, a kernel is not booted, "
        "sections for an orchestrator are\n"
        "not used. Policy `default` governs, else the strictest.\n";
static const char settings_intro[] =
        "A settings file says what programs may do on this machine: `microvm run --policy FILE`. "
        "It is TOML. What comes later may\n"
        "only narrow: file, environment, capability, options of the command. What would widen is "
        "refused with the place that\n"
        "would have to grant it. Durations are \"500ms\", \"30s\", \"5m\", \"1h\", or a number of "
        "seconds. The environments\n"
        "development (dev), production (prod) and testing (test) are always there and may be given "
        "in the file.\n"
        "Below level full an execution gets 5 s and 64 MiB when the file does not say how much, "
        "and at "
        "most 60 s and 512 MiB.\n"
        "\n"
        "A process that lives long reads the file again without a restart: `microvm repl` on "
        "SIGHUP or "
        ":reload, before its next input;\n"
        "an embedding with mv_live_settings_reload. A file that is wrong leaves the old settings "
        "in "
        "force and says why; what runs keeps\n"
        "what it has. A cell that is weaker or larger than the new settings say is closed. "
        "provider_configs are taken at the start.\n";

static const char contract_intro[] =
        "A contract says what one capability does. `capabilities.wiring` of an agent.config names "
        "it; it is a map in RTFS, TOML or\n"
        "JSON. Effects are rows: `:fs`, `[:fs {:paths [..] :modes [:read]}]`, `[:network {:domains "
        "[..]}]`, in TOML and JSON\n"
        "`{\"kind\": \"fs\", ..}`. A wire may narrow what its contract says and never broadens it: "
        "what is left out is as the contract\n"
        "says, a kind that is not there is not reached. A contract of another capability, of "
        "another digest, without a version,\n"
        "with a restriction that nothing keeps, silent about files or the network where its "
        "capability has them, or named in the\n"
        "file `revoked` of a registry (id, id@version or digest) is a capability that is not "
        "granted.\n"
        "\n"
        "`pre`, `post` and `invariant` are expressions of RTFS over `args`, a vector, and "
        "`result`, which is nil before the call; they\n"
        "call nothing. `input_schema` and `output_schema` are types of RTFS, in TOML and JSON "
        "written as texts; one argument that is a\n"
        "map is checked itself, else the vector of arguments. What does not hold before the call "
        "refuses it, what does not hold behind\n"
        "it stands in place of its result: the error is `ContractViolation`, with "
        "contract/precondition-failed,\n"
        "contract/postcondition-failed or contract/invariant-failed. It is never tried again. One "
        "that cannot be decided (its time and\n"
        "memory are limited) does not hold.\n";

static const struct document {
        const struct mv_section *schema;
        const char *title, *page, *summary, *intro, *schema_title;
} documents[] = {
        [MV_DOCUMENT_AGENT] = { &mv__agent_schema, "agent.config", "agent.config",
                                "what an agent is and may do", agent_intro, "agent.config" },
        [MV_DOCUMENT_SETTINGS] = { &mv__settings_schema, "Settings", "microvm.toml",
                                   "what programs may do on this machine", settings_intro,
                                   "settings" },
        [MV_DOCUMENT_CONTRACT] = { &mv__contract_schema, "Contracts", "microvm.contract",
                                   "what a capability promises", contract_intro, "contract" },
};

void mv_describe(enum mv_document which, enum mv_document_format format, struct mv_text *ret)
{
        const struct document *d = &documents[which];
        if (format == MV_DOCUMENT_MARKDOWN)
                describe_markdown(d->schema, d->title, d->intro, ret);
        else if (format == MV_DOCUMENT_MAN)
                describe_man(d->schema, d->page, d->summary, d->intro, ret);
        else
                describe_schema(d->schema, d->schema_title, ret);
}
