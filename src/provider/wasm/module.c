/* SPDX-License-Identifier: Apache-2.0 */
/* What a module asks for: the sections' frame, imports, exports, the memory. wasm2c validates the rest; this
 * decides what may be linked, and says in our words why not.
 *
 * (1) Sections come in the format's order, each at most once, and fill the file exactly.
 * (2) A count is never believed: each element is read with the cursor, and a read past the section's end ends
 *     the reading. */
#include <string.h>
#include <base/cur.h>
#include <base/err.h>
#include <base/slice.h>
#include "wasm.h"

enum section {
        CUSTOM,
        TYPE,
        IMPORT,
        FUNCTION,
        TABLE,
        MEMORY,
        GLOBAL,
        EXPORT,
        START,
        ELEMENT,
        CODE,
        DATA,
        COUNT
};
enum kind { KIND_FUNCTION, KIND_TABLE, KIND_MEMORY, KIND_GLOBAL };

struct reading {
        struct mv__wasm_module *m;
        struct mv_err *err;
        bool start;
};

static const char *const wasi_names[] = {
        "args_get",
        "args_sizes_get",
        "clock_res_get",
        "clock_time_get",
        "environ_get",
        "environ_sizes_get",
        "fd_advise",
        "fd_allocate",
        "fd_close",
        "fd_datasync",
        "fd_fdstat_get",
        "fd_fdstat_set_flags",
        "fd_fdstat_set_rights",
        "fd_filestat_get",
        "fd_filestat_set_size",
        "fd_filestat_set_times",
        "fd_pread",
        "fd_prestat_dir_name",
        "fd_prestat_get",
        "fd_pwrite",
        "fd_read",
        "fd_readdir",
        "fd_renumber",
        "fd_seek",
        "fd_sync",
        "fd_tell",
        "fd_write",
        "path_create_directory",
        "path_filestat_get",
        "path_filestat_set_times",
        "path_link",
        "path_open",
        "path_readlink",
        "path_remove_directory",
        "path_rename",
        "path_symlink",
        "path_unlink_file",
        "poll_oneoff",
        "proc_exit",
        "proc_raise",
        "random_get",
        "sched_yield",
        "sock_accept",
        "sock_recv",
        "sock_send",
        "sock_shutdown",
        NULL,
};
static const char *const microvm_names[] = { "call", "answer", "log", NULL };

static int malformed(struct mv_err *err, const char *what)
{
        (void)MV_HOSTILE(err, what);
        return mv_fail(err, MV_E_INVALID, 0, "Failed to compile WASM: %s", what);
}

/* LEB128 of at most 32 bits. */
static uint32_t number(struct mv_cur *c)
{
        uint32_t v = 0;
        for (unsigned shift = 0; shift < 35; shift += 7) {
                uint8_t b = mv_get_u8(c);
                if (shift == 28 && b > 15)
                        break;
                v |= (uint32_t)(b & 127) << shift;
                if (!(b & 128))
                        return v;
        }
        c->bad = true;
        return 0;
}

static struct mv_slice name(struct mv_cur *c)
{
        return mv_get_bytes(c, number(c));
}

static bool listed(const char *const *names, struct mv_slice text)
{
        for (; *names; names++)
                if (mv_slice_eq_str(text, *names))
                        return true;
        return false;
}

static uint32_t limits(struct mv_cur *c)
{
        uint8_t flags = mv_get_u8(c);
        uint32_t min = number(c);
        if (flags & 1)
                number(c);
        if (flags > 1)
                c->bad = true;
        return min;
}

/* --- imports ---------------------------------------------------------------------------------- */

/* Printable, and short enough for a message. */
static const char *shown(struct mv_slice s, char buf[64])
{
        size_t n = s.len < 63 ? s.len : 63;
        for (size_t i = 0; i < n; i++)
                buf[i] = s.p[i] >= 32 && s.p[i] < 127 ? (char)s.p[i] : '?';
        buf[n] = 0;
        return buf;
}

