/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_DIAGNOSTICS_H
#define MV_CONFIG_DIAGNOSTICS_H
/* What is wrong with a configuration: each with a stable code, its place, and what mends it. */
#include <base/arena.h>
#include <base/slice.h>
#include <config/schema.h>

enum mv_severity { MV_SEVERE_ERROR, MV_SEVERE_WARNING, MV_SEVERE_NOTE };
struct mv_diagnostic {
        enum mv_severity severity;
        uint32_t line, column; /* 0: of the whole file */
        const char *code;      /* static: "INVALID_VCPUS", "UNKNOWN_KEY" */
        const char *path;      /* "microvm.resources.mem_mb"; "" for the whole */
        const char *message;
        const char *suggestion; /* NULL: none */
        uint32_t rank;          /* schema order; equal ones stay in the order they were found */
};
/* More than these and the reader has other problems: the list says so at its end. */
#define MV_DIAGNOSTICS_MAX 1000
struct mv_diagnostics {
        struct mv_arena *arena;
        struct mv_diagnostic *items;
        uint32_t count, cap;
        uint32_t errors, warnings, notes;
        bool failed; /* out of memory: the list is not complete, nothing may be called valid */
};
struct mv_report { /* what mv__diagnose says; path, message and suggestion are copied */
        enum mv_severity severity;
        const char *code, *path, *suggestion;
        uint32_t line, column;
};
void mv__diagnose(struct mv_diagnostics *d, const struct mv_report *r, const char *format, ...)
        __attribute__((format(printf, 3, 4)));
/* INVALID, with the first error of a file that is not valid. */
int mv__first_error(const struct mv_diagnostics *d, const char *name, struct mv_err *err);
/* Schema order, stable. */
void mv__diagnostics_sort(struct mv_diagnostics *d, const struct mv_section *schema);

#endif
