/* SPDX-License-Identifier: Apache-2.0 */
/* Source to bytecode without running it (bytecode.h).
 *
 * (1) Nothing of the program runs but its macros, and those have the library only. A macro that
 *     needs a definition of the program is an error here; run from source it works.
 * (2) The numbering of a proto lies in its `types` while a module is written: the protos never
 *     run.
 * (3) What cannot be read back as the same value is refused: functions and the like that a macro
 *     put into the program. */
#include <rtfs/bytecode.h>
#include <rtfs/compile.h>
#include <wire/text.h>

struct writer {
        struct mv_rtfs *r;
        struct mv_out *o;
        val forms; /* LIST of T_PROTO, the last one first */
        uint32_t form_count, proto_count, global_count, builtin_count;
        uint16_t global[GLOBALS_MAX]; /* slot -> 1 + index in the module; 0: none */
        uint16_t builtin[NATIVES_MAX];
        uint16_t slots[GLOBALS_MAX]; /* index in the module -> slot */
        uint16_t natives[NATIVES_MAX];
        uint8_t hidden[GLOBALS_MAX / 8]; /* globals that hold a macro */
};

/* --- compiling -------------------------------------------------------------------------------- */
static enum native_status add_form(struct writer *w, struct proto *p)
{
        w->forms = list_cons(w->r, OBJ(T_PROTO, p), w->forms);
        w->form_count++;
        return nomem(w->forms) ? N_NOMEM : N_OK;
}

/* A macro takes its name away from what had it, when its form is compiled. In a module that is a
 * form of its own, which leaves the global without a value. */
static enum native_status add_hiding(struct writer *w, uint32_t slot)
{
        const uint32_t words[] = { OP_WORD(OP_NEWBOX, 0, 0, 0), OP_WORD(OP_GETBOX, 0, 0, 0),
                                   OP_WIDE(OP_SETGLOBAL, 0, slot), OP_WORD(OP_LOADNIL, 0, 0, 0),
                                   OP_WORD(OP_RET, 0, 0, 0) };
        uint32_t count = sizeof words / sizeof *words;
        struct proto *p = heap_alloc(w->r, O_PROTO, sizeof *p);
        struct code *c = heap_alloc(w->r, O_CODE, sizeof *c + 2 * sizeof words);
        if (!p || !c)
                return N_NOMEM;
        c->count = count;
        memcpy(c->word, words, sizeof words);
        p->code = c;
        p->regs = 1;
        p->delegate = p->types = NIL;
        return add_form(w, p);
}

static enum native_status add_hidings(struct writer *w)
{
        for (uint32_t i = 0; i < w->r->global_count; i++) {
                uint8_t bit = (uint8_t)(1u << (i % 8));
                bool macro = w->r->globals[i].tag == T_MACRO, before = w->hidden[i / 8] & bit;
                if (macro != before)
                        w->hidden[i / 8] ^= bit;
                if (macro && !before)
                        TRY(add_hiding(w, i));
        }
        return N_OK;
}

static enum native_status compile_forms(struct writer *w)
{
        struct mv_rtfs *r = w->r;
        while (len(r->forms)) {
                struct proto *p;
                enum native_status s = compile_next_form(r, &p);
                if (r->undefined) /* (1); even when the macro caught the error */
                        return raise_fmt(
                                r, E_PARSE,
                                "a macro needs %.*s, which exists only when the program runs: "
                                "compiled programs expand macros with the library alone",
                                (int)(r->undefined->len < 300 ? r->undefined->len : 300),
                                r->undefined->text);
                if (s != N_OK)
                        return s;
                if (!p)
                        continue;
                TRY(add_hidings(w));
                TRY(add_form(w, p));
        }
        return N_OK;
}

/* --- numbering -------------------------------------------------------------------------------- */
static const val *constants(const struct proto *p, uint32_t *ret_count)
{
        *ret_count = p->consts ? p->consts->h.used : 0;
        return p->consts ? p->consts->item : NULL;
}

static void use_builtin(struct writer *w, uint32_t native)
{
        if (w->builtin[native])
                return;
        w->natives[w->builtin_count++] = (uint16_t)native;
        w->builtin[native] = (uint16_t)w->builtin_count;
}

static void use_global(struct writer *w, uint32_t slot)
{
        if (w->global[slot])
                return;
        w->slots[w->global_count++] = (uint16_t)slot;
        w->global[slot] = (uint16_t)w->global_count;
}