static int import(struct reading *r, struct mv_slice module, struct mv_slice field, uint8_t kind)
{
        char m[64], f[64];
        bool wasi = mv_slice_eq_str(module, "wasi_snapshot_preview1");
        bool ours = mv_slice_eq_str(module, "microvm");
        r->m->uses_wasi |= wasi;
        r->m->uses_microvm |= ours;
        if (kind == KIND_FUNCTION &&
            ((wasi && listed(wasi_names, field)) || (ours && listed(microvm_names, field))))
                return 0;
        return mv_fail(
                r->err, MV_E_INVALID, 0,
                "Failed to instantiate WASM: it imports '%s' '%s'; there are the functions of "
                "wasi_snapshot_preview1 and microvm call, answer and log",
                shown(module, m), shown(field, f));
}

static int imports(struct reading *r, struct mv_cur *c)
{
        for (uint32_t n = number(c); n && !c->bad; n--) {
                struct mv_slice module = name(c), field = name(c);
                uint8_t kind = mv_get_u8(c);
                if (c->bad)
                        break;
                int e = import(r, module, field, kind);
                if (e < 0)
                        return e;
                number(c); /* the type: the C compiler compares it */
        }
        return 0;
}

/* --- exports and the memory ------------------------------------------------------------------- */

static void exports(struct reading *r, struct mv_cur *c)
{
        for (uint32_t n = number(c); n && !c->bad; n--) {
                struct mv_slice field = name(c);
                uint8_t kind = mv_get_u8(c);
                number(c);
                r->start |= kind == KIND_FUNCTION && mv_slice_eq_str(field, "_start");
                r->m->has_memory |= kind == KIND_MEMORY && mv_slice_eq_str(field, "memory");
        }
}

static int memories(struct reading *r, struct mv_cur *c)
{
        uint32_t n = number(c);
        if (n > 1)
                return malformed(r->err, "more than one memory");
        if (n)
                r->m->memory_pages = limits(c);
        return 0;
}

static int section(struct reading *r, uint8_t id, struct mv_slice body)
{
        struct mv_cur c = mv_cur(body);
        int e = 0;
        if (id == IMPORT)
                e = imports(r, &c);
        else if (id == MEMORY)
                e = memories(r, &c);
        else if (id == EXPORT)
                exports(r, &c);
        else {
                r->m->has_start |= id == START;
                return 0;
        }
        if (e == 0 && !mv_cur_done(&c))
                return malformed(r->err, "a section that does not end where it says");
        return e;
}

/* Where a section belongs: the count of data segments comes before the code. */
static unsigned order(uint8_t id)
{
        return id == COUNT ? 2 * ELEMENT + 1 : 2u * id;
}

static int sections(struct reading *r, struct mv_cur *c) /* (1) (2) */
{
        unsigned last = 0;
        while (mv_cur_left(c)) {
                uint8_t id = mv_get_u8(c);
                struct mv_slice body = name(c);
                if (c->bad)
                        return malformed(r->err, "a section reaches past the end of the module");
                if (id > COUNT)
                        return malformed(r->err, "a section of an unknown kind");
                if (id != CUSTOM && order(id) <= last)
                        return malformed(r->err, "sections out of order");
                if (id != CUSTOM)
                        last = order(id);
                int e = section(r, id, body);
                if (e < 0)
                        return e;
        }
        return 0;
}

int mv__wasm_module_read(struct mv_slice bytes, struct mv__wasm_module *ret, struct mv_err *err)
{
        static const uint8_t magic[8] = { 0, 'a', 's', 'm', 1, 0, 0, 0 };
        struct mv__wasm_module m = { 0 };
        struct reading r = { .m = &m, .err = err };
        struct mv_cur c = mv_cur(bytes);
        struct mv_slice head = mv_get_bytes(&c, sizeof magic);
        if (head.len != sizeof magic || memcmp(head.p, magic, sizeof magic) != 0)
                return malformed(err, "it does not begin as a WebAssembly module of version 1");
        int e = sections(&r, &c);
        if (e < 0)
                return e;
        if (!r.start)
                return mv_fail(err, MV_E_INVALID, 0,
                               "Failed to find _start in WASM: a module is run by calling this "
                               "exported function; a WASI command has it");
        *ret = m;
        return 0;
}
