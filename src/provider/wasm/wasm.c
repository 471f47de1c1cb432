/* SPDX-License-Identifier: Apache-2.0 */
/* The wasm provider's table: modules, compiled once and then run in cells; RTFS, by the evaluator that was compiled to
 * WebAssembly when this library was built.
 *
 * (1) A cell here is a cell of the process provider, which holds the program; this file says what it runs and reads its
 *     exit code. */
#include <stdlib.h>
#include <string.h>
#include <base/err.h>
#include <base/slice.h>
#include <provider/common.h>
#include <provider/process/image.h>
#include <provider/provider.h>
#include "wasm.h"

#define MODULE_PATH  "/opt/microvm/module"
#define FILES_MAX    16u
#define ARGV_MAX     1024u
#define NUMBERS      5
#define PREOPENS_OWN 2u /* /workspace/input, /workspace/output */

struct mv_provider {
        struct mv_provider
                *programs; /* a process provider: modules and the tools that compile them */
        struct mv_provider *runner; /* another: the evaluator as its image */
        uint32_t memory_pages,
                stack_pages; /* configured; 0 pages of memory: the execution's limit alone */
        struct mv__wasm_images images;
};

struct mv_cell {
        struct mv_cell *inner;
        bool module;
        uint32_t memory_pages;
};

static int prepare(struct mv_provider *p, struct mv_slice module, struct mv_err *err)
{
        struct mv__wasm_image *i;
        int r = mv__wasm_image_get(&p->images, p->programs, module, &i, err);
        if (r == 0)
                mv__wasm_image_put(&p->images, i);
        return r;
}

/* --- cells ------------------------------------------------------------------------------------ */

struct command { /* what the process provider is asked to run */
        struct mv_program_spec spec;
        const char *argv[ARGV_MAX];
        unsigned argc;
        char numbers[NUMBERS][24];
        char **preopens;
        unsigned preopens_count;
        struct mv_program_file files[FILES_MAX];
};

static void command_done(struct command *c)
{
        for (unsigned i = 0; i < c->preopens_count; i++)
                free(c->preopens[i]);
        free(c->preopens);
        free(c);
}

static bool preopen(struct command *c, const char *path, bool write)
{
        size_t n = strlen(path) + 2;
        char *spec = malloc(n);
        if (!spec)
                return false;
        mv_fmt(spec, n, "%c%s", write ? 'w' : 'r', path);
        c->preopens[c->preopens_count++] = spec;
        return true;
}

static bool preopens(struct command *c, const struct mv_program_spec *s)
{
        c->preopens = calloc(s->grants_count + PREOPENS_OWN, sizeof c->preopens[0]);
        bool ok = c->preopens && preopen(c, "/workspace/input", false) &&
                  preopen(c, "/workspace/output", true);
        for (uint32_t i = 0; ok && i < s->grants_count; i++)
                ok = preopen(c, s->grants[i].path, s->grants[i].write);
        return ok;
}

static bool arg(struct command *c, const char *text)
{
        if (c->argc == ARGV_MAX - 1)
                return false;
        c->argv[c->argc++] = text;
        return true;
}

static void numbers(struct command *c, const struct mv_provider *p, const struct mv__wasm_image *i,
                    const struct mv_program_spec *s, uint32_t pages)
{
        mv_fmt(c->numbers[0], sizeof c->numbers[0], "%u", pages);
        mv_fmt(c->numbers[1], sizeof c->numbers[1], "%u", p->stack_pages * WASM_PAGE_BYTES);
        mv_fmt(c->numbers[2], sizeof c->numbers[2], "%u", s->clock ? 1u : 0u);
        mv_fmt(c->numbers[3], sizeof c->numbers[3], "%016lx", (unsigned long)i->seed);
        mv_fmt(c->numbers[4], sizeof c->numbers[4], "%u", c->preopens_count);
}

static bool command_line(struct command *c, const struct mv_program_spec *s)
{
        bool ok = arg(c, MODULE_PATH);
        for (unsigned i = 0; ok && i < NUMBERS; i++)
                ok = arg(c, c->numbers[i]);
        for (unsigned i = 0; ok && i < c->preopens_count; i++)
                ok = arg(c, c->preopens[i]);
        for (unsigned i = 0; ok && s->argv[i]; i++)
                ok = arg(c, s->argv[i]);
        return ok;
}

