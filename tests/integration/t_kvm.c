/* SPDX-License-Identifier: Apache-2.0 */
/* The kvm wall against a guest that misbehaves in every way it can (tests/escape/kvm_hostile.c). */
#include "../test.h"
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include <base/slice.h>
#include <provider/kvm/kvm.h>
#include <provider/provider.h>
#include <wire/cbor.h>
#include <wire/frame.h>
#include "../escape/kvm_hostile.h"

extern const uint8_t kvm_hostile_elf[], kvm_hostile_elf_end[];
#define OPS         (&mv_provider_kvm)
#define ARENA_BYTES (2u << 20)
#define MS          1000000ull

struct door {
        int frames, calls;
        uint64_t result; /* payload of RESULT, 8 bytes */
        bool got_result;
        pthread_t thread; /* that called */
        uint8_t *echo;
};

static int on_frame(void *ctx, struct mv_slice frame, struct mv_slice *ret, struct mv_err *err)
{
        struct door *d = ctx;
        struct mv_frame f;
        d->frames++;
        d->thread = pthread_self();
        if (mv_frame_decode(frame, &f, err) < 0)
                return -(int)err->code;
        if (f.type == MV_FRAME_RESULT && f.payload.len == 8) {
                memcpy(&d->result, f.payload.p, 8);
                d->got_result = true;
                return MV_DOOR_DONE;
        }
        if (f.type != MV_FRAME_CALL)
                return 0;
        d->calls++;
        d->echo = realloc(d->echo, frame.len);
        memcpy(d->echo, frame.p, frame.len);
        d->echo[5] = MV_FRAME_REPLY;
        *ret = (struct mv_slice){ d->echo, frame.len };
        return MV_DOOR_REPLY;
}

static struct mv_provider *provider;
static const char *no_kvm(void)
{
        static struct mv_err err;
        struct mv_kvm_image image = { { kvm_hostile_elf,
                                        (size_t)(kvm_hostile_elf_end - kvm_hostile_elf) } };
        if (!provider && mv_kvm_init_image(&image, ARENA_BYTES, &provider, &err) < 0) {
                printf("# %s\n", err.msg);
                return err.code == MV_E_UNAVAILABLE ? err.msg : "kvm does not work";
        }
        return NULL;
}
#define NEEDS_KVM                                                                                  \
        do {                                                                                       \
                const char *why_ = no_kvm();                                                       \
                if (why_)                                                                          \
                        SKIP(why_);                                                                \
        } while (0)

static struct mv_cell *cell_open(uint64_t memory)
{
        struct mv_err err;
        struct mv_cell *c = NULL;
        struct mv_cell_spec spec = { "t", { .memory_bytes_max = memory } };
        if (OPS->open_cell(provider, &spec, &c, &err) < 0)
                mv_test_failed(__FILE__, __LINE__, err.msg);
        return c;
}

struct outcome {
        int r;
        struct mv_exit exit;
        struct mv_err err;
        struct door door;
        uint64_t took_ns;
};

static struct outcome run_limited(struct mv_cell *c, enum hostile_act act, uint32_t n,
                                  struct mv_limits limits)
{
        struct outcome o = { 0 };
        uint8_t start[MV_FRAME_HEADER_BYTES + 5] = { 5, 0, 0, 0, 1, MV_FRAME_START };
        start[16] = (uint8_t)act;
        memcpy(start + 17, &n, 4);
        struct mv_run run = { .execution_id = "t",
                              .start = { start, sizeof start },
                              .door = { &o.door, on_frame },
                              .limits = limits };
        uint64_t from = mv__now_ns();
        o.r = OPS->run(c, &run, &o.exit, &o.err);
        o.took_ns = mv__now_ns() - from;
        free(o.door.echo);
        return o;
}

static struct outcome run(struct mv_cell *c, enum hostile_act act, uint32_t n)
{
        return run_limited(c, act, n, (struct mv_limits){ .wall_ns_max = 10000 * MS });
}

static void digest(struct mv_cell *c, uint8_t ret[32])
{
        struct mv_err err = { 0 };
        memset(ret, 0, 32);
        if (mv_kvm_cell_digest(c, ret, &err) < 0)
                mv_test_failed(__FILE__, __LINE__, err.msg);
}

