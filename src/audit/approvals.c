/* SPDX-License-Identifier: Apache-2.0 */
/* The queue of approvals on the disk; the invariants are in approvals.h.
 *
 *   PATH.approvals/ID.request      signature (64 bytes) || body
 *   PATH.approvals/ID.VOTER.vote   VOTER: 16 hexadecimal digits of SHA-256(uid, name): one file per approver
 *
 * The body is deterministic CBOR; the signature covers "ccos-microvm approval v1", the digest of the store's header, the
 * file's kind, and the body. A file is written beside, synced, and linked to its name: it is whole or not there, and a name
 * is taken once. Names of files are made here from checked parts; nothing follows a link. */
#include <audit/approvals.h>
#include <audit/store.h>
#include <base/slice.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <wire/cbor.h>

#define FILE_NAME_BYTES  96
#define BODY_BYTES_MAX   (MV_APPROVAL_BYTES_MAX - MV_SIGNATURE_BYTES)
#define REQUESTS_MAX     65536
#define FOLDED_BYTES_MAX 4096 /* arguments that take more are shown by their size alone */

static uint64_t now_ms(void)
{
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

const char *mv_approval_state_name(enum mv_approval_state s)
{
        static const char *const names[MV_APPROVAL_STATE_MAX_] = { "waiting", "approved",
                                                                   "rejected", "expired" };
        return s < MV_APPROVAL_STATE_MAX_ ? names[s] : "unknown state";
}

static void hex(const uint8_t *p, size_t n, char *ret)
{
        static const char digits[] = "0123456789abcdef";
        for (size_t i = 0; i < n; i++) {
                *ret++ = digits[p[i] >> 4];
                *ret++ = digits[p[i] & 15];
        }
        *ret = '\0';
}

void mv_approval_id(const uint8_t digest[MV_DIGEST_BYTES], char ret[MV_APPROVAL_ID_BYTES])
{
        memcpy(ret, "apr_", 4);
        hex(digest, 16, ret + 4);
}

static bool is_hex(const char *s, size_t n)
{
        for (size_t i = 0; i < n; i++)
                if (!((s[i] >= '0' && s[i] <= '9') || (s[i] >= 'a' && s[i] <= 'f')))
                        return false;
        return true;
}

static bool id_ok(const char *id)
{
        return strlen(id) == 36 && strncmp(id, "apr_", 4) == 0 && is_hex(id + 4, 32);
}

/* --- the directory ---------------------------------------------------------------------------- */
static int dir_open(struct mv_audit *a, bool make, int *ret, struct mv_err *err)
{
        char path[4200];
        struct stat st;
        if (!a->path)
                return mv_fail(err, MV_E_UNSUPPORTED, 0,
                               "approvals need an audit store in a file: --audit FILE");
        mv_fmt(path, sizeof path, "%s.approvals", a->path);
        if (make && mkdir(path, 0700) < 0 && errno != EEXIST)
                return mv_fail(err, MV_E_SYS, errno, "make the queue of approvals %s", path);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0)
                return mv_fail(err, errno == ENOENT ? MV_E_NOT_FOUND : MV_E_SYS, errno,
                               "open the queue of approvals %s", path);
        if (fstat(fd, &st) < 0 || st.st_uid != geteuid() || st.st_mode & 022) {
                close(fd);
                return mv_fail(err, MV_E_DENIED, 0,
                               "queue of approvals %s: not ours, or others may write it", path);
        }
        *ret = fd;
        return 0;
}

/* --- signed files ----------------------------------------------------------------------------- */
static struct mv_slice message_of(const struct mv_audit *a, const char *kind, struct mv_slice body,
                                  uint8_t buf[128])
{
        uint8_t digest[MV_DIGEST_BYTES];
        struct mv_out o = mv_out(buf, 128);
        mv_sha256(body, digest);
        mv_put_str(&o, "ccos-microvm approval v1");
        mv_put_bytes(&o, a->header.digest, sizeof a->header.digest);
        mv_put_str(&o, kind);
        mv_put_bytes(&o, digest, sizeof digest);
        return mv_out_slice(&o);
}

