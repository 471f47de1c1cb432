/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>
#include <host/jsonw.h>

static const struct feature {
        uint64_t bit;
        const char *name;
} features[] = {
        { MV_FEAT_WALL_TIME, "wall-time" },
        { MV_FEAT_CPU_TIME, "cpu-time" },
        { MV_FEAT_MEMORY, "memory" },
        { MV_FEAT_FUEL, "fuel" },
        { MV_FEAT_OUTPUT, "output" },
        { MV_FEAT_SEPARATE_ADDRESS_SPACE, "separate-address-space" },
        { MV_FEAT_SYSCALL_FILTER, "syscall-filter" },
        { MV_FEAT_NO_KERNEL_SHARED, "no-shared-kernel" },
        { MV_FEAT_RESET, "proven-reset" },
        { MV_FEAT_PROGRAMS, "programs" },
        { MV_FEAT_SESSION, "session" },
        { MV_FEAT_ON_REQUEST, "on-request" },
        { MV_FEAT_MODULES, "modules" },
};
#define FEATURES_COUNT (sizeof features / sizeof features[0])

static void put_json(struct mv__jsonw *w, const struct mv_provider_info *p)
{
        mv__json_open(w, NULL, '{');
        mv__json_str(w, "name", p->name);
        mv__json_str(w, "tier", mv_tier_name(p->tier));
        mv__json_bool(w, "available", p->available);
        mv__json_text(w, "reason", p->reason);
        mv__json_open(w, "enforces", '[');
        for (size_t i = 0; i < FEATURES_COUNT; i++)
                if (p->features & features[i].bit)
                        mv__json_str(w, NULL, features[i].name);
        mv__json_close(w, ']');
        mv__json_close(w, '}');
}

static void put_row(struct cli_table *t, const struct mv_provider_info *p)
{
        char enforces[200] = "";
        size_t n = 0;
        for (size_t i = 0; i < FEATURES_COUNT; i++)
                if (p->features & features[i].bit)
                        n += (size_t)snprintf(enforces + n, sizeof enforces - n, "%s%s",
                                              n ? " " : "", features[i].name);
        cli_table_row(t, p->name, mv_tier_name(p->tier), p->available ? "yes" : "no", p->reason,
                      enforces);
}

static int print_json(struct mv_host *h)
{
        struct mv_provider_info info;
        struct mv__jsonw w;
        struct mv_err err;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_open(&w, "providers", '[');
        for (uint32_t i = 0; i < mv_host_provider_count(h); i++)
                if (mv_host_provider_info(h, i, &info, &err) == 0)
                        put_json(&w, &info);
        mv__json_close(&w, ']');
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

static int print_table(struct mv_host *h)
{
        struct cli_table table = { .columns = 5 };
        struct mv_provider_info info;
        struct mv_err err;
        cli_table_row(&table, "PROVIDER", "TIER", "AVAILABLE", "BACKED BY, OR WHY NOT", "ENFORCES");
        for (uint32_t i = 0; i < mv_host_provider_count(h); i++)
                if (mv_host_provider_info(h, i, &info, &err) == 0)
                        put_row(&table, &info);
        cli_table_print(&table, stdout);
        return CLI_DONE;
}

int cmd_providers(int argc, char **argv)
{
        struct cli_options o;
        struct mv_host *h;
        int r = cli_options(argc, argv, CLI_JSON, &o);
        if (r == 0)
                r = cli_operands(&o, 0, 0, "no operand");
        if (r == 0)
                r = cli_host("none", &h);
        if (r)
                return r;
        r = o.json ? print_json(h) : print_table(h);
        mv_host_free(h);
        return r;
}
