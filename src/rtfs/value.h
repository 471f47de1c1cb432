/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_VALUE_H
#define MV_RTFS_VALUE_H
/* Values and heap objects of the evaluator.
 *
 * (1) A value is 16 bytes: a tag and a payload. Small things (nil, booleans, numbers, natives) have no object.
 * (2) Objects are immutable once published, with three exceptions, all owned by the evaluator itself: boxes (a local
 *     `def`), builders (vectors under construction in the library) and the unused end of a vector's tail.
 * (3) Objects move: only the collector moves them, and only at a safepoint (heap.h). Library code never meets a
 *     collection: when memory runs out it returns NOMEM, the collector runs and the whole builtin is called again.
 *     Therefore a builtin is pure, or does its one effect last. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <microvm/value.h>

enum tag { /* grep TAG-ORDER: type_name(), truthy(), compare.c */
           T_NIL,
           T_FALSE,
           T_TRUE,
           T_INT,
           T_FLOAT,
           T_STRING,
           T_KEYWORD, /* o: struct name */
           T_SYMBOL,  /* o: struct name */
           T_VECTOR,
           T_LIST,
           T_MAP,
           T_NATIVE, /* i: index into natives[] */
           T_CLOSURE,
           T_ERROR,
           /* never seen by programs: */
           T_MAPFORM, /* a map literal as read: struct vec of k v k v in source order */
           T_BOX,
           T_NODE, /* inner node of a vector or map */
           T_PROTO,
           T_MACRO,   /* a global that holds a macro: o is its closure */
           T_UNBOUND, /* a global or box without a value */
           T_MAX_
};

/* Behind a pointer, so that it fills 8 bytes where pointers have 4 (WebAssembly), with zeros. */
#if UINTPTR_MAX == UINT32_MAX
#define RTFS_POINTER_REST uint32_t rest;
#else
#define RTFS_POINTER_REST
#endif

struct obj;
typedef struct val {
        union {
                struct {
                        uint32_t tag;
                        /* of symbols read from source: line << 12 | column; else 0; never
                         * compared */
                        uint32_t pos;
                };
                /* both at once: a value is written and copied as two words (copy_val) */
                uint64_t head;
        };
        union {
                int64_t i;
                double f;
                struct {
                        struct obj *o;
                        RTFS_POINTER_REST
                };
        };
} val;

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(struct val) == 16,
               "head is the tag while pos is 0");

#define NIL       ((val){ .head = T_NIL, .i = 0 })
#define UNBOUND   ((val){ .head = T_UNBOUND, .i = 0 })
#define INT(n)    ((val){ .head = T_INT, .i = (n) })
#define FLOAT(x)  ((val){ .head = T_FLOAT, .f = (x) })
#define BOOL(b)   ((val){ .head = (b) ? T_TRUE : T_FALSE, .i = 0 })
#define OBJ(t, p) ((val){ .head = (t), .o = (struct obj *)(p) })

/* A copy as two words. A value is mostly copied right after it was written as two words, and a processor cannot forward
 * two small stores to one wide load: it waits until both are in its cache. The barrier keeps the compiler from joining
 * the halves. */
static inline void copy_val(val *to, const val *from)
{
        uint64_t head = from->head;
        int64_t payload = from->i;
        __asm__("" : "+r"(head));
        to->head = head;
        to->i = payload;
}

static inline void set_words(val *to, uint64_t head, int64_t payload)
{
        to->head = head;
        to->i = payload;
}
static inline void set_int(val *to, int64_t n)
{
        set_words(to, T_INT, n);
}

static inline bool truthy(val v)
{
        return v.tag > T_FALSE;
}
static inline bool is_object(uint32_t tag)
{
        return (tag >= T_STRING && tag <= T_MAP) || (tag >= T_CLOSURE && tag <= T_MACRO);
}

