/* SPDX-License-Identifier: Apache-2.0 */
/* One option parser for every verb: a table, no abbreviations, nothing ignored. */
#include <cli/cli.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

int cli_usage(const char *format, ...)
{
        va_list ap;
        va_start(ap, format);
        fputs("usage error: ", stderr);
        vfprintf(stderr, format, ap);
        fputc('\n', stderr);
        va_end(ap);
        return CLI_USAGE;
}

/* --- units ------------------------------------------------------------------------------------ */
struct unit {
        const char *suffix;
        double factor;
};

static bool number_with_unit(const char *text, const struct unit *units, uint64_t *ret)
{
        char *end;
        if (!(text[0] >= '0' &&
              text[0] <= '9')) /* strtod would take signs, spaces, "inf" and hexadecimal */
                return false;
        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
                return false;
        double n = strtod(text, &end);
        for (; units->suffix; units++) {
                if (strcmp(end, units->suffix) != 0)
                        continue;
                double v = n * units->factor;
                if (!isfinite(v) || v < 1 || v >= 9.2e18)
                        return false;
                *ret = (uint64_t)(v + 0.5);
                return true;
        }
        return false;
}

bool cli_duration(const char *text, uint64_t *ret_ns)
{
        static const struct unit units[] = { { "ns", 1 },     { "us", 1e3 }, { "ms", 1e6 },
                                             { "s", 1e9 },    { "", 1e9 },   { "m", 60e9 },
                                             { "h", 3600e9 }, { NULL, 0 } };
        return number_with_unit(text, units, ret_ns);
}

bool cli_size(const char *text, uint64_t *ret_bytes)
{
        static const struct unit units[] = {
                { "", 1 }, { "K", 1024.0 }, { "M", 1048576.0 }, { "G", 1073741824.0 }, { NULL, 0 }
        };
        return number_with_unit(text, units, ret_bytes);
}

bool cli_amount(const char *text, double factor, uint64_t *ret)
{
        const struct unit units[] = { { "", factor }, { NULL, 0 } };
        return number_with_unit(text, units, ret);
}

static bool count_of(const char *text, uint64_t *ret)
{
        static const struct unit units[] = { { "", 1 }, { NULL, 0 } };
        return strchr(text, '.') == NULL && number_with_unit(text, units, ret);
}

/* --- values ----------------------------------------------------------------------------------- */
static bool name_index(const char *text, const char *(*name)(int), int count, int *ret)
{
        for (int i = 0; i < count; i++)
                if (strcmp(name(i), text) == 0) {
                        *ret = i;
                        return true;
                }
        return false;
}

static const char *tier_at(int i)
{
        return mv_tier_name((enum mv_tier)i);
}

static const char *level_at(int i)
{
        return mv_level_name((enum mv_level)i);
}

enum option_id {
        O_JSON,
        O_EXPLAIN,
        O_DENIED,
        O_PROVIDER,
        O_MIN_TIER,
        O_LEVEL,
        O_ALLOW,
        O_ALLOW_NET,
        O_DENY_NET,
        O_DENY_EFFECT,
        O_ALLOW_READ,
        O_ALLOW_WRITE,
        O_ENV,
        O_TIMEOUT,
        O_MEMORY,
        O_CPU,
        O_FUEL,
        O_MAX_OUTPUT,
        O_ARG,
        O_AUDIT,
        O_EXECUTION,
        O_STRICT,
        O_VMM,
        O_FORMAT,
        O_KERNEL,
        O_ROOTFS,
        O_POLICY,
        O_AGENT,
        O_ENVIRONMENT,
        O_OUTPUT,
        O_AST,
        O_IN_DOUBT,
        O_CHECKPOINT,
        O_AS,
        O_EXTEND,
        O_SEED,
};

