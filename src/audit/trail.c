/* SPDX-License-Identifier: Apache-2.0 */
/* One execution's records: the chain is the store's, the tree is the execution's. */
#include <audit/digest.h>
#include <audit/trail.h>
#include <stdlib.h>

const char *mv_record_type_name(enum mv_record_type t)
{
        static const char *const names[MV_REC_MAX_] = {
                [MV_REC_EXECUTION_STARTED] = "PlanStarted",
                [MV_REC_DECISION] = "SecurityDecision",
                [MV_REC_CALL] = "CapabilityCall",
                [MV_REC_RESULT] = "CapabilityResult",
                [MV_REC_STEP] = "PlanStep",
                [MV_REC_EXECUTION_ENDED] = "PlanEnded",
                [MV_REC_ROOT] = "Root",
                [MV_REC_SEAL] = "Seal",
                [MV_REC_STEP_PROFILE] = "StepProfileDerived",
                [MV_REC_RESUMED] = "PlanResumed",
                [MV_REC_PAUSED] = "PlanPaused",
                [MV_REC_APPROVAL] = "GovernanceApproval",
                [MV_REC_BUDGET] = "BudgetWarningIssued",
                [MV_REC_BUDGET_ALLOCATED] = "BudgetAllocated",
                [MV_REC_BUDGET_CONSUMPTION] = "BudgetConsumptionRecorded",
                [MV_REC_BUDGET_EXHAUSTED] = "BudgetExhausted",
                [MV_REC_BUDGET_EXTENDED] = "BudgetExtended",
                [MV_REC_HINT] = "HintApplied",
        };
        return t >= 1 && t < MV_REC_MAX_ ? names[t] : "unknown record";
}

bool mv_record_is_note(enum mv_record_type t)
{
        return t >= MV_REC_RESUMED && t < MV_REC_MAX_;
}

int mv_trail_begin(struct mv_audit *a, const char *execution_id, struct mv_trail **ret,
                   struct mv_err *err)
{
        size_t id_len = strlen(execution_id);
        if (!mv__execution_id_ok((struct mv_slice){ (const uint8_t *)execution_id, id_len }))
                return mv_fail(
                        err, MV_E_INVALID, 0,
                        "an execution id is 1 to %d printable ASCII characters without spaces",
                        MV_EXECUTION_ID_MAX);
        struct mv_trail *t = malloc(sizeof *t);
        if (!t)
                return mv_fail(err, MV_E_NOMEM, 0, "trail");
        t->audit = a;
        memcpy(t->id, execution_id, id_len + 1);
        t->id_len = id_len;
        t->end = t->time_ms = 0;
        t->ended = false;
        t->past = NULL;
        t->past_count = 0;
        t->followed = false;
        t->tree.count = 0; /* its levels are written before they are read */
        int r = mv__trail_claim(t, err);
        if (r < 0) {
                free(t);
                return r;
        }
        *ret = t;
        return 0;
}

struct mv_trail *mv_trail_free(struct mv_trail *t)
{
        if (!t)
                return NULL;
        mv__trail_release(t);
        free(t->past);
        free(t);
        return NULL;
}

static struct mv_slice id_of(const struct mv_trail *t)
{
        return (struct mv_slice){ (const uint8_t *)t->id, t->id_len };
}

static int append_check(const struct mv_trail *t, enum mv_record_type type,
                        struct mv_slice semantic, struct mv_slice observed, struct mv_err *err)
{
        if (t->ended)
                return mv_fail(err, MV_E_STATE, 0, "execution %s: its trail has ended", t->id);
        if (type < 1 || (type >= MV_REC_ROOT && type != MV_REC_STEP_PROFILE))
                return mv_fail(err, MV_E_INVALID, 0,
                               "execution %s: record type %d is not for callers", t->id, (int)type);
        if (type == MV_REC_EXECUTION_STARTED && t->tree.count)
                return mv_fail(err, MV_E_STATE, 0, "execution %s: it has started already", t->id);
        if ((t->tree.count + 1) >> MV_MERKLE_LEVELS)
                return mv_fail(err, MV_E_LIMIT, 0, "execution %s: it has %lu records already",
                               t->id, (unsigned long)t->tree.count);
        if (semantic.len == 0)
                return mv_fail(err, MV_E_INVALID, 0, "execution %s: a record has a semantic part",
                               t->id);
        if (semantic.len > MV_AUDIT_PAYLOAD_MAX || observed.len > MV_AUDIT_PAYLOAD_MAX)
                return mv_fail(err, MV_E_LIMIT, 0,
                               "execution %s: a record part has at most %u bytes", t->id,
                               MV_AUDIT_PAYLOAD_MAX);
        return 0;
}

