/* SPDX-License-Identifier: Apache-2.0 */
/* A strict URL reader: http and https, one reading only. What a lenient client could read differently is refused here, so
 * that the host that was decided about is the host that is connected to. */
#include <policy/policy.h>
#include <security/lexical.h>

#define URL_BYTES_MAX 8192

static const char *scheme_cut(struct mv_slice *rest, struct mv_url *u)
{
        static const struct {
                const char *text;
                struct mv_slice scheme;
                uint16_t port;
        } schemes[] = { { "https://", { (const uint8_t *)"https", 5 }, 443 },
                        { "http://", { (const uint8_t *)"http", 4 }, 80 } };
        for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
                size_t n = strlen(schemes[i].text);
                if (rest->len < n || strncasecmp((const char *)rest->p, schemes[i].text, n) != 0)
                        continue;
                u->scheme = schemes[i].scheme;
                u->port = schemes[i].port;
                *rest = mv_slice(rest->p + n, rest->len - n);
                return NULL;
        }
        return "only http:// and https:// URLs are accepted";
}

static const char *bytes_check(struct mv_slice url)
{
        if (url.len == 0)
                return "URL is empty";
        if (url.len > URL_BYTES_MAX)
                return "URL is longer than 8192 bytes";
        for (size_t i = 0; i < url.len; i++) {
                if (url.p[i] <= 0x20 || url.p[i] == 0x7f)
                        return "URL holds a control character, NUL or space";
                if (url.p[i] == '\\')
                        return "URL holds a backslash";
        }
        return NULL;
}

static const char *path_bytes_check(struct mv_slice path)
{
        for (size_t i = 0; i < path.len; i++)
                if (path.p[i] >= 0x80)
                        return "URL path is not ASCII: percent-encode it";
        return NULL;
}

/* HOST | HOST:PORT | [V6] | [V6]:PORT */
static const char *authority_check(struct mv_slice text, struct mv_url *u)
{
        struct mv_slice host = text, port = { NULL, 0 };
        bool bracket = text.len && text.p[0] == '[';
        const uint8_t *end = text.len ? memchr(text.p, bracket ? ']' : ':', text.len) : NULL;
        if (bracket && !end)
                return "bracket around the IPv6 address is not closed";
        if (end) {
                const uint8_t *colon = end + (bracket ? 1 : 0);
                host = mv_slice(text.p + bracket, (size_t)(end - text.p) - bracket);
                port = mv_slice(colon, (size_t)(text.p + text.len - colon));
        }
        if (port.len && port.p[0] != ':')
                return "only a port may follow the bracket";
        if (bracket && !memchr(host.p, ':', host.len))
                return "brackets go around an IPv6 address";
        struct mv_host_name name;
        const char *reason = mv__host_check(host, &name);
        if (!reason && port.len)
                reason = mv__port_check(mv_slice(port.p + 1, port.len - 1), &u->port);
        if (reason)
                return reason;
        u->host = host;
        u->is_ip = name.is_ip;
        memcpy(u->host_ascii, name.text, sizeof u->host_ascii);
        return NULL;
}

static const char *url_check(struct mv_slice url, struct mv_url *u)
{
        struct mv_slice rest = url;
        const char *reason = bytes_check(url);
        if (!reason)
                reason = scheme_cut(&rest, u);
        if (reason)
                return reason;
        size_t end = 0;
        while (end < rest.len && !strchr("/?#", rest.p[end]))
                end++;
        struct mv_slice authority = mv_slice(rest.p, end);
        u->path = mv_slice(rest.p + end, rest.len - end);
        if (end && memchr(authority.p, '@', end))
                return "user information in a URL is not accepted";
        reason = authority_check(authority, u);
        return reason ? reason : path_bytes_check(u->path);
}

int mv_url_parse(struct mv_slice url, struct mv_url *ret, struct mv_err *err)
{
        struct mv_url u = { .port = 0 };
        const char *reason = url_check(url, &u);
        if (reason) {
                char shown[160];
                mv__show(shown, sizeof shown, url);
                return mv_fail(err, MV_E_INVALID, 0, "URL '%s': %s", shown, reason);
        }
        *ret = u;
        return 0;
}