static bool command_files(struct command *c, const struct mv_program_spec *s,
                          const struct mv__wasm_image *i)
{
        if (s->files_count >= FILES_MAX)
                return false;
        for (uint32_t n = 0; n < s->files_count; n++)
                c->files[n] = s->files[n];
        c->files[s->files_count] = (struct mv_program_file){ MODULE_PATH, i->bytes, true };
        c->spec.files = c->files;
        c->spec.files_count = s->files_count + 1;
        return true;
}

static int command_make(const struct mv_provider *p, const struct mv_program_spec *s,
                        const struct mv__wasm_image *i, uint32_t pages, struct command **ret,
                        struct mv_err *err)
{
        struct command *c = calloc(1, sizeof *c);
        if (!c)
                return mv_fail(err, MV_E_NOMEM, 0, "a module's command line");
        c->spec = *s;
        c->spec.path = MODULE_PATH;
        c->spec.argv = c->argv;
        c->spec.bare = true;
        bool ok = preopens(c, s);
        if (ok)
                numbers(c, p, i, s, pages);
        if (!ok || !command_line(c, s) || !command_files(c, s, i)) {
                command_done(c);
                return mv_fail(err, MV_E_LIMIT, 0, "a module gets at most %u arguments", ARGV_MAX);
        }
        *ret = c;
        return 0;
}

/* The process provider reads the command while it opens the cell, and its flags until the cell is closed. */
struct module_cell {
        struct mv_cell cell;
        struct command *command;
};

static int open_module(struct mv_provider *p, const struct mv_cell_spec *spec,
                       struct module_cell *c, struct mv_err *err)
{
        struct mv__wasm_image *i;
        int r = mv__wasm_image_get(&p->images, p->programs, spec->program->module, &i, err);
        if (r < 0)
                return r;
        c->cell.module = true;
        c->cell.memory_pages = mv__wasm_pages(&spec->limits, p->memory_pages);
        r = command_make(p, spec->program, i, c->cell.memory_pages, &c->command, err);
        if (r == 0) {
                struct mv_cell_spec inner = *spec;
                inner.program = &c->command->spec;
                r = mv_provider_process.open_cell(p->programs, &inner, &c->cell.inner, err);
        }
        mv__wasm_image_put(&p->images, i);
        return r;
}

static struct mv_cell *close_cell(struct mv_cell *cell)
{
        struct module_cell *c = (struct module_cell *)cell;
        if (!c)
                return NULL;
        if (c->cell.inner)
                mv_provider_process.close_cell(c->cell.inner);
        if (c->command)
                command_done(c->command);
        free(c);
        return NULL;
}

static int open_cell(struct mv_provider *p, const struct mv_cell_spec *spec, struct mv_cell **ret,
                     struct mv_err *err)
{
        struct module_cell *c = calloc(1, sizeof *c);
        if (!c)
                return mv_fail(err, MV_E_NOMEM, 0, "wasm cell");
        int r = spec->program ? open_module(p, spec, c, err)
                              : mv_provider_process.open_cell(p->runner, spec, &c->cell.inner, err);
        if (r < 0) {
                close_cell(&c->cell);
                return r;
        }
        *ret = &c->cell;
        return 0;
}

/* --- runs ------------------------------------------------------------------------------------- */

static int run(struct mv_cell *c, const struct mv_run *run, struct mv_exit *ret, struct mv_err *err)
{
        int r = mv_provider_process.run(c->inner, run, ret, err);
        if (r == 0 && c->module)
                mv__wasm_explain(ret, c->memory_pages);
        return r;
}

/* The evaluator's worker restored itself before it asks for the next START; a module's cell is used once. */
static int reset(struct mv_cell *c, struct mv_err *err)
{
        return c->module ? mv_fail(err, MV_E_STATE, 0, "a module's cell is used once")
                         : mv__process_reset(c->inner, err);
}

static void cancel(struct mv_cell *c)
{
        mv_provider_process.cancel(c->inner);
}

/* --- the provider ----------------------------------------------------------------------------- */

/* src/guest/meson.build embeds the evaluator; empty when the build could not make one. */
extern const uint8_t mv__runner_wasm[], mv__runner_wasm_end[];
static struct mv_slice runner_image(void)
{
        return (struct mv_slice){ mv__runner_wasm,
                                  (size_t)(mv__runner_wasm_end - mv__runner_wasm) };
}

