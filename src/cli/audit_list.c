/* SPDX-License-Identifier: Apache-2.0 */
/* `audit list`: the executions of a store, how each of them stands, and its checkpoint: the root over its records so far
 * (REQ-CKPT-02, -03). Ids, names and agents are somebody else's bytes: they go to a terminal by cli_write only. */
#include <base/err.h>
#include <base/slice.h>
#include <cli/audit_list.h>
#include <host/cbor_map.h>
#include <host/jsonw.h>
#include <stdlib.h>
#include <time.h>

enum standing {                    /* in the order in which one becomes the next */
                STANDS_UNFINISHED, /* it runs, or its process died */
                STANDS_WAITING,
                STANDS_ENDED,
                STANDS_DENIED /* nothing of it ran */
};
static const char *const standings[] = { "unfinished", "waiting", "ended", "denied" };

struct execution {
        char id[64], termination[24], name[80], agent[80];
        uint64_t started_ms, records;
        enum standing stands;
        struct mv_merkle *tree; /* until there is a root */
        uint8_t root[MV_DIGEST_BYTES];
};
struct executions {
        struct execution *items; /* in the order of their beginning */
        uint32_t *slots;         /* by digest of the id: index + 1 */
        uint32_t count, room;    /* slots: twice the room, a power of two */
};

static uint32_t slot_of(const char *id)
{
        uint32_t h = 2166136261u; /* FNV-1a */
        for (; *id; id++)
                h = (h ^ (uint8_t)*id) * 16777619u;
        return h;
}

static bool grow(struct executions *l)
{
        uint32_t room = l->room ? l->room * 2 : 64;
        struct execution *items = realloc(l->items, room * sizeof *items);
        uint32_t *slots = items ? calloc(2 * (size_t)room, sizeof *slots) : NULL;
        if (items)
                l->items = items;
        if (!slots)
                return false;
        for (uint32_t i = 0; i < l->count; i++) {
                uint32_t at = slot_of(items[i].id);
                while (slots[at & (2 * room - 1)])
                        at++;
                slots[at & (2 * room - 1)] = i + 1;
        }
        free(l->slots);
        l->slots = slots;
        l->room = room;
        return true;
}

/* The execution of that id; a new one when there is none. NULL: no memory. */
static struct execution *execution_of(struct executions *l, const char *id)
{
        if (l->count == l->room && !grow(l))
                return NULL;
        uint32_t at = slot_of(id), mask = 2 * l->room - 1;
        for (; l->slots[at & mask]; at++)
                if (strcmp(l->items[l->slots[at & mask] - 1].id, id) == 0)
                        return &l->items[l->slots[at & mask] - 1];
        struct execution *e = &l->items[l->count++];
        *e = (struct execution){ .tree = calloc(1, sizeof *e->tree) };
        mv_fmt(e->id, sizeof e->id, "%s", id);
        l->slots[at & mask] = l->count;
        return e->tree ? e : NULL;
}

/* --- from its records ------------------------------------------------------------------------- */
static void keep_text(struct mv_slice map, const char *key, char *buf, size_t cap)
{
        struct mv_slice s = mv__map_text(map, key);
        size_t n = s.len < cap ? s.len : cap - 1;
        if (n)
                memcpy(buf, s.p, n);
        buf[n] = '\0';
}

static void take_root(struct execution *e, const struct mv_audit_record *rec)
{
        struct mv_cbor_item it;
        struct mv_err ignored;
        if (mv__map_item(rec->semantic, "root", MV_CBOR_BYTES, &it, &ignored) == 0 &&
            it.kind == MV_CBOR_BYTES && it.text.len == sizeof e->root)
                memcpy(e->root, it.text.p, sizeof e->root);
        free(e->tree);
        e->tree = NULL;
        if (e->stands != STANDS_DENIED)
                e->stands = STANDS_ENDED;
}

static void take(struct execution *e, const struct mv_audit_record *rec)
{
        e->records++;
        if (rec->type == MV_REC_ROOT) {
                take_root(e, rec);
                return;
        }
        if (mv_record_is_note(rec->type)) {
                if (rec->type == MV_REC_PAUSED)
                        e->stands = STANDS_WAITING;
                else if (rec->type == MV_REC_RESUMED)
                        e->stands = STANDS_UNFINISHED;
                return;
        }
        if (rec->type == MV_REC_EXECUTION_STARTED) {
                if (e->tree) /* its process died: it began anew */
                        e->tree->count = 0;
                e->started_ms = rec->time_ms;
                keep_text(rec->observed, "name", e->name, sizeof e->name);
                keep_text(rec->observed, "agent", e->agent, sizeof e->agent);
        } else if (rec->type == MV_REC_DECISION && e->records == 1) {
                e->started_ms = rec->time_ms;
                e->stands = STANDS_DENIED;
                keep_text(rec->observed, "agent", e->agent, sizeof e->agent);
        } else if (rec->type == MV_REC_EXECUTION_ENDED) {
                keep_text(rec->semantic, "termination", e->termination, sizeof e->termination);
        }
        if (e->tree && e->tree->count >> (MV_MERKLE_LEVELS - 1) == 0)
                mv_merkle_add(e->tree, rec->semantic_digest);
}