TEST(probe_says_why_not_or_init_works)
{
        struct mv_err err = { 0 };
        int r = OPS->probe(&err);
        printf("# backend %s, probe %d %s\n", mv_kvm_backend(), r, r < 0 ? err.msg : "");
        CHECK(r == 0 || (err.code == MV_E_UNAVAILABLE && err.msg[0]));
}

TEST(a_guest_runs_and_its_result_comes_out)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        struct outcome o = run(c, ACT_FINISH, 0);
        CHECK(o.r == 0);
        CHECK(o.exit.termination == MV_END_COMPLETED);
        CHECK_STR(o.exit.detail, "");
        CHECK(o.door.got_result);
        CHECK(!o.exit.simulated);
        CHECK(o.exit.memory_peak_bytes > 0 && o.exit.memory_peak_bytes < (1u << 20));
        OPS->close_cell(c);
}

TEST(calls_are_answered_in_order_on_the_callers_thread)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        struct outcome o = run(c, ACT_CALLS, 100);
        CHECK(o.exit.termination == MV_END_COMPLETED);
        CHECK(o.door.calls == 100 && o.door.result == 5050);
        CHECK(pthread_equal(o.door.thread, pthread_self()));
        OPS->close_cell(c);
}

TEST(the_largest_frame_passes_both_ways)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        struct outcome o = run(c, ACT_BIG_CALL, 0);
        CHECK(o.exit.termination == MV_END_COMPLETED);
        CHECK(o.door.result == 1);
        OPS->close_cell(c);
}

TEST(a_used_cell_does_not_run_again_before_its_reset)
{
        NEEDS_KVM;
        struct mv_err err;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        CHECK(run(c, ACT_FINISH, 0).r == 0);
        CHECK(run(c, ACT_FINISH, 0).r == -MV_E_STATE);
        CHECK(OPS->reset(c, &err) == 0);
        CHECK(run(c, ACT_FINISH, 0).r == 0);
        OPS->close_cell(c);
}

/* Invariant 8. */
TEST(an_endless_loop_ends_at_its_deadline)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        struct outcome o =
                run_limited(c, ACT_SPIN, 0, (struct mv_limits){ .wall_ns_max = 60 * MS });
        CHECK(o.exit.termination == MV_END_TIMEOUT);
        CHECK_STR(o.exit.detail, "wall time limit");
        CHECK(o.took_ns >= 60 * MS && o.took_ns < MV_TEST_SOON_NS);
        printf("# deadline overrun %.3f ms, CPU time %.1f ms\n",
               (double)(o.took_ns - 60 * MS) / 1e6, (double)o.exit.cpu_ns / 1e6);
        CHECK(o.exit.cpu_ns > 1 * MS);
        OPS->close_cell(c);
}

TEST(an_endless_loop_ends_at_its_cpu_limit)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        struct outcome o =
                run_limited(c, ACT_SPIN, 0,
                            (struct mv_limits){ .wall_ns_max = 20000 * MS, .cpu_ns_max = 40 * MS });
        CHECK(o.exit.termination == MV_END_TIMEOUT);
        CHECK_STR(o.exit.detail, "CPU time limit");
        CHECK(o.exit.cpu_ns >= 40 * MS && o.exit.cpu_ns < 1000 * MS);
        OPS->close_cell(c);
}

static void *cancel_later(void *c)
{
        usleep(20000);
        OPS->cancel(c);
        OPS->cancel(c);
        return NULL;
}

TEST(cancel_ends_a_run_from_another_thread)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        struct mv_err err;
        pthread_t t;
        REQUIRE(c);
        pthread_create(&t, NULL, cancel_later, c);
        struct outcome o = run(c, ACT_SPIN, 0);
        pthread_join(t, NULL);
        CHECK(o.exit.termination == MV_END_KILLED);
        CHECK_STR(o.exit.detail, "cancelled");
        CHECK(o.took_ns < MV_TEST_SOON_NS);
        CHECK(OPS->reset(c, &err) == 0);
        CHECK(run(c, ACT_FINISH, 0).exit.termination == MV_END_COMPLETED);
        OPS->close_cell(c);
}

TEST(a_cancel_before_the_run_counts)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        OPS->cancel(c);
        struct outcome o = run(c, ACT_SPIN, 0);
        CHECK(o.exit.termination == MV_END_KILLED);
        CHECK_STR(o.exit.detail, "cancelled");
        OPS->close_cell(c);
}

