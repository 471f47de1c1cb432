/* SPDX-License-Identifier: Apache-2.0 */
/* WebAssembly modules in a microVM: the machine code that provider/wasm makes and keeps, as a ring-3 image of its own.
 *
 * (1) The image is hostile, whoever compiled it: it is taken apart by image.c, lives in ring 3, and its boot has a time.
 *     One that does not start ends its execution; nothing else notices.
 * (2) Its world is START and seven doorbells (wire/kvm_door.h); each is checked here, and what it means is what the wasm
 *     provider's cell would do: the same output limit, the same exit codes, the same door.
 * (3) A template is made per module and memory limit, with the module's data in place and none of its code run. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <base/cur.h>
#include <base/slice.h>
#include <provider/provider.h>
#include <wasm/runtime.h>
#include <wire/frame.h>
#include "module.h"

/* The runtime's own room, beside the linear memory: as much as that, but no less than a call needs and no more than the
 * largest one does. */
#define HEAP_BYTES_MIN (8ull << 20)
#define HEAP_BYTES_MAX (104ull << 20)
/* A larger input is read as a file. */
#define INPUT_BYTES_MAX (1u << 20)
/* A large frame's first touch, page by page, ends in here: runtime of wasm/main.c. */
#define BELOW_STACK_BYTES (1ull << 20)
#define INPUT_PATH        "/workspace/input/input.json"

/* --- images and templates (3) ----------------------------------------------------------------- */

static int programs_get(struct mv_provider *p, struct mv_provider **ret, struct mv_err *err)
{
        pthread_mutex_lock(&p->lock);
        int r = p->programs ? 0 : mv_provider_process.init(NULL, &p->programs, err);
        *ret = p->programs;
        pthread_mutex_unlock(&p->lock);
        return r;
}

static int image_get(struct mv_provider *p, struct mv_slice module, struct mv__wasm_image **ret,
                     struct mv_err *err)
{
        struct mv_provider *programs;
        int r = programs_get(p, &programs, err);
        return r < 0 ? r : mv__wasm_image_get(&p->images, programs, module, ret, err);
}

int mv__kvm_module_prepare(struct mv_provider *p, struct mv_slice module, struct mv_err *err)
{
        struct mv__wasm_image *i;
        int r = image_get(p, module, &i, err);
        if (r == 0)
                mv__wasm_image_put(&p->images, i);
        return r;
}

static uint64_t arena_bytes(uint32_t pages)
{
        uint64_t memory = (uint64_t)pages * WASM_PAGE_BYTES, heap = mv__kvm_large_up(memory);
        if (heap < HEAP_BYTES_MIN)
                heap = HEAP_BYTES_MIN;
        return memory + (heap < HEAP_BYTES_MAX ? heap : HEAP_BYTES_MAX);
}

/* (1): what is wrong with the image is the module's end, not the caller's error. */
static int boot(struct mv_cell *c, const struct mv__wasm_image *i, struct mv_err *err)
{
        struct kvm_module *m = c->module;
        struct mv_kvm_image image = { .elf = i->bytes,
                                      .module = true,
                                      .pages = m->pages,
                                      .boot_ns_max = m->limits.wall_ns_max };
        memcpy(image.key, i->key, sizeof image.key);
        int r = mv__kvm_template_get(c->p, &image, arena_bytes(m->pages), &c->t, err);
        if (r == 0 || (err->code != MV_E_HOSTILE && err->code != MV_E_UNAVAILABLE))
                return r;
        mv_fmt(m->stillborn, sizeof m->stillborn, "the module's image: %s", err->msg);
        return 0;
}

int mv__kvm_module_open(struct mv_cell *c, const struct mv_cell_spec *spec, struct mv_err *err)
{
        struct mv__wasm_image *i;
        if (!spec->program->module.len)
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "the kvm provider runs WebAssembly modules and RTFS, no programs of "
                               "the host");
        int r = image_get(c->p, spec->program->module, &i, err);
        if (r < 0)
                return r;
        c->module = calloc(1, sizeof *c->module);
        if (c->module) {
                *c->module = (struct kvm_module){ .spec = spec->program,
                                                  .limits = spec->limits,
                                                  .execution_id = spec->execution_id,
                                                  .seed = i->seed,
                                                  .pages = mv__wasm_pages(&spec->limits, 0) };
                r = boot(c, i, err);
        } else {
                r = mv_fail(err, MV_E_NOMEM, 0, "cell of a module");
        }
        mv__wasm_image_put(&c->p->images, i);
        return r;
}

bool mv__kvm_module_stillborn(const struct mv_cell *c, struct mv_exit *ret)
{
        if (!c->module->stillborn[0])
                return false;
        *ret = (struct mv_exit){ .termination = MV_END_KILLED, .exit_code = -1 };
        mv_fmt(ret->detail, sizeof ret->detail, "%s", c->module->stillborn);
        return true;
}

/* --- START ------------------------------------------------------------------------------------ */

static struct mv_slice input_of(const struct mv_program_spec *s)
{
        for (uint32_t i = 0; i < s->files_count; i++)
                if (strcmp(s->files[i].path, INPUT_PATH) == 0)
                        return s->files[i].bytes;
        return (struct mv_slice){ NULL, 0 };
}

static uint32_t count(const char *const *list)
{
        uint32_t n = 0;
        while (list && list[n])
                n++;
        return n;
}

static void put_texts(struct mv_out *o, const char *const *list)
{
        for (; list && *list; list++)
                mv_put_bytes(o, *list, strlen(*list) + 1);
}

static void put_preopen(struct mv_out *o, const char *path, bool write)
{
        mv_put_u8(o, write ? 'w' : 'r');
        mv_put_bytes(o, path, strlen(path) + 1);
}

