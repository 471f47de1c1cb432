/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_GUEST_LINUX_RUNNER_H
#define MV_GUEST_LINUX_RUNNER_H
/* The Linux runner as a function, for images that start it themselves (linux_main.c has the invariants). sizes: the four
 * numbers of wire/linux_runner.h as text. Returns an exit code only when it could not start. */
int mv_linux_runner(char **sizes);

#endif
