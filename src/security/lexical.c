/* SPDX-License-Identifier: Apache-2.0 */
/* (1) A host that any resolver could read in two ways (0x7f.1, 2130706433, 0177.0.0.1, %2e, full-width digits) is refused:
 *     the decision and the connection must be about the same host.
 * (2) Nothing here normalises ".." or "//" away: a path that needs it is refused. */
#include <arpa/inet.h>
#include <base/fmt.h>
#include <security/lexical.h>
#include <security/security.h>
#include <wire/text.h>

static bool is_digit(uint8_t c)
{
        return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
        return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_hex(uint8_t c)
{
        return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'f');
}

static struct mv_slice cut(struct mv_slice s, size_t from, size_t to)
{
        return (struct mv_slice){ s.p + from, to - from };
}

/* --- hosts ------------------------------------------------------------------------------------ */

static const char *byte_reason(struct mv_slice text)
{
        for (size_t i = 0; i < text.len; i++) {
                uint8_t c = text.p[i];
                if (c >= 0x80)
                        return "host is not ASCII: write the name in its xn-- form";
                if (c == '%')
                        return "percent sign in the host";
                if (c == '@')
                        return "user information is not accepted";
                if (!is_alnum(c) && c != '-' && c != '_' && c != '.' && c != ':')
                        return "host holds a character that no host name has";
        }
        return NULL;
}

/* Would a lenient resolver take this label for a number? */
static bool is_number_like(struct mv_slice label)
{
        size_t from = 0;
        if (label.len >= 2 && label.p[0] == '0' && (label.p[1] | 0x20) == 'x')
                from = 2;
        for (size_t i = from; i < label.len; i++)
                if (from ? !is_hex(label.p[i]) : !is_digit(label.p[i]))
                        return false;
        return true;
}

static const char *label_reason(struct mv_slice label)
{
        if (label.len == 0)
                return "host has an empty label";
        if (label.len > 63)
                return "host has a label of more than 63 bytes";
        if (label.p[0] == '-' || label.p[label.len - 1] == '-')
                return "host has a label that begins or ends with a hyphen";
        return NULL;
}

static const char *ip_check(int family, struct mv_host_name *h, const char *reason)
{
        uint8_t address[16];
        if (inet_pton(family, h->text, address) != 1)
                return reason;
        inet_ntop(family, address, h->text, sizeof h->text);
        h->is_ip = true;
        return NULL;
}

const char *mv__host_check(struct mv_slice text, struct mv_host_name *ret)
{
        if (text.len == 0)
                return "host is empty";
        const char *reason = byte_reason(text);
        if (reason)
                return reason;
        bool v6 = memchr(text.p, ':', text.len) != NULL;
        if (!v6 && text.p[text.len - 1] == '.')
                text.len--;
        if (text.len > 253)
                return "host is longer than 253 bytes";
        struct mv_host_name h = { .is_ip = false };
        for (size_t i = 0; i < text.len; i++)
                h.text[i] =
                        (char)(text.p[i] >= 'A' && text.p[i] <= 'Z' ? text.p[i] | 0x20 : text.p[i]);
        size_t from = 0;
        for (size_t i = 0; !v6 && i <= text.len; i++) {
                if (i < text.len && text.p[i] != '.')
                        continue;
                reason = label_reason(cut(text, from, i));
                if (reason)
                        return reason;
                if (i < text.len)
                        from = i + 1;
        }
        if (v6)
                reason = ip_check(AF_INET6, &h, "not an IPv6 address");
        else if (is_number_like(cut(text, from, text.len)))
                reason =
                        ip_check(AF_INET, &h, "an IPv4 address is written as four decimal numbers");
        if (!reason)
                *ret = h;
        return reason;
}

const char *mv__port_check(struct mv_slice text, uint16_t *ret)
{
        uint32_t port = 0;
        if (text.len == 0 || text.len > 5 || text.p[0] == '0')
                return "port is not a number from 1 to 65535";
        for (size_t i = 0; i < text.len; i++) {
                if (!is_digit(text.p[i]))
                        return "port is not a number from 1 to 65535";
                port = port * 10 + (text.p[i] - '0');
        }
        if (port > 65535)
                return "port is not a number from 1 to 65535";
        *ret = (uint16_t)port;
        return NULL;
}

/* Splits off ":PORT" and the brackets of an IPv6 literal; *ret_port stays empty when there is
 * none. */
static const char *split_port(struct mv_slice text, struct mv_slice *ret_host,
                              struct mv_slice *ret_port)
{
        const uint8_t *colon = text.len ? memchr(text.p, ':', text.len) : NULL;
        size_t at = colon ? (size_t)(colon - text.p) : text.len;
        *ret_host = cut(text, 0, at);
        *ret_port = cut(text, at, text.len);
        if (text.len && text.p[0] == '[') {
                const uint8_t *close = memchr(text.p, ']', text.len);
                if (!close || !colon || colon > close)
                        return "brackets go around an IPv6 address";
                at = (size_t)(close - text.p);
                *ret_host = cut(text, 1, at);
                *ret_port = cut(text, at + 1, text.len);
                return ret_port->len && ret_port->p[0] != ':' ? "only a port may follow the bracket"
                                                              : NULL;
        }
        /* a bare IPv6 address has no room for a port */
        if (colon && memchr(colon + 1, ':', text.len - at - 1)) {
                *ret_host = text;
                *ret_port = cut(text, text.len, text.len);
        }
        return NULL;
}