static void start_put(struct mv_out *o, const struct kvm_module *m)
{
        const struct mv_program_spec *s = m->spec;
        struct mv_slice input = input_of(s);
        bool as_file = input.len > INPUT_BYTES_MAX;
        mv_put_u64(o, m->seed);
        mv_put_u32(o, s->clock);
        mv_put_u32(o, count(s->argv));
        mv_put_u32(o, count(s->env));
        mv_put_u32(o, s->grants_count + 2);
        mv_put_u32(o, as_file ? MV_KVM_INPUT_IS_A_FILE : (uint32_t)input.len);
        put_texts(o, s->argv);
        put_texts(o, s->env);
        put_preopen(o, "/workspace/input", false);
        put_preopen(o, "/workspace/output", true);
        for (uint32_t i = 0; i < s->grants_count; i++)
                put_preopen(o, s->grants[i].path, s->grants[i].write);
        if (!as_file)
                mv_put_slice(o, input);
}

int mv__kvm_module_start(struct mv_cell *c, struct mv_err *err)
{
        uint8_t *inbox = c->mem.rw + (MV_KVM_INBOX - MV_KVM_RW);
        struct mv_out o = mv_out(inbox + MV_KVM_INBOX_HEADER_BYTES, KVM_INBOX_BYTES_MAX);
        start_put(&o, c->module);
        if (o.overflow)
                return mv_fail(
                        err, MV_E_LIMIT, 0,
                        "the arguments and variables of a module do not fit through the door");
        uint64_t head[2] = { o.len, 0 };
        static_assert(sizeof head == MV_KVM_INBOX_HEADER_BYTES, "wire/kvm_door.h");
        memcpy(inbox, head, sizeof head);
        return 0;
}

/* --- doorbells (2) ---------------------------------------------------------------------------- */

static void output(struct kvm_exchange *x, bool to_stderr, struct mv_slice bytes)
{
        const struct mv_door_host *door = &x->run->door;
        if (bytes.len && door->output && !door->output(door->ctx, to_stderr, bytes))
                mv__kvm_end(x->e, MV_END_OUTPUT, "the program wrote more than it may");
}

static void sleep_for(struct kvm_exchange *x, uint64_t ns)
{
        uint64_t until = mv__now_ns() + ns;
        if (until > x->w->deadline_ns)
                until = x->w->deadline_ns;
        while (!x->e->over && mv__now_ns() < until) {
                mv_sys_futex_wait(&x->c->cancelled, 0, until);
                mv__kvm_limits_check(x->c, x->w, x->e);
        }
}

static void ended(struct kvm_exchange *x, uint64_t code)
{
        struct mv_err counted;
        if (code > 255) {
                (void)MV_HOSTILE(&counted, "doorbell: no exit code");
                mv__kvm_ended_by_error(x->e, &counted);
                return;
        }
        x->e->exit_code = (int)code;
        mv__kvm_end(x->e, MV_END_COMPLETED, "exit code %d", (int)code);
}

static void files(struct kvm_exchange *x, struct mv_slice request)
{
        struct mv_slice answer;
        mv__kvm_files_ask(x, request, &answer);
        if (!x->e->over)
                mv__kvm_inbox_put(x->c, answer);
}

bool mv__kvm_module_bell(struct kvm_exchange *x, const struct kvm_stop *s)
{
        struct mv_err err;
        struct mv_slice bytes;
        if (s->op < MV_KVM_OP_STDOUT || s->op > MV_KVM_OP_EXIT)
                return false;
        if (s->op == MV_KVM_OP_EXIT)
                ended(x, s->bytes);
        else if (s->op == MV_KVM_OP_SLEEP)
                sleep_for(x, s->bytes);
        else if (mv__kvm_outbox_copy(x->c, s->bytes, &bytes, &err) < 0)
                mv__kvm_ended_by_error(x->e, &err);
        else if (s->op == MV_KVM_OP_FILES)
                files(x, bytes);
        else
                output(x, s->op == MV_KVM_OP_STDERR, bytes);
        return true;
}

int mv__kvm_module_frame(struct mv_slice frame, struct mv_err *err)
{
        struct mv_frame f;
        int r = mv_frame_decode(frame, &f, err);
        if (r == 0 && f.type != MV_FRAME_CALL && f.type != MV_FRAME_LOG)
                r = MV_HOSTILE(err, "a frame that programs do not send");
        return r;
}

/* --- the end ---------------------------------------------------------------------------------- */

void mv__kvm_module_died(const struct kvm_stop *s, struct kvm_ending *e)
{
        bool stack = s->page_fault && s->fault_at < MV_KVM_STACK &&
                     s->fault_at >= MV_KVM_STACK - BELOW_STACK_BYTES;
        if (stack)
                e->exit_code = MV_WASM_EXIT_TRAP + WASM_RT_TRAP_EXHAUSTION;
        mv__kvm_end(e, stack ? MV_END_COMPLETED : MV_END_KILLED, "%s", s->detail);
}

void mv__kvm_module_after(struct mv_cell *c, struct mv_exit *x)
{
        struct kvm_module *m = c->module;
        if (m->files) {
                struct mv_exit served = { .exit_code = -1 };
                mv__kvm_files_end(m->files, &served);
                m->files = NULL;
                x->cpu_ns += served.cpu_ns;
                x->output_fd = served.output_fd;
        }
        mv__wasm_explain(x, m->pages);
}

void mv__kvm_module_free(struct kvm_module *m)
{
        struct mv_exit ignored = { 0 };
        if (m && m->files)
                mv__kvm_files_end(m->files, &ignored);
        free(m);
}
