/* SPDX-License-Identifier: Apache-2.0 */
/* Walking sequences and building strings: what the library's builtins have in common (library.h).
 * Nothing here keeps an object longer than the builtin that asked for it. */
#include <base/limits.h>
#include <rtfs/library.h>
#include <wire/text.h>

struct sequence sequence(val v)
{
        struct sequence s = { .v = v, .count = sequence_count(v) };
        if (v.tag == T_LIST)
                s.cell = as_cons(v);
        return s;
}

bool sequence_next(struct sequence *s, val *ret)
{
        if (s->at >= s->count)
                return false;
        if (s->v.tag == T_LIST) {
                *ret = s->cell->head;
                s->cell = s->cell->tail;
                s->at++;
                return true;
        }
        if (s->run_left == 0)
                s->run_left = vec_chunk(s->v, s->at, &s->run);
        *ret = *s->run++;
        s->run_left--;
        s->at++;
        return true;
}

uint32_t sequence_count(val v)
{
        return v.tag == T_LIST ? as_cons(v)->count : vec_count(v);
}

enum native_status push_all(struct mv_rtfs *r, val builder, val v)
{
        struct sequence s = sequence(v);
        val item;
        while (sequence_next(&s, &item))
                TRY(push(r, builder, item));
        return N_OK;
}

static enum native_status push_pairs(struct mv_rtfs *r, val builder, val m)
{
        struct map_iter it;
        val pair[2];
        map_iter(&it, m);
        while (map_next(&it, &pair[0], &pair[1])) {
                val v = vec_new(r, pair, 2);
                if (nomem(v))
                        return N_NOMEM;
                TRY(push(r, builder, v));
        }
        return N_OK;
}

enum native_status seq_vector(struct mv_rtfs *r, val v, val *ret)
{
        *ret = v.tag == T_VECTOR ? v : NIL;
        if (v.tag != T_LIST && v.tag != T_MAP && v.tag != T_STRING)
                return N_OK;
        val out = vec_builder(r);
        if (nomem(out))
                return N_NOMEM;
        if (v.tag == T_LIST)
                TRY(push_all(r, out, v));
        else if (v.tag == T_MAP)
                TRY(push_pairs(r, out, v));
        else
                TRY(push_chars(r, out, v));
        return give(ret, out);
}

#define WORK_HEADER ((sizeof(struct code) + 15) & ~(size_t)15)

void *work_memory(struct mv_rtfs *r, size_t bytes)
{
        void *p = work_memory_raw(r, bytes);
        return p ? memset(p, 0, bytes) : NULL;
}

void *work_memory_raw(struct mv_rtfs *r, size_t bytes)
{
        if (bytes > UINT32_MAX - WORK_HEADER)
                return NULL;
        uint8_t *p = heap_alloc_raw(r, O_CODE, WORK_HEADER + bytes);
        return p ? p + WORK_HEADER : NULL;
}

/* The last block before which no more than `index` code points begin; *ret_before: how many. */
static uint32_t block_of(struct string *s, uint32_t index, uint32_t *ret_before)
{
        const uint32_t *before = string_index(s); /* of block k + 1 */
        uint32_t low = 0, high = string_index_count(s->len);
        while (low < high) {
                uint32_t mid = (low + high + 1) / 2;
                if (before[mid - 1] <= index)
                        low = mid;
                else
                        high = mid - 1;
        }
        *ret_before = low ? before[low - 1] : 0;
        return low;
}

static size_t byte_offset(val s, uint32_t index)
{
        struct string *o = as_string(s);
        uint32_t before;
        if (o->chars == o->len)
                return index;
        size_t from = (size_t)block_of(o, index, &before) * STRING_BLOCK;
        return from + mv_utf8_offset(mv_slice(o->text + from, o->len - from), index - before);
}

val string_part(struct mv_rtfs *r, val s, uint32_t from, uint32_t to)
{
        if (from == 0 && to == as_string(s)->chars)
                return s;
        size_t a = byte_offset(s, from), b = byte_offset(s, to);
        return string_new(r, mv_slice(as_string(s)->text + a, b - a));
}

val string_char(struct mv_rtfs *r, val s, size_t *at)
{
        size_t from = *at;
        mv_utf8_next(string_slice(s), at);
        return string_new(r, mv_slice(as_string(s)->text + from, *at - from));
}

enum native_status push_chars(struct mv_rtfs *r, val builder, val s)
{
        for (size_t at = 0; at < as_string(s)->len;) {
                val c = string_char(r, s, &at);
                if (nomem(c))
                        return N_NOMEM;
                TRY(push(r, builder, c));
        }
        return N_OK;
}

val string_concat(struct mv_rtfs *r, val parts, struct mv_slice separator)
{
        size_t len = 0;
        val part;
        struct sequence s = sequence(parts);
        while (sequence_next(&s, &part))
                len += as_string(part)->len + separator.len;
        if (len)
                len -= separator.len;
        uint8_t *text;
        val v = string_alloc(r, len, &text);
        if (nomem(v))
                return v;
        s = sequence(parts);
        for (uint32_t i = 0; sequence_next(&s, &part); i++) {
                if (i && separator.len) {
                        memcpy(text, separator.p, separator.len);
                        text += separator.len;
                }
                memcpy(text, as_string(part)->text, as_string(part)->len);
                text += as_string(part)->len;
        }
        return string_seal(v);
}

bool string_contains(struct mv_slice haystack, struct mv_slice needle)
{
        return needle.len == 0 || (haystack.len >= needle.len &&
                                   memmem(haystack.p, haystack.len, needle.p, needle.len));
}

enum native_status text_of(struct mv_rtfs *r, val v, val *ret)
{
        if (v.tag == T_STRING) {
                *ret = v;
                return N_OK;
        }
        return display_string(r, &v, 1, "", true, ret);
}

/* The string will stand where the scratch text begins: park the text at the far end first. */
val string_from_scratch(struct mv_rtfs *r, const struct mv_out *o)
{
        size_t need = string_bytes(o->len) + 16;
        if (o->cap - o->len < need)
                return NOMEM_VAL;
        uint8_t *parked = o->p + o->cap - o->len;
        memmove(parked, o->p, o->len);
        return string_new(r, mv_slice(parked, o->len));
}

const char *c_text(char *buf, size_t cap, val v)
{
        struct mv_slice s = v.tag == T_STRING ? string_slice(v) : name_slice(v);
        size_t n = s.len < cap - 1 ? s.len : cap - 1;
        while (n < s.len && n > 0 && (s.p[n] & 0xc0) == 0x80) /* cut between code points */
                n--;
        memcpy(buf, s.p, n);
        buf[n] = '\0';
        return buf;
}

enum native_status raise_deep(struct mv_rtfs *r)
{
        return raise_fmt(r, E_STACK, "a value is nested deeper than %d levels", MV_VALUE_DEPTH_MAX);
}

enum native_status raise_map_key(struct mv_rtfs *r, val key)
{
        return raise_type(r, "map key", "string, keyword, or integer", key);
}

enum native_status raise_overflow(struct mv_rtfs *r, const char *op)
{
        return raise_fmt(r, E_OVERFLOW, "%s", op);
}

enum native_status raise_div_zero(struct mv_rtfs *r)
{
        return raise_fmt(r, E_DIV_ZERO, "%s", "");
}
