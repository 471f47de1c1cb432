/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_COMPILE_H
#define MV_RTFS_COMPILE_H
/* Forms to code, in one pass, with registers given out like a stack.
 *
 * (1) The compiler never collects: forms stay where they are. Its work memory is the unused part of the value stack.
 * (2) Registers below `free` are in use; an expression leaves its value in the register it was told and gives back all
 *     others it took.
 * (3) Values do not change, so closures copy what they capture. A local `def` and mutually recursive local functions
 *     are the exceptions: they live in boxes. */
#include <rtfs/ops.h>
#include <rtfs/reader.h>
#include <rtfs/vm.h>

#define REGS_MAX   250
#define UPS_MAX    250
#define PARAMS_MAX 64u

#define TRY(call)                                                                                  \
        do {                                                                                       \
                enum native_status s_ = (call);                                                    \
                if (s_ != N_OK)                                                                    \
                        return s_;                                                                 \
        } while (0)

enum place_kind { IN_REG, IN_UP, IN_SELF };
struct place {
        enum place_kind kind;
        uint8_t index;
        bool boxed;
};
struct var {
        struct name *name;
        uint8_t reg;
        bool self, boxed;
};
struct words {
        uint32_t *p;
        uint32_t count, cap;
};
struct loop {
        struct loop *outer;
        uint32_t start; /* where recur jumps */
        uint32_t count;
        uint8_t reg; /* first loop register */
        bool is_function;
        uint64_t grows; /* bit i: variable i grows in place (compile_own.c) */
        uint8_t owner;  /* register with the owner's number, if there is such a variable */
};
#define NO_REGISTER UINT32_MAX

#define NO_CODE UINT32_MAX

struct func {
        struct mv_rtfs *r;
        struct func *parent;
        struct words code, pos, handlers;
        val *consts;
        uint32_t const_count, const_cap;
        struct var *vars;
        uint32_t var_count, var_cap;
        struct place ups[UPS_MAX];
        uint32_t up_count;
        /* vars of the innermost frame start here; a local def belongs to it */
        uint32_t scope_vars;
        bool is_local; /* inside some frame: def is local */
        uint32_t free, regs;
        /* the instruction emitted last; NO_CODE: control may come from elsewhere as well */
        uint32_t last;
        uint32_t at; /* source position of what is being compiled */
        struct loop *loop;
        /* register of the variable whose next value is being compiled, if PUT may change it */
        uint32_t growing;
        uint32_t depth;
        bool tail_ok;      /* a call in tail position may replace this frame */
        uint32_t try_done; /* jump left behind by a catch clause with a selector */
};

/* compile.c */
/* zeroed, until compile_form returns; NULL: too small a cell */
void *compile_work(struct mv_rtfs *r, size_t bytes);
enum native_status fail_form(struct func *f, const char *what); /* ParseError at f->at */
enum native_status emit(struct func *f, uint32_t word);
enum native_status emit_more(struct func *f, uint32_t word); /* a further word of an instruction */
enum native_status emit2(struct func *f, uint32_t word, uint32_t second);
enum native_status emit_jump(struct func *f, uint32_t word, uint32_t *ret_patch);
void patch_here(struct func *f, uint32_t patch);
enum native_status emit_loop(struct func *f, uint32_t target);
enum native_status add_const(struct func *f, val v, uint32_t *ret);
enum native_status load_const(struct func *f, val v, uint8_t dst);
enum native_status add_handler(struct func *f, uint32_t from, uint32_t to, uint32_t target,
                               uint8_t reg);
enum native_status new_reg(struct func *f, uint8_t *ret);
enum native_status new_var(struct func *f, struct name *n, uint8_t reg, bool boxed);
/* Value of form into dst. tail: nothing follows in this function. */
enum native_status expr(struct func *f, val form, uint8_t dst, bool tail);
/* Like expr, but a plain local stays in its own register. */
enum native_status operand(struct func *f, val form, uint8_t *ret);
/* the form as an ordinary call */
enum native_status call_plain(struct func *f, val form, uint8_t dst, bool tail);
enum native_status native_call(struct func *f, const char *name, uint8_t dst, uint8_t first,
                               uint8_t count);
enum native_status symbol_value(struct func *f, struct name *n, uint8_t dst, int skip);
/* does it mean something of the program's own here? */
bool is_shadowed(struct func *f, struct name *n);
bool is_local_name(struct func *f, const struct name *n);
enum native_status expand_macro(struct func *f, val form, val *ret, bool *ret_expanded);
/* LIST of forms, implicit do */
enum native_status body(struct func *f, val forms, uint8_t dst, bool tail);
/* A frame (let, fn body, match clause...): definitions inside are local to it. */
struct scope {
        uint32_t vars, scope_vars, free;
        bool is_local;
};
struct scope scope_open(struct func *f);
void scope_close(struct func *f, struct scope s);
/* boxes for the def names of this frame */
enum native_status declare_defs(struct func *f, val forms);
enum native_status declare_defs_of(struct func *f, val form);
enum native_status make_proto(struct func *f, struct name *name, struct proto **ret);
enum native_status too_large(struct func *f);
/* rest: (delegation* params ...) */
enum native_status function(struct func *f, struct name *name, val rest, uint8_t dst);
enum native_status function_proto(struct func *parent, struct mv_rtfs *r, struct name *name,
                                  val rest, struct func *ret, struct proto **ret_proto);
