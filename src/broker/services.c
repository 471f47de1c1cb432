/* SPDX-License-Identifier: Apache-2.0 */
/* What a running capability gets from its broker: captured output, notes for the metadata,
 * decisions made inside. */
#include <broker/internal.h>
#include <stdlib.h>

/* How much of s fits, cut between characters. */
static size_t fitting(const struct mv_broker *b, struct mv_slice s)
{
        size_t room = (size_t)b->limits.output_bytes_max - b->out.len - b->err.len;
        if (s.len <= room)
                return s.len;
        while (room && (s.p[room] & 0xc0) == 0x80)
                room--;
        return room;
}

bool mv__write_output(struct mv_broker *b, bool to_stderr, struct mv_slice s)
{
        struct bytes *to = to_stderr ? &b->err : &b->out;
        size_t take = fitting(b, s);
        if (!mv__bytes_reserve(to, to->len + take))
                take = 0;
        if (take)
                memcpy(to->p + to->len, s.p, take);
        to->len += take;
        if (take < s.len)
                b->truncated = true;
        return take == s.len;
}

static bool write_output(void *ctx, bool to_stderr, struct mv_slice s)
{
        return mv__write_output(ctx, to_stderr, s);
}

static void set_fatal(struct mv_broker *b, const char *what)
{
        if (b->fatal.code == MV_OK)
                (void)mv_fail(&b->fatal, MV_E_LIMIT, 0,
                              "broker: %s of this execution cannot be recorded any more", what);
}

/* Room for one more in an array of notes; false: the limit, or no memory. */
static bool note_room(void **array, uint32_t count, uint32_t *cap, size_t size)
{
        if (count < *cap)
                return true;
        uint32_t want = *cap ? *cap * 2 : 16;
        void *p = want <= NOTES_MAX ? realloc(*array, want * size) : NULL;
        if (!p)
                return false;
        *array = p;
        *cap = want;
        return true;
}

static const char *kept_text(struct mv_broker *b, struct mv_slice s)
{
        char *p = mv_new(&b->kept, char, s.len + 1);
        if (p && s.len)
                memcpy(p, s.p, s.len);
        return p;
}

/* Reading a file line by line is one operation of many bytes. */
static bool same_again(const struct mv_file_operation *last, struct mv_slice path,
                       const char *operation)
{
        return strcmp(last->operation, operation) == 0 && mv_slice_eq_str(path, last->path);
}

static void note_file(void *ctx, struct mv_slice path, const char *operation, uint64_t bytes)
{
        struct mv_broker *b = ctx;
        if (b->operations_count &&
            same_again(&b->operations[b->operations_count - 1], path, operation)) {
                b->operations[b->operations_count - 1].bytes += bytes;
                return;
        }
        struct mv_file_operation n = { kept_text(b, path), kept_text(b, mv_slice_str(operation)),
                                       bytes };
        if (!n.path || !n.operation ||
            !note_room((void **)&b->operations, b->operations_count, &b->operations_cap,
                       sizeof n)) {
                set_fatal(b, "the file operations");
                return;
        }
        b->operations[b->operations_count++] = n;
}

static void note_network(void *ctx, struct mv_slice url, const char *method, int status,
                         uint64_t sent, uint64_t received)
{
        struct mv_broker *b = ctx;
        struct mv_network_request n = { kept_text(b, url), kept_text(b, mv_slice_str(method)),
                                        status, sent, received };
        if (!n.url || !n.method ||
            !note_room((void **)&b->network, b->network_count, &b->network_cap, sizeof n)) {
                set_fatal(b, "the network requests");
                return;
        }
        b->network[b->network_count++] = n;
}

static bool spend(void *ctx, enum mv_spending what, uint64_t amount, bool untouched,
                  struct mv_room *ret)
{
        return mv__spend(ctx, what, amount, untouched, ret);
}

