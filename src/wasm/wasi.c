/* SPDX-License-Identifier: Apache-2.0 */
/* WASI of the process: arguments, environment, clocks, random numbers, waiting, the end.
 *
 * (1) Without a granted clock, time is logical: it begins at zero and every look at it takes a microsecond, a
 *     sleep what it asks for. Equal runs see equal times, and waiting costs nothing.
 * (2) Random numbers are a sequence of the module's own bytes: equal runs draw equal numbers. They are no secret.
 * (3) With a granted clock every look at it is a capability call, recorded like any other. */
#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include "wasi.h"

typedef struct Z_wasi_snapshot_preview1_instance_t module;
#define WASI(name) Z_wasi_snapshot_preview1Z_##name

#define LOOK_NS    1000u
#define EVENTS_MAX 1024u

static struct wasi_start start;
static uint64_t logical_ns, random_state;

void wasi_init(const struct wasi_start *w)
{
        start = *w;
        random_state = w->seed;
        wasi_fds_init(&start);
}

bool wasi_clock_granted(void)
{
        return start.clock;
}

/* --- the module's memory ---------------------------------------------------------------------- */

uint8_t *wasi_at(uint32_t ptr, uint64_t len)
{
        wasm_rt_memory_t *m = mv_wasm_memory();
        if (!m || len > m->size || ptr > m->size - len)
                return NULL;
        return m->data + ptr;
}

uint32_t wasi_get32(const uint8_t *p)
{
        uint32_t v;
        memcpy(&v, p, sizeof v);
        return v;
}

uint64_t wasi_get64(const uint8_t *p)
{
        uint64_t v;
        memcpy(&v, p, sizeof v);
        return v;
}

bool wasi_put32(uint32_t ptr, uint32_t v)
{
        uint8_t *p = wasi_at(ptr, sizeof v);
        if (p)
                memcpy(p, &v, sizeof v);
        return p;
}

bool wasi_put64(uint32_t ptr, uint64_t v)
{
        uint8_t *p = wasi_at(ptr, sizeof v);
        if (p)
                memcpy(p, &v, sizeof v);
        return p;
}

uint32_t wasi_error(int error)
{
        static const struct {
                int error;
                enum wasi_errno wasi;
        } table[] = {
                { E2BIG, WE_2BIG },         { EACCES, WE_ACCES },
                { EAGAIN, WE_AGAIN },       { EBADF, WE_BADF },
                { EBUSY, WE_BUSY },         { EEXIST, WE_EXIST },
                { EFAULT, WE_FAULT },       { EFBIG, WE_FBIG },
                { EILSEQ, WE_ILSEQ },       { EINTR, WE_INTR },
                { EINVAL, WE_INVAL },       { EISDIR, WE_ISDIR },
                { ELOOP, WE_LOOP },         { EMFILE, WE_MFILE },
                { EMLINK, WE_MLINK },       { ENODEV, WE_NODEV },
                { ENOENT, WE_NOENT },       { ENAMETOOLONG, WE_NAMETOOLONG },
                { ENOMEM, WE_NOMEM },       { ENOSPC, WE_NOSPC },
                { ENOSYS, WE_NOSYS },       { ENOTDIR, WE_NOTDIR },
                { ENOTEMPTY, WE_NOTEMPTY }, { EOPNOTSUPP, WE_NOTSUP },
                { ENXIO, WE_NXIO },         { EOVERFLOW, WE_OVERFLOW },
                { EPERM, WE_PERM },         { EPIPE, WE_PIPE },
                { ERANGE, WE_RANGE },       { EROFS, WE_ROFS },
                { ESPIPE, WE_SPIPE },       { ETXTBSY, WE_TXTBSY },
                { EXDEV, WE_XDEV },
        };
        for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
                if (table[i].error == error)
                        return table[i].wasi;
        return WE_IO;
}

enum wasi_type wasi_type_of(uint32_t mode)
{
        return S_ISREG(mode)   ? T_REGULAR
               : S_ISDIR(mode) ? T_DIRECTORY
               : S_ISLNK(mode) ? T_LINK
               : S_ISCHR(mode) ? T_CHARACTER
               : S_ISBLK(mode) ? T_BLOCK
                               : T_UNKNOWN;
}

static uint64_t stat_time(const struct timespec *t) /* (1): a file's times would tell the host's */
{
        return start.clock ? (uint64_t)t->tv_sec * 1000000000u + (uint64_t)t->tv_nsec : 0;
}