enum obj_kind {
        O_STRING,
        O_NAME,
        O_VEC,
        O_NODE,
        O_INTS,
        O_CONS,
        O_MAP,
        O_CLOSURE,
        O_ERROR,
        O_BOX,
        O_PROTO,
        O_CODE,
};
struct obj {
        uint32_t size; /* bytes, multiple of 16, header included */
        uint8_t kind;
        uint8_t flags;
        uint16_t used;   /* O_NODE, O_INTS: items in use; O_CLOSURE: upvalues */
        struct obj *fwd; /* the collector's; NULL outside a collection */
        RTFS_POINTER_REST
};

struct string { /* immutable UTF-8 */
        struct obj h;
        uint32_t len;   /* bytes */
        uint32_t chars; /* code points; == len: ASCII, index is O(1) */
        uint8_t text[]; /* behind it, of a long string, an index: string_index() */
};
/* Code points of a long string are found in O(log n): entry k of its index is the number of code points that begin in the
 * first k + 1 blocks. 4 bytes for 256: less than 2 per cent. */
#define STRING_BLOCK 256u
static inline uint32_t string_index_count(size_t len)
{
        return len < 2 * STRING_BLOCK ? 0 : (uint32_t)(len / STRING_BLOCK);
}
static inline size_t string_bytes(size_t len) /* of the whole object */
{
        return sizeof(struct string) + ((len + 3) & ~(size_t)3) +
               4 * (size_t)string_index_count(len);
}
static inline uint32_t *string_index(struct string *s)
{
        return (uint32_t *)(void *)(s->text + (((size_t)s->len + 3) & ~(size_t)3));
}
struct name { /* interned: equal names are one object */
        struct obj h;
        uint32_t len;
        uint32_t hash;
        /* first 8 bytes, big-endian, zero padded: orders most pairs without memcmp */
        uint64_t prefix;
        struct name *next; /* intern chain */
        int32_t global;    /* index into the global table, or -1 */
        int32_t special;   /* enum special of a form word (compile.c), or 0 */
        uint8_t text[];
};
/* an array: vector leaf or tail, vector inner node (items are T_NODE), map leaf or inner node
 * (pairs) */
struct node {
        struct obj h;
        val item[];
};
#define VEC_BITS  5
#define VEC_WIDTH 32u
struct vec { /* persistent vector: 32-way trie of full leaves and a tail of 1..32 items */
        struct obj h;
        uint32_t count;
        uint32_t shift;    /* of the root: VEC_BITS * (levels); 0: no root */
        struct node *root; /* NULL: everything is in the tail */
        /* NULL: empty. tail->h.used may be larger than this vector's share: a longer vector owns
         * it */
        struct node *tail;
        uint32_t line, column; /* of a vector read from source, else 0 */
};
struct cons { /* list cell; the empty list is the one cell with count 0 */
        struct obj h;
        val head;
        struct cons *tail;
        uint32_t count; /* cells from here on */
        uint32_t pos;   /* line << 12 | column of a list read from source, else 0 */
};
/* persistent B+ tree in canonical key order; height 0: root is a leaf. Or dense: map.h */
struct map {
        struct obj h;
        uint32_t count;
        uint32_t height;
        /* NULL: empty. leaf items: k v k v; inner items: smallest key, T_NODE child */
        struct node *root;
};
struct closure {
        struct obj h;
        struct proto *proto;
        val up[];
};
struct box {
        struct obj h;
        val value;
};
struct error {
        struct obj h;
        uint16_t kind; /* enum error_kind */
        uint32_t pos;
        /* STRING: kind name when kind == E_OTHER (raised by the host), else NIL */
        val name;
        val message; /* STRING: what getMessage and :message give */
        val display; /* STRING: the display text of spec 6.2 */
        val data;
        val operation, capability, context; /* STRING each for SecurityViolation, else NIL */
};
struct code {
        struct obj h;
        uint32_t count;
        uint32_t pad[3];
        uint32_t word[]; /* count instructions, then count positions */
};
/* one try region: an error at pc in [from, to) continues at target with the error in reg */
struct handler {
        uint32_t from, to, target, reg;
};
struct proto {
        struct obj h;
        struct code *code;
        struct node *consts; /* NULL: none */
        /* an O_CODE object of struct handler, innermost first; NULL: none */
        struct obj *handlers;
        struct name *name; /* of defn, named fn or builtin; NULL: anonymous */
        uint32_t handler_count;
        uint16_t params; /* fixed parameters */
        uint16_t regs;   /* registers, parameters included */
        uint16_t ups;
        bool rest; /* one more parameter takes a list of the other arguments */
        /* library function written in RTFS: errors name it, calls are not counted as depth */
        bool builtin;
        val delegate; /* STRING "model-call:ID": calling it is a host call; else NIL */
        val types;    /* parameter and result annotations (types.c), or NIL */
};