/* Cancels that race with the entry into the guest must neither hang nor be lost. */
static void *cancel_at_once(void *arg)
{
        struct mv_cell *c = arg;
        for (volatile int i = 0; i < rand() % 20000; i++)
                ;
        OPS->cancel(c);
        return NULL;
}

TEST(a_cancel_at_any_moment_is_not_lost)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        struct mv_err err;
        REQUIRE(c);
        for (int i = 0; i < 100; i++) {
                pthread_t t;
                pthread_create(&t, NULL, cancel_at_once, c);
                struct outcome o = run(c, ACT_SPIN, 0);
                pthread_join(t, NULL);
                CHECK(o.exit.termination == MV_END_KILLED && o.took_ns < MV_TEST_SOON_NS);
                REQUIRE(OPS->reset(c, &err) == 0);
        }
        OPS->close_cell(c);
}

TEST(the_thread_that_runs_the_guest_cannot_open_a_file)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        CHECK(mv_kvm_cell_try_open(c) == -EPERM);
        OPS->close_cell(c);
}

/* What each act must end with. NULL in `how`: the run completes. Two spellings where processors
 * differ. */
static const struct {
        enum hostile_act act;
        const char *name, *how, *or_how;
} acts[] = {
#define DIES(a, ...)                                                                               \
        {                                                                                          \
                a, #a, __VA_ARGS__                                                                 \
        }
#define LIVES(a)                                                                                   \
        {                                                                                          \
                a, #a, NULL, NULL                                                                  \
        }
        DIES(ACT_READ_WILD, "page fault at 0x123456789000, error 4"),
        DIES(ACT_WRITE_WILD, "page fault at 0x7fff00000000, error 6"),
        DIES(ACT_READ_NULL, "page fault at 0x0, error 4"),
        DIES(ACT_WRITE_TABLE, "page fault at 0x802000, error 7"),
        DIES(ACT_WRITE_IDT, "page fault at 0x800200, error 7"),
        DIES(ACT_RING_FAULTBELL, "page fault at 0x81000, error 7",
             "page fault at 0x81000, error 6"),
        DIES(ACT_WRITE_TEXT, "page fault at 0x200000, error 7"),
        DIES(ACT_EXECUTE_DATA, "page fault at 0x85"),
        DIES(ACT_EXECUTE_STACK, "page fault at 0x10f"),
        DIES(ACT_HLT, "general protection fault"),
        DIES(ACT_IN, "general protection fault"),
        DIES(ACT_OUT, "general protection fault"),
        DIES(ACT_INT3, "general protection fault", "breakpoint"),
        DIES(ACT_INT80, "general protection fault", "invalid opcode"),
        DIES(ACT_INT_PAGE_FAULT, "general protection fault", "invalid opcode"),
        DIES(ACT_INT_255, "general protection fault", "invalid opcode"),
        DIES(ACT_SYSCALL, "invalid opcode",
             "page fault at 0x0, error 20"), /* kvm_pvm: to LSTAR, 0, in ring 3 */
        DIES(ACT_SYSENTER, "general protection fault", "invalid opcode"),
        DIES(ACT_CLI, "general protection fault"),
        DIES(ACT_MOV_CR3, "general protection fault"),
        DIES(ACT_READ_CR0, "general protection fault"),
        DIES(ACT_WRMSR, "general protection fault"),
        DIES(ACT_RDMSR, "general protection fault"),
        DIES(ACT_LGDT, "general protection fault"),
        DIES(ACT_LIDT, "general protection fault"),
        DIES(ACT_LTR, "general protection fault"),
        DIES(ACT_INVLPG, "general protection fault"),
        DIES(ACT_WBINVD, "general protection fault"),
        DIES(ACT_XSETBV, "general protection fault", "invalid opcode"),
        DIES(ACT_MOV_DR7, "general protection fault"),
        DIES(ACT_RDTSC, "general protection fault"),
        DIES(ACT_RDTSCP, "general protection fault", "invalid opcode"),
        DIES(ACT_RDPMC, "general protection fault"),
        LIVES(ACT_CPUID),
        DIES(ACT_RDRAND, "invalid opcode", ""), /* kvm_pvm cannot close it */
        DIES(ACT_VMCALL, "", NULL),
        DIES(ACT_IRET_RING0, "general protection fault"),
        DIES(ACT_RETF_RING0, "general protection fault"),
        DIES(ACT_LOAD_SS, "general protection fault"),
        DIES(ACT_LOAD_DS, "general protection fault"),
        DIES(ACT_UD2, "invalid opcode (vector 6)"),
        DIES(ACT_DIVIDE, "divide error (vector 0)"),
        DIES(ACT_STACK_OVERFLOW, "page fault at 0xcff"),
        DIES(ACT_RSP_WILD, "page fault at 0x8, error 6"),
        DIES(ACT_FRAME_HUGE, "protocol violation: "),
        DIES(ACT_FRAME_LONGER, "protocol violation: outbox: frame longer than what was sent"),
        DIES(ACT_FRAME_VERSION, "protocol violation: "),
        DIES(ACT_FRAME_SHORT, "protocol violation: outbox: frame header cut short"),
        DIES(ACT_BELL_FLOOD, "protocol violation: doorbell: rung without a frame"),
        DIES(ACT_BELL_LENGTH, "protocol violation: doorbell: more bytes than the outbox holds"),
        DIES(ACT_BELL_GARBAGE, "protocol violation: doorbell: "),
        DIES(ACT_BELL_READ, "protocol violation: doorbell: not one store of 8 bytes"),
        DIES(ACT_BELL_NARROW, "protocol violation: doorbell: not one store of 8 bytes"),
        DIES(ACT_BELL_MIDDLE, "protocol violation: doorbell: not one store of 8 bytes"),
        DIES(ACT_BELL_STRADDLE, "page fault at 0x81000",
             "protocol violation: doorbell: not one store"),
        DIES(ACT_BELL_WIDE, ""),
        DIES(ACT_BELL_STRING, ""),
        DIES(ACT_BELL_STRING_READ, "protocol violation: doorbell: not one store of 8 bytes"),
        DIES(ACT_BELL_READY, "protocol violation: doorbell: unknown operation"),
        DIES(ACT_BELL_EXECUTE, "page fault at 0x80000, error 21",
             "page fault at 0x80000, error 20"),
        DIES(ACT_CALL_UNANSWERED, "protocol violation: doorbell: waits for an answer to nothing"),
        DIES(ACT_SINGLE_STEP, "debug exception"),
        DIES(ACT_ALIGNMENT, "alignment check",
             ""), /* harmless but where the host's CR0.AM reaches the guest */
        DIES(ACT_X87_EXCEPTION, "x87 exception"),
        DIES(ACT_SSE_EXCEPTION, "SIMD exception", ""), /* QEMU's processor has none */
        LIVES(ACT_DIRTY_SSE),
        DIES(ACT_DIRTY_AVX, "invalid opcode", ""),
        LIVES(ACT_WRITE_EVERYWHERE),
        DIES(ACT_WRITE_THEN_DIE, "invalid opcode"),
        LIVES(ACT_TOUCH_PAGES),
        DIES(ACT_JUMP_NONCANONICAL, "general protection fault"),
        DIES(ACT_READ_NONCANONICAL, "general protection fault"),
};

