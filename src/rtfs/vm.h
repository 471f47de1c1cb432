/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_VM_H
#define MV_RTFS_VM_H
/* The evaluator's state, and what builtins may use of it. */
#include <base/slice.h>
#include <rtfs/heap.h>
#include <rtfs/rtfs.h>

/* What a builtin returns. */
enum native_status {
        N_OK,
        N_NOMEM, /* nothing has happened: collect and call again */
        N_ERROR, /* r->pending is the error value */
        N_CALL,  /* suspend for the host: r->call_* are set */
        N_FATAL, /* fuel, output: the program ends, r->fatal says why */
};

struct native {
        const char *name;
        /* -1: any number. Checked before fn is called; the text of a mismatch derives from it */
        int16_t args_min, args_max;
        enum native_status (*fn)(struct mv_rtfs *r, val *args, uint32_t count, val *ret);
        /* Documentation (docs.h), printed by tools and tested: "(conj [1] 2)" => "[1 2]". NULL:
         * internal. */
        const char *doc, *example, *gives, *args, *result, *errors;
};
/* natives[i].name; the table is assembled from one array per file in rtfs.c. NULL-terminated
 * arrays. */
extern const struct native natives_core[], natives_math[], natives_string[], natives_coll[],
        natives_seq[], natives_misc[], natives_types[];
/* Documentation of what library.c defines in RTFS; fn is NULL. */
extern const struct native library_docs[], prelude_docs[];

struct frame {
        struct closure *closure; /* NULL: the bottom frame of a run */
        uint32_t pc;             /* saved while another frame runs */
        uint32_t base;           /* index of register 0 in the value stack */
        uint32_t ret;            /* stack index that takes the result */
        uint32_t spare;
};

#define NAME_BUCKETS        1024u
#define NAMES_IN_CHAINS_MAX (2 * NAME_BUCKETS)
#define GLOBALS_MAX         4096u
#define NATIVES_MAX         384u

struct mv_rtfs {
        /* --- state that a run changes; saved once after init, restored by reset ---------------------------------- */
        struct heap heap;
        val *stack;          /* value stack */
        uint32_t stack_size; /* values */
        uint32_t stack_top;  /* first slot no frame uses */
        struct frame *frames;
        uint32_t frames_size, frame_count;
        uint32_t frame_floor; /* frames below belong to an outer run (macro expansion) */
        int64_t fuel_left;
        uint64_t fuel_start;
        /* below it fuel_goes_on is asked: the end, a tick, or (INT64_MAX) an interrupt */
        volatile int64_t fuel_stop;
        uint32_t global_count;
        val pending;           /* error being raised, or NIL */
        enum error_kind fatal; /* E_FUEL, E_MEMORY, E_OUTPUT, E_INTERRUPTED; E_MAX_: none */
        uint32_t fatal_pos;
        val result;
        val regions;            /* of mv_rtfs_inspect, until the next reset */
        val call_id, call_args; /* STRING; VECTOR: of the suspended host call */
        uint32_t call_reg;      /* absolute stack slot that takes the reply */
        uint64_t call_seq;
        bool suspended;
        val forms; /* LIST of top-level forms still to be compiled */
        val empty_list, empty_vector, empty_map;
        val context; /* MAP with string keys: what the host gave and context/set added */
        val modules, module_names, imports; /* MAPs, see compile_module.c */
        /* O_NODE as a hash table of SYMBOLs, the hash in pos; NIL: the chains hold all names */
        val names;
        uint32_t names_in_table, names_in_chains;
        val aliases; /* MAP type alias name -> type form (deftype) */
        uint64_t step_count;
        val stream;     /* STRING: the branches this is in (natives_misc.c), NIL outside of them */
        uint64_t drawn; /* names it gave out */
        struct mv_slice step_ran; /* outcome of a step that ran elsewhere; NULL: none waits */
        val step_left;        /* its error, while a step is being left: for mv_rtfs_encode_left */
        uint32_t owner_count; /* owners of maps that were given out (map.h) */
        uint32_t source_pos;  /* position for errors raised outside of code */
        uint8_t overridden[GLOBALS_MAX / 8]; /* globals the program itself defines: never inlined */
        uint32_t prelude_from, prelude_to;   /* globals of the CCOS prelude */
        bool no_collect; /* forms are in the hands of the compiler: running out is final */
        struct mv_rtfs_options options;
        /* nothing of the program has run: a macro cannot use what it defines */
        bool compile_only;
        struct name *undefined; /* that a macro asked for meanwhile; NULL: none */
        volatile int interrupt;
        /* the instruction that last ran out of memory, and what it got then */
        uint64_t room_at;
        size_t room_given;
        char fatal_text[160];
        char hint_text[96];
        /* --- fixed after init ----------------------------------------------------------------------------------------- */
        uint8_t *arena;
        size_t arena_bytes;
        /* pristine copies: of everything above, of the globals without the prelude, of the prelude's, of the buckets */
        uint8_t *saved;
        val *saved_global_values, *saved_prelude;
        struct name **saved_buckets;
        uint32_t saved_globals; /* library globals: the pristine copy covers these */
        struct obj **marks;     /* the collector's mark stack */
        uint32_t marks_size;
        const struct native *natives[NATIVES_MAX];
        uint8_t operators[NATIVES_MAX]; /* natives that are instructions (operator_of), else 0 */
        uint32_t native_count;
        /* the library is being compiled: names that start with % are visible */
        bool building;
        val *globals; /* GLOBALS_MAX */
        struct name **global_names;
        struct name **buckets; /* NAME_BUCKETS */
};

