/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_EFFECTS_H
#define MV_AUDIT_EFFECTS_H
/* The log of idempotency keys: which effects were begun, and how they ended (REQ-IDEM-01..04; docs/design/durability.md).
 *
 * (1) `begun` is on the disk before the effect, `done` before anybody is told of it.
 * (2) Entries are authenticated with a secret made of the store's signing key: who can write the file but not read the key can
 *     take entries away, not make them. The file is ours and nobody else may write it.
 * (3) Several processes share it, under its lock; a torn tail is cut, damage refuses the log.
 * (4) An entry counts until its window has passed. A clock that stands before an entry's time counts as inside the window. */
#include <audit/audit.h>

#define MV_KEYED_RESULT_BYTES_MAX (1u << 20) /* larger results are kept as their digest alone */
#define MV_KEYED_WINDOW_MS_MAX    (366ull * 86400000)
#define MV_KEYED_WINDOW_MS        86400000ull /* of a key that names none */

enum mv_keyed_state {
        MV_KEYED_ABSENT, /* of begin: it was begun right now, for the caller */
        MV_KEYED_BEGUN,  /* by somebody, and no end of it is known */
        MV_KEYED_DONE,
        MV_KEYED_FAILED,      /* of entries only: as good as absent */
        MV_KEYED_COMPENSATED, /* likewise */
        MV_KEYED_OTHER,       /* of begin: the key belongs to another request */
        MV_KEYED_STATE_MAX_
};
struct mv_keyed {
        uint8_t key[MV_DIGEST_BYTES];     /* of the key's text and scope */
        uint8_t request[MV_DIGEST_BYTES]; /* of the capability and its arguments */
        const char *execution_id;
        uint64_t call, window_ms;
};
struct mv_keyed_found {
        enum mv_keyed_state state;
        bool own;               /* BEGUN: by this very call of this execution */
        char execution_id[64];  /* whose */
        struct mv_slice result; /* DONE: in the caller's arena; empty: it was too large to keep */
};

struct mv_effects;
/* The log beside the store's file (PATH.effects), opened on first use; of a store in memory, a log in memory. The store
 * outlives it. NULL: out of memory. */
struct mv_effects *mv_effects_new(struct mv_audit *a);
struct mv_effects *mv_effects_free(struct mv_effects *e);
/* What is known about this key; when nothing is, the effect is begun, on the disk, and is the caller's. */
int mv_effects_begin(struct mv_effects *e, const struct mv_keyed *x, struct mv_arena *arena,
                     struct mv_keyed_found *ret, struct mv_err *err);
/* DONE with its result, FAILED, or COMPENSATED. */
int mv_effects_end(struct mv_effects *e, const struct mv_keyed *x, enum mv_keyed_state state,
                   struct mv_slice result, struct mv_err *err);

#endif
