/* SPDX-License-Identifier: Apache-2.0 */
/* Bytecode to a program that can run: decode, verify, link (bytecode.h).
 *
 * (1) Every count is held against the bytes that are left before memory is taken for it.
 * (2) A record is verified as soon as it was read, and linked after that: operands become indexes
 *     of this evaluator.
 * (3) Nothing collects meanwhile, so what is read needs no roots. */
#include <rtfs/bytecode.h>
#include <rtfs/compile.h>
#include <wire/text.h>

struct module {
        struct mv_rtfs *r;
        struct mv_cur c;
        struct mv_err *err;
        uint32_t *slots, *builtins;
        struct node *protos;
        uint32_t global_count, builtin_count, proto_count;
};

static enum native_status hostile(struct module *m, const char *what)
{
        (void)MV_HOSTILE(m->err, what);
        return N_ERROR;
}

/* Work memory that becomes garbage when the program was read. */
static void *numbers(struct module *m, size_t bytes)
{
        struct code *c = heap_alloc(m->r, O_CODE, sizeof *c + bytes);
        return c ? c->word : NULL;
}

/* A count of things that take at least `least` bytes each. */
static enum native_status get_count(struct module *m, uint32_t least, uint32_t most, uint32_t *ret)
{
        *ret = mv_get_u32(&m->c);
        if (m->c.bad || *ret > most || *ret > mv_cur_left(&m->c) / least)
                return hostile(m, "bytecode: count");
        return N_OK;
}

static enum native_status get_text(struct module *m, struct mv_slice *ret)
{
        *ret = mv_get_bytes(&m->c, mv_get_u32(&m->c));
        return m->c.bad || !mv_utf8_valid(*ret) ? hostile(m, "bytecode: text") : N_OK;
}

/* --- tables ----------------------------------------------------------------------------------- */
/* Was index n not in the set? Then it is now. */
static bool add_to_set(uint8_t *set, uint32_t n)
{
        bool fresh = !(set[n / 8] >> (n % 8) & 1);
        set[n / 8] |= (uint8_t)(1u << (n % 8));
        return fresh;
}

static enum native_status get_globals(struct module *m)
{
        uint8_t seen[GLOBALS_MAX / 8] = { 0 };
        struct mv_slice text;
        TRY(get_count(m, 4, GLOBALS_MAX, &m->global_count));
        m->slots = numbers(m, m->global_count * sizeof *m->slots);
        if (!m->slots)
                return N_NOMEM;
        for (uint32_t i = 0; i < m->global_count; i++) {
                TRY(get_text(m, &text));
                struct name *n = name_intern(m->r, text);
                if (!n)
                        return N_NOMEM;
                int32_t slot = global_slot(m->r, n);
                if (slot < 0)
                        return hostile(m,
                                       "bytecode: more global names than fit beside the library's");
                if (!add_to_set(seen, (uint32_t)slot))
                        return hostile(m, "bytecode: global twice");
                m->slots[i] = (uint32_t)slot;
        }
        return N_OK;
}

static enum native_status get_builtins(struct module *m)
{
        uint8_t seen[NATIVES_MAX / 8] = { 0 };
        struct mv_slice text;
        TRY(get_count(m, 4, NATIVES_MAX, &m->builtin_count));
        m->builtins = numbers(m, m->builtin_count * sizeof *m->builtins);
        if (!m->builtins)
                return N_NOMEM;
        for (uint32_t i = 0; i < m->builtin_count; i++) {
                TRY(get_text(m, &text));
                int n = native_find(m->r, text);
                if (n < 0)
                        return hostile(m, "bytecode: a builtin that this build does not have");
                if (!add_to_set(seen, (uint32_t)n))
                        return hostile(m, "bytecode: builtin twice");
                m->builtins[i] = (uint32_t)n;
        }
        return N_OK;
}