static const struct option {
        const char *name;
        enum option_id id;
        unsigned accepts;
        const char *value; /* what it takes, for messages; NULL: a flag */
} options[] = {
        { "--json", O_JSON, CLI_JSON, NULL },
        { "--explain", O_EXPLAIN, CLI_RUNNING, NULL },
        { "--denied", O_DENIED, CLI_AUDIT, NULL },
        { "--provider", O_PROVIDER, CLI_RUNNING | CLI_AUDIT | CLI_LIMITS, "a provider's name" },
        { "--min-tier", O_MIN_TIER, CLI_RUNNING | CLI_LIMITS,
          "none, process, wasm, container or vm" },
        { "--level", O_LEVEL, CLI_RUNNING | CLI_LIMITS, "pure, controlled or full" },
        { "--allow", O_ALLOW, CLI_RUNNING, "a capability id, or a prefix like ccos.math.*" },
        { "--allow-net", O_ALLOW_NET, CLI_RUNNING, "HOST or HOST:PORT" },
        { "--deny-net", O_DENY_NET, CLI_RUNNING, "HOST" },
        { "--deny-effect", O_DENY_EFFECT, CLI_RUNNING,
          "an effect: filesystem, network, system, ..." },
        { "--allow-read", O_ALLOW_READ, CLI_RUNNING, "a path" },
        { "--allow-write", O_ALLOW_WRITE, CLI_RUNNING, "a path" },
        { "--env", O_ENV, CLI_RUNNING, "NAME or NAME=VALUE" },
        { "--timeout", O_TIMEOUT, CLI_RUNNING | CLI_LIMITS, "a duration such as 250ms, 30s or 5m" },
        { "--memory", O_MEMORY, CLI_RUNNING | CLI_LIMITS, "a size such as 64K, 512M or 2G" },
        { "--cpu", O_CPU, CLI_RUNNING | CLI_LIMITS, "seconds of CPU time" },
        { "--fuel", O_FUEL, CLI_RUNNING | CLI_LIMITS, "a number of steps" },
        { "--max-output", O_MAX_OUTPUT, CLI_RUNNING | CLI_LIMITS,
          "a size such as 64K, 512M or 2G" },
        { "--arg", O_ARG, CLI_RUNNING, "an RTFS literal" },
        { "--seed", O_SEED, CLI_RUNNING, "a text" },
        { "--audit", O_AUDIT, CLI_RUNNING | CLI_LIMITS | CLI_APPROVALS, "a file, or none" },
        { "--output", O_OUTPUT, CLI_RUNNING, "a directory" },
        { "--execution", O_EXECUTION, CLI_AUDIT, "an execution id" },
        { "--strict", O_STRICT, CLI_CONFIG, NULL },
        { "--vmm", O_VMM, CLI_CONFIG, "firecracker or cloud-hypervisor" },
        { "--kernel", O_KERNEL, CLI_CONFIG, "a file" },
        { "--rootfs", O_ROOTFS, CLI_CONFIG, "a file" },
        { "--format", O_FORMAT, CLI_CONFIG,
          "rtfs, toml or json; of a schema json, markdown or man" },
        { "--policy", O_POLICY, CLI_RUNNING | CLI_CONFIG, "a settings file" },
        { "--agent", O_AGENT, CLI_RUNNING, "an agent.config file" },
        { "--environment", O_ENVIRONMENT, CLI_RUNNING | CLI_CONFIG,
          "an environment of the settings file" },
        { "--ast", O_AST, CLI_OUTPUT, NULL },
        { "--as", O_AS, CLI_APPROVALS, "the approver's name" },
        { "--extend", O_EXTEND, CLI_APPROVALS, "an amount" },
        { "--in-doubt", O_IN_DOUBT, CLI_RESUME, "CALL=repeat, CALL=done or CALL=fail" },
        { "--checkpoint", O_CHECKPOINT, CLI_RESUME, "cp- and 64 hexadecimal digits" },
        { "--output", O_OUTPUT, CLI_OUTPUT, "a file" },
        { "-o", O_OUTPUT, CLI_OUTPUT, "a file" },
};

static bool add(struct cli_list *l, const char *value)
{
        if (l->count == CLI_LIST_MAX)
                return false;
        l->items[l->count++] = value;
        return true;
}

static bool set_enum(struct cli_options *o, enum option_id id, const char *value)
{
        int i;
        if (id == O_LEVEL) {
                if (!name_index(value, level_at, MV_LEVEL_MAX_, &i))
                        return false;
                o->level = (enum mv_level)i;
                o->level_given = true;
                return true;
        }
        if (!name_index(value, tier_at, MV_TIER_MAX_, &i))
                return false;
        o->tier_min = (enum mv_tier)i;
        o->tier_given = true;
        return true;
}