int mv_trail_append(struct mv_trail *t, enum mv_record_type type, struct mv_slice semantic,
                    struct mv_slice observed, struct mv_err *err)
{
        int r = append_check(t, type, semantic, observed, err);
        if (r < 0)
                return r;
        t->followed = mv_trail_following(t);
        if (t->followed)
                return mv__trail_compare(t, type, semantic, err);
        uint8_t leaf[MV_DIGEST_BYTES];
        r = mv__trail_put(t, type, semantic, observed, leaf, err);
        if (r == 0)
                mv_merkle_add(&t->tree, leaf);
        return r;
}

int mv__trail_put(struct mv_trail *t, enum mv_record_type type, struct mv_slice semantic,
                  struct mv_slice observed, uint8_t ret_leaf[MV_DIGEST_BYTES], struct mv_err *err)
{
        int r = mv__store_begin(t->audit, err);
        if (r < 0)
                return r;
        struct mv__record record = { .type = type,
                                     .id = id_of(t),
                                     .time_ms = t->time_ms,
                                     .semantic = semantic,
                                     .observed = observed };
        r = mv__store_put(t->audit, &record, err);
        if (r == 0)
                t->end = t->audit->end;
        mv__store_finish(t->audit);
        if (r == 0)
                memcpy(ret_leaf, record.leaf, sizeof record.leaf);
        return r;
}

void mv_trail_at(struct mv_trail *t, uint64_t time_ms)
{
        t->time_ms = time_ms;
}

int mv_trail_sync(struct mv_trail *t, struct mv_err *err)
{
        return mv__store_sync(t->audit, t->end, err);
}

/* With the store held. The root stands even when its seal fails: the next one covers it. */
static int put_root(struct mv_trail *t, const struct mv__root *root, struct mv_err *err)
{
        uint8_t semantic[80];
        struct mv_out s = mv_out(semantic, sizeof semantic);
        if (!mv__root_put(root, &s))
                return mv_fail(err, MV_E_INTERNAL, 0, "a root record does not fit");
        struct mv__record record = { .type = MV_REC_ROOT,
                                     .id = id_of(t),
                                     .time_ms = t->time_ms,
                                     .semantic = mv_out_slice(&s) };
        int r = mv__store_put(t->audit, &record, err);
        if (r < 0)
                return r;
        t->ended = true;
        r = mv__seal_due(t->audit) ? mv__seal_append(t->audit, err) : 0;
        t->end = t->audit->end;
        return r;
}

int mv_trail_end(struct mv_trail *t, uint8_t ret_root[MV_DIGEST_BYTES], uint32_t *ret_records,
                 struct mv_err *err)
{
        struct mv__root root = { .count = t->tree.count };
        if (t->ended)
                return mv_fail(err, MV_E_STATE, 0, "execution %s: its trail has ended", t->id);
        if (mv_trail_following(t))
                return mv_fail(err, MV_E_CORRUPT, 0,
                               "execution %s: it ended before it had done again what is recorded",
                               t->id);
        mv_merkle_root(&t->tree, root.root);
        int r = mv__store_begin(t->audit, err);
        if (r < 0)
                return r;
        r = put_root(t, &root, err);
        mv__store_finish(t->audit);
        if (r < 0)
                return r;
        r = mv__store_sync(t->audit, t->end, err);
        if (r < 0)
                return r;
        memcpy(ret_root, root.root, sizeof root.root);
        *ret_records = (uint32_t)root.count;
        return 0;
}