/* Modules need tools that RTFS does not; what is missing is said. */
static int probe(struct mv_err *err)
{
        struct mv_err modules = { .msg = "" };
        int r = mv_provider_process.probe(err);
        if (r < 0)
                return r;
        if (runner_image().len == 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "this build has no evaluator as WebAssembly: it was made without "
                               "clang, lld, wasi-libc or wabt 1.0.32");
        if (mv__wasm_tools(WASM_FOR_PROCESS, &modules) < 0)
                mv_fmt(err->msg, sizeof err->msg, "RTFS only: %s", modules.msg);
        else
                mv_fmt(err->msg, sizeof err->msg, "RTFS and modules");
        return 0;
}

static struct mv_provider *fini(struct mv_provider *p)
{
        if (!p)
                return NULL;
        if (p->programs)
                mv_provider_process.fini(p->programs);
        if (p->runner)
                mv_provider_process.fini(p->runner);
        mv__wasm_images_done(&p->images);
        free(p);
        return NULL;
}

static int configure(struct mv_provider *p, const struct mv_value *config, struct mv_err *err)
{
        static const char *const keys[] = { "wasm_memory_size", "wasm_stack_size",
                                            "enable_wasm_threads", NULL };
        int64_t memory = 0, stack = WASM_STACK_PAGES;
        bool threads = false;
        if (mv__config_keys(config, keys, err) < 0 ||
            mv__config_int(config, keys[0], 1, 65536, &memory, err) < 0 ||
            mv__config_int(config, keys[1], 1, 1024, &stack, err) < 0)
                return mv_wrap(err, "wasm provider");
        const struct mv_value *v = config ? mv_map_get(config, keys[2]) : NULL;
        if (v && (!mv_as_bool(v, &threads) || threads))
                return mv_fail(
                        err, MV_E_UNSUPPORTED, 0,
                        "wasm provider: enable_wasm_threads: modules have no threads here; it "
                        "may be false");
        p->memory_pages = (uint32_t)memory;
        p->stack_pages = (uint32_t)stack;
        return 0;
}

static int init(const struct mv_value *config, struct mv_provider **ret, struct mv_err *err)
{
        struct mv_provider *p = calloc(1, sizeof *p);
        if (!p)
                return mv_fail(err, MV_E_NOMEM, 0, "wasm provider");
        mv__wasm_images_init(&p->images, WASM_FOR_PROCESS);
        int r = probe(err);
        if (r == 0)
                r = configure(p, config, err);
        if (r == 0)
                r = mv_provider_process.init(NULL, &p->programs, err);
        if (r == 0)
                r = mv__process_init_image(runner_image(), NULL, &p->runner, err);
        if (r < 0) {
                fini(p);
                return r;
        }
        mv__process_keeps(p->runner);
        *ret = p;
        return 0;
}

static const char *schema(void) /* REQ-WASM-07 */
{
        return "{\"$schema\": \"http://json-schema.org/draft-07/schema#\", \"title\": \"wasm "
               "provider\", "
               "\"type\": \"object\", \"required\": [], \"additionalProperties\": false, "
               "\"properties\": {"
               "\"wasm_memory_size\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 65536, "
               "\"default\": 1024, \"description\": \"pages of 64 KiB a module's memory may have; "
               "an "
               "execution's memory limit may ask for less\"}, "
               "\"wasm_stack_size\": {\"type\": \"integer\", \"minimum\": 1, \"maximum\": 1024, "
               "\"default\": 64, \"description\": \"pages of 64 KiB of call stack\"}, "
               "\"enable_wasm_threads\": {\"type\": \"boolean\", \"default\": false}}}";
}

const struct mv_provider_ops mv_provider_wasm = {
        .abi = MV_PROVIDER_ABI,
        .name = "wasm",
        .title = "WASM",
        .tier = MV_TIER_WASM,
        .features = MV_FEAT_WALL_TIME | MV_FEAT_CPU_TIME | MV_FEAT_MEMORY | MV_FEAT_FUEL |
                    MV_FEAT_OUTPUT | MV_FEAT_SEPARATE_ADDRESS_SPACE | MV_FEAT_SYSCALL_FILTER |
                    MV_FEAT_SESSION | MV_FEAT_MODULES,
        .probe = probe,
        .init = init,
        .open_cell = open_cell,
        .run = run,
        .cancel = cancel,
        .reset = reset,
        .close_cell = close_cell,
        .fini = fini,
        .schema = schema,
        .prepare = prepare,
};