static int write_all(int fd, struct mv_slice s)
{
        while (s.len) {
                ssize_t n = write(fd, s.p, s.len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        return -1;
                s = mv_slice(s.p + n, s.len - (size_t)n);
        }
        return 0;
}

/* EXISTS: the name is taken. */
static int put_file(struct mv_audit *a, int dir, const char *name, const char *kind,
                    struct mv_slice body, struct mv_err *err)
{
        uint8_t message[128], signature[MV_SIGNATURE_BYTES];
        char beside[FILE_NAME_BYTES];
        int r = mv__key_sign(a->key, message_of(a, kind, body, message), signature, err);
        if (r < 0)
                return r;
        mv_fmt(beside, sizeof beside, ".new.%ld.%.40s", (long)getpid(), name + 4);
        unlinkat(dir, beside, 0);
        int fd = openat(dir, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                return mv_fail(err, MV_E_SYS, errno, "write to the queue of approvals");
        bool ok = write_all(fd, mv_slice(signature, sizeof signature)) == 0 &&
                  write_all(fd, body) == 0 && fsync(fd) == 0;
        close(fd);
        ok = ok && linkat(dir, beside, dir, name, 0) == 0;
        int sys = errno;
        unlinkat(dir, beside, 0);
        if (!ok)
                return mv_fail(err, sys == EEXIST ? MV_E_EXISTS : MV_E_SYS, sys,
                               "write to the queue of approvals");
        return fsync(dir) == 0 ? 0 : mv_fail(err, MV_E_SYS, errno, "sync the queue of approvals");
}

static int read_bytes(int dir, const char *name, struct mv_arena *arena, struct mv_slice *ret,
                      struct mv_err *err)
{
        struct stat st;
        int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0)
                return mv_fail(err, errno == ENOENT ? MV_E_NOT_FOUND : MV_E_CORRUPT, errno,
                               "open %s in the queue of approvals", name);
        bool ok = fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > MV_SIGNATURE_BYTES &&
                  st.st_size <= MV_APPROVAL_BYTES_MAX;
        uint8_t *p = ok ? mv_new(arena, uint8_t, (size_t)st.st_size) : NULL;
        ssize_t n = p ? read(fd, p, (size_t)st.st_size) : -1;
        close(fd);
        if (!ok || !p || n != st.st_size)
                return mv_fail(err, MV_E_CORRUPT, 0,
                               "%s in the queue of approvals is not a file of ours", name);
        *ret = mv_slice(p, (size_t)n);
        return 0;
}

/* *ret: the body, in the arena. */
static int get_file(struct mv_audit *a, int dir, const char *name, const char *kind,
                    struct mv_arena *arena, struct mv_slice *ret, struct mv_err *err)
{
        uint8_t message[128];
        struct mv_slice all;
        int r = read_bytes(dir, name, arena, &all, err);
        if (r < 0)
                return r;
        struct mv_slice body = mv_slice(all.p + MV_SIGNATURE_BYTES, all.len - MV_SIGNATURE_BYTES);
        if (!mv__key_verify(a->header.public_key, message_of(a, kind, body, message), all.p))
                return mv_fail(err, MV_E_CORRUPT, 0,
                               "%s in the queue of approvals is not signed with the store's key",
                               name);
        *ret = body;
        return 0;
}

/* --- requests --------------------------------------------------------------------------------- */
#define REQUEST_ITEMS 10
#define BUDGET_ITEMS  6

/* [id execution rule capability step call approvals created expires args], and of a budget [... what max spent needed to
 * ceiling] */
void mv__approval_request_put(struct mv_out *o, const struct mv_approval_request *q)
{
        mv_cbor_put_array(o, REQUEST_ITEMS + (q->about_budget ? BUDGET_ITEMS : 0));
        mv_cbor_put_str(o, q->id);
        mv_cbor_put_str(o, q->execution_id);
        mv_cbor_put_str(o, q->rule);
        mv_cbor_put_str(o, q->capability);
        mv_cbor_put_str(o, q->step ? q->step : "");
        mv_cbor_put_int(o, (int64_t)q->call);
        mv_cbor_put_int(o, q->approvals);
        mv_cbor_put_int(o, (int64_t)q->created_ms);
        mv_cbor_put_int(o, (int64_t)q->expires_ms);
        mv_put_slice(o, q->args);
        const struct mv_approval_budget *b = &q->budget;
        const uint64_t numbers[BUDGET_ITEMS] = { (uint64_t)b->what, b->max, b->spent,
                                                 b->needed,         b->to,  b->ceiling };
        for (size_t i = 0; q->about_budget && i < BUDGET_ITEMS; i++)
                mv_cbor_put_int(o, (int64_t)numbers[i]);
}

static bool get_text(struct mv_cur *c, struct mv_arena *arena, const char **ret)
{
        struct mv_cbor_item it;
        struct mv_err ignored;
        if (mv_cbor_next(c, &it, &ignored) < 0 || it.kind != MV_CBOR_TEXT ||
            (it.text.len && memchr(it.text.p, 0, it.text.len)))
                return false;
        char *p = mv_new(arena, char, it.text.len + 1);
        if (!p)
                return false;
        if (it.text.len)
                memcpy(p, it.text.p, it.text.len);
        *ret = p;
        return true;
}

static bool get_count(struct mv_cur *c, uint64_t *ret)
{
        struct mv_cbor_item it;
        struct mv_err ignored;
        if (mv_cbor_next(c, &it, &ignored) < 0 || it.kind != MV_CBOR_INT || it.integer < 0)
                return false;
        *ret = (uint64_t)it.integer;
        return true;
}

static bool get_array(struct mv_cur *c, uint64_t count)
{
        struct mv_cbor_item it;
        struct mv_err ignored;
        return mv_cbor_next(c, &it, &ignored) == 0 && it.kind == MV_CBOR_ARRAY && it.count == count;
}

static bool get_budget(struct mv_cur *c, struct mv_approval_budget *b)
{
        uint64_t what;
        if (!get_count(c, &what) || what >= MV_SPEND_MAX_)
                return false;
        b->what = (enum mv_spending)what;
        return get_count(c, &b->max) && get_count(c, &b->spent) && get_count(c, &b->needed) &&
               get_count(c, &b->to) && get_count(c, &b->ceiling) && b->max < b->needed &&
               b->needed <= b->to && b->to <= b->ceiling; /* (5) */
}

bool mv__approval_request_get(struct mv_slice body, const char *id, struct mv_arena *arena,
                              struct mv_approval_request *q)
{
        struct mv_cur c = mv_cur(body), again = c;
        struct mv_err ignored;
        const char *own = NULL;
        uint64_t approvals = 0;
        q->about_budget = get_array(&again, REQUEST_ITEMS + BUDGET_ITEMS);
        bool ok = get_array(&c, REQUEST_ITEMS + (q->about_budget ? BUDGET_ITEMS : 0)) &&
                  get_text(&c, arena, &own) && strcmp(own, id) == 0 &&
                  get_text(&c, arena, &q->execution_id) && get_text(&c, arena, &q->rule) &&
                  get_text(&c, arena, &q->capability) && get_text(&c, arena, &q->step) &&
                  get_count(&c, &q->call) && get_count(&c, &approvals) &&
                  get_count(&c, &q->created_ms) && get_count(&c, &q->expires_ms) &&
                  mv_cbor_skip(&c, &q->args, &ignored) == 0 &&
                  (!q->about_budget || get_budget(&c, &q->budget)) && mv_cur_done(&c);
        if (!ok || approvals == 0 || approvals > MV_APPROVAL_VOTERS_MAX)
                return false; /* none needed would be approved */
        mv_fmt(q->id, sizeof q->id, "%s", id);
        q->approvals = (uint32_t)approvals;
        q->step = q->step[0] ? q->step : NULL;
        return true;
}

static int read_request(struct mv_audit *a, int dir, const char *id, struct mv_arena *arena,
                        struct mv_approval_request *ret, struct mv_err *err)
{
        char name[FILE_NAME_BYTES];
        struct mv_slice body;
        struct mv_approval_request q = { .call = 0 };
        if (!id_ok(id))
                return mv_fail(err, MV_E_INVALID, 0,
                               "an approval's id is apr_ and 32 hexadecimal digits");
        mv_fmt(name, sizeof name, "%s.request", id);
        int r = get_file(a, dir, name, "request", arena, &body, err);
        if (r < 0)
                return r;
        if (!mv__approval_request_get(body, id, arena, &q))
                return mv_fail(err, MV_E_CORRUPT, 0, "%s is another request", name);
        *ret = q;
        return 0;
}

int mv_approval_read(struct mv_audit *a, const char *id, struct mv_arena *arena,
                     struct mv_approval_request *ret, struct mv_err *err)
{
        int dir, r = dir_open(a, false, &dir, err);
        if (r < 0)
                return r;
        r = read_request(a, dir, id, arena, ret, err);
        close(dir);
        return r;
}

int mv_approval_ask(struct mv_audit *a, const struct mv_approval_request *q, bool *ret_new,
                    struct mv_err *err)
{
        char name[FILE_NAME_BYTES];
        uint8_t *body = malloc(BODY_BYTES_MAX);
        struct mv_out o = mv_out(body, body ? BODY_BYTES_MAX : 0);
        struct mv_approval_request shown = *q;
        int dir, r = body ? dir_open(a, true, &dir, err) : mv_fail(err, MV_E_NOMEM, 0, "approvals");
        if (r < 0) {
                free(body);
                return r;
        }
        static const uint8_t nothing[] = { 0x80 }; /* the id covers them all the same */
        if (q->args.len > FOLDED_BYTES_MAX)
                shown.args = mv_slice(nothing, sizeof nothing);
        mv__approval_request_put(&o, &shown);
        mv_fmt(name, sizeof name, "%s.request", q->id);
        r = o.overflow ? mv_fail(err, MV_E_LIMIT, 0, "an approval's request is too large")
                       : put_file(a, dir, name, "request", mv_out_slice(&o), err);
        close(dir);
        free(body);
        *ret_new = r == 0;
        return r == -(int)MV_E_EXISTS ? 0 : r;
}

/* --- votes ------------------------------------------------------------------------------------ */
static void vote_name(const char *id, const struct mv_approval_vote *v, char ret[FILE_NAME_BYTES])
{
        uint8_t who[8 + sizeof v->name], digest[MV_DIGEST_BYTES];
        char voter[17];
        struct mv_out o = mv_out(who, sizeof who);
        mv_put_u64(&o, v->uid);
        mv_put_str(&o, v->name);
        mv_sha256(mv_out_slice(&o), digest);
        hex(digest, 8, voter);
        mv_fmt(ret, FILE_NAME_BYTES, "%s.%s.vote", id, voter);
}

#define VOTE_ITEMS 5

/* [id uid name time approve], and with an amount [... by] */
bool mv__approval_vote_get(struct mv_slice body, const char *id, struct mv_arena *arena,
                           struct mv_approval_vote *v)
{
        struct mv_cur c = mv_cur(body), again = c;
        struct mv_cbor_item it;
        struct mv_err ignored;
        const char *own, *name;
        bool amount = get_array(&again, VOTE_ITEMS + 1);
        v->by = 0;
        bool ok = get_array(&c, VOTE_ITEMS + amount) && get_text(&c, arena, &own) &&
                  strcmp(own, id) == 0 && get_count(&c, &v->uid) && get_text(&c, arena, &name) &&
                  strlen(name) <= MV_APPROVAL_NAME_MAX && get_count(&c, &v->time_ms) &&
                  mv_cbor_next(&c, &it, &ignored) == 0 && it.kind == MV_CBOR_BOOL &&
                  (!amount || (get_count(&c, &v->by) && v->by > 0)) && mv_cur_done(&c);
        if (!ok)
                return false;
        mv_fmt(v->name, sizeof v->name, "%s", name);
        v->approve = it.boolean;
        return true;
}

/* (5). *ret: what it makes of the budget. */
static bool amount_fits(const struct mv_approval_request *q, uint64_t by, uint64_t *ret)
{
        const struct mv_approval_budget *b = &q->budget;
        *ret = b->to;
        if (!by)
                return true;
        return q->about_budget && !__builtin_add_overflow(b->max, by, ret) && *ret >= b->needed &&
               *ret <= b->ceiling;
}

/* A vote for this request that counts? Its file's name is the one its approver has: two files are two approvers (3). */
static bool take_vote(struct mv_audit *a, int dir, const char *name,
                      const struct mv_approval_request *q, struct mv_approval_vote *ret)
{
        char wanted[FILE_NAME_BYTES];
        struct mv_slice body;
        struct mv_err ignored;
        struct mv_arena arena = mv_arena_grow(2 * MV_APPROVAL_BYTES_MAX);
        bool ok = get_file(a, dir, name, "vote", &arena, &body, &ignored) == 0 &&
                  mv__approval_vote_get(body, q->id, &arena, ret);
        mv_arena_done(&arena);
        if (!ok)
                return false;
        uint64_t to;
        vote_name(q->id, ret, wanted);
        return strcmp(wanted, name) == 0 && ret->time_ms <= q->expires_ms && /* (4) */
               (ret->approve ? amount_fits(q, ret->by, &to) : !ret->by);
}

static bool is_vote_for(const char *name, const char *id)
{
        return strlen(name) == 58 && strncmp(name, id, 36) == 0 && name[36] == '.' &&
               is_hex(name + 37, 16) && strcmp(name + 53, ".vote") == 0;
}

static int read_votes(struct mv_audit *a, int dir, const struct mv_approval_request *q,
                      struct mv_approval_status *s, struct mv_err *err)
{
        int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *d = again < 0 ? NULL : fdopendir(again);
        if (!d)
                return mv_fail(err, MV_E_SYS, errno, "read the queue of approvals");
        for (struct dirent *e; s->votes_count < MV_APPROVAL_VOTERS_MAX && (e = readdir(d));)
                if (is_vote_for(e->d_name, q->id) &&
                    take_vote(a, dir, e->d_name, q, &s->votes[s->votes_count]))
                        s->votes_count++;
        closedir(d);
        return 0;
}

/* (5) */
static uint64_t least_extension(const struct mv_approval_request *q,
                                const struct mv_approval_status *s)
{
        uint64_t least = UINT64_MAX, to;
        for (uint32_t i = 0; i < s->votes_count; i++)
                if (s->votes[i].approve && amount_fits(q, s->votes[i].by, &to) && to < least)
                        least = to;
        return least;
}

static int judge(struct mv_audit *a, int dir, const struct mv_approval_request *q,
                 struct mv_approval_status *ret, struct mv_err *err)
{
        uint64_t now = now_ms();
        uint32_t yes = 0, no = 0;
        memset(ret, 0, sizeof *ret);
        if (now < q->created_ms)
                return mv_fail(err, MV_E_STATE, 0,
                               "the clock stands before approval %s was asked for: set it right",
                               q->id);
        int r = read_votes(a, dir, q, ret, err);
        for (uint32_t i = 0; i < ret->votes_count; i++)
                ret->votes[i].approve ? yes++ : no++;
        ret->state = no                    ? MV_APPROVAL_REJECTED
                     : yes >= q->approvals ? MV_APPROVAL_APPROVED
                     : now > q->expires_ms ? MV_APPROVAL_EXPIRED
                                           : MV_APPROVAL_WAITING;
        if (q->about_budget && ret->state == MV_APPROVAL_APPROVED)
                ret->extended_to = least_extension(q, ret);
        return r;
}

int mv_approval_status(struct mv_audit *a, const struct mv_approval_request *q,
                       struct mv_approval_status *ret, struct mv_err *err)
{
        int dir, r = dir_open(a, false, &dir, err);
        if (r < 0)
                return r;
        r = judge(a, dir, q, ret, err);
        close(dir);
        return r;
}

static int voter(const char *name, struct mv_approval_vote *v, struct mv_err *err)
{
        struct passwd *p = name ? NULL : getpwuid(getuid());
        char number[24];
        mv_fmt(number, sizeof number, "%lu", (unsigned long)getuid());
        const char *n = name ? name : p ? p->pw_name : number;
        size_t len = strlen(n);
        for (size_t i = 0; i < len; i++)
                if (n[i] <= ' ' || n[i] > '~')
                        len = 0;
        if (!len || len > MV_APPROVAL_NAME_MAX)
                return mv_fail(err, MV_E_INVALID, 0,
                               "an approver's name is 1 to %d printable characters without blanks",
                               MV_APPROVAL_NAME_MAX);
        *v = (struct mv_approval_vote){ .uid = getuid(), .time_ms = now_ms() };
        mv_fmt(v->name, sizeof v->name, "%s", n);
        return 0;
}

static int put_vote(struct mv_audit *a, int dir, const char *id, const struct mv_approval_vote *v,
                    struct mv_err *err)
{
        uint8_t buf[256];
        char name[FILE_NAME_BYTES];
        struct mv_out o = mv_out(buf, sizeof buf);
        mv_cbor_put_array(&o, VOTE_ITEMS + (v->by > 0));
        mv_cbor_put_str(&o, id);
        mv_cbor_put_int(&o, (int64_t)v->uid);
        mv_cbor_put_str(&o, v->name);
        mv_cbor_put_int(&o, (int64_t)v->time_ms);
        mv_cbor_put_bool(&o, v->approve);
        if (v->by)
                mv_cbor_put_int(&o, (int64_t)v->by);
        vote_name(id, v, name);
        int r = put_file(a, dir, name, "vote", mv_out_slice(&o), err);
        return r == -(int)MV_E_EXISTS ? mv_fail(err, MV_E_EXISTS, 0,
                                                "%s has voted about %s: a vote stands", v->name, id)
                                      : r;
}

/* (5): told now, instead of not counting later. */
static int check_amount(const struct mv_approval_request *q, const struct mv_approval_vote *v,
                        struct mv_err *err)
{
        const struct mv_approval_budget *b = &q->budget;
        uint64_t to;
        if (v->by && (!v->approve || !q->about_budget))
                return mv_fail(err, MV_E_INVALID, 0,
                               "%s: only who approves the extension of a budget says by how much",
                               q->id);
        if (amount_fits(q, v->by, &to))
                return 0;
        return mv_fail(err, MV_E_INVALID, 0,
                       "%s: an extension by %llu: the budget is %llu %s, the call needs %llu and "
                       "other budgets end at %llu; %llu to %llu would do",
                       q->id, (unsigned long long)v->by, (unsigned long long)b->max,
                       mv_spending_name(b->what), (unsigned long long)b->needed,
                       (unsigned long long)b->ceiling, (unsigned long long)(b->needed - b->max),
                       (unsigned long long)(b->ceiling - b->max));
}

static int vote_in(struct mv_audit *a, int dir, const char *id, const struct mv_approval_vote *v,
                   struct mv_err *err)
{
        struct mv_arena arena = mv_arena_grow(2 * MV_APPROVAL_BYTES_MAX);
        struct mv_approval_request q;
        struct mv_approval_status s;
        int r = read_request(a, dir, id, &arena, &q, err);
        if (r == 0)
                r = judge(a, dir, &q, &s, err);
        if (r == 0)
                r = check_amount(&q, v, err);
        mv_arena_done(&arena);
        if (r == 0 && s.state != MV_APPROVAL_WAITING)
                r = mv_fail(err, MV_E_STATE, 0, "%s is %s", id, mv_approval_state_name(s.state));
        return r < 0 ? r : put_vote(a, dir, id, v, err);
}

int mv_approval_vote(struct mv_audit *a, const char *id, const char *name, bool approve,
                     uint64_t by, struct mv_err *err)
{
        struct mv_approval_vote v;
        int dir, r = voter(name, &v, err);
        v.approve = approve;
        v.by = by;
        if (r == 0)
                r = dir_open(a, false, &dir, err);
        if (r < 0)
                return r;
        r = vote_in(a, dir, id, &v, err);
        close(dir);
        return r;
}

/* --- all of them ------------------------------------------------------------------------------ */
static int is_request(const struct dirent *e)
{
        return strlen(e->d_name) == 44 && strncmp(e->d_name, "apr_", 4) == 0 &&
               is_hex(e->d_name + 4, 32) && strcmp(e->d_name + 36, ".request") == 0;
}

static bool show(struct mv_audit *a, int dir, const char *id, mv_approval_fn fn, void *ctx)
{
        struct mv_arena arena = mv_arena_grow(2 * MV_APPROVAL_BYTES_MAX);
        struct mv_approval_request q;
        struct mv_approval_status s;
        struct mv_err why;
        int r = read_request(a, dir, id, &arena, &q, &why);
        if (r == 0)
                r = judge(a, dir, &q, &s, &why);
        bool more = r == 0 ? fn(ctx, id, &q, &s, NULL) : fn(ctx, id, NULL, NULL, &why);
        mv_arena_done(&arena);
        return more;
}

int mv_approval_list(struct mv_audit *a, mv_approval_fn fn, void *ctx, struct mv_err *err)
{
        struct dirent **names;
        int dir, r = dir_open(a, false, &dir, err);
        if (r == -(int)MV_E_NOT_FOUND) /* nothing was ever asked for */
                return 0;
        if (r < 0)
                return r;
        int n = scandirat(dir, ".", &names, is_request, alphasort);
        if (n < 0)
                r = mv_fail(err, MV_E_SYS, errno, "read the queue of approvals");
        bool more = n <= REQUESTS_MAX;
        for (int i = 0; i < n; i++) {
                char id[MV_APPROVAL_ID_BYTES];
                mv_fmt(id, sizeof id, "%.36s", names[i]->d_name);
                more = more && show(a, dir, id, fn, ctx);
                free(names[i]);
        }
        if (n >= 0)
                free(names);
        close(dir);
        return r;
}
