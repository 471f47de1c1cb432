/* SPDX-License-Identifier: Apache-2.0 */
/* A module's process on Linux: from argv to _start, and every way it ends.
 *
 * (1) Traps that the compiled code finds itself come through wasm_rt_trap. Two are found by the memory
 *     management unit: beyond the linear memory, and beyond the stack; the fault's address tells which.
 *     Any other fault is nobody's trap, and says so.
 * (2) Everything ends through _exit: nothing of a module's state is looked at after its end. */
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include "linux.h"
#include "wasi.h"

#define HANDLER_STACK_BYTES 16384
#define BELOW_STACK_BYTES                                                                          \
        ((uintptr_t)1 << 20) /* a large frame's first touch, page by page, ends here */

static uintptr_t stack_top, stack_bytes;

void rt_exit(int code)
{
        _exit(code);
}

void wasm_rt_trap(wasm_rt_trap_t trap)
{
        _exit(MV_WASM_EXIT_TRAP + (int)trap);
}

static void faulted(int signal, siginfo_t *info, void *context) /* (1) */
{
        uintptr_t at = (uintptr_t)info->si_addr, from;
        uint64_t bytes;
        rt_reserved(&from, &bytes);
        if (signal == SIGFPE)
                wasm_rt_trap(info->si_code == FPE_INTDIV ? WASM_RT_TRAP_DIV_BY_ZERO
                                                         : WASM_RT_TRAP_INT_OVERFLOW);
        if (at >= from && at - from < bytes)
                wasm_rt_trap(WASM_RT_TRAP_OOB);
        if (at < stack_top && stack_top - at < stack_bytes + BELOW_STACK_BYTES)
                wasm_rt_trap(WASM_RT_TRAP_EXHAUSTION);
        _exit(MV_WASM_EXIT_FAULT);
}

static void handlers_set(void)
{
        static uint8_t stack[HANDLER_STACK_BYTES];
        stack_t alternative = { .ss_sp = stack, .ss_size = sizeof stack };
        struct sigaction on = { .sa_sigaction = faulted, .sa_flags = SA_SIGINFO | SA_ONSTACK };
        if (sigaltstack(&alternative, NULL) < 0 || sigaction(SIGSEGV, &on, NULL) < 0 ||
            sigaction(SIGBUS, &on, NULL) < 0 || sigaction(SIGFPE, &on, NULL) < 0)
                _exit(MV_WASM_EXIT_SETUP);
}

static void stack_limit(uint64_t bytes)
{
        struct rlimit l;
        if (getrlimit(RLIMIT_STACK, &l) < 0)
                _exit(MV_WASM_EXIT_SETUP);
        if (bytes < l.rlim_cur)
                l.rlim_cur = bytes;
        if (setrlimit(RLIMIT_STACK, &l) < 0)
                _exit(MV_WASM_EXIT_SETUP);
        stack_bytes = l.rlim_cur;
}

int main(int argc, char **argv, char **env)
{
        struct wasi_start w = { .env = env };
        if (argc < MV_WASM_ARGV_FIXED)
                return MV_WASM_EXIT_SETUP;
        unsigned long preopens = strtoul(argv[5], NULL, 10);
        if (preopens > WASI_PREOPENS_MAX || (unsigned long)argc < MV_WASM_ARGV_FIXED + preopens + 1)
                return MV_WASM_EXIT_SETUP;
        w.clock = argv[3][0] == '1';
        w.seed = strtoull(argv[4], NULL, 16);
        w.preopens = argv + MV_WASM_ARGV_FIXED;
        w.preopens_count = (unsigned)preopens;
        w.argv = w.preopens + preopens;
        stack_top = (uintptr_t)argv; /* above everything that main calls */
        stack_limit(strtoull(argv[2], NULL, 10));
        handlers_set();
        rt_init((uint32_t)strtoul(argv[1], NULL, 10));
        wasi_init(&w);
        mv_wasm_instantiate();
        mv_wasm_start();
        _exit(0); /* (2) */
}
