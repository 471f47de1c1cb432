/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_DATA_H
#define MV_RTFS_DATA_H
/* Text as data: the forms of a source with their places, nothing evaluated. Whoever reads configuration wants to point at
 * what is wrong, and to see a key that is there twice. */
#include <base/arena.h>
#include <rtfs/rtfs.h>

struct mv_form {
        enum mv_kind kind;     /* NIL BOOL INT FLOAT STRING KEYWORD SYMBOL VECTOR LIST MAP */
        uint32_t line, column; /* 1-based */
        /* VECTOR, LIST: items; MAP: keys and values, in source order, duplicates kept */
        uint32_t count;
        union {
                bool boolean;
                int64_t integer;
                double real;
                struct mv_slice text; /* STRING, KEYWORD, SYMBOL */
                const struct mv_form *items;
        };
};
/* Memory that reading a text of this many bytes takes at most; a text that needs more is
 * refused. */
#define MV_RTFS_READ_ARENA_BYTES(text_bytes) (MV_RTFS_ARENA_MIN * 2 + 160 * (size_t)(text_bytes))
/* Every top-level form, as one LIST, built in `a`. scratch: 16-byte aligned, free again on return. INVALID: the text is
 * not RTFS, *ret_error has line, column and message (in scratch); LIMIT: no room. */
int mv_rtfs_read_forms(void *scratch, size_t scratch_bytes, struct mv_slice source,
                       struct mv_arena *a, struct mv_form *ret, struct mv_rtfs_error *ret_error,
                       struct mv_err *err);

#endif