static bool starts(const char *s, const char *with)
{
        return with && strncmp(s, with, strlen(with)) == 0;
}

static void act_once(struct mv_cell *c, unsigned i, const uint8_t fresh[32])
{
        struct mv_err err = { 0 };
        uint8_t after[32];
        char what[400];
        struct outcome o = run(c, acts[i].act, 3);
        bool died = o.exit.termination == MV_END_KILLED;
        bool as_wanted =
                o.r == 0 &&
                (acts[i].how ? (died && (starts(o.exit.detail, acts[i].how) ||
                                         starts(o.exit.detail, acts[i].or_how))) ||
                                       (starts("", acts[i].how) || starts("", acts[i].or_how))
                             : o.exit.termination == MV_END_COMPLETED);
        if (o.door.got_result)
                printf("# %-20s completes with 0x%llx\n", acts[i].name,
                       (unsigned long long)o.door.result);
        else
                printf("# %-20s %s\n", acts[i].name, o.exit.detail);
        snprintf(what, sizeof what, "%s: \"%.300s\"", acts[i].name,
                 o.r < 0 ? o.err.msg : o.exit.detail);
        if (!as_wanted)
                mv_test_failed(__FILE__, __LINE__, what);
        if (OPS->reset(c, &err) < 0)
                mv_test_failed(__FILE__, __LINE__, err.msg);
        if (run(c, ACT_CALLS, 2).door.result != 3) { /* not even half an instruction is left over */
                snprintf(what, sizeof what, "%s: the run after it is disturbed", acts[i].name);
                mv_test_failed(__FILE__, __LINE__, what);
        }
        if (OPS->reset(c, &err) < 0)
                mv_test_failed(__FILE__, __LINE__, err.msg);
        digest(c, after);
        if (memcmp(fresh, after, 32) != 0) {
                snprintf(what, sizeof what, "%s: the reset cell differs from a fresh one",
                         acts[i].name);
                mv_test_failed(__FILE__, __LINE__, what);
        }
}