/* --- a proto ---------------------------------------------------------------------------------- */
static enum native_status get_constant(struct module *m, val *ret)
{
        uint8_t kind = mv_get_u8(&m->c);
        uint32_t n = mv_get_u32(&m->c);
        switch (kind) {
        case CONSTANT_DATA: {
                struct mv_slice cbor = mv_get_bytes(&m->c, n);
                return m->c.bad ? hostile(m, "bytecode: constant")
                                : decode_value(m->r, cbor, ret, m->err);
        }
        case CONSTANT_BUILTIN:
                if (n >= m->builtin_count || !builtin_allowed(m->r->natives[m->builtins[n]], true))
                        return hostile(m, "bytecode: builtin as a value");
                *ret = (val){ .tag = T_NATIVE, .i = m->builtins[n] };
                return N_OK;
        case CONSTANT_PROTO:
                if (n >= m->proto_count)
                        return hostile(m, "bytecode: a function that comes later");
                *ret = m->protos->item[n];
                return N_OK;
        default:
                return hostile(m, "bytecode: kind of constant");
        }
}

static enum native_status get_constants(struct module *m, struct proto *p)
{
        uint32_t count;
        TRY(get_count(m, 5, UINT16_MAX, &count));
        if (count == 0)
                return N_OK;
        p->consts = heap_alloc(m->r, O_NODE, sizeof *p->consts + count * sizeof(val));
        if (!p->consts)
                return N_NOMEM;
        p->consts->h.used = (uint16_t)count;
        for (uint32_t i = 0; i < count; i++)
                TRY(get_constant(m, &p->consts->item[i]));
        return N_OK;
}

static struct code *get_words(struct module *m, uint32_t count, uint32_t words)
{
        struct code *c = heap_alloc(m->r, O_CODE, sizeof *c + words * sizeof(uint32_t));
        if (!c)
                return NULL;
        c->count = count;
        for (uint32_t i = 0; i < words; i++)
                c->word[i] = mv_get_u32(&m->c);
        return c;
}

static enum native_status get_code(struct module *m, struct proto *p)
{
        uint32_t count;
        TRY(get_count(m, 8, UINT32_MAX / 16, &count));
        p->code = get_words(m, count, 2 * count);
        if (!p->code)
                return N_NOMEM;
        TRY(get_count(m, 16, UINT32_MAX / 32, &p->handler_count));
        if (p->handler_count == 0)
                return N_OK;
        struct code *h = get_words(m, 4 * p->handler_count, 4 * p->handler_count);
        if (!h)
                return N_NOMEM;
        p->handlers = &h->h;
        return N_OK;
}

static enum native_status get_texts(struct module *m, struct proto *p, uint8_t which)
{
        struct mv_slice text;
        if (which > (PROTO_HAS_NAME | PROTO_HAS_DELEGATE))
                return hostile(m, "bytecode: texts of a function");
        if (which & PROTO_HAS_NAME) {
                TRY(get_text(m, &text));
                p->name = name_intern(m->r, text);
                if (!p->name)
                        return N_NOMEM;
        }
        p->delegate = NIL;
        if (which & PROTO_HAS_DELEGATE) {
                TRY(get_text(m, &text));
                p->delegate = string_new(m->r, text);
                if (nomem(p->delegate))
                        return N_NOMEM;
        }
        return N_OK;
}

static enum native_status get_proto(struct module *m, struct proto *p)
{
        p->params = mv_get_u16(&m->c);
        p->regs = mv_get_u16(&m->c);
        p->ups = mv_get_u16(&m->c);
        uint8_t rest = mv_get_u8(&m->c), texts = mv_get_u8(&m->c);
        if (m->c.bad || rest > 1)
                return hostile(m, "bytecode: function");
        p->rest = rest;
        TRY(get_texts(m, p, texts));
        TRY(get_constants(m, p));
        return get_code(m, p);
}

static enum native_status verify(struct module *m, const struct proto *p)
{
        struct module_tables t = { m->r, m->global_count, m->builtin_count, m->builtins };
        uint8_t *starts = numbers(m, p->code->count);
        const char *why = "";
        if (!starts)
                return N_NOMEM;
        return verify_proto(&t, p, starts, &why) ? N_OK : hostile(m, why);
}

