/* SPDX-License-Identifier: Apache-2.0 */
/* ccos.io.open-file, read-line, write-line, close-file: handles of one execution (REQ-CAP-35..38, X-31).
 *
 * (1) The policy is evaluated at open; the mode is kept with the handle and bounds what it can do.
 * (2) A handle's number starts at a random 62-bit value per execution: a number from one execution means nothing in another.
 * (3) The table belongs to one broker; every handle is closed with it. A closed number never comes back. */
#include <capability/builtin.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <policy/profile.h>
#include <stdlib.h>
#include <sys/beneath.h>
#include <unistd.h>
#include <wire/text.h>

/* Open handles of one execution: far below the usual 1024 descriptors of the process they share. */
#define HANDLES_MAX       64
#define READ_BUFFER_BYTES 4096

struct handle {
        int64_t number; /* 0: free */
        int fd;
        bool read, write, append;
        uint64_t at; /* position of the next read or write */
        uint64_t buffer_at;
        uint32_t buffer_len;
        char path[MV_PATH_BYTES]; /* for messages and notes */
        uint8_t buffer[READ_BUFFER_BYTES];
};
struct mv_file_table {
        int64_t next;
        struct handle *handles[HANDLES_MAX];
};

static struct handle *handle_free(struct handle *h)
{
        if (h) {
                close(h->fd);
                free(h);
        }
        return NULL;
}

struct mv_file_table *mv_file_table_free(struct mv_file_table *t)
{
        if (!t)
                return NULL;
        for (uint32_t i = 0; i < HANDLES_MAX; i++)
                handle_free(t->handles[i]);
        free(t);
        return NULL;
}

static struct mv_file_table *table_of(struct mv_call *call)
{
        if (*call->files)
                return *call->files;
        struct mv_file_table *t = calloc(1, sizeof *t);
        uint64_t start;
        if (!t || mv_sys_random(&start, sizeof start) < 0) {
                free(t);
                return NULL;
        }
        t->next = (int64_t)(start >> 2) + 1; /* (2): positive, and 2^62 numbers left to count */
        return *call->files = t;
}

static struct handle **slot_of(struct mv_file_table *t, int64_t number)
{
        for (uint32_t i = 0; t && i < HANDLES_MAX; i++)
                if (number ? t->handles[i] && t->handles[i]->number == number : !t->handles[i])
                        return &t->handles[i];
        return NULL;
}

static struct handle **find(struct mv_call *call, int64_t number)
{
        return number > 0 ? slot_of(*call->files, number) : NULL;
}

static int no_such_handle(struct mv_call *call, int64_t number)
{
        return mv_call_fail(call, "IoError", "%s: %ld is not an open handle of this execution",
                            mv__verb(call), (long)number);
}

static void note(struct mv_call *call, const struct handle *h, uint64_t bytes)
{
        call->host.note_file(call->host.ctx, mv_slice_str(h->path), mv__verb(call), bytes);
}

/* A file that was opened before a step began is held to the step as well. */
static int held_to_step(struct mv_call *call, const struct handle *h, bool write)
{
        struct mv_decision d = { .allowed = true };
        struct mv_slice root = { NULL, 0 };
        mv_fmt(d.operation, sizeof d.operation, "filesystem");
        mv_fmt(d.capability, sizeof d.capability, "%s", call->capability->id);
        mv__decision_permission(&d, call->capability->id);
        mv_profile_path(call->context ? call->context->steps : NULL, mv_slice_str(h->path), write,
                        &d, &root);
        return d.allowed ? 0 : call->host.deny(call->host.ctx, &d);
}

/* --- open-file -------------------------------------------------------------------------------- */
struct mode {
        const char *name;
        int how;
        bool read, write, append;
};
static const struct mode modes[] = {
        { "r", O_RDONLY, true, false, false },
        { "w", O_WRONLY | O_CREAT | O_TRUNC, false, true, false },
        { "a", O_WRONLY | O_CREAT | O_APPEND, false, true, true },
        { "rw", O_RDWR | O_CREAT, true, true, false },
};

static const struct mode *mode_of(const struct mv_value *args, uint32_t n)
{
        for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
                if (n < 2 ||
                    (args[1].kind == MV_STRING && mv_slice_eq_str(args[1].text, modes[i].name)))
                        return &modes[i];
        return NULL;
}

static int check_open(const struct mv_context *c, const struct mv_value *args, uint32_t n,
                      struct mv_decision *d, struct mv_fault *fault)
{
        const struct mode *m = mode_of(args, n);
        if (!m) {
                mv__fault_set(fault, "InvalidArgument",
                              "open-file: mode must be \"r\", \"w\", \"a\" or \"rw\"");
                return -(int)MV_E_PROGRAM;
        }
        return mv__check_path(c, (struct mv_path_question){ args, n, m->write }, d, fault);
}

/* A path instead of a handle is only ever decided about, never carried out: the
 * argument check refuses it. */
