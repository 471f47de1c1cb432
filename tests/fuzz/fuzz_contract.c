/* SPDX-License-Identifier: Apache-2.0 */
/* Contracts and lists of revocations of any bytes, in each syntax: what a wire leaves of a context is within the context, and its
 * terms can be asked, whatever comes of it. The first byte chooses the syntax and whether the rest is the contract or the list beside a good one. */
#include <base/slice.h>
#include <broker/broker.h>
#include <config/contract.h>
#include <config/settings.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(x) ((x) ? (void)0 : abort())

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char dir[64];
static const char *const names[] = { "c.rtfs", "c.toml", "c.json", "revoked" };

static void clean(void)
{
        char path[96];
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
                snprintf(path, sizeof path, "%s/%s", dir, names[i]);
                unlink(path);
        }
        rmdir(dir);
}

static void begin(void)
{
        snprintf(dir, sizeof dir, "%s/mv-fuzz-contract-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        MUST(mkdtemp(dir));
        atexit(clean);
}

static void put(const char *name, const void *bytes, size_t len)
{
        char path[96];
        snprintf(path, sizeof path, "%s/%s", dir, name);
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        MUST(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
        close(fd);
}

static struct mv_context *granted(void)
{
        struct mv_err err;
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        MUST(c && mv_context_allow(c, "ccos.io.*", &err) == 0 &&
             mv_context_allow_read(c, "/data", &err) == 0 &&
             mv_context_allow_write(c, "/out", &err) == 0 &&
             mv_context_allow_host(c, "*.example", &err) == 0);
        return c;
}

static void check_within(struct mv_context *narrow, const struct mv_context *wide)
{
        for (int kind = 0; kind < MV_GRANT_KINDS; kind++) {
                const struct mv_grant_list *l = mv__grant_list(narrow, (enum mv_grant_kind)kind);
                for (uint32_t i = 0; kind != MV_GRANT_DENY_HOST && i < l->count; i++)
                        MUST(mv_grant_covered(wide, (enum mv_grant_kind)kind, l->items[i]));
        }
        MUST(!wide->limits.wall_ns_max || narrow->limits.wall_ns_max <= wide->limits.wall_ns_max);
}

static void ask_terms(const struct mv_context *narrow)
{
        struct mv_terms *kept = NULL;
        struct mv_terms_asked a = { .context = narrow,
                                    .capability = "ccos.io.read-file",
                                    .args = MV_SLICE("\x82\x01\x65/data"),
                                    .result = MV_SLICE("\x65text\n") };
        for (int after = 0; after < 2; after++) {
                struct mv_fault fault = { .message = "" };
                a.after = after;
                MUST(mv_terms_hold(&kept, &a, &fault) == !fault.message[0]);
        }
        mv_terms_free(kept);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        static const char good[] =
                "{:id \"ccos.io.read-file\" :version \"1.2.0\" :effects [[:fs {:paths "
                "[\"/data\"]}]]}";
        struct mv_contract_places places = { .directory = dir };
        struct mv_wire w = { .capability = { .given = true,
                                             .text = MV_SLICE("ccos.io.read-file") } };
        struct mv_err err;
        if (!dir[0])
                begin();
        if (len < 1 || len > 8192)
                return 0;
        const char *name = names[data[0] % 3];
        bool list = data[0] & 0x80;
        put("revoked", list ? data + 1 : data, list ? len - 1 : 0);
        if (list)
                put(name = "c.rtfs", good, sizeof good - 1);
        else
                put(name, data + 1, len - 1);
        w.contract = (struct mv_item){ .given = true, .text = mv_slice_str(name) };
        struct mv_context *c = granted(), *wide = granted();
        if (mv_wire_narrow(&w, &places, c, &err) == 0) {
                check_within(c, wide);
                if (c->terms.count)
                        ask_terms(c);
        }
        mv_context_free(c);
        mv_context_free(wide);
        return 0;
}
