/* SPDX-License-Identifier: Apache-2.0 */
/* A guest that misbehaves as its START frame says: the payload is a word. Two programs are made of it: behind
 * guest/linux_main.c (the wall as it is), and with GUEST_RAW alone, as an image that does not lock itself up. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <guest/runner.h>
#include <wire/frame.h>

static uint8_t *arena_p;
static volatile uint64_t sink;
static volatile uintptr_t nowhere = 16;

static void send_raw(const void *p, size_t n)
{
        while (n > 0) {
                ssize_t w = write(1, p, n);
                if (w <= 0)
                        return;
                p = (const uint8_t *)p + w;
                n -= (size_t)w;
        }
}

static void send_header(uint32_t len, uint8_t version, uint8_t type)
{
        uint8_t bytes[MV_FRAME_HEADER_BYTES];
        struct mv_out o = mv_out(bytes, sizeof bytes);
        mv_put_u32(&o, len);
        mv_put_u8(&o, version);
        mv_put_u8(&o, type);
        mv_put_u16(&o, 0);
        mv_put_u64(&o, 0);
        send_raw(bytes, sizeof bytes);
}

static _Noreturn void spin(void)
{
        for (;;)
                sink++;
}

static int deep(int n)
{
        if (n < 0)
                return 0;
        volatile char frame[4096];
        memset((void *)frame, n, sizeof frame);
        return deep(n + 1) + frame[0];
}

/* The i386 entry: numbers mean something else there (5 is open). */
static void int80(void)
{
#ifdef __x86_64__
        long r;
        __asm__ volatile("int $0x80" : "=a"(r) : "a"(5L), "b"(0L), "c"(0L), "d"(0L) : "memory");
        sink = (uint64_t)r;
#endif
}

static void attack_calls(const char *what)
{
        static const struct {
                const char *name;
                long nr;
        } calls[] = {
                { "open", SYS_openat },
                { "fork", SYS_clone },
                { "vfork", SYS_vfork },
                { "socket", SYS_socket },
                { "execve", SYS_execve },
                { "execveat", SYS_execveat },
                { "kill", SYS_kill },
                { "ptrace", SYS_ptrace },
                { "getpid", SYS_getpid },
                { "clock", SYS_clock_gettime },
                { "mount", SYS_mount },
                { "bpf", SYS_bpf },
                { "io_uring", SYS_io_uring_setup },
                { "dup", SYS_dup },
                { "close", SYS_close },
                { "ioctl", SYS_ioctl },
                { "setrlimit", SYS_prlimit64 },
                { "memfd", SYS_memfd_create },
                { "x32read", 0x40000000L },
                { "x32open", 0x40000002L },
                { "mmap", SYS_mmap },
                { "mprotect", SYS_mprotect },
                { "brk", SYS_brk },
                { "seccomp", SYS_seccomp },
                { "prctl", SYS_prctl },
                { "readv", SYS_readv },
                { "sendmsg", SYS_sendmsg },
        };
        for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++)
                if (strcmp(what, calls[i].name) == 0)
                        sink = (uint64_t)syscall(calls[i].nr, 0L, 0L, 0L, 0L, 0L, 0L);
}

static void attack_door(const char *what)
{
        static const uint8_t garbage[64] = { 0xff, 0xfe, 0xfd, 0xfc, 0xfb };
        if (strcmp(what, "huge") == 0)
                send_header(0xffffffffu, MV_FRAME_VERSION, MV_FRAME_RESULT);
        else if (strcmp(what, "toolong") == 0)
                send_header(MV_FRAME_PAYLOAD_MAX + 1, MV_FRAME_VERSION, MV_FRAME_RESULT);
        else if (strcmp(what, "promise") == 0) /* the longest legal frame, and then nothing */
                send_header(MV_FRAME_PAYLOAD_MAX, MV_FRAME_VERSION, MV_FRAME_RESULT);
        else if (strcmp(what, "version") == 0)
                send_header(0, 9, MV_FRAME_RESULT);
        else if (strcmp(what, "type") == 0)
                send_header(0, MV_FRAME_VERSION, 77);
        else if (strcmp(what, "garbage") == 0)
                send_raw(garbage, sizeof garbage);
        else if (strcmp(what, "half") == 0)
                send_raw(garbage, 3);
        else if (strcmp(what, "readfd2") == 0)
                sink = (uint64_t)read(2, arena_p, 1);
        else if (strcmp(what, "writefd0") == 0)
                sink = (uint64_t)write(0, arena_p, 1);
        else if (strcmp(what, "writefd2") == 0)
                sink = (uint64_t)write(2, arena_p, 1);
}