void mv__remember_denial(struct mv_broker *b, const struct mv_decision *d)
{
        if (!b->denied)
                b->denied = malloc(DENIALS_KEPT * sizeof *b->denied);
        uint32_t at = b->denials++ % DENIALS_KEPT;
        if (!b->denied)
                return; /* the denial stands, its hint is lost */
        struct denial *to = &b->denied[at];
        memcpy(to->operation, d->operation, sizeof to->operation);
        memcpy(to->capability, d->capability, sizeof to->capability);
        memcpy(to->context, d->context, sizeof to->context);
        memcpy(to->hint, d->hint, sizeof to->hint);
}

void mv__clean_decision(struct mv_decision *d)
{
        mv_text_make_utf8(d->rule);
        mv_text_make_utf8(d->operation);
        mv_text_make_utf8(d->capability);
        mv_text_make_utf8(d->context);
        mv_text_make_utf8(d->hint);
}

static int record_inside(struct mv_broker *b, struct mv_decision *d)
{
        mv__clean_decision(d);
        struct mv_err err;
        int r = mv__record_decision(b, NULL, d, mv_slice(NULL, 0), &err);
        if (r < 0)
                b->fatal = err;
        return r;
}

static int deny(void *ctx, const struct mv_decision *d)
{
        struct mv_broker *b = ctx;
        b->denied_inside = true;
        b->inside = *d;
        b->inside.allowed = false;
        int r = record_inside(b, &b->inside);
        return r < 0 ? r : -(int)MV_E_PROGRAM;
}

static int allow(void *ctx, const struct mv_decision *d)
{
        struct mv_broker *b = ctx;
        struct mv_decision copy = *d;
        int r = record_inside(b, &copy);
        if (r == 0)
                r = mv_trail_sync(b->o.trail, &b->fatal); /* the hop it allows is an effect */
        return r;
}

/* SHA-256 of the seed, the program and the name: nothing of it depends on the calls before. */
static bool draw(void *ctx, const struct mv_draw *d, uint64_t *ret)
{
        const struct mv_broker *b = ctx;
        uint8_t buf[3 * MV_DIGEST_BYTES + 8] = { 0 }, digest[MV_DIGEST_BYTES];
        struct mv_out o = mv_out(buf + 3 * MV_DIGEST_BYTES, 8);
        if (!b->o.seed && !d->fixed)
                return false;
        mv_sha256(mv_slice_str(d->fixed ? "" : b->o.seed), buf);
        if (b->o.plan)
                memcpy(buf + MV_DIGEST_BYTES, b->o.plan, MV_DIGEST_BYTES);
        mv_sha256(d->name, buf + 2 * MV_DIGEST_BYTES);
        mv_put_u64(&o, d->attempt);
        mv_sha256(mv_slice(buf, sizeof buf), digest);
        *ret = 0;
        for (int i = 0; i < 8; i++)
                *ret = *ret << 8 | digest[i];
        return true;
}

/* From the execution's own and the number of the call: another call, another seed, and the same ones in every run. */
static bool seed(void *ctx, char ret[MV_SEED_TEXT_BYTES])
{
        const struct mv_broker *b = ctx;
        uint8_t buf[MV_DIGEST_BYTES + 8], digest[MV_DIGEST_BYTES];
        struct mv_out o = mv_out(buf + MV_DIGEST_BYTES, 8);
        if (!b->o.seed)
                return false;
        mv_sha256(mv_slice_str(b->o.seed), buf);
        mv_put_u64(&o, b->calls);
        mv_sha256(mv_slice(buf, sizeof buf), digest);
        for (size_t i = 0; i < sizeof digest; i++)
                mv_fmt(ret + 2 * i, 3, "%02x", digest[i]);
        return true;
}

struct mv_call_host mv__services(struct mv_broker *b)
{
        return (struct mv_call_host){ .ctx = b,
                                      .write_output = write_output,
                                      .note_file = note_file,
                                      .note_network = note_network,
                                      .deny = deny,
                                      .spend = spend,
                                      .draw = draw,
                                      .seed = seed,
                                      .allow = allow };
}
