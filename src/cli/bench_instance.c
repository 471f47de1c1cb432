/* SPDX-License-Identifier: Apache-2.0 */
/* A row of `microvm bench`: what it takes to make an instance of the evaluator as new. The evaluator's image
 * measures that itself, because nobody outside sees when it begins; it is started here as it is, with no
 * program and no wall around it. */
#include <base/err.h>
#include <cli/bench.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/fd.h>
#include <sys/wait.h>
#include <wire/linux_runner.h>

extern const uint8_t mv__runner_wasm[], mv__runner_wasm_end[];

/* Buffers of 1 MiB, 16 MiB for the evaluator: an execution with a limit of about that. */
static char *const arguments[] = { (char[]){ MV_RUNNER_NAME_MEASURE },
                                   (char[]){ "1048576" },
                                   (char[]){ "1048576" },
                                   (char[]){ "1048576" },
                                   (char[]){ "16777216" },
                                   NULL };

static int image_spawn(int image_fd, int to_fd, pid_t *ret, struct mv_err *err)
{
        posix_spawn_file_actions_t only;
        char *const no_environment[] = { NULL };
        char path[32];
        snprintf(path, sizeof path, "/proc/self/fd/%d", image_fd);
        posix_spawn_file_actions_init(&only);
        posix_spawn_file_actions_adddup2(&only, to_fd, 1);
        int sys = posix_spawn(ret, path, &only, NULL, arguments, no_environment);
        posix_spawn_file_actions_destroy(&only);
        return sys ? mv_fail(err, MV_E_SYS, sys, "start the evaluator's image") : 0;
}

int cli_bench_instance(struct mv_host *h, uint64_t *ret_ns, struct mv_err *err)
{
        size_t len = (size_t)(mv__runner_wasm_end - mv__runner_wasm);
        mv_auto_fd image = -1;
        int pair[2], status = 0;
        pid_t pid;
        if (len == 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0,
                               "this build has no evaluator as WebAssembly");
        int r = mv_sys_memfd_sealed("microvm-measure", mv__runner_wasm, len, &image, err);
        if (r < 0)
                return r;
        if (pipe2(pair, O_CLOEXEC) < 0)
                return mv_fail(err, MV_E_SYS, errno, "make a pipe");
        mv_auto_fd from = pair[0], to = pair[1];
        r = image_spawn(image, to, &pid, err);
        if (r < 0)
                return r;
        mv_fd_closep(&to);
        uint64_t ns = 0;
        ssize_t n = read(from, &ns, sizeof ns);
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
        if (n != sizeof ns || !WIFEXITED(status) || WEXITSTATUS(status) != 0)
                return mv_fail(err, MV_E_UNAVAILABLE, 0, "the evaluator's image did not measure");
        *ret_ns = ns;
        return 0;
}
