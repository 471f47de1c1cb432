/* SPDX-License-Identifier: Apache-2.0 */
#include <wire/egress.h>

static void put_text(struct mv_out *o, struct mv_slice s)
{
        if (s.len > UINT16_MAX)
                o->overflow = true;
        mv_put_u16(o, (uint16_t)s.len);
        mv_put_slice(o, s);
}

static struct mv_slice get_text(struct mv_cur *c, size_t max)
{
        struct mv_slice s = mv_get_bytes(c, mv_get_u16(c));
        c->bad |= s.len > max;
        return s;
}

static void put_limits(struct mv_out *o, const struct mv_egress_limits *l)
{
        mv_put_u32(o, l->head_ms);
        mv_put_u32(o, l->idle_ms);
        mv_put_u32(o, l->connections_max);
        mv_put_u64(o, l->sent_max);
        mv_put_u64(o, l->received_max);
}

static void get_limits(struct mv_cur *c, struct mv_egress_limits *l)
{
        l->head_ms = mv_get_u32(c);
        l->idle_ms = mv_get_u32(c);
        l->connections_max = mv_get_u32(c);
        l->sent_max = mv_get_u64(c);
        l->received_max = mv_get_u64(c);
}

bool mv_egress_put(struct mv_out *o, const struct mv_egress_message *m)
{
        mv_put_u8(o, m->kind);
        switch (m->kind) {
        case 'S':
                put_limits(o, &m->limits);
                break;
        case 'A':
                mv_put_u32(o, m->id);
                mv_put_u16(o, m->status);
                mv_put_u16(o, m->path_at);
                put_text(o, m->host);
                put_text(o, m->text);
                break;
        case 'Q':
                mv_put_u32(o, m->id);
                mv_put_u8(o, m->connect);
                put_text(o, m->method);
                put_text(o, m->target);
                break;
        case 'D':
                mv_put_u32(o, m->id);
                mv_put_u16(o, m->status);
                mv_put_u64(o, m->sent);
                mv_put_u64(o, m->received);
                break;
        default:
                mv_put_u16(o, m->status);
                put_text(o, m->text);
        }
        return !o->overflow;
}

bool mv_egress_get(struct mv_slice packet, const char *kinds, struct mv_egress_message *ret)
{
        struct mv_cur c = mv_cur(packet);
        struct mv_egress_message m = { .kind = mv_get_u8(&c) };
        if (!m.kind || !strchr(kinds, m.kind))
                return false;
        switch (m.kind) {
        case 'S':
                get_limits(&c, &m.limits);
                break;
        case 'A':
                m.id = mv_get_u32(&c);
                m.status = mv_get_u16(&c);
                m.path_at = mv_get_u16(&c);
                m.host = get_text(&c, MV_EGRESS_TEXT_BYTES_MAX);
                m.text = get_text(&c, MV_EGRESS_TEXT_BYTES_MAX);
                break;
        case 'Q':
                m.id = mv_get_u32(&c);
                m.connect = mv_get_u8(&c) == 1;
                m.method = get_text(&c, MV_HTTP_METHOD_BYTES_MAX);
                m.target = get_text(&c, MV_HTTP_TARGET_BYTES_MAX);
                break;
        case 'D':
                m.id = mv_get_u32(&c);
                m.status = mv_get_u16(&c);
                m.sent = mv_get_u64(&c);
                m.received = mv_get_u64(&c);
                break;
        default:
                m.status = mv_get_u16(&c);
                m.text = get_text(&c, MV_EGRESS_TEXT_BYTES_MAX);
        }
        if (!mv_cur_done(&c))
                return false;
        *ret = m;
        return true;
}