/* An error's kinds: names and caught-kind keywords come from one list (spec 6.2). */
#define ERROR_KIND_MAP(X)                                                                          \
        X(TYPE, "TypeError", "type-error")                                                         \
        X(UNDEFINED, "UndefinedSymbol", "undefined-symbol")                                        \
        X(ARITY, "ArityMismatch", "arity-mismatch")                                                \
        X(DIV_ZERO, "DivisionByZero", "division-by-zero")                                          \
        X(INDEX, "IndexOutOfBounds", "index-out-of-bounds")                                        \
        X(INVALID_ARGUMENT, "InvalidArgument", "invalid-argument")                                 \
        X(INVALID_ARGUMENTS, "InvalidArguments", "invalid-arguments")                              \
        X(TYPE_VALIDATION, "TypeValidationError", "type-validation-error")                         \
        X(MATCH, "MatchError", "match-error")                                                      \
        X(NOT_IMPLEMENTED, "NotImplemented", "not-implemented")                                    \
        X(SECURITY, "SecurityViolation", "security-violation")                                     \
        X(GENERIC, "Generic", "generic")                                                           \
        X(INTERNAL, "InternalError", "internal-error")                                             \
        X(UNKNOWN_CAPABILITY, "UnknownCapability", "unknown-capability")                           \
        X(BUDGET, "BudgetExhausted", "budget-exhausted")                                           \
        X(APPLICATION, "ApplicationError", "application-error")                                    \
        X(STACK, "StackOverflow", "stack-overflow")                                                \
        X(MODULE_NOT_FOUND, "ModuleNotFound", "module-not-found")                                  \
        X(MODULE, "ModuleError", "module-error")                                                   \
        X(OVERFLOW, "IntegerOverflow", "integer-overflow")                                         \
        X(PARSE, "ParseError", "parse-error")                                                      \
        X(FUEL, "FuelExhausted", "fuel-exhausted")                                                 \
        X(MEMORY, "MemoryExhausted", "memory-exhausted")                                           \
        X(OUTPUT, "OutputExhausted", "output-exhausted")                                           \
        X(INTERRUPTED, "Interrupted", "interrupted")                                               \
        X(IO, "IoError", "io-error")                                                               \
        X(NETWORK, "NetworkError", "network-error")                                                \
        X(JSON, "JsonError", "json-error")                                                         \
        X(OTHER, "", "")
enum error_kind {
#define X(id, name, keyword) E_##id,
        ERROR_KIND_MAP(X)
#undef X
                E_MAX_
};

static inline struct string *as_string(val v)
{
        return (struct string *)v.o;
}
static inline struct name *as_name(val v)
{
        return (struct name *)v.o;
}
static inline struct vec *as_vec(val v)
{
        return (struct vec *)v.o;
}
static inline struct cons *as_cons(val v)
{
        return (struct cons *)v.o;
}
static inline struct map *as_map(val v)
{
        return (struct map *)v.o;
}
static inline struct closure *as_closure(val v)
{
        return (struct closure *)v.o;
}
static inline struct error *as_error(val v)
{
        return (struct error *)v.o;
}
static inline struct mv_slice string_slice(val v)
{
        return (struct mv_slice){ as_string(v)->text, as_string(v)->len };
}
static inline struct mv_slice name_slice(val v)
{
        return (struct mv_slice){ as_name(v)->text, as_name(v)->len };
}
const char *type_name(val v); /* spec 2.1 */

#endif