/* The functions inside p before p: nested as deeply as the source at most. */
static void number_proto(struct writer *w, struct proto *p)
{
        uint32_t count;
        const val *k = constants(p, &count);
        if (p->types.tag == T_INT)
                return;
        for (uint32_t i = 0; i < count; i++)
                if (k[i].tag == T_PROTO)
                        number_proto(w, (struct proto *)k[i].o);
                else if (k[i].tag == T_NATIVE)
                        use_builtin(w, (uint32_t)k[i].i);
        const uint32_t *word = p->code->word;
        for (uint32_t i = 0; i < p->code->count; i += op_words(p, word[i])) {
                if (OP_OF(word[i]) == OP_NCALL)
                        use_builtin(w, word[i + 1]);
                if (OP_OF(word[i]) == OP_GETGLOBAL || OP_OF(word[i]) == OP_SETGLOBAL)
                        use_global(w, K_OF(word[i]));
        }
        p->types = INT(w->proto_count++);
}

/* --- writing ---------------------------------------------------------------------------------- */
static void put_text(struct writer *w, struct mv_slice text)
{
        mv_put_u32(w->o, (uint32_t)text.len);
        mv_put_slice(w->o, text);
}

static void put_u32_at(struct mv_out *o, size_t at, uint32_t n)
{
        struct mv_out field = mv_out(o->p + at, 4);
        mv_put_u32(&field, n);
}

/* (3): CBOR and back. The same value again: nothing else holds it and no new name came up, so its
 * memory is given back. Comparing takes fuel and may raise; compiling does not. NaN is itself in
 * this order. */
static enum native_status reads_back(struct mv_rtfs *r, val v, struct mv_slice cbor, bool *ret)
{
        uint8_t *top = r->heap.top;
        int64_t fuel = r->fuel_left;
        struct mv_err err;
        val again = NIL;
        int order = 1;
        enum native_status s = decode_value(r, cbor, &again, &err);
        if (s == N_OK)
                s = val_compare(r, v, again, &order);
        *ret = s == N_OK && order == 0;
        if (*ret)
                r->heap.top = top;
        r->fuel_left = fuel;
        r->pending = NIL;
        return s == N_ERROR ? N_OK : s;
}

static enum native_status put_data(struct writer *w, val v)
{
        mv_put_u8(w->o, CONSTANT_DATA);
        size_t at = w->o->len;
        mv_put_u32(w->o, 0);
        bool same = encode_value(w->o, v);
        if (w->o->overflow)
                return N_OK; /* compile_module reports it */
        size_t bytes = w->o->len - at - 4;
        if (same)
                TRY(reads_back(w->r, v, mv_slice(w->o->p + at + 4, bytes), &same));
        if (!same)
                return raise_fmt(w->r, E_PARSE, "a constant has no compiled form: %s",
                                 type_name(v));
        put_u32_at(w->o, at, (uint32_t)bytes);
        return N_OK;
}

static enum native_status put_constant(struct writer *w, val v)
{
        bool builtin = v.tag == T_NATIVE;
        if (!builtin && v.tag != T_PROTO)
                return put_data(w, v);
        mv_put_u8(w->o, builtin ? CONSTANT_BUILTIN : CONSTANT_PROTO);
        mv_put_u32(w->o, builtin ? w->builtin[v.i] - 1u : (uint32_t)((struct proto *)v.o)->types.i);
        return N_OK;
}

static void put_code(struct writer *w, const struct proto *p)
{
        const struct code *c = p->code;
        mv_put_u32(w->o, c->count);
        for (uint32_t i = 0, n; i < c->count; i += n) {
                uint32_t word = c->word[i], op = OP_OF(word), from = 1;
                n = op_words(p, word);
                if (op == OP_GETGLOBAL || op == OP_SETGLOBAL)
                        word = OP_WIDE(op, A_OF(word), w->global[K_OF(word)] - 1);
                mv_put_u32(w->o, word);
                if (op == OP_NCALL)
                        mv_put_u32(w->o, w->builtin[c->word[i + from++]] - 1u);
                for (; from < n; from++)
                        mv_put_u32(w->o, c->word[i + from]);
        }
        for (uint32_t i = 0; i < c->count; i++)
                mv_put_u32(w->o, c->word[c->count + i]);
        mv_put_u32(w->o, p->handler_count);
        for (uint32_t i = 0; i < 4 * p->handler_count; i++)
                mv_put_u32(w->o, ((const struct code *)p->handlers)->word[i]);
}