static void attack_self(const char *what)
{
        if (strcmp(what, "spin") == 0)
                spin();
        else if (strcmp(what, "segv") == 0)
                *(volatile char *)nowhere = 1;
        else if (strcmp(what, "trap") == 0)
                __builtin_trap();
        else if (strcmp(what, "stack") == 0)
                sink = (uint64_t)deep(0);
        else if (strcmp(what, "exit0") == 0)
                _exit(0);
        else if (strcmp(what, "exit5") == 0)
                _exit(5);
        else if (strcmp(what, "exitmemory") == 0)
                _exit(71);
        else if (strcmp(what, "int80") == 0)
                int80();
}

#ifndef GUEST_RAW
/* --- behind guest/linux_main.c: the runner's two functions ------------------------------------ */

static size_t arena_len;

static void put_frame(struct mv_out *o, enum mv_frame_type type, uint64_t seq, size_t len,
                      uint8_t fill)
{
        size_t at = mv_frame_open(o, type, seq);
        for (size_t i = 0; i < len; i++)
                mv_put_u8(o, fill);
        mv_frame_close(o, at);
}

static void flood(struct mv_runner *r)
{
        for (;;) {
                struct mv_slice none;
                r->out.len = 0;
                put_frame(&r->out, MV_FRAME_LOG, 0, 1000, 'x');
                if (!r->door.exchange(r->door.ctx, mv_out_slice(&r->out), false, &none))
                        return;
        }
}

/* Ask for replies and never read them, until the door is full in both directions. */
static _Noreturn void deaf(struct mv_runner *r)
{
        for (uint64_t seq = 1;; seq++) {
                struct mv_slice none;
                r->out.len = 0;
                put_frame(&r->out, MV_FRAME_CALL, seq, 10, 'x');
                r->door.exchange(r->door.ctx, mv_out_slice(&r->out), false, &none);
        }
}

static void converse(struct mv_runner *r, unsigned calls)
{
        struct mv_slice reply = { 0 };
        for (unsigned i = 1; i <= calls; i++) {
                r->out.len = 0;
                put_frame(&r->out, MV_FRAME_LOG, 0, 5, 'l'); /* leaves together with the call */
                put_frame(&r->out, MV_FRAME_CALL, i, 10, 'c');
                if (!r->door.exchange(r->door.ctx, mv_out_slice(&r->out), true, &reply))
                        return;
        }
}

static void result(struct mv_runner *r, size_t len)
{
        struct mv_slice none;
        r->out.len = 0;
        put_frame(&r->out, MV_FRAME_RESULT, 0, len, 'r');
        r->door.exchange(r->door.ctx, mv_out_slice(&r->out), false, &none);
}

int mv_runner_init(struct mv_runner *r, void *arena, size_t arena_bytes, void *out,
                   size_t out_bytes, struct mv_runner_door door, struct mv_err *err)
{
        arena_p = arena;
        arena_len = arena_bytes;
        *r = (struct mv_runner){ .out = mv_out(out, out_bytes), .door = door };
        return 0;
}

void mv_runner_run(struct mv_runner *r, struct mv_slice start_frame)
{
        char what[32] = "";
        size_t n = start_frame.len - MV_FRAME_HEADER_BYTES;
        memcpy(what, start_frame.p + MV_FRAME_HEADER_BYTES, n < sizeof what ? n : sizeof what - 1);
        if (strcmp(what, "flood") == 0)
                flood(r);
        else if (strcmp(what, "deaf") == 0)
                deaf(r);
        else if (strcmp(what, "calls") == 0)
                converse(r, 100);
        else if (strcmp(what, "onecall") == 0)
                converse(r, 1);
        else if (strcmp(what, "fill") == 0)
                memset(arena_p, 1, arena_len);
        else if (strcmp(what, "small") == 0)
                memset(arena_p, 1, 300u << 10);
        else if (strcmp(what, "beyond") == 0)
                memset(arena_p, 1, arena_len + (64u << 20));
        else if (strcmp(what, "silent") == 0)
                return;
        attack_calls(what);
        attack_door(what);
        attack_self(what);
        result(r, strcmp(what, "big") == 0 ? 1u << 20 : 8);
}
#else
/* --- an image that keeps every freedom exec left it ------------------------------------------- */

/* Try to be outside: pages beyond the address space limit. */
static void grab(void)
{
        for (size_t mib = 0; mib < 4096; mib += 16) {
                void *p = mmap(NULL, 16u << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                               -1, 0);
                if (p == MAP_FAILED)
                        _exit(71);
                memset(p, 1, 16u << 20);
        }
}

int main(void)
{
        uint8_t header[MV_FRAME_HEADER_BYTES];
        char what[32] = "";
        if (read(0, header, sizeof header) != sizeof header || read(0, what, sizeof what - 1) <= 0)
                return 1;
        if (strcmp(what, "grab") == 0)
                grab();
        attack_calls(what);
        attack_door(what);
        attack_self(what);
        send_header(0, MV_FRAME_VERSION, MV_FRAME_RESULT);
        for (;;)
                if (read(0, what, sizeof what) <= 0)
                        return 0;
}
#endif