/* Invariants 2 and 9; REQ-PRV-12. */
TEST(every_hostile_act_ends_with_its_reason_and_the_reset_is_complete) /* REQ-CKPT-08 */
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(0);
        uint8_t fresh[32];
        REQUIRE(c);
        digest(c, fresh);
        for (unsigned i = 0; i < sizeof acts / sizeof acts[0]; i++)
                act_once(c, i, fresh);
        CHECK(run(c, ACT_CALLS, 10).door.result == 55);
        OPS->close_cell(c);
}

TEST(a_fresh_cell_after_all_that_is_still_the_template)
{
        NEEDS_KVM;
        struct mv_cell *a = cell_open(0), *b = cell_open(0);
        uint8_t x[32], y[32];
        struct mv_err err;
        REQUIRE(a && b);
        digest(a, x);
        run(a, ACT_WRITE_EVERYWHERE, 0);
        digest(a, y);
        CHECK(memcmp(x, y, 32) != 0); /* the digest sees a difference when there is one */
        digest(b, y);
        CHECK(memcmp(x, y, 32) == 0); /* one cell's writes are not another's */
        CHECK(OPS->reset(a, &err) == 0);
        digest(a, y);
        CHECK(memcmp(x, y, 32) == 0);
        OPS->close_cell(a);
        OPS->close_cell(b);
}

TEST(the_guest_itself_sees_no_trace_of_the_run_before)
{
        NEEDS_KVM;
        static const enum hostile_act dirt[] = { ACT_DIRTY_SSE,        ACT_DIRTY_AVX,
                                                 ACT_WRITE_EVERYWHERE, ACT_SSE_EXCEPTION,
                                                 ACT_X87_EXCEPTION,    ACT_ALIGNMENT,
                                                 ACT_SINGLE_STEP,      ACT_WRITE_THEN_DIE };
        struct mv_cell *c = cell_open(0);
        struct mv_err err;
        REQUIRE(c);
        uint64_t fresh = run(c, ACT_SHOW_STATE, 0).door.result;
        CHECK(fresh != 0);
        CHECK(OPS->reset(c, &err) == 0);
        for (unsigned i = 0; i < sizeof dirt / sizeof dirt[0]; i++) {
                run(c, dirt[i], 0);
                CHECK(OPS->reset(c, &err) == 0);
                CHECK(run(c, ACT_SHOW_STATE, 0).door.result == fresh);
                CHECK(OPS->reset(c, &err) == 0);
                /* upper halves, where AVX can be reached at all */
                struct outcome o = run(c, ACT_SHOW_YMM, 0);
                CHECK(o.door.result == 0);
                CHECK(OPS->reset(c, &err) == 0);
        }
        OPS->close_cell(c);
}

TEST(the_reset_is_complete_on_kernels_without_page_scan_too)
{
        NEEDS_KVM;
        struct mv_err err;
        uint8_t x[32], y[32];
        enum mv_pagemap_how how = provider->pagemap_how;
        printf("# page scan: %s\n", how == MV_PAGEMAP_SCAN ? "ioctl" : "read");
        provider->pagemap_how = MV_PAGEMAP_READ;
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        digest(c, x);
        for (int i = 0; i < 3; i++) {
                struct outcome o = run(c, ACT_WRITE_EVERYWHERE, 0);
                CHECK(o.exit.memory_peak_bytes > ARENA_BYTES);
                CHECK(OPS->reset(c, &err) == 0);
                digest(c, y);
                CHECK(memcmp(x, y, 32) == 0);
        }
        OPS->close_cell(c);
        provider->pagemap_how = how;
}