uint32_t wasi_put_stat(uint32_t ptr, const struct stat *st)
{
        uint8_t *p = wasi_at(ptr, 64);
        const uint64_t type = wasi_type_of(st->st_mode);
        const uint64_t fields[8] = { 0,
                                     st->st_ino,
                                     type,
                                     st->st_nlink,
                                     (uint64_t)st->st_size,
                                     stat_time(&st->st_atim),
                                     stat_time(&st->st_mtim),
                                     stat_time(&st->st_ctim) };
        if (!p)
                return WE_FAULT;
        memcpy(p, fields, sizeof fields);
        return WE_OK;
}

/* --- arguments and environment: the same shape ------------------------------------------------ */

static uint32_t list_sizes(char **list, uint32_t count_ptr, uint32_t bytes_ptr)
{
        uint32_t n = 0, bytes = 0;
        for (; list[n]; n++)
                bytes += (uint32_t)strlen(list[n]) + 1;
        return wasi_put32(count_ptr, n) && wasi_put32(bytes_ptr, bytes) ? WE_OK : WE_FAULT;
}

static uint32_t list_get(char **list, uint32_t pointers_ptr, uint32_t text_ptr)
{
        for (uint32_t i = 0; list[i]; i++) {
                uint32_t len = (uint32_t)strlen(list[i]) + 1;
                uint8_t *to = wasi_at(text_ptr, len);
                if (!to || !wasi_put32(pointers_ptr, text_ptr))
                        return WE_FAULT;
                memcpy(to, list[i], len);
                text_ptr += len;
                pointers_ptr += 4;
        }
        return WE_OK;
}

uint32_t WASI(args_sizes_get)(module *m, uint32_t count_ptr, uint32_t bytes_ptr)
{
        return list_sizes(start.argv, count_ptr, bytes_ptr);
}

uint32_t WASI(args_get)(module *m, uint32_t pointers_ptr, uint32_t text_ptr)
{
        return list_get(start.argv, pointers_ptr, text_ptr);
}

uint32_t WASI(environ_sizes_get)(module *m, uint32_t count_ptr, uint32_t bytes_ptr)
{
        return list_sizes(start.env, count_ptr, bytes_ptr);
}

uint32_t WASI(environ_get)(module *m, uint32_t pointers_ptr, uint32_t text_ptr)
{
        return list_get(start.env, pointers_ptr, text_ptr);
}

/* --- clocks (1) (3) --------------------------------------------------------------------------- */

static bool clock_known(uint32_t id) /* real time, monotonic; no CPU time clocks */
{
        return id < 2;
}

uint32_t WASI(clock_res_get)(module *m, uint32_t id, uint32_t ret_ptr)
{
        if (!clock_known(id))
                return WE_INVAL;
        return wasi_put64(ret_ptr, start.clock ? 1000000 : LOOK_NS) ? WE_OK : WE_FAULT;
}

uint32_t WASI(clock_time_get)(module *m, uint32_t id, uint64_t precision, uint32_t ret_ptr)
{
        uint64_t ms;
        if (!clock_known(id))
                return WE_INVAL;
        if (!wasi_at(ret_ptr, 8))
                return WE_FAULT;
        if (!start.clock)
                return wasi_put64(ret_ptr, logical_ns += LOOK_NS) ? WE_OK : WE_FAULT;
        return host_call_time(&ms) && wasi_put64(ret_ptr, ms * 1000000) ? WE_OK : WE_NOTCAPABLE;
}

/* --- random numbers (2): splitmix64 ----------------------------------------------------------- */

static uint64_t random_next(void)
{
        uint64_t z = random_state += 0x9e3779b97f4a7c15u;
        z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
        z = (z ^ z >> 27) * 0x94d049bb133111ebu;
        return z ^ z >> 31;
}

uint32_t WASI(random_get)(module *m, uint32_t ptr, uint32_t len)
{
        uint8_t *p = wasi_at(ptr, len);
        if (!p)
                return WE_FAULT;
        for (uint32_t at = 0; at < len; at += 8) {
                uint64_t v = random_next();
                memcpy(p + at, &v, len - at < 8 ? len - at : 8);
        }
        return WE_OK;
}

/* --- waiting ---------------------------------------------------------------------------------- */

#define SUBSCRIPTION_BYTES 48u
#define EVENT_BYTES        32u
#define ABSOLUTE           1u