/* Indexes of the module become indexes of this evaluator. */
static void link_proto(struct module *m, struct proto *p)
{
        uint32_t *w = p->code->word;
        for (uint32_t i = 0; i < p->code->count; i += op_words(p, w[i])) {
                uint32_t op = OP_OF(w[i]);
                if (op == OP_NCALL)
                        w[i + 1] = m->builtins[w[i + 1]];
                if (op != OP_GETGLOBAL && op != OP_SETGLOBAL)
                        continue;
                uint32_t slot = m->slots[K_OF(w[i])];
                w[i] = OP_WIDE(op, A_OF(w[i]), slot);
                if (op == OP_SETGLOBAL)
                        m->r->overridden[slot / 8] |= (uint8_t)(1u << (slot % 8));
        }
}

static enum native_status get_protos(struct module *m)
{
        uint32_t count;
        TRY(get_count(m, BYTECODE_PROTO_BYTES, UINT32_MAX / 32, &count));
        m->protos = heap_alloc(m->r, O_NODE, sizeof *m->protos + count * sizeof(val));
        if (!m->protos)
                return N_NOMEM;
        for (; m->proto_count < count; m->proto_count++) {
                struct proto *p = heap_alloc(m->r, O_PROTO, sizeof *p);
                if (!p)
                        return N_NOMEM;
                TRY(get_proto(m, p));
                TRY(verify(m, p));
                link_proto(m, p);
                m->protos->item[m->proto_count] = OBJ(T_PROTO, p);
        }
        return N_OK;
}

/* --- the module ------------------------------------------------------------------------------- */
static bool can_start(const struct proto *p)
{
        return p->params == 0 && !p->rest && p->ups == 0 && p->delegate.tag == T_NIL;
}

static enum native_status get_forms(struct module *m, val *ret)
{
        uint32_t count;
        TRY(get_count(m, 4, UINT32_MAX / 32, &count));
        struct mv_slice raw = mv_get_bytes(&m->c, 4ull * count);
        *ret = list_empty(m->r);
        for (uint32_t i = count; i-- > 0;) {
                struct mv_cur c = mv_cur(mv_slice(raw.p + 4 * (size_t)i, 4));
                uint32_t index = mv_get_u32(&c);
                if (index >= m->proto_count || !can_start((struct proto *)m->protos->item[index].o))
                        return hostile(m, "bytecode: top-level form");
                *ret = list_cons(m->r, m->protos->item[index], *ret);
                if (nomem(*ret))
                        return N_NOMEM;
        }
        return N_OK;
}

static enum native_status get_header(struct module *m)
{
        struct mv_slice magic = mv_get_bytes(&m->c, 4);
        uint16_t version = mv_get_u16(&m->c), flags = mv_get_u16(&m->c);
        if (m->c.bad || !mv_slice_eq_str(magic, BYTECODE_MAGIC))
                return hostile(m, "bytecode: magic");
        if (version != MV_BYTECODE_VERSION) {
                mv__fail(m->err, MV_E_UNSUPPORTED, 0,
                         "bytecode of version %u; this build runs version %u: compile again",
                         version, MV_BYTECODE_VERSION);
                return N_ERROR;
        }
        return flags ? hostile(m, "bytecode: flags") : N_OK;
}

static enum native_status get_module(struct module *m, val *ret_forms)
{
        TRY(get_header(m));
        TRY(get_globals(m));
        TRY(get_builtins(m));
        TRY(get_protos(m));
        TRY(get_forms(m, ret_forms));
        return mv_cur_done(&m->c) ? N_OK : hostile(m, "bytecode: bytes left over");
}

int mv_rtfs_load_bytecode(struct mv_rtfs *r, struct mv_slice bytecode, struct mv_err *err)
{
        struct module m = { .r = r, .c = mv_cur(bytecode), .err = err };
        val forms;
        r->no_collect = true;
        enum native_status s = get_module(&m, &forms);
        r->no_collect = false;
        if (s == N_ERROR)
                return -(int)err->code;
        if (s == N_NOMEM)
                raise_memory(
                        r,
                        "the bytecode does not fit"); /* an error of the program: run reports it */
        else
                r->forms = forms;
        return 0;
}