_Static_assert(offsetof(struct mv_rtfs, heap) == 0, "heap_of");

/* --- for builtins ----------------------------------------------------------------------------- */
/* Take `units` of fuel for work proportional to size. Returns N_OK or N_FATAL: `if (charge(r,
 * n)) return N_FATAL;` */
enum native_status charge(struct mv_rtfs *r, uint64_t units);
/* fuel_left fell below fuel_stop: is there a reason to end? Then false, and r->fatal says why. */
bool fuel_goes_on(struct mv_rtfs *r) __attribute__((cold));
void fuel_next_stop(struct mv_rtfs *r);
/* Raise errors (spec 6.2). Each returns N_ERROR, or N_NOMEM: `return raise_type(r, "+",
 * "number", v);` */
/* actual: its type name */
enum native_status raise_type(struct mv_rtfs *r, const char *op, const char *expected, val actual);
enum native_status raise_type_text(struct mv_rtfs *r, const char *op, const char *expected,
                                   const char *actual);
enum native_status raise_arity(struct mv_rtfs *r, const char *function, const char *expected,
                               uint32_t actual);
enum native_status raise_index(struct mv_rtfs *r, int64_t index, uint64_t length);
enum native_status raise_fmt(struct mv_rtfs *r, enum error_kind kind, const char *fmt,
                             ...) /* adds the kind's prefix */
        __attribute__((format(printf, 3, 4)));
enum native_status raise_value(struct mv_rtfs *r, val error);
/* An error value; display and message are text without NUL bytes limits. NOMEM_VAL on no memory. */
val error_new(struct mv_rtfs *r, enum error_kind kind, struct mv_slice message, val data);
const char *error_kind_name(const struct error *e); /* "" for E_OTHER: use e->name */
enum error_kind error_kind_of(struct mv_slice name);

/* Whole values (compare.c): no allocation, recursion bounded by MV_VALUE_DEPTH_MAX. Both charge fuel for the parts they
 * visit; N_ERROR: nested too deeply. val_compare: the total order of spec 2.4 into *ret. */
enum native_status val_equal(struct mv_rtfs *r, val a, val b, bool *ret);
enum native_status val_compare(struct mv_rtfs *r, val a, val b, int *ret);

/* Text (print.c). Display form appended to o; false: o overflowed, or nested too deeply
 * (*ret_deep set when not NULL). */
