/* SPDX-License-Identifier: Apache-2.0 */
/* URLs, host grants and paths from hostile hands. What is accepted must read back as itself: the canonical host is a fixed
 * point, and a path that is granted lies below its root. */
#include <policy/policy.h>
#include <security/lexical.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void check_url(struct mv_slice in)
{
        struct mv_url u;
        struct mv_err err;
        if (mv_url_parse(in, &u, &err) < 0)
                return;
        struct mv_host_name again;
        if (u.port == 0 || mv__host_check(mv_slice_str(u.host_ascii), &again) ||
            strcmp(again.text, u.host_ascii) != 0)
                abort();
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        struct mv_decision d;
        if (!c || mv_context_allow_host(c, u.host_ascii, &err) < 0)
                abort();
        mv_policy_host(c, &u, "x", &d);
        if (!d.allowed)
                abort();
        mv_context_free(c);
}

static void check_grant(struct mv_slice in)
{
        char once[MV_HOST_TEXT_BYTES + 16], twice[MV_HOST_TEXT_BYTES + 16];
        if (mv__host_grant_check(in, once))
                return;
        if (mv__host_grant_check(mv_slice_str(once), twice) || strcmp(once, twice) != 0)
                abort();
}

static void check_path(struct mv_slice in)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        struct mv_decision d;
        struct mv_slice root;
        if (!c || mv_context_allow_write(c, "/tmp", NULL) < 0)
                abort();
        if (mv_policy_path(c, in, true, "x", &d, &root) >= 0 &&
            (!mv_slice_starts(in, "/tmp") || (in.len > 4 && in.p[4] != '/') ||
             memmem(in.p, in.len, "/../", 4)))
                abort();
        if (strlen(d.context) >= sizeof d.context ||
            !mv_slice_eq(mv_slice_str(d.operation), MV_SLICE("filesystem")))
                abort();
        mv_context_free(c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        struct mv_slice in = { data, len };
        check_url(in);
        check_grant(in);
        check_path(in);
        return 0;
}