/* REQ-PRV-09. */
TEST(a_capability_missing_from_the_permissions_is_refused_at_the_boundary)
{
        NEEDS_KVM;
        static const char *const permissions[] = { "ccos.echo" };
        struct door d = { 0 };
        struct mv_exit x;
        struct mv_err err = { 0 };
        struct mv_cell *c = cell_open(0);
        REQUIRE(c);
        struct mv_run r = { .execution_id = "t",
                            .door = { &d, on_frame },
                            .capability_id = "ccos.io.open-file",
                            .permissions = permissions,
                            .permissions_count = 1 };
        CHECK(OPS->run(c, &r, &x, &err) == -MV_E_DENIED);
        CHECK(strstr(err.msg, "Boundary validation failed - capability not in permissions") !=
              NULL);
        OPS->close_cell(c);
}

TEST(a_memory_limit_that_cannot_be_enforced_is_refused)
{
        NEEDS_KVM;
        struct mv_err err;
        struct mv_cell *c = NULL;
        struct mv_cell_spec small = { "t", { .memory_bytes_max = 4096 } };
        struct mv_cell_spec large = { "t", { .memory_bytes_max = 1ull << 40 } };
        CHECK(OPS->open_cell(provider, &small, &c, &err) == -MV_E_UNSUPPORTED);
        CHECK(OPS->open_cell(provider, &large, &c, &err) == -MV_E_UNSUPPORTED);
        CHECK(c == NULL);
}

TEST(the_arena_ends_where_the_memory_limit_says)
{
        NEEDS_KVM;
        const uint64_t bytes = (3u << 20) + 0x5000;
        struct mv_cell *c = cell_open(bytes + 17);
        struct mv_err err;
        char want[64];
        REQUIRE(c);
        CHECK(run(c, ACT_TOUCH_PAGES, (uint32_t)(bytes / 4096)).exit.termination ==
              MV_END_COMPLETED);
        CHECK(OPS->reset(c, &err) == 0);
        struct outcome o = run(c, ACT_TOUCH_PAGES, (uint32_t)(bytes / 4096 + 1));
        snprintf(want, sizeof want, "page fault at 0x%llx, error 6",
                 (unsigned long long)(MV_KVM_ARENA + bytes));
        CHECK(starts(o.exit.detail, want));
        OPS->close_cell(c);
}

TEST(memory_peak_is_what_the_guest_touched)
{
        NEEDS_KVM;
        struct mv_cell *c = cell_open(8u << 20);
        REQUIRE(c);
        uint64_t peak = run(c, ACT_TOUCH_PAGES, 1000).exit.memory_peak_bytes;
        CHECK(peak >= 1000 * 4096 && peak < 1100 * 4096);
        OPS->close_cell(c);
}

static int count(const char *dir)
{
        DIR *d = opendir(dir);
        int n = 0;
        while (d && readdir(d))
                n++;
        if (d)
                closedir(d);
        return n;
}

static int mappings(void)
{
        FILE *f = fopen("/proc/self/maps", "r");
        int n = 0, ch;
        while (f && (ch = getc(f)) != EOF)
                n += ch == '\n';
        if (f)
                fclose(f);
        return n;
}

/* REQ-PRV-15. */
TEST(closed_cells_release_descriptors_threads_and_memory)
{
        enum { CELLS = 30 };
        NEEDS_KVM;
        OPS->close_cell(cell_open(0)); /* what the first one leaves for good is not counted */
        mv__kvm_reaper_wait(&provider->reaper);
        int fds = count("/proc/self/fd"), threads = count("/proc/self/task"), maps = mappings();
        for (int i = 0; i < CELLS; i++) {
                struct mv_cell *c = cell_open(0);
                REQUIRE(c);
                run(c, i % 2 ? ACT_WRITE_THEN_DIE : ACT_CALLS, 3);
                OPS->close_cell(c);
                /* a few are being taken apart, each with a VM and a processor, never more */
                CHECK(count("/proc/self/fd") <= fds + 2 * KVM_REAP_MAX);
        }
        mv__kvm_reaper_wait(&provider->reaper);
        CHECK(count("/proc/self/fd") == fds);
        UNTIL(count("/proc/self/task") ==
              threads); /* a joined thread is listed until the kernel is done with it */
        CHECK(count("/proc/self/task") == threads);
        CHECK(mappings() <= maps + CELLS / 2); /* the allocator has some of its own */
}

