/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the files in the queue of approvals, as whoever can read the store's key could sign them: a request that is taken needs
 * somebody's word, reads back as it was written, and extends a budget by no less than it needs and no more than there is; a vote has
 * a name that fits. */
#include <audit/approvals.h>
#include <base/slice.h>
#include <stdlib.h>
#include <string.h>

#define MUST(x) ((x) ? (void)0 : abort())
#define ID      "apr_00112233445566778899aabbccddeeff"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_request(struct mv_slice body)
{
        static uint8_t again[1 << 16];
        struct mv_arena a = mv_arena_grow(1 << 20);
        struct mv_approval_request q = { .call = 0 };
        if (mv__approval_request_get(body, ID, &a, &q)) {
                struct mv_out o = mv_out(again, sizeof again);
                MUST(q.approvals >= 1 && q.approvals <= MV_APPROVAL_VOTERS_MAX);
                MUST(strcmp(q.id, ID) == 0 && (!q.step || q.step[0]));
                MUST(!q.about_budget ||
                     (q.budget.what < MV_SPEND_MAX_ && q.budget.max < q.budget.needed &&
                      q.budget.needed <= q.budget.to && q.budget.to <= q.budget.ceiling));
                mv__approval_request_put(&o, &q);
                MUST(!o.overflow && mv_slice_eq(mv_out_slice(&o), body));
        }
        mv_arena_done(&a);
}

static void check_vote(struct mv_slice body)
{
        struct mv_arena a = mv_arena_grow(1 << 20);
        struct mv_approval_vote v;
        memset(&v, 0x55, sizeof v);
        if (mv__approval_vote_get(body, ID, &a, &v))
                MUST(memchr(v.name, 0, sizeof v.name) && v.by <= INT64_MAX);
        mv_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_slice body = { data, len };
        if (len > 1 << 15)
                return 0;
        check_request(body);
        check_vote(body);
        return 0;
}
