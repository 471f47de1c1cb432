/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_AUDIT_APPROVALS_H
#define MV_AUDIT_APPROVALS_H
/* The queue of approvals: a directory beside the store's file, PATH.approvals (REQ-GOV-02; docs/design/durability.md).
 *
 * (1) Requests and votes are signed with the store's key: what lies there without its signature does not count. Who can
 *     write the directory but not read the key can take files away, not make them.
 * (2) An approver is a uid and a name, signed. Whoever reads the key can use any name: distinct approvers are as distinct as
 *     those who share the key are honest.
 * (3) The first vote of an approver stands. One rejection rejects.
 * (4) A vote counts when it was made before the request expires. A clock that stands before the request's time decides
 *     nothing.
 * (5) A request about a budget says what it is extended to, and how far it may be. An approver may say another amount; a vote
 *     whose amount does not reach the call, or reaches beyond what may be, does not count. Of several the least holds. */
#include <audit/audit.h>
#include <microvm/context.h>

#define MV_APPROVAL_ID_BYTES   40 /* "apr_", 32 hexadecimal digits, NUL */
#define MV_APPROVAL_NAME_MAX   63
#define MV_APPROVAL_VOTERS_MAX 64
#define MV_APPROVAL_BYTES_MAX  (256u << 10) /* of one file */

/* A call that found its budget spent. All of them in the kind's unit. */
struct mv_approval_budget {
        enum mv_spending what;
        uint64_t max, spent,
                needed;   /* needed: the least budget that the call fits in; more than max */
        uint64_t to;      /* what an approval makes of it; needed or more */
        uint64_t ceiling; /* to or more: nobody may say more */
};
struct mv_approval_request {
        char id[MV_APPROVAL_ID_BYTES];
        const char *execution_id, *rule, *capability;
        const char *step; /* NULL: this call; else all the rule covers in this step */
        uint64_t call;
        struct mv_slice args; /* CBOR, as recorded */
        uint32_t approvals;
        uint64_t created_ms, expires_ms;
        bool about_budget;
        struct mv_approval_budget budget;
};
struct mv_approval_vote {
        char name[MV_APPROVAL_NAME_MAX + 1];
        uint64_t uid, time_ms;
        uint64_t by; /* of a budget: so much more; 0: as the request says */
        bool approve;
};
enum mv_approval_state {
        MV_APPROVAL_WAITING,
        MV_APPROVAL_APPROVED,
        MV_APPROVAL_REJECTED,
        MV_APPROVAL_EXPIRED,
        MV_APPROVAL_STATE_MAX_
};
struct mv_approval_status {
        enum mv_approval_state state;
        uint64_t extended_to; /* of an approved budget */
        uint32_t votes_count; /* that count */
        struct mv_approval_vote votes[MV_APPROVAL_VOTERS_MAX];
};
const char *mv_approval_state_name(enum mv_approval_state s);
/* "apr_" and hexadecimal digits: of what is asked for. */
void mv_approval_id(const uint8_t digest[MV_DIGEST_BYTES], char ret[MV_APPROVAL_ID_BYTES]);

/* Put the request into the queue unless it is there. *ret_new: it was not. UNSUPPORTED: the store is in memory. */
int mv_approval_ask(struct mv_audit *a, const struct mv_approval_request *q, bool *ret_new,
                    struct mv_err *err);
/* Texts point into the arena. NOT_FOUND; CORRUPT: not signed by the store's key. */
int mv_approval_read(struct mv_audit *a, const char *id, struct mv_arena *arena,
                     struct mv_approval_request *ret, struct mv_err *err);
/* STATE: the clock stands before the request. */
int mv_approval_status(struct mv_audit *a, const struct mv_approval_request *q,
                       struct mv_approval_status *ret, struct mv_err *err);
/* name NULL: the user's. by: see struct mv_approval_vote. EXISTS: this approver has voted. STATE: it is decided, or has expired.
 * INVALID: no such amount (5). */
int mv_approval_vote(struct mv_audit *a, const char *id, const char *name, bool approve,
                     uint64_t by, struct mv_err *err);
/* Bodies of the files, behind their signatures. The id is the one that the file's name says; false: another one's, or none. */
void mv__approval_request_put(struct mv_out *o, const struct mv_approval_request *q);
bool mv__approval_request_get(struct mv_slice body, const char *id, struct mv_arena *arena,
                              struct mv_approval_request *q);
bool mv__approval_vote_get(struct mv_slice body, const char *id, struct mv_arena *arena,
                           struct mv_approval_vote *v);
/* Calls fn for every request, by id; of one that cannot be believed with q NULL and the reason. Stops when fn says so. */
typedef bool (*mv_approval_fn)(void *ctx, const char *id, const struct mv_approval_request *q,
                               const struct mv_approval_status *s, const struct mv_err *why);
int mv_approval_list(struct mv_audit *a, mv_approval_fn fn, void *ctx, struct mv_err *err);

#endif