const char *mv__host_grant_check(struct mv_slice text, char ret[MV_HOST_TEXT_BYTES + 16])
{
        struct mv_slice host, port_text;
        struct mv_host_name name;
        uint16_t port = 0;
        bool wild = mv_slice_starts(text, "*.");
        if (mv_slice_starts(text, "*") && !wild)
                return "'*' alone is not a grant: name a host, or *.NAME for the names below one";
        if (text.len && (memchr(text.p, '/', text.len)))
                return "a grant names a host (NAME, NAME:PORT, *.NAME, [V6]:PORT), not a URL or a "
                       "network";
        const char *reason = split_port(wild ? cut(text, 2, text.len) : text, &host, &port_text);
        if (!reason)
                reason = mv__host_check(host, &name);
        if (!reason && wild && name.is_ip)
                reason = "a wildcard goes before a name, not an address";
        if (!reason && port_text.len)
                reason = mv__port_check(cut(port_text, 1, port_text.len), &port);
        if (reason)
                return reason;
        size_t cap = MV_HOST_TEXT_BYTES + 16;
        const char *star = wild ? "*." : "";
        if (!port)
                mv_fmt(ret, cap, "%s%s", star, name.text);
        else
                mv_fmt(ret, cap, strchr(name.text, ':') ? "%s[%s]:%u" : "%s%s:%u", star, name.text,
                       port);
        return NULL;
}

/* --- paths, ids, names ------------------------------------------------------------------------ */

const char *mv__path_check(struct mv_slice path)
{
        if (path.len == 0)
                return "No path provided for filesystem operation";
        if (memchr(path.p, '\0', path.len))
                return "path holds a NUL byte";
        if (path.p[0] != '/')
                return "path is not absolute";
        if (path.len > 4095)
                return "path is longer than 4095 bytes";
        if (!mv_utf8_valid(path)) /* it has to fit into a record */
                return "path is not UTF-8";
        size_t from = 1;
        for (size_t i = 1; i <= path.len; i++) {
                if (i < path.len && path.p[i] != '/')
                        continue;
                struct mv_slice part = cut(path, from, i);
                if (part.len == 0 && i < path.len)
                        return "path has an empty component";
                if (mv_slice_eq(part, MV_SLICE(".")) || mv_slice_eq(part, MV_SLICE("..")))
                        return "path has a '.' or '..' component";
                from = i + 1;
        }
        return NULL;
}

static bool id_component_ok(struct mv_slice part)
{
        for (size_t i = 0; i < part.len; i++)
                if (!is_alnum(part.p[i]) && !strchr("-_/?!+", part.p[i]))
                        return false;
        return part.len > 0;
}

const char *mv__id_check(struct mv_slice id, bool glob)
{
        if (id.len == 0)
                return "a capability id is not empty";
        if (id.len > MV_CAPABILITY_ID_MAX)
                return "a capability id has at most 159 bytes";
        if (memchr(id.p, '\0', id.len))
                return "a capability id holds no NUL byte";
        if (mv_slice_eq(id, MV_SLICE("*")))
                return "'*' alone is not a grant: name ids or a prefix such as ccos.math.*; level "
                       "full allows everything";
        size_t from = 0;
        for (size_t i = 0; i <= id.len; i++) {
                if (i < id.len && id.p[i] != '.')
                        continue;
                struct mv_slice part = cut(id, from, i);
                bool star = glob && i == id.len && from > 0 && mv_slice_eq(part, MV_SLICE("*"));
                if (!star && !id_component_ok(part))
                        return "a capability id is dotted words of letters, digits and - _ / ? ! "
                               "+; a prefix ends in .*";
                from = i + 1;
        }
        return NULL;
}

const char *mv__env_name_check(struct mv_slice name)
{
        if (name.len == 0 || name.len > 128 || is_digit(name.p[0]))
                return "a variable name is 1 to 128 letters, digits and underscores and begins "
                       "with no digit";
        for (size_t i = 0; i < name.len; i++)
                if (!is_alnum(name.p[i]) && name.p[i] != '_')
                        return "a variable name is 1 to 128 letters, digits and underscores and "
                               "begins with no digit";
        return NULL;
}

/* --- text for messages ------------------------------------------------------------------------ */

static size_t sequence_len(struct mv_slice rest)
{
        uint8_t c = rest.p[0];
        size_t n = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
        return n <= rest.len && mv_utf8_valid(cut(rest, 0, n)) ? n : 0;
}

static bool is_control(struct mv_slice s)
{
        bool c1 = s.len == 2 && s.p[0] == 0xc2 && s.p[1] < 0xa0;
        return c1 || s.p[0] < 0x20 || s.p[0] == 0x7f;
}

/* Nearly every text is shown as it is. */
static bool is_plain(struct mv_slice s)
{
        for (size_t i = 0; i < s.len; i++)
                if (s.p[i] < 0x20 || s.p[i] > 0x7e)
                        return false;
        return true;
}

void mv__show(char *buf, size_t cap, struct mv_slice text)
{
        if (text.len < cap && is_plain(text)) {
                if (text.len)
                        memcpy(buf, text.p, text.len);
                buf[text.len] = '\0';
                return;
        }
        size_t len = 0, fits = 0; /* fits: what can stay when "..." has to follow */
        for (size_t i = 0; i < text.len;) {
                size_t n = sequence_len(cut(text, i, text.len));
                struct mv_slice shown = n ? cut(text, i, i + n) : MV_SLICE("?");
                if (is_control(shown))
                        shown = MV_SLICE("?");
                if (len + shown.len >= cap) {
                        memcpy(buf + fits, "...", 4);
                        return;
                }
                memcpy(buf + len, shown.p, shown.len);
                len += shown.len;
                if (len + 4 <= cap)
                        fits = len;
                i += n ? n : 1;
        }
        buf[len] = '\0';
}