/* REQ-PRV-05, and every limit has its own template. */
TEST(templates_come_and_go_with_their_limits)
{
        NEEDS_KVM;
        struct mv_cell *c[KVM_TEMPLATES_MAX + 3] = { 0 };
        for (unsigned i = 0; i < KVM_TEMPLATES_MAX + 3; i++) {
                c[i] = cell_open((2u + i) << 20);
                REQUIRE(c[i]);
        }
        for (unsigned i = 0; i < KVM_TEMPLATES_MAX + 3; i++) {
                CHECK(run(c[i], ACT_CALLS, 4).door.result == 10);
                OPS->close_cell(c[i]);
        }
}

static void *many_runs(void *arg)
{
        struct mv_cell *c = cell_open(0);
        struct mv_err err;
        long good = 0;
        for (int i = 0; c && i < 50; i++) {
                good += run(c, ACT_CALLS, 5).door.result == 15;
                good += OPS->reset(c, &err) == 0;
        }
        OPS->close_cell(c);
        return (void *)good;
}

TEST(cells_of_several_threads_do_not_disturb_each_other)
{
        NEEDS_KVM;
        pthread_t t[4];
        void *good;
        for (int i = 0; i < 4; i++)
                pthread_create(&t[i], NULL, many_runs, NULL);
        for (int i = 0; i < 4; i++) {
                pthread_join(t[i], &good);
                CHECK((long)good == 100);
        }
}

TEST(a_damaged_image_is_refused)
{
        NEEDS_KVM;
        size_t bytes = (size_t)(kvm_hostile_elf_end - kvm_hostile_elf);
        uint8_t *copy = malloc(bytes);
        struct mv_err err;
        struct kvm_layout l;
        REQUIRE(copy);
        srand(7);
        for (int i = 0; i < 2000; i++) { /* headers only: what the loader reads */
                memcpy(copy, kvm_hostile_elf, bytes);
                for (int k = 0; k < 3; k++)
                        copy[rand() % 400] = (uint8_t)rand();
                struct mv_kvm_image image = { { copy, (size_t)rand() % bytes } };
                int r = mv__kvm_image_layout(&image, &l, &err);
                CHECK(r == 0 || r == -MV_E_HOSTILE);
                for (unsigned s = 0; r == 0 && s < l.count; s++)
                        CHECK(l.segments[s].file_at + l.segments[s].file_bytes <= image.elf.len);
        }
        free(copy);
}

/* ---- the evaluator behind the wall ---- */

static uint8_t last[4096];
static size_t last_len;

static int keep_last(void *ctx, struct mv_slice frame, struct mv_slice *ret, struct mv_err *err)
{
        int *calls = ctx;
        static uint8_t reply[MV_FRAME_HEADER_BYTES + 1] = { 1, 0, 0, 0, 1, MV_FRAME_REPLY };
        if (frame.p[5] == MV_FRAME_CALL) {
                memcpy(reply + 8, frame.p + 8, 8);
                reply[16] = 0x18 - 3; /* the integer 21 */
                *ret = (struct mv_slice){ reply, sizeof reply };
                ++*calls;
                return MV_DOOR_REPLY;
        }
        last_len = frame.len < sizeof last ? frame.len : sizeof last;
        memcpy(last, frame.p, last_len);
        return frame.p[5] == MV_FRAME_RESULT || frame.p[5] == MV_FRAME_ERROR ? MV_DOOR_DONE : 0;
}

static struct mv_slice start_frame(uint8_t *buf, size_t cap, const char *source)
{
        struct mv_out o = mv_out(buf, cap);
        size_t at = mv_frame_open(&o, MV_FRAME_START, 0);
        mv_cbor_put_map(&o, 1);
        mv_cbor_put_str(&o, "program");
        mv_cbor_put_map(&o, 2);
        mv_cbor_put_str(&o, "kind");
        mv_cbor_put_str(&o, "source");
        mv_cbor_put_str(&o, "bytes");
        mv_cbor_put_str(&o, source);
        CHECK(mv_frame_close(&o, at));
        return mv_out_slice(&o);
}

