/* SPDX-License-Identifier: Apache-2.0 */
/* A ring-3 image that stands where a module's machine code is kept, and does what its first argument names: what a module
 * that had subverted the compiler could do. MODULE_HOSTILE_BOOT: it misbehaves before it is ready, and how. Prints the result
 * of what it asked for. */
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <guest/kvm_door.h>
#include <wire/module_files.h>

#define EXIT_AS_ASKED 7
#define FILES_ROUNDS  3000

__asm__(".section .text.start, \"ax\", @progbits\n.globl _start\n_start: jmp "
        "hostile_main\n.text\n");
void hostile_main(void);

static uint32_t get32(const uint8_t *p)
{
        uint32_t v;
        memcpy(&v, p, sizeof v);
        return v;
}

_Noreturn static void end(uint64_t code)
{
        for (;;)
                mv_kvm_ring(MV_KVM_OP_EXIT, code);
}

static void say(const char *text)
{
        size_t n = strlen(text);
        memcpy(mv_kvm_outbox(), text, n);
        mv_kvm_ring(MV_KVM_OP_STDOUT, n);
}

static void say_number(int64_t v)
{
        char text[24], *p = text + sizeof text - 1;
        uint64_t n = v < 0 ? -(uint64_t)v : (uint64_t)v;
        for (*p = 0; n || p == text + sizeof text - 1; n /= 10)
                *--p = (char)('0' + n % 10);
        if (v < 0)
                *--p = '-';
        say(p);
        say(" ");
}

/* --- files, without WASI before them ---------------------------------------------------------- */

struct request {
        uint32_t op, handle, handle2, flags;
        uint64_t a, b;
        const char *name, *name2;
};

static int64_t ask(const struct request *q)
{
        uint8_t *p = mv_kvm_outbox();
        const char *name = q->name ? q->name : "", *name2 = q->name2 ? q->name2 : "";
        uint32_t lens[2] = { (uint32_t)strlen(name), (uint32_t)strlen(name2) };
        int64_t result;
        memcpy(p, &q->op, 16);
        memcpy(p + 16, &q->a, 16);
        memcpy(p + 32, lens, 8);
        memcpy(p + MV_FILES_REQUEST_BYTES, name, lens[0]);
        memcpy(p + MV_FILES_REQUEST_BYTES + lens[0], name2, lens[1]);
        mv_kvm_ring(MV_KVM_OP_FILES, MV_FILES_REQUEST_BYTES + lens[0] + lens[1]);
        memcpy(&result, mv_kvm_inbox().p, sizeof result);
        return result;
}

static uint32_t root(const char *path)
{
        return (uint32_t)ask(&(struct request){ .op = MV_FILES_ROOT, .name = path });
}

static int64_t opens(uint32_t dir, const char *name, uint32_t flags)
{
        return ask(&(struct request){
                .op = MV_FILES_OPEN, .handle = dir, .flags = flags, .name = name });
}

static int64_t on(uint32_t op, uint32_t handle, uint64_t a)
{
        return ask(&(struct request){ .op = op, .handle = handle, .a = a, .name = "x" });
}

static void files_escape(const char *granted)
{
        uint32_t out = root("/workspace/output"), dir = root(granted);
        say_number(ask(&(struct request){ .op = MV_FILES_ROOT, .name = "/" }));
        say_number(ask(&(struct request){ .op = MV_FILES_ROOT, .name = "/proc" }));
        say_number(opens(out, "..", O_PATH));
        say_number(opens(out, "../../etc/passwd", O_RDONLY));
        say_number(opens(out, "/etc/passwd", O_RDONLY));
        say_number(opens(dir, "link-absolute", O_RDONLY));
        say_number(opens(dir, "link-dir", O_PATH));
        say_number(opens(dir, "fifo", O_RDONLY));
        say_number(opens(dir, "plain", O_RDWR));
        say_number(opens(dir, "new", O_CREAT | O_WRONLY));
        say_number(ask(&(struct request){
                .op = MV_FILES_SYMLINK, .handle = out, .name = "l", .name2 = "/etc" }));
        say_number(ask(&(struct request){
                .op = MV_FILES_SYMLINK, .handle = out, .name = "l", .name2 = "a/../../b" }));
        say_number(ask(&(struct request){ .op = MV_FILES_LINK,
                                          .handle = dir,
                                          .handle2 = out,
                                          .name = "plain",
                                          .name2 = "stolen" }));
}

/* The descriptors of the serving process, its door among them, are no handles. */
static void files_handles(void)
{
        for (uint32_t h = 0; h < 4; h++)
                say_number(on(MV_FILES_WRITE, h, 0));
        say_number(on(MV_FILES_READ, 100, 10));
        say_number(on(MV_FILES_READ, 0xffffffffu, 10));
        say_number(on(MV_FILES_CLOSE, 3, 0));
        say_number(on(99, root("/workspace/output"), 0));
        say_number(on(MV_FILES_READ, root("/workspace/output"), UINT64_MAX));
}

