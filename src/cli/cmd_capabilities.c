/* SPDX-License-Identifier: Apache-2.0 */
#include <cli/cli.h>
#include <host/host.h>
#include <host/jsonw.h>

static const struct effect {
        uint32_t bit;
        const char *name;
} effects[] = { { MV_EFFECT_FILESYSTEM, "filesystem" },
                { MV_EFFECT_NETWORK, "network" },
                { MV_EFFECT_SYSTEM, "system" },
                { MV_EFFECT_OUTPUT, "output" } };
#define EFFECTS_COUNT (sizeof effects / sizeof effects[0])

static void put_json(struct mv__jsonw *w, const struct mv_capability *c)
{
        mv__json_open(w, NULL, '{');
        mv__json_str(w, "id", c->id);
        mv__json_str(w, "arguments", c->arguments);
        mv__json_str(w, "result", c->result);
        mv__json_str(w, "summary", c->summary);
        mv__json_open(w, "effects", '[');
        for (size_t i = 0; i < EFFECTS_COUNT; i++)
                if (c->effects & effects[i].bit)
                        mv__json_str(w, NULL, effects[i].name);
        if (!c->effects)
                mv__json_str(w, NULL, "compute");
        mv__json_close(w, ']');
        mv__json_open(w, "permissions", '[');
        mv__json_str(w, NULL, c->id);
        if (c->permission)
                mv__json_str(w, NULL, c->permission);
        mv__json_close(w, ']');
        mv__json_bool(w, "pure", c->pure);
        mv__json_close(w, '}');
}

static int print_json(const struct mv_capability_table *t)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_open(&w, "capabilities", '[');
        for (uint32_t i = 0; i < mv_capability_count(t); i++)
                put_json(&w, mv_capability_at(t, i));
        mv__json_close(&w, ']');
        mv__json_close(&w, '}');
        return cli_json_line(mv__json_end(&w));
}

void cli_effects_text(const struct mv_capability *c, char *buf, size_t cap)
{
        size_t n = (size_t)snprintf(buf, cap, "%s", c->pure ? "pure" : c->effects ? "" : "compute");
        for (size_t i = 0; i < EFFECTS_COUNT; i++)
                if (c->effects & effects[i].bit)
                        n += (size_t)snprintf(buf + n, cap - n, "%s%s", n ? "," : "",
                                              effects[i].name);
}

static void print_table(const struct mv_capability_table *t)
{
        struct cli_table table = { .columns = 5 };
        char touches[64];
        cli_table_row(&table, "CAPABILITY", "ARGUMENTS", "RESULT", "EFFECTS", "");
        for (uint32_t i = 0; i < mv_capability_count(t); i++) {
                const struct mv_capability *c = mv_capability_at(t, i);
                cli_effects_text(c, touches, sizeof touches);
                cli_table_row(&table, c->id, c->arguments, c->result, touches, c->summary);
        }
        cli_table_print(&table, stdout);
}

int cmd_capabilities(int argc, char **argv)
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
        if (o.json)
                r = print_json(h->table);
        else
                print_table(h->table);
        mv_host_free(h);
        return r;
}