static int check_line(const struct mv_context *c, struct mv_path_question q, struct mv_decision *d,
                      struct mv_fault *fault)
{
        if (q.args_count == 0 || q.args[0].kind != MV_STRING)
                return 0;
        return mv__check_path(c, q, d, fault);
}

static int check_read_line(const struct mv_context *c, const struct mv_value *args, uint32_t n,
                           struct mv_decision *d, struct mv_fault *fault)
{
        return check_line(c, (struct mv_path_question){ args, n, false }, d, fault);
}

static int check_write_line(const struct mv_context *c, const struct mv_value *args, uint32_t n,
                            struct mv_decision *d, struct mv_fault *fault)
{
        return check_line(c, (struct mv_path_question){ args, n, true }, d, fault);
}

static int handle_new(struct mv_call *call, struct mv_place *p, const struct mode *m,
                      struct handle **ret)
{
        struct mv_file_table *t = table_of(call);
        if (!t)
                return mv_call_fail(call, "IoError", "open-file: no memory for handles");
        struct handle **slot = slot_of(t, 0);
        if (!slot)
                return mv_call_fail(call, "IoError",
                                    "open-file: %d handles are open already; close one",
                                    HANDLES_MAX);
        int fd = mv__place_open(call, p, m->how);
        if (fd < 0)
                return fd;
        struct handle *h = calloc(1, sizeof *h);
        if (!h) {
                close(fd);
                return mv_call_fail(call, "IoError", "open-file: no memory for handles");
        }
        h->number = t->next++;
        h->fd = fd;
        h->read = m->read;
        h->write = m->write;
        h->append = m->append;
        memcpy(h->path, p->path, sizeof h->path);
        *slot = *ret = h;
        return 0;
}

static int open_file(struct mv_call *call, const struct mv_value *args, uint32_t n,
                     struct mv_value *ret)
{
        const struct mode *m = mode_of(args, n);
        if (!m)
                return mv_call_fail(call, "InvalidArgument",
                                    "open-file: mode must be \"r\", \"w\", \"a\" or \"rw\"");
        struct mv_place p;
        struct handle *h = NULL;
        int r = mv__place_find(call, args[0].text, m->write, &p);
        if (r == 0)
                r = handle_new(call, &p, m, &h);
        mv__place_done(&p);
        if (r < 0)
                return r;
        assert(h); /* handle_new succeeded */
        note(call, h, 0);
        *ret = mv__int(h->number);
        return 0;
}

/* --- read-line -------------------------------------------------------------------------------- */
/* The bytes at h->at: from the buffer, or a fresh one. Empty: end of file. Negative: -errno. */
static int buffered(struct handle *h, struct mv_slice *ret)
{
        if (h->at < h->buffer_at || h->at >= h->buffer_at + h->buffer_len) {
                ssize_t n;
                do
                        n = pread(h->fd, h->buffer, sizeof h->buffer, (off_t)h->at);
                while (n < 0 && errno == EINTR);
                if (n < 0)
                        return -errno;
                h->buffer_at = h->at;
                h->buffer_len = (uint32_t)n;
        }
        size_t skip = (size_t)(h->at - h->buffer_at);
        *ret = mv_slice(h->buffer + skip, h->buffer_len - skip);
        return 0;
}

struct line {
        uint8_t *p; /* malloc'ed */
        size_t len, cap;
        bool ended; /* a newline was seen */
};

static bool line_put(struct line *l, struct mv_slice s)
{
        if (s.len > l->cap - l->len) {
                size_t cap = l->cap * 2 > l->len + s.len ? l->cap * 2 : l->len + s.len;
                uint8_t *p = realloc(l->p, cap);
                if (!p)
                        return false;
                l->p = p;
                l->cap = cap;
        }
        memcpy(l->p + l->len, s.p, s.len);
        l->len += s.len;
        return true;
}

/* Collect up to and without the newline; advances h->at behind it. 1: a line, 0: end of file
 * before any byte. */
static int line_read(struct mv_call *call, struct handle *h, struct line *l)
{
        const char *limit, *why;
        uint64_t max = mv__reply_bytes_max(call, &limit);
        uint64_t start = h->at;
        while (!l->ended) {
                struct mv_slice s = { NULL, 0 };
                int r = buffered(h, &s);
                if (r < 0)
                        return mv_call_fail(call, "IoError", "read-line %s: %s", h->path,
                                            mv__errno_text(-r));
                if (s.len == 0)
                        return h->at > start;
                const uint8_t *nl = memchr(s.p, '\n', s.len);
                size_t take = nl ? (size_t)(nl - s.p) : s.len;
                if (take > max - l->len)
                        return mv_call_fail(
                                call, "IoError",
                                "read-line %s: the line is longer than the %s of %lu bytes",
                                h->path, limit, (unsigned long)max);
                if (take && !line_put(l, mv_slice(s.p, take)))
                        return mv__fail_memory(call, h->path);
                l->ended = nl != NULL;
                h->at += take + l->ended;
                if (mv__call_ended(call, &why))
                        return mv_call_fail(call, "IoError", "read-line %s: %s", h->path, why);
        }
        return 1;
}