bool print_display(struct mv_out *o, val v, bool *ret_deep);
bool print_readable(struct mv_out *o, val v, bool *ret_deep);
/* Display form as a new STRING; `plain`: a string is itself, without quotes (str, join). */
enum native_status display_string(struct mv_rtfs *r, const val *items, uint32_t count,
                                  const char *separator, bool plain, val *ret);
/* Free heap memory as a scratch buffer until the next allocation. */
struct mv_out scratch(struct mv_rtfs *r);

/* Suspend for the host call `id` (STRING), which longer than MV_ID_MAX is nobody's: N_CALL, or
 * an error. */
enum native_status call_host(struct mv_rtfs *r, val id, const val *args, uint32_t count);

/* A sequence as a vector: vector itself, list, map (of [k v]), string (of one-character strings). N_ERROR is the
 * caller's: *ret is NIL when the value is no sequence. */
enum native_status seq_vector(struct mv_rtfs *r, val v, val *ret);

/* CBOR (codec.c). */
bool encode_value(struct mv_out *o, val v);
/* N_ERROR: HOSTILE */
enum native_status decode_value(struct mv_rtfs *r, struct mv_slice cbor, val *ret,
                                struct mv_err *err);

/* the arena is too small: N_FATAL */
enum native_status raise_memory(struct mv_rtfs *r, const char *doing);

/* Emit one event (STEP payload): returns N_OK or N_FATAL. items are encoded in order after the
 * event name. */
enum native_status emit_event(struct mv_rtfs *r, const char *event, const val *items,
                              uint32_t count);
/* The same to a function of the embedder's, or NULL. */
enum native_status emit_to(struct mv_rtfs *r, bool (*to)(void *ctx, struct mv_slice cbor_array),
                           const char *event, const val *items, uint32_t count);

/* Types (types.c): check v against an annotation's type form. N_OK, N_ERROR
 * (TypeValidationError) or N_NOMEM. */
enum native_status type_check(struct mv_rtfs *r, val type_form, val v, int variadic_index);

/* The library: index of a native by name; -1: none. */
int native_find(struct mv_rtfs *r, struct mv_slice name);
/* Library functions written in RTFS (prelude.c): source text compiled at init. */
extern const char library_source[], ccos_prelude_source[];

/* The defined name nearest to an undefined one (suggest.c); empty: none is near. */
struct mv_slice nearest_name(const struct mv_rtfs *r, struct mv_slice text);

/* Internals shared by vm.c, compile.c, rtfs.c. */
int32_t global_slot(struct mv_rtfs *r, struct name *n); /* makes one; -1: table full */
/* Compile one top-level form into a proto without parameters; N_ERROR: pending is a ParseError
 * etc. */
enum native_status compile_form(struct mv_rtfs *r, val form, struct proto **ret);
/* Take the next of r->forms and compile it; *ret is NULL after a (do ...) whose parts are forms
 * of their own now. */
enum native_status compile_next_form(struct mv_rtfs *r, struct proto **ret);
/* Run a closure to its end at once (macro expansion): host calls are an error there. */
enum native_status run_now(struct mv_rtfs *r, val f, const val *args, uint32_t count, val *ret);
/* An evaluator without a library: it reads forms (data.c), it does not run. */
int mv__rtfs_init_reader(void *arena, size_t bytes, const struct mv_rtfs_options *o,
                         struct mv_rtfs **ret, struct mv_err *err);
/* Read the whole source into a LIST of forms. N_ERROR: ParseError pending. */
enum native_status read_source(struct mv_rtfs *r, struct mv_slice source, val *ret_forms);
/* These forms are the program now (rtfs.c). */
void take_forms(struct mv_rtfs *r, val forms);
/* The machine (vm.c). vm_start: a frame for a proto without parameters. vm_resume: run until the
 * frames are gone. */
enum native_status vm_start(struct mv_rtfs *r, struct proto *p);
enum native_status vm_resume(struct mv_rtfs *r);

#endif