static void files_noise(void)
{
        uint8_t *p = mv_kvm_outbox();
        uint64_t state = 88172645463325252ull;
        root("/workspace/output");
        for (unsigned i = 0; i < FILES_ROUNDS; i++) {
                for (unsigned k = 0; k < 512; k += 8) {
                        state ^= state << 13;
                        state ^= state >> 7;
                        state ^= state << 17;
                        memcpy(p + k, &state, 8);
                }
                p[0] = (uint8_t)(state % (MV_FILES_MAX_ + 2));
                memset(p + 1, 0, 3);
                p[4] = (uint8_t)(state >> 8 & 7);
                memset(p + 5, 0, 3);
                if (i & 1) /* names that fit */
                        memcpy(p + 32, (uint32_t[]){ i & 15, i >> 4 & 15 }, 8);
                mv_kvm_ring(MV_KVM_OP_FILES, MV_FILES_REQUEST_BYTES + (state >> 16 & 255));
        }
        say("noise over");
}

/* --- the rest --------------------------------------------------------------------------------- */

static void frame(uint8_t type, uint64_t seq, uint32_t len)
{
        uint8_t *p = mv_kvm_outbox();
        memset(p, 0, 16);
        memcpy(p, &len, 4);
        p[4] = 1;
        p[5] = type;
        memcpy(p + 8, &seq, 8);
}

static void forged_result(void)
{
        frame(7, 0, 1);
        mv_kvm_outbox()[16] = 0xf6;
        mv_kvm_ring(MV_KVM_OP_SEND, 17);
}

static void store(uintptr_t at)
{
        *(volatile uint8_t *)mv_kvm_at(at) = 1;
}

static void act(const char *name, const char *granted)
{
#define IS(what) (strcmp(name, "\"" what "\"") == 0)
        if (IS("unknown_bell"))
                mv_kvm_ring(77, 0);
        else if (IS("ready_again"))
                mv_kvm_ring(MV_KVM_OP_READY, 0);
        else if (IS("huge_exit_code"))
                end(1ull << 50);
        else if (IS("forge_a_trap"))
                end(200);
        else if (IS("output_beyond"))
                mv_kvm_ring(MV_KVM_OP_STDOUT, MV_KVM_OUTBOX_BYTES + 1);
        else if (IS("output_far_beyond"))
                mv_kvm_ring(MV_KVM_OP_STDERR, UINT64_MAX >> MV_KVM_OP_BITS);
        else if (IS("output_nothing"))
                for (;;)
                        mv_kvm_ring(MV_KVM_OP_STDOUT, 0);
        else if (IS("output_flood"))
                for (;;)
                        mv_kvm_ring(MV_KVM_OP_STDOUT, MV_KVM_OUTBOX_BYTES);
        else if (IS("sleep"))
                for (;;)
                        mv_kvm_ring(MV_KVM_OP_SLEEP, UINT64_MAX >> MV_KVM_OP_BITS);
        else if (IS("sleep_nothing"))
                for (;;)
                        mv_kvm_ring(MV_KVM_OP_SLEEP, 0);
        else if (IS("forged_result"))
                forged_result();
        else if (IS("files_short"))
                mv_kvm_ring(MV_KVM_OP_FILES, 3);
        else if (IS("files_long"))
                mv_kvm_ring(MV_KVM_OP_FILES, MV_KVM_OUTBOX_BYTES);
        else if (IS("files_escape"))
                files_escape(granted);
        else if (IS("files_handles"))
                files_handles();
        else if (IS("files_noise"))
                files_noise();
        else if (IS("files_and_spin")) {
                root("/workspace/output");
                for (;;)
                        ;
        } else if (IS("write_text"))
                store(MV_KVM_MODULE_TEXT);
        else if (IS("write_tables"))
                store(MV_KVM_SYSTEM);
        else if (IS("write_behind_memory"))
                store(MV_KVM_MODULE_ARENA + (1ull << 33));
        else if (IS("run_data"))
                ((void (*)(void))(uintptr_t)mv_kvm_outbox())();
        else if (IS("system_call"))
                __asm__ volatile("syscall" : : "a"(60), "D"(0) : "rcx", "r11", "memory");
}

/* START's texts begin behind its head: the name, then the arguments. */
void hostile_main(void)
{
#if MODULE_HOSTILE_BOOT == 1
        for (;;)
                ;
#elif MODULE_HOSTILE_BOOT == 2
        say("too early");
#elif MODULE_HOSTILE_BOOT == 3
        store(MV_KVM_SYSTEM);
#endif
        mv_kvm_ring(MV_KVM_OP_READY, 0);
        const uint8_t *start = mv_kvm_inbox().p;
        const char *text = (const char *)start + MV_KVM_START_BYTES;
        char name[64], granted[256] = "";
        uint32_t argc = get32(start + 12);
        if (argc < 2)
                end(EXIT_AS_ASKED);
        text += strlen(text) + 1;
        strncpy(name, text, sizeof name - 1);
        name[sizeof name - 1] = 0;
        if (argc > 2) { /* a JSON text: without its quotation marks */
                text += strlen(text) + 1;
                strncpy(granted, text + 1, sizeof granted - 1);
                granted[strlen(granted) - 1] = 0;
        }
        act(name, granted);
        end(0);
}