static enum native_status put_record(struct writer *w, const struct proto *p)
{
        bool delegates = p->delegate.tag == T_STRING;
        uint32_t count;
        const val *k = constants(p, &count);
        mv_put_u16(w->o, p->params);
        mv_put_u16(w->o, p->regs);
        mv_put_u16(w->o, p->ups);
        mv_put_u8(w->o, p->rest);
        mv_put_u8(w->o,
                  (uint8_t)((p->name ? PROTO_HAS_NAME : 0) | (delegates ? PROTO_HAS_DELEGATE : 0)));
        if (p->name)
                put_text(w, mv_slice(p->name->text, p->name->len));
        if (delegates)
                put_text(w, string_slice(p->delegate));
        mv_put_u32(w->o, count);
        for (uint32_t i = 0; i < count; i++)
                TRY(put_constant(w, k[i]));
        put_code(w, p);
        return N_OK;
}

/* The records of p and what it needs, in the order of their numbers. */
static enum native_status put_proto(struct writer *w, const struct proto *p)
{
        uint32_t count;
        const val *k = constants(p, &count);
        for (uint32_t i = 0; i < count; i++)
                if (k[i].tag == T_PROTO)
                        TRY(put_proto(w, (const struct proto *)k[i].o));
        return put_record(w, p);
}

static enum native_status put_module(struct writer *w)
{
        mv_put_str(w->o, BYTECODE_MAGIC);
        mv_put_u16(w->o, MV_BYTECODE_VERSION);
        mv_put_u16(w->o, 0);
        mv_put_u32(w->o, w->global_count);
        for (uint32_t i = 0; i < w->global_count; i++) {
                const struct name *n = w->r->global_names[w->slots[i]];
                put_text(w, mv_slice(n->text, n->len));
        }
        mv_put_u32(w->o, w->builtin_count);
        for (uint32_t i = 0; i < w->builtin_count; i++)
                put_text(w, mv_slice_str(w->r->natives[w->natives[i]]->name));
        mv_put_u32(w->o, w->proto_count);
        for (struct cons *c = as_cons(w->forms); c->count; c = c->tail)
                TRY(put_proto(w, (const struct proto *)c->head.o));
        mv_put_u32(w->o, w->form_count);
        for (struct cons *c = as_cons(w->forms); c->count; c = c->tail)
                mv_put_u32(w->o, (uint32_t)((const struct proto *)c->head.o)->types.i);
        return N_OK;
}

static enum native_status reverse_forms(struct writer *w)
{
        val forms = list_empty(w->r);
        for (struct cons *c = as_cons(w->forms); c->count; c = c->tail)
                if (nomem(forms = list_cons(w->r, c->head, forms)))
                        return N_NOMEM;
        w->forms = forms;
        return N_OK;
}

static enum native_status compile_module(struct mv_rtfs *r, struct mv_out *o)
{
        struct writer *w = compile_work(r, sizeof *w);
        if (!w)
                return N_NOMEM;
        w->r = r;
        w->o = o;
        w->forms = list_empty(r);
        TRY(compile_forms(w));
        TRY(reverse_forms(w));
        for (struct cons *c = as_cons(w->forms); c->count; c = c->tail)
                number_proto(w, (struct proto *)c->head.o);
        TRY(put_module(w));
        return o->overflow
                       ? raise_memory(r, "the bytecode does not fit into the buffer it was given")
                       : N_OK;
}

bool mv_rtfs_compile(struct mv_rtfs *r, struct mv_slice source, struct mv_out *bytecode,
                     struct mv_rtfs_error *ret_error)
{
        struct mv_err err;
        (void)mv_rtfs_load_source(r, source, &err); /* its errors are the program's */
        return mv_rtfs_compile_loaded(r, bytecode, ret_error);
}

bool mv_rtfs_compile_loaded(struct mv_rtfs *r, struct mv_out *bytecode,
                            struct mv_rtfs_error *ret_error)
{
        enum native_status s = N_OK;
        if (mv_rtfs_failed(r))
                s = N_ERROR;
        r->no_collect = r->compile_only = true;
        r->undefined = NULL;
        if (s == N_OK)
                s = compile_module(r, bytecode);
        r->no_collect = r->compile_only = false;
        r->undefined = NULL;
        r->stack_top = 0;
        r->forms = r->empty_list;
        if (s == N_NOMEM)
                raise_memory(r, "compiling: the program is too large for this cell");
        if (s != N_OK)
                mv_rtfs_error(r, ret_error);
        return s == N_OK;
}