static void wait_clock(uint64_t ns, bool absolute)
{
        if (!start.clock) {
                uint64_t from = absolute ? 0 : logical_ns;
                if (from + ns > logical_ns && from + ns >= from)
                        logical_ns = from + ns;
                return;
        }
        uint64_t ms;
        if (absolute)
                ns = host_call_time(&ms) && ns > ms * 1000000 ? ns - ms * 1000000 : 0;
        struct timespec t = { (time_t)(ns / 1000000000u), (long)(ns % 1000000000u) };
        nanosleep(&t, NULL);
}

static void put_event(uint8_t *to, const uint8_t *subscription, uint16_t error, uint64_t bytes)
{
        memset(to, 0, EVENT_BYTES);
        memcpy(to, subscription, 8);
        memcpy(to + 8, &error, sizeof error);
        to[10] = subscription[8];
        memcpy(to + 16, &bytes, sizeof bytes);
}

static uint16_t descriptor_ready(const uint8_t *subscription)
{
        struct wasi_fd *f;
        return (uint16_t)wasi_fd_get(wasi_get32(subscription + 16), R_POLL_FD_READWRITE, &f);
}

/* Files and pipes of this world are always ready; the nearest clock is waited for only when nothing else is
 * asked about. */
static uint32_t poll_events(const uint8_t *in, uint8_t *out, uint32_t count)
{
        uint32_t n = 0, nearest = count;
        for (uint32_t i = 0; i < count; i++) {
                const uint8_t *s = in + (size_t)i * SUBSCRIPTION_BYTES;
                if (s[8] == 1 || s[8] == 2)
                        put_event(out + (size_t)n++ * EVENT_BYTES, s, descriptor_ready(s), 1);
                else if (nearest == count ||
                         wasi_get64(s + 24) <
                                 wasi_get64(in + (size_t)nearest * SUBSCRIPTION_BYTES + 24))
                        nearest = i;
        }
        if (n || nearest == count)
                return n;
        const uint8_t *s = in + (size_t)nearest * SUBSCRIPTION_BYTES;
        wait_clock(wasi_get64(s + 24), s[40] & ABSOLUTE);
        put_event(out, s, s[8] == 0 && clock_known(wasi_get32(s + 16)) ? WE_OK : WE_INVAL, 0);
        return 1;
}

uint32_t WASI(poll_oneoff)(module *m, uint32_t in_ptr, uint32_t out_ptr, uint32_t count,
                           uint32_t ret_ptr)
{
        static uint8_t subscriptions[EVENTS_MAX * SUBSCRIPTION_BYTES];
        if (count == 0 || count > EVENTS_MAX)
                return WE_INVAL;
        const uint8_t *in = wasi_at(in_ptr, (uint64_t)count * SUBSCRIPTION_BYTES);
        uint8_t *out = wasi_at(out_ptr, (uint64_t)count * EVENT_BYTES);
        if (!in || !out || !wasi_at(ret_ptr, 4))
                return WE_FAULT;
        memcpy(subscriptions, in, (size_t)count * SUBSCRIPTION_BYTES); /* the two may overlap */
        return wasi_put32(ret_ptr, poll_events(subscriptions, out, count)) ? WE_OK : WE_FAULT;
}

/* --- the end, and what there is not ----------------------------------------------------------- */

void WASI(proc_exit)(module *m, uint32_t code)
{
        rt_exit(code <= MV_WASM_EXIT_MAX ? (int)code : MV_WASM_EXIT_CODE);
}

uint32_t WASI(sched_yield)(module *m)
{
        return WE_OK;
}

uint32_t WASI(proc_raise)(module *m, uint32_t signal)
{
        return WE_NOSYS;
}

uint32_t WASI(sock_accept)(module *m, uint32_t fd, uint32_t flags, uint32_t ret_ptr)
{
        return WE_NOTCAPABLE;
}

uint32_t WASI(sock_recv)(module *m, uint32_t fd, uint32_t iovs, uint32_t count, uint32_t flags,
                         uint32_t ret_ptr, uint32_t ret_flags)
{
        return WE_NOTCAPABLE;
}

uint32_t WASI(sock_send)(module *m, uint32_t fd, uint32_t iovs, uint32_t count, uint32_t flags,
                         uint32_t ret_ptr)
{
        return WE_NOTCAPABLE;
}

uint32_t WASI(sock_shutdown)(module *m, uint32_t fd, uint32_t how)
{
        return WE_NOTCAPABLE;
}