/* --- printing --------------------------------------------------------------------------------- */
static void checkpoint_of(const struct execution *e, char ret[72])
{
        uint8_t root[MV_DIGEST_BYTES];
        memcpy(root, e->root, sizeof root);
        if (e->tree)
                mv_merkle_root(e->tree, root);
        size_t n = mv_fmt(ret, 72, "cp-");
        for (size_t i = 0; i < sizeof root; i++)
                n += mv_fmt(ret + n, 72 - n, "%02x", root[i]);
}

static void put_json(struct mv__jsonw *w, const struct execution *e)
{
        char checkpoint[72];
        checkpoint_of(e, checkpoint);
        mv__json_open(w, NULL, '{');
        mv__json_str(w, "execution_id", e->id);
        mv__json_str(w, "state", standings[e->stands]);
        mv__json_text(w, "termination", e->termination);
        mv__json_uint(w, "started_ms", e->started_ms);
        mv__json_text(w, "agent", e->agent);
        mv__json_text(w, "program", e->name);
        mv__json_uint(w, "records", e->records);
        mv__json_str(w, "checkpoint", checkpoint);
        mv__json_close(w, '}');
}

static void put_line(const struct execution *e)
{
        char stamp[32], checkpoint[72];
        time_t seconds = (time_t)(e->started_ms / 1000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%SZ", &tm);
        checkpoint_of(e, checkpoint);
        printf("%s %s ", stamp, e->id);
        cli_paint(stdout,
                  e->stands == STANDS_ENDED    ? CLI_GREEN
                  : e->stands == STANDS_DENIED ? CLI_RED
                                               : CLI_YELLOW,
                  "%-10s", standings[e->stands]);
        printf(" %-10s %.15s...", e->stands == STANDS_ENDED ? e->termination : "", checkpoint);
        cli_write(stdout, mv_slice_str(e->agent[0] ? " agent " : ""));
        cli_write(stdout, mv_slice_str(e->agent));
        cli_write(stdout, mv_slice_str(" "));
        cli_write(stdout, mv_slice_str(e->name));
        putchar('\n');
}

static void print_all(const struct executions *l, const struct cli_options *o, const char *broken)
{
        struct mv__jsonw w;
        mv__json_begin(&w);
        mv__json_open(&w, NULL, '{');
        mv__json_open(&w, "executions", '[');
        for (uint32_t i = 0; i < l->count; i++) {
                const struct execution *e = &l->items[i];
                if ((o->execution && strcmp(e->id, o->execution) != 0) ||
                    (o->denied && e->stands != STANDS_DENIED))
                        continue;
                if (o->json)
                        put_json(&w, e);
                else
                        put_line(e);
        }
        mv__json_close(&w, ']');
        if (broken)
                mv__json_str(&w, "error", broken);
        mv__json_close(&w, '}');
        char *text = mv__json_end(&w);
        if (o->json)
                (void)cli_json_line(text);
        else
                free(text);
}

static void done(struct executions *l)
{
        for (uint32_t i = 0; i < l->count; i++)
                free(l->items[i].tree);
        free(l->items);
        free(l->slots);
}

int cli_audit_list(const struct cli_options *o, const char *path)
{
        struct mv_audit_reader *reader;
        struct mv_audit_record rec;
        struct executions l = { NULL, NULL, 0, 0 };
        struct mv_err err;
        if (mv_audit_reader_open(path, &reader, &err) < 0)
                return cli_error(&err, o->json);
        int r;
        while ((r = mv_audit_read(reader, &rec, &err)) == 1) {
                struct execution *e =
                        rec.type == MV_REC_SEAL ? NULL : execution_of(&l, rec.execution_id);
                if (e)
                        take(e, &rec);
                else if (rec.type != MV_REC_SEAL)
                        break;
        }
        if (r == 1)
                r = mv_fail(&err, MV_E_NOMEM, 0, "the executions of %s", path);
        mv_audit_reader_close(reader);
        print_all(&l, o, r < 0 ? err.msg : NULL);
        done(&l);
        return r == 0 ? CLI_DONE : o->json ? CLI_FAILED : cli_error(&err, false);
}