static struct mv_exit evaluate(struct mv_cell *c, const char *source, int *calls)
{
        uint8_t start[2048];
        struct mv_err err = { 0 };
        struct mv_exit x = { 0 };
        struct mv_run r = { .execution_id = "e",
                            .start = start_frame(start, sizeof start, source),
                            .door = { calls, keep_last },
                            .limits = { .wall_ns_max = 5000 * MS } };
        last_len = 0;
        if (OPS->run(c, &r, &x, &err) < 0)
                mv_test_failed(__FILE__, __LINE__, err.msg);
        return x;
}

/* RESULT {"fuel": int, "value": any, "memory": int}: the integer behind "value". */
static int64_t result_integer(void)
{
        struct mv_cur c = mv_cur((struct mv_slice){ last + MV_FRAME_HEADER_BYTES,
                                                    last_len - MV_FRAME_HEADER_BYTES });
        struct mv_cbor_item item;
        struct mv_err err;
        if (last_len <= MV_FRAME_HEADER_BYTES || last[5] != MV_FRAME_RESULT ||
            mv_cbor_next(&c, &item, &err))
                return -1;
        for (int i = 0; i < 3; i++) {
                bool wanted =
                        mv_cbor_next(&c, &item, &err) == 0 && mv_slice_eq_str(item.text, "value");
                if (mv_cbor_next(&c, &item, &err))
                        return -1;
                if (wanted)
                        return item.kind == MV_CBOR_INT ? item.integer : -1;
        }
        return -1;
}

TEST(the_evaluator_runs_behind_the_wall_and_every_reset_is_complete)
{
        static const struct {
                const char *source;
                int64_t value; /* -1: an error, or no integer */
                int calls;
        } programs[] = {
                { "(+ 1 2)", 3, 0 },
                { "(defn fib [n] (if (< n 2) n (+ (fib (- n 1)) (fib (- n 2))))) (fib 15)", 610,
                  0 },
                { "(* 2 (call :ccos.echo 5))", 42, 1 },
                /* memmem */
                { "(if (string-contains? \"a longer text with some words in it\" \"some words "
                  "in\") 7 8)",
                  7, 0 },
                { "(count (str (range 3000)))", -2, 0 },
                { "(/ 1 0)", -1, 0 },
                { "(this does not", -1, 0 },
        };
        struct mv_err err = { 0 };
        struct mv_provider *p = NULL;
        struct mv_cell *c = NULL;
        struct mv_cell_spec spec = { "e", { .memory_bytes_max = 4u << 20 } };
        uint8_t fresh[32], after[32];
        if (OPS->probe(&err) < 0)
                SKIP("the kvm provider is not available");
        CHECK(OPS->init(NULL, &p, &err) == 0);
        REQUIRE(p);
        CHECK(OPS->open_cell(p, &spec, &c, &err) == 0);
        REQUIRE(c);
        digest(c, fresh);
        for (unsigned i = 0; i < sizeof programs / sizeof programs[0]; i++) {
                int calls = 0;
                struct mv_exit x = evaluate(c, programs[i].source, &calls);
                printf("# %.50s: %s, frame %d, %llu KiB, %llu us CPU\n", programs[i].source,
                       x.detail, last[5], (unsigned long long)x.memory_peak_bytes >> 10,
                       (unsigned long long)x.cpu_ns / 1000);
                CHECK(x.termination == MV_END_COMPLETED);
                CHECK(programs[i].value == -2 || result_integer() == programs[i].value);
                CHECK(calls == programs[i].calls);
                CHECK(OPS->reset(c, &err) == 0);
                digest(c, after);
                CHECK(memcmp(fresh, after, 32) == 0);
        }
        OPS->close_cell(c);
        OPS->fini(p);
}

TEST(the_provider_ends_without_a_trace)
{
        NEEDS_KVM;
        provider = OPS->fini(provider);
        CHECK(provider == NULL);
        CHECK(OPS->fini(NULL) == NULL);
        CHECK(OPS->close_cell(NULL) == NULL);
}