static int line_reply(struct mv_call *call, struct handle *h, struct line *l, struct mv_value *ret)
{
        if (l->ended && l->len && l->p[l->len - 1] == '\r')
                l->len--;
        if (!mv_utf8_valid(mv_slice(l->p, l->len)))
                return mv_call_fail(call, "IoError",
                                    "read-line %s: the line is not valid UTF-8 text", h->path);
        return mv__copy_text(call, mv_slice(l->p, l->len), ret) ? 0
                                                                : mv__fail_memory(call, h->path);
}

static int read_line(struct mv_call *call, const struct mv_value *args, uint32_t n,
                     struct mv_value *ret)
{
        struct handle **slot = find(call, args[0].integer);
        if (!slot)
                return no_such_handle(call, args[0].integer);
        struct handle *h = *slot;
        if (!h->read)
                return mv_call_fail(call, "IoError", "read-line %s: opened for writing only",
                                    h->path);
        struct line l = { 0 };
        uint64_t start = h->at;
        int r = held_to_step(call, h, false);
        if (r < 0)
                return r;
        r = line_read(call, h, &l);
        *ret = mv__nil();
        if (r == 1)
                r = line_reply(call, h, &l, ret);
        free(l.p);
        if (r == 0)
                note(call, h, h->at - start);
        return r;
}

/* --- write-line, close-file ------------------------------------------------------------------- */
static int put_at(struct handle *h, struct mv_slice s)
{
        for (size_t at = 0; at < s.len;) {
                ssize_t n = h->append ? write(h->fd, s.p + at, s.len - at)
                                      : pwrite(h->fd, s.p + at, s.len - at, (off_t)h->at);
                if (n < 0 && errno != EINTR)
                        return -errno;
                size_t put = n > 0 ? (size_t)n : 0;
                at += put;
                h->at += put;
        }
        return 0;
}

static int write_line(struct mv_call *call, const struct mv_value *args, uint32_t n,
                      struct mv_value *ret)
{
        struct handle **slot = find(call, args[0].integer);
        if (!slot)
                return no_such_handle(call, args[0].integer);
        struct handle *h = *slot;
        if (!h->write)
                return mv_call_fail(call, "IoError", "write-line %s: opened for reading only",
                                    h->path);
        int r = held_to_step(call, h, true);
        if (r == 0)
                r = mv_call_reserve(call, MV_SPEND_WRITTEN_BYTES, args[1].text.len + 1);
        if (r < 0)
                return r;
        h->buffer_len = 0; /* what was read ahead may change now */
        r = put_at(h, args[1].text);
        if (r == 0)
                r = put_at(h, MV_SLICE("\n"));
        if (r < 0)
                return mv_call_fail(call, "IoError", "write-line %s: %s", h->path,
                                    mv__errno_text(-r));
        note(call, h, args[1].text.len + 1);
        *ret = mv__nil();
        return 0;
}

static int close_file(struct mv_call *call, const struct mv_value *args, uint32_t n,
                      struct mv_value *ret)
{
        struct handle **slot = find(call, args[0].integer);
        if (!slot)
                return no_such_handle(call, args[0].integer);
        note(call, *slot, 0);
        *slot = handle_free(*slot);
        *ret = mv__nil();
        return 0;
}

#define FILE_ACCESS .effects = MV_EFFECT_FILESYSTEM, .permission = "ccos.io.file-access"
static const struct mv_builtin items[] = {
        { .capability = { .id = "ccos.io.open-file",
                          .arguments = "(path [\"r\"|\"w\"|\"a\"|\"rw\"])",
                          .result = "integer",
                          .summary = "Opens a file; the handle belongs to this execution.",
                          FILE_ACCESS,
                          .args_min = 1,
                          .args_max = 2,
                          .call = open_file },
          .kinds = "s",
          .check = check_open },
        { .capability = { .id = "ccos.io.read-line",
                          .arguments = "(handle)",
                          .result = "string or nil",
                          .summary = "The next line without its end, nil at the end of the file.",
                          FILE_ACCESS,
                          .args_min = 1,
                          .args_max = 1,
                          .call = read_line },
          .kinds = "i",
          .check = check_read_line },
        { .capability = { .id = "ccos.io.write-line",
                          .arguments = "(handle line)",
                          .result = "nil",
                          .summary = "Writes a line.",
                          FILE_ACCESS,
                          .args_min = 2,
                          .args_max = 2,
                          .call = write_line },
          .kinds = "is",
          .check = check_write_line },
        { .capability = { .id = "ccos.io.close-file",
                          .arguments = "(handle)",
                          .result = "nil",
                          .summary = "Closes a handle; closing it twice is an error.",
                          FILE_ACCESS,
                          .args_min = 1,
                          .args_max = 1,
                          .call = close_file },
          .kinds = "i" },
};
MV_FAMILY(mv__family_handle, items);