/* Jump when the test is false; ret_patch gets the jump. */
enum native_status test_jump(struct func *f, val test, uint32_t *ret_patch);
/* deep: map literals become maps */
enum native_status data_form(struct func *f, val form, val *ret);
/* the register of a local that can be used where it is */
bool plain_local(struct func *f, val form, uint8_t *ret);
/* builtin index when head certainly names that builtin, else -1 */
int32_t inline_native(struct func *f, val head);
bool mentions(val form, const struct name *n, int depth);

/* compile_call.c: 0, or what r->operators has for a builtin of this name */
uint8_t operator_of(struct mv_slice name);

/* compile_own.c: may assoc change loop variable `index` in place? */
bool grows_in_place(struct func *f, val bindings, uint32_t index, val forms);

/* compile_improve.c */
/* Is the end of the code the instruction emitted last? Not where there is none yet. */
static inline bool ends_with_last(const struct func *f)
{
        return f->last < f->code.count && f->last == f->code.count - 1;
}
/* Let what was emitted last write to `to` instead of `from`, if all it does is to compute
 * `from`. */
bool redirect_result(struct func *f, uint32_t last, uint8_t from, uint8_t to);
/* Does code from `at` on read the register? */
bool reads_register(struct func *f, uint32_t at, uint8_t reg);
/* Jumps to jumps go to the end at once, and a jump to a return is one. */
void shorten_jumps(struct func *f);

/* compile_forms.c */
enum native_status special_form(struct func *f, int special, val form, uint8_t dst, bool tail);
int special_of(struct mv_slice word); /* 0: none */
int special_count(void);
const char *special_word(int i);
bool special_can_be_shadowed(int special);
/* The type that *forms begins with, [...]? included; *forms moves on. */
enum native_status take_type(struct func *f, val *forms, val *ret);
/* R-07 for parameters */
enum native_status annotation_at(struct func *f, val list, uint32_t *at, val *ret_type);

enum native_status raise_op(struct func *f, enum error_kind kind, const char *fmt,
                            ...) /* an error at run time */
        __attribute__((format(printf, 3, 4)));
enum native_status list_of(struct func *f, const val *items, uint32_t count, val *ret);
enum native_status jump(struct func *f, uint32_t *ret_patch);
val unwrap_meta(val form);
bool is_pattern(val v);
enum native_status define(struct func *f, struct name *n, uint8_t value);

/* compile_control.c */
enum native_status try_form(struct func *f, val form, uint8_t dst);
enum native_status for_form(struct func *f, val form, uint8_t dst);
enum native_status dotimes_form(struct func *f, val form, uint8_t dst);

/* compile_steps.c */
enum native_status step_form(struct func *f, val form, uint8_t dst);
enum native_status security_profile_form(struct func *f, val form, uint8_t dst);
enum native_status step_if_form(struct func *f, val form, uint8_t dst);
enum native_status step_loop_form(struct func *f, val form, uint8_t dst);
enum native_status step_parallel_form(struct func *f, val form, uint8_t dst);

/* compile_data.c */
enum native_status meta_form(struct func *f, val form, uint8_t dst);
enum native_status hints_form(struct func *f, val form,
                              uint8_t dst); /* the same without a fallback */
enum native_status context_form(struct func *f, val form, uint8_t dst);
enum native_status get_form(struct func *f, val form, uint8_t dst, bool tail);
enum native_status plan_form(struct func *f, val form, uint8_t dst);
enum native_status deftype_form(struct func *f, val form, uint8_t dst);
enum native_status defstruct_form(struct func *f, val form, uint8_t dst);
enum native_status llm_form(struct func *f, val form, uint8_t dst, bool tail);

/* compile_module.c */
enum native_status module_form(struct func *f, val form, uint8_t dst);
enum native_status import_form(struct func *f, val form, uint8_t dst);
/* The name of the global that n means here: of the module being compiled, imported, or itself.
 * false: NOMEM. */
bool module_global(struct mv_rtfs *r, struct name *n, struct name **ret);

/* compile_pattern.c */
/* declares variables; reg stays theirs */
enum native_status bind_pattern(struct func *f, val pattern, uint8_t reg);
enum native_status match_form(struct func *f, val form, uint8_t dst, bool tail);

static inline val at(val list, uint32_t i)
{ /* i-th of a list form; NIL beyond the end */
        struct cons *c = as_cons(list);
        while (i-- && c->count)
                c = c->tail;
        return c->count ? c->head : NIL;
}
static inline uint32_t len(val list)
{
        return as_cons(list)->count;
}
static inline val rest_of(val list, uint32_t i)
{
        struct cons *c = as_cons(list);
        while (i-- && c->count)
                c = c->tail;
        return OBJ(T_LIST, c);
}
static inline bool is_symbol(val v, const char *text)
{
        return v.tag == T_SYMBOL && mv_slice_eq_str(name_slice(v), text);
}

#endif
