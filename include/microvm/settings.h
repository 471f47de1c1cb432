/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MICROVM_SETTINGS_H
#define MICROVM_SETTINGS_H
/* A settings file in force in a process that lives long (REQ-CFG-14).
 *
 *   mv_live_settings_open("microvm.toml", NULL, &s, &err);
 *   struct mv_context *may = mv_live_settings_context(s);      for each execution; a copy
 *   mv_live_settings_reload(s, &err);                          on SIGHUP, say: from a thread, not from the handler
 *
 * A reload is whole or not at all: a file that cannot be read, is not valid, or says what may not be said leaves the old
 * settings in force, and the error says why. What runs already keeps the context it has.
 * Threads: all of these, on one object, from any number of threads at once. */
#include <microvm/context.h>
#include <microvm/error.h>

struct mv_live_settings;
/* environment NULL: the one the file names, or none. Negative: as for reload; nothing is made. */
int mv_live_settings_open(const char *path, const char *environment, struct mv_live_settings **ret,
                          struct mv_err *err);
/* Read the file again. INVALID: what is wrong, with its line; SYS: it cannot be read; DENIED: its environment widens it. */
int mv_live_settings_reload(struct mv_live_settings *s, struct mv_err *err);
/* The most a program may be granted now: a copy that the caller frees, and may lower further. NULL: no memory. */
struct mv_context *mv_live_settings_context(struct mv_live_settings *s);
/* The wall that the file names, "" for none, and the tier it never goes below. */
void mv_live_settings_wall(struct mv_live_settings *s, char ret_provider[32],
                           enum mv_tier *ret_tier_min);
/* 1 after open, one more after each reload that took effect. */
uint64_t mv_live_settings_generation(struct mv_live_settings *s);
/* Nobody uses it any more. Accepts NULL, returns NULL. */
struct mv_live_settings *mv_live_settings_close(struct mv_live_settings *s);

#endif
