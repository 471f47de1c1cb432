/* SPDX-License-Identifier: Apache-2.0 */
/* JSON text as forms: the strict parser of wire/json.h tells what is there, this file where. */
#include <base/slice.h>
#include <config/forms.h>
#include <wire/json.h>
#include <wire/text.h>

struct mv_form *mv__forms_push(struct mv_arena *a, struct mv_forms *f)
{
        if (f->count == f->cap) {
                uint32_t cap = f->cap ? f->cap * 2 : 8;
                struct mv_form *more = mv_new(a, struct mv_form, cap);
                if (!more)
                        return NULL;
                if (f->count)
                        memcpy(more, f->items, f->count * sizeof *more);
                f->items = more;
                f->cap = cap;
        }
        return &f->items[f->count++];
}

struct json {
        struct mv_json j;
        struct mv_json_event event;
        struct mv_arena *arena;
        size_t counted;            /* bytes, see count_to */
        uint32_t line, characters; /* of that line, up to there */
        bool full;
};

/* Places are asked for from left to right. */
static void count_to(struct json *p, size_t at)
{
        for (; p->counted < at && p->counted < p->j.in.len; p->counted++) {
                uint8_t c = p->j.in.p[p->counted];
                p->line += c == '\n';
                p->characters = c == '\n' ? 0 : p->characters + ((c & 0xc0) != 0x80);
        }
}

/* The next event, and where its token begins. */
static bool next(struct json *p, struct mv_form *ret)
{
        size_t at = p->j.at;
        while (at < p->j.in.len && strchr(" \t\r\n,:", p->j.in.p[at]) && p->j.in.p[at])
                at++;
        count_to(p, at);
        if (!mv_json_next(&p->j, &p->event))
                return false;
        *ret = (struct mv_form){ .line = p->line, .column = p->characters + 1 };
        return true;
}

static bool put_text(struct json *p, struct mv_form *f)
{
        struct mv_slice raw = p->event.text;
        uint8_t *buf = mv_new(p->arena, uint8_t, raw.len + 1);
        struct mv_out o = mv_out(buf, raw.len + 1);
        f->kind = MV_STRING;
        if (!buf || !(p->event.escaped ? mv_json_unescape(&o, raw) : mv_put_slice(&o, raw))) {
                p->full = true;
                return false;
        }
        f->text = mv_out_slice(&o);
        return true;
}

static bool read_value(struct json *p, struct mv_form *f);

static bool read_container(struct json *p, struct mv_form *f, enum mv_json_kind close)
{
        struct mv_forms items = { 0 };
        for (;;) {
                struct mv_form item;
                if (!next(p, &item))
                        return false;
                if (p->event.kind == close)
                        break;
                if (!(p->event.kind == MV_JSON_KEY ? put_text(p, &item) : read_value(p, &item)))
                        return false;
                struct mv_form *slot = mv__forms_push(p->arena, &items);
                if (!slot) {
                        p->full = true;
                        return false;
                }
                *slot = item;
        }
        f->kind = close == MV_JSON_ARRAY_CLOSE ? MV_VECTOR : MV_MAP;
        f->items = items.items;
        f->count = items.count;
        return true;
}

/* The event is the value's first; f has its place. */
static bool read_value(struct json *p, struct mv_form *f)
{
        switch (p->event.kind) {
        case MV_JSON_BOOL:
                f->kind = MV_BOOL;
                f->boolean = p->event.boolean;
                return true;
        case MV_JSON_INT:
                f->kind = MV_INT;
                f->integer = p->event.integer;
                return true;
        case MV_JSON_FLOAT:
                f->kind = MV_FLOAT;
                f->real = p->event.real;
                return true;
        case MV_JSON_STRING:
                return put_text(p, f);
        case MV_JSON_ARRAY_OPEN:
                return read_container(p, f, MV_JSON_ARRAY_CLOSE);
        case MV_JSON_OBJECT_OPEN:
                return read_container(p, f, MV_JSON_OBJECT_CLOSE);
        default:
                f->kind = MV_NIL;
                return true;
        }
}

int mv__read_json(struct mv_slice text, struct mv_arena *a, struct mv_form *ret,
                  struct mv_syntax_error *ret_error, struct mv_err *err)
{
        struct json p = { .j = mv_json(text), .arena = a, .line = 1 };
        struct mv_form f, end;
        if (next(&p, &f) && read_value(&p, &f) && next(&p, &end)) {
                *ret = f;
                return 0;
        }
        if (p.full)
                return mv_fail(err, MV_E_LIMIT, 0, "the text has too many values");
        if (p.j.wrong_at < p.counted) /* within the token that was begun */
                p.counted = p.characters = 0, p.line = 1;
        count_to(&p, p.j.wrong_at);
        *ret_error = (struct mv_syntax_error){ .line = p.line, .column = p.characters + 1 };
        mv_fmt(ret_error->message, sizeof ret_error->message, "%s", p.j.why);
        return mv_fail(err, MV_E_INVALID, 0, "%s", p.j.why);
}
