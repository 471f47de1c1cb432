/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_SCHEMA_H
#define MV_CONFIG_SCHEMA_H
/* What a configuration may say, as one table of sections and fields. The binder, the defaults, the checks of single
 * fields, the printers, the manual page and the JSON Schema all read the same rows.
 *
 * (1) A field of a C struct is a struct mv_item wherever it is a value, so it knows whether it was given and where; a
 *     section begins with a struct mv_head.
 * (2) Names have one canonical spelling, with dashes; dash and underscore are the same letter (REQ-AC-07). Paths in
 *     messages, JSON and TOML use underscores, RTFS text uses dashes.
 * (3) Rows stand in the order of the documentation: that is the schema order of diagnostics (REQ-ACV-20). */
#include <rtfs/data.h>

struct mv_item {
        bool given;
        uint32_t line, column; /* of the value; 0: not given */
        uint32_t count;        /* TEXTS */
        union {
                bool boolean;
                int64_t integer; /* INTEGER; DURATION in milliseconds */
                double real;
                struct mv_slice text;
                const struct mv_item *texts; /* each with its own place */
                const struct mv_form *any;   /* NULL: not given */
        };
};
struct mv_head { /* opens every section */
        bool given;
        uint32_t line, column;
        struct mv_slice name; /* of an entry of a NAMED field */
};
struct mv_sections { /* a NAMED or LISTED field: `count` section structs, one after the other */
        struct mv_head at;
        void *items;
        uint32_t count;
};

enum mv_field_type {
        MV_F_TEXT, /* string or keyword */
        MV_F_BOOL,
        MV_F_INTEGER, /* min..max; without max the range of u32 */
        MV_F_NUMBER,
        MV_F_DURATION, /* seconds, or "250ms" "30s" "5m" "1h" */
        MV_F_TEXTS,    /* vector of strings */
        MV_F_SECTION,
        MV_F_NAMED,  /* map of name to section */
        MV_F_LISTED, /* vector of sections */
        MV_F_ANY,    /* kept as it is */
};
enum mv_field_check { /* of each text of the field */
                      MV_CHECK_NONE,
                      MV_CHECK_HOST, /* a host name, *.name, with or without port */
                      MV_CHECK_PIN,  /* sha256/<base64 of 32 bytes> */
                      MV_CHECK_PATH, /* not empty, no NUL */
                      MV_CHECK_ABSOLUTE,
                      MV_CHECK_GRANT, /* capability id, or prefix.* */
                      /* a name for a socket, a directory and a record: letters, digits, . - _ */
                      MV_CHECK_ID,
                      MV_CHECK_ENV,     /* NAME or NAME=VALUE */
                      MV_CHECK_DIGEST,  /* sha256:<64 hexadecimal digits> */
                      MV_CHECK_VERSION, /* 1.2.3, 1.2.3-rc.1 */
                      MV_CHECK_EFFECT,  /* network, :network */
};
struct mv_section;
struct mv_field {
        const char *name;
        enum mv_field_type type;
        size_t offset;
        const char *fallback; /* the default as text; NULL: optional, stays not given */
        const char *doc;
        const char *choices; /* "a|b|c"; NULL: any */
        const char *code;    /* of the error when choices, range or check refuse the value */
        enum mv_field_check check;
        int64_t min, max;  /* INTEGER: 0, 0 is the whole of u32 */
        bool not_negative; /* NUMBER */
        bool optional;     /* SECTION: its presence means something */
        bool required;     /* for the documents; the check is written out */
        const struct mv_section *section;
};
struct mv_section {
        const char *what; /* "Expected map for <what> config" */
        size_t size;      /* of the struct */
        const struct mv_field *fields;
        uint32_t count;
        const char *doc;
        /* A text in the place of the section; false: no such word. NULL: none is accepted. */
        bool (*shorthand)(struct mv_slice word, void *ret_section);
        const char *shorthand_what, *shorthand_choices, *shorthand_code;
};
#define MV_ITEM(section, offset) ((struct mv_item *)((char *)(section) + (offset)))

struct mv_agent_config;
extern const struct mv_section mv__agent_schema;

/* Do two keys name the same field? Dash and underscore are equal. */
bool mv__same_name(struct mv_slice a, struct mv_slice b);
bool mv__name_is(struct mv_slice key, const char *name);
/* One of "a|b|c"? */
bool mv__choice_has(const char *choices, struct mv_slice word);
/* The name or choice nearest to what was written, or "" when none is near. Writes at most cap
 * bytes. */
void mv__nearest(struct mv_slice written, const char *choices, char *ret, size_t cap);
/* "30s" "500ms" "5m" "1h", a bare number is seconds; 1 ms to 10^9 s. */
bool mv__duration_ms(struct mv_slice text, int64_t *ret);

#endif