/* false: the value is not one of this option's. */
static bool set(struct cli_options *o, enum option_id id, const char *value)
{
        switch (id) {
        case O_JSON:
                return o->json = true;
        case O_EXPLAIN:
                return o->explain = true;
        case O_AST:
                return o->ast = true;
        case O_DENIED:
                return o->denied = true;
        case O_PROVIDER:
                o->provider = value;
                return value[0] != 0;
        case O_MIN_TIER:
        case O_LEVEL:
                return set_enum(o, id, value);
        case O_ALLOW:
                return add(&o->allow, value);
        case O_ALLOW_NET:
                return add(&o->allow_net, value);
        case O_DENY_NET:
                return add(&o->deny_net, value);
        case O_DENY_EFFECT:
                return add(&o->deny_effect, value);
        case O_ALLOW_READ:
                return add(&o->allow_read, value);
        case O_ALLOW_WRITE:
                return add(&o->allow_write, value);
        case O_ENV:
                return add(&o->env, value);
        case O_TIMEOUT:
                return cli_duration(value, &o->limits.wall_ns_max);
        case O_MEMORY:
                return cli_size(value, &o->limits.memory_bytes_max);
        case O_CPU:
                return cli_duration(value, &o->limits.cpu_ns_max);
        case O_FUEL:
                return count_of(value, &o->limits.fuel_max);
        case O_MAX_OUTPUT:
                return cli_size(value, &o->limits.output_bytes_max);
        case O_ARG:
                return add(&o->arg, value);
        case O_AUDIT:
                o->audit = value;
                return value[0] != 0;
        case O_STRICT:
                return o->strict = true;
        case O_VMM:
                o->vmm = value;
                return true;
        case O_KERNEL:
                o->kernel = value;
                return value[0] != 0;
        case O_ROOTFS:
                o->rootfs = value;
                return value[0] != 0;
        case O_FORMAT:
                o->format = value;
                return true;
        case O_POLICY:
                o->policy = value;
                return value[0] != 0;
        case O_AGENT:
                o->agent = value;
                return value[0] != 0;
        case O_ENVIRONMENT:
                o->environment = value;
                return value[0] != 0;
        case O_OUTPUT:
                o->output = value;
                return value[0] != 0;
        case O_AS:
                o->as = value;
                return value[0] != 0;
        case O_SEED:
                o->seed = value;
                return true;
        case O_EXTEND:
                o->extend = value;
                return value[0] != 0;
        case O_IN_DOUBT:
                o->in_doubt = value;
                return value[0] != 0;
        case O_CHECKPOINT:
                o->checkpoint = value;
                return value[0] != 0;
        case O_EXECUTION:
                o->execution = value;
                return value[0] != 0;
        }
        return false;
}

static const struct option *find(const char *word, size_t len, unsigned accepts)
{
        for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
                if (strlen(options[i].name) == len && memcmp(options[i].name, word, len) == 0 &&
                    options[i].accepts & accepts)
                        return &options[i];
        return NULL;
}

/* `--name VALUE` or `--name=VALUE`; *at moves over what was taken. */
static int take_option(int argc, char **argv, int *at, unsigned accepts, struct cli_options *ret)
{
        const char *word = argv[*at], *eq = strchr(word, '=');
        const struct option *o = find(word, eq ? (size_t)(eq - word) : strlen(word), accepts);
        if (!o)
                return cli_usage("%s: unknown option '%s'; `microvm help %s` lists them", argv[0],
                                 word, argv[0]);
        const char *value = eq ? eq + 1 : NULL;
        if (!o->value && value)
                return cli_usage("%s takes no value", o->name);
        if (o->value && !value) {
                if (*at + 1 >= argc)
                        return cli_usage("%s needs %s", o->name, o->value);
                value = argv[++*at];
        }
        if (!set(ret, o->id, value))
                return cli_usage("%s '%s': needs %s", o->name, value ? value : "",
                                 o->value ? o->value : "no value");
        return 0;
}

/* -o is the one short option, where it is taken; `-` and `-1` are operands. */
static bool looks_like_option(const char *word, unsigned accepts)
{
        return strncmp(word, "--", 2) == 0 || find(word, strlen(word), accepts);
}

/* REQ-AC-13: the variable names the file where no option does; `none` does without. */
static void choose_agent(struct cli_options *o, unsigned accepts)
{
        const char *named = getenv("AGENT_CONFIG_PATH");
        if (!(accepts & CLI_RUNNING))
                return;
        if (!o->agent && named && named[0])
                o->agent = named;
        else if (o->agent && strcmp(o->agent, "none") == 0)
                o->agent = NULL;
}

int cli_options(int argc, char **argv, unsigned accepts, struct cli_options *ret)
{
        bool only_operands = false;
        memset(ret, 0, sizeof *ret);
        ret->level = MV_LEVEL_CONTROLLED;
        for (int i = 1; i < argc; i++) {
                if (!only_operands && strcmp(argv[i], "--") == 0) {
                        only_operands = true;
                } else if (only_operands || !looks_like_option(argv[i], accepts)) {
                        if (!add(&ret->operands, argv[i]))
                                return cli_usage("more than %d operands", CLI_LIST_MAX);
                } else {
                        int r = take_option(argc, argv, &i, accepts, ret);
                        if (r)
                                return r;
                }
        }
        choose_agent(ret, accepts);
        return 0;
}

int cli_operands(const struct cli_options *o, unsigned min, unsigned max, const char *what)
{
        if (o->operands.count < min)
                return cli_usage("needs %s", what);
        if (o->operands.count > max)
                return cli_usage("'%s' is one operand too many; needs %s", o->operands.items[max],
                                 what);
        return 0;
}
