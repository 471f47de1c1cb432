/* SPDX-License-Identifier: Apache-2.0 */
/* Hosts and addresses (REQ-NET-01, -02, -12).
 * (1) The deny list is asked first, at every level.
 * (2) A grant is compared with the canonical host; "*.example.com" covers names below it, not example.com, not
 *     evil-example.com.
 * (3) The name decides whether to resolve; the address decides whether to connect (mv_policy_address), so a name that
 *     resolves into the inside of a network does not get there. */
#include <arpa/inet.h>
#include <policy/policy.h>
#include <policy/profile.h>
#include <security/grants.h>
#include <security/lexical.h>
#include <security/tls.h>

#define KEY_BYTES (MV_HOST_TEXT_BYTES + 16)

/* The list holds text itself, or text with this port. */
static const char *find_text(const struct mv_grant_list *l, const char *text, uint16_t port)
{
        char key[KEY_BYTES];
        int64_t at = mv__grants_find(l, text);
        if (at >= 0)
                return l->items[at];
        mv_fmt(key, sizeof key, text[0] != '*' && strchr(text, ':') ? "[%s]:%u" : "%s:%u", text,
               port);
        at = mv__grants_find(l, key);
        return at >= 0 ? l->items[at] : NULL;
}

static const char *find_host(const struct mv_grant_list *l, const char *host, bool is_ip,
                             uint16_t port)
{
        char wild[KEY_BYTES];
        const char *entry = find_text(l, host, port);
        for (const char *dot = strchr(host, '.'); !entry && !is_ip && dot;
             dot = strchr(dot + 1, '.')) {
                mv_fmt(wild, sizeof wild, "*%s", dot);
                entry = find_text(l, wild, port);
        }
        return entry;
}

const char *mv__host_entry(const struct mv_grant_list *l, const struct mv_url *u)
{
        return find_host(l, u->host_ascii, u->is_ip, u->port);
}

/* With any port; denied is decided when it is asked for. */
bool mv__context_has_host(const struct mv_context *c, const char *host)
{
        enum mv_level level = mv_context_level(c);
        struct mv_host_name name;
        if (level != MV_LEVEL_CONTROLLED || mv__host_check(mv_slice_str(host), &name))
                return level == MV_LEVEL_FULL;
        if (find_host(&c->hosts, host, name.is_ip, 0))
                return true;
        for (const char *rest = host; rest; rest = strchr(rest + 1, '.')) {
                char prefix[KEY_BYTES];
                mv_fmt(prefix, sizeof prefix,
                       strchr(host, ':') ? "%s[%s]:" : "%s%s:", rest == host ? "" : "*", rest);
                if (mv__grants_find_prefix(&c->hosts, prefix))
                        return true;
        }
        return false;
}

/* Is the host granted, only not with this port? Entries with a port sort behind "host:". */
static bool has_other_port(const struct mv_grant_list *l, const char *host)
{
        char prefix[KEY_BYTES];
        mv_fmt(prefix, sizeof prefix, strchr(host, ':') ? "[%s]:" : "%s:", host);
        for (uint32_t i = 0; i < l->count; i++)
                if (strncmp(l->items[i], prefix, strlen(prefix)) == 0)
                        return true;
        return false;
}

static void deny_host(const struct mv_context *c, const struct mv_url *u, struct mv_decision *d)
{
        bool none = mv_context_level(c) == MV_LEVEL_PURE || c->hosts.count == 0;
        char shown[180];
        mv__show(shown, sizeof shown, mv_slice_str(u->host_ascii));
        mv_fmt(d->rule, sizeof d->rule, "host not granted");
        if (none)
                mv_fmt(d->context, sizeof d->context, "Network access denied by policy");
        else if (has_other_port(&c->hosts, u->host_ascii))
                mv_fmt(d->context, sizeof d->context, "Port '%u' not in HTTP allowlist", u->port);
        else
                mv_fmt(d->context, sizeof d->context, "Host '%s' not in HTTP allowlist", shown);
        char name[KEY_BYTES];
        mv_fmt(name, sizeof name, strchr(u->host_ascii, ':') ? "[%s]:%u" : "%s:%u", u->host_ascii,
               u->port);
        bool fits = strlen(name) < 150; /* a cut name would be another host */
        mv_fmt(d->hint, sizeof d->hint, "%s--allow-net %s",
               mv_context_level(c) == MV_LEVEL_PURE ? "--level controlled " : "",
               fits ? name : "HOST (the host asked for)");
}

void mv_policy_host(const struct mv_context *c, const struct mv_url *u, const char *capability,
                    struct mv_decision *ret)
{
        struct mv_decision d = { .allowed = false };
        enum mv_level level = mv_context_level(c);
        mv_fmt(d.operation, sizeof d.operation, "network");
        mv__show(d.capability, sizeof d.capability, mv_slice_str(capability));
        mv__decision_permission(&d, d.capability);
        mv__decision_permission(&d, "ccos.network.outbound");
        const char *denied =
                c ? find_host(&c->hosts_denied, u->host_ascii, u->is_ip, u->port) : NULL;
        const char *grant = level == MV_LEVEL_CONTROLLED
                                    ? find_host(&c->hosts, u->host_ascii, u->is_ip, u->port)
                                    : NULL;
        if (denied) { /* (1) */
                mv_fmt(d.rule, sizeof d.rule, "deny host %.80s", denied);
                mv_fmt(d.context, sizeof d.context, "Host in denylist");
        } else if (level == MV_LEVEL_FULL) {
                d.allowed = true;
                mv_fmt(d.rule, sizeof d.rule, "level full");
        } else if (grant) {
                d.allowed = true;
                mv_fmt(d.rule, sizeof d.rule, "grant host %.80s", grant);
        } else {
                deny_host(c, u, &d);
        }
        mv__tls_decide(c, mv_slice_eq_str(u->scheme, "https"), u->host_ascii, &d);
        mv_profile_host(c ? c->steps : NULL, u, &d);
        *ret = d;
}

/* --- addresses -------------------------------------------------------------------------------- */

enum reach { REACH_GLOBAL, REACH_PRIVATE, REACH_SPECIAL };
struct range {
        uint8_t prefix[16];
        uint8_t bits;
        enum reach reach;
        const char *what;
};
static const struct range ranges4[] = {
        { { 0 }, 8, REACH_SPECIAL, "unspecified (0.0.0.0/8)" },
        { { 10 }, 8, REACH_PRIVATE, "private (10.0.0.0/8)" },
        { { 100, 64 }, 10, REACH_PRIVATE, "shared (100.64.0.0/10)" },
        { { 127 }, 8, REACH_PRIVATE, "loopback (127.0.0.0/8)" },
        { { 169, 254 }, 16, REACH_SPECIAL, "link-local (169.254.0.0/16)" },
        { { 172, 16 }, 12, REACH_PRIVATE, "private (172.16.0.0/12)" },
        { { 192, 0, 0 }, 24, REACH_SPECIAL, "protocol assignments (192.0.0.0/24)" },
        { { 192, 0, 2 }, 24, REACH_SPECIAL, "documentation (192.0.2.0/24)" },
        { { 192, 88, 99 }, 24, REACH_SPECIAL, "6to4 relay (192.88.99.0/24)" },
        { { 192, 168 }, 16, REACH_PRIVATE, "private (192.168.0.0/16)" },
        { { 198, 18 }, 15, REACH_SPECIAL, "benchmarking (198.18.0.0/15)" },
        { { 198, 51, 100 }, 24, REACH_SPECIAL, "documentation (198.51.100.0/24)" },
        { { 203, 0, 113 }, 24, REACH_SPECIAL, "documentation (203.0.113.0/24)" },
        { { 224 }, 4, REACH_SPECIAL, "multicast (224.0.0.0/4)" },
        { { 240 }, 4, REACH_SPECIAL, "reserved (240.0.0.0/4)" },
};
/* First match counts; what no row covers is outside 2000::/3 and refused: new special ranges
 * appear there. */
static const struct range ranges6[] = {
        { { [15] = 1 }, 128, REACH_PRIVATE, "loopback (::1)" },
        { { 0 }, 128, REACH_SPECIAL, "unspecified (::)" },
        { { 0 }, 96, REACH_SPECIAL, "IPv4-compatible (::/96)" },
        { { 0xfc }, 7, REACH_PRIVATE, "unique local (fc00::/7)" },
        { { 0xfe, 0x80 }, 10, REACH_SPECIAL, "link-local (fe80::/10)" },
        { { 0xff }, 8, REACH_SPECIAL, "multicast (ff00::/8)" },
        { { 0x20, 0x01 }, 23, REACH_SPECIAL, "protocol assignments (2001::/23)" },
        { { 0x20, 0x01, 0x0d, 0xb8 }, 32, REACH_SPECIAL, "documentation (2001:db8::/32)" },
        { { 0x3f, 0xff }, 20, REACH_SPECIAL, "documentation (3fff::/20)" },
        { { 0x20 }, 3, REACH_GLOBAL, "" },
};
/* Prefixes behind which an IPv4 address stands, and where. */
static const struct carrier {
        uint8_t prefix[12];
        uint8_t bits, at;
} carriers[] = {
        { { [10] = 0xff, [11] = 0xff }, 96, 12 }, /* ::ffff:0:0/96 mapped */
        { { 0x00, 0x64, 0xff, 0x9b }, 96, 12 },   /* 64:ff9b::/96 NAT64 */
        { { 0x20, 0x02 }, 16, 2 },                /* 2002::/16 6to4 */
};

static bool has_prefix(const uint8_t *address, const uint8_t *prefix, unsigned bits)
{
        if (memcmp(address, prefix, bits / 8) != 0)
                return false;
        unsigned rest = bits % 8;
        uint8_t mask = (uint8_t)(0xff00u >> rest);
        return rest == 0 || (address[bits / 8] & mask) == (prefix[bits / 8] & mask);
}

static const struct range *range_of(const struct range *rows, size_t count, const uint8_t *address)
{
        static const struct range other = {
                { 0 }, 0, REACH_SPECIAL, "outside the global range (2000::/3)"
        };
        static const struct range global = { { 0 }, 0, REACH_GLOBAL, "" };
        for (size_t i = 0; i < count; i++)
                if (has_prefix(address, rows[i].prefix, rows[i].bits))
                        return &rows[i];
        return rows == ranges6 ? &other : &global;
}

/* The IPv4 address that an IPv6 address carries, or NULL. */
static const uint8_t *carried(const uint8_t *address)
{
        for (size_t i = 0; i < sizeof carriers / sizeof *carriers; i++)
                if (has_prefix(address, carriers[i].prefix, carriers[i].bits))
                        return address + carriers[i].at;
        return NULL;
}

struct spelling { /* an address as grants write it; v4 too when it carries one */
        char texts[2][INET6_ADDRSTRLEN];
        uint32_t count;
};

static bool is_named(const struct mv_grant_list *l, const struct spelling *s, uint16_t port)
{
        for (uint32_t i = 0; i < s->count; i++)
                if (find_text(l, s->texts[i], port))
                        return true;
        return false;
}

bool mv_policy_address(const struct mv_context *c, const struct mv_url *u, const uint8_t *address,
                       size_t address_len, char why[96])
{
        struct spelling s = { .count = 1 };
        if (address_len != 4 && address_len != 16) {
                mv_fmt(why, 96, "address of %zu bytes", address_len);
                return false;
        }
        const uint8_t *v4 = address_len == 4 ? address : carried(address);
        inet_ntop(address_len == 4 ? AF_INET : AF_INET6, address, s.texts[0], sizeof s.texts[0]);
        if (v4 && address_len == 16)
                inet_ntop(AF_INET, v4, s.texts[s.count++], sizeof s.texts[0]);
        const struct range *range =
                v4 ? range_of(ranges4, sizeof ranges4 / sizeof *ranges4, v4)
                   : range_of(ranges6, sizeof ranges6 / sizeof *ranges6, address);
        if (mv_context_level(c) == MV_LEVEL_PURE) {
                mv_fmt(why, 96, "level pure has no network");
                return false;
        }
        if (is_named(&c->hosts_denied, &s, u->port)) {
                mv_fmt(why, 96, "address %s is denied", s.texts[0]);
                return false;
        }
        bool named =
                is_named(&c->hosts, &s, u->port) || (range->reach == REACH_PRIVATE && !u->is_ip &&
                                                     find_text(&c->hosts, u->host_ascii, u->port));
        if (range->reach == REACH_GLOBAL || named)
                return true;
        mv_fmt(why, 96, "address %s is %s", s.texts[0], range->what);
        return false;
}

void mv_policy_address_denied(const struct mv_url *u, const uint8_t *address, size_t address_len,
                              const char *why, const char *capability, struct mv_decision *ret)
{
        char text[INET6_ADDRSTRLEN] = "";
        inet_ntop(address_len == 4 ? AF_INET : AF_INET6, address, text, sizeof text);
        mv_decision_none(ret);
        mv_fmt(ret->rule, sizeof ret->rule, "address not allowed");
        mv_fmt(ret->operation, sizeof ret->operation, "network");
        mv_fmt(ret->capability, sizeof ret->capability, "%s", capability);
        mv_fmt(ret->context, sizeof ret->context, "Host '%.100s' not in HTTP allowlist: %s",
               u->host_ascii, why);
        mv_fmt(ret->hint, sizeof ret->hint,
               strchr(text, ':') ? "--allow-net [%s]:%u" : "--allow-net %s:%u", text,
               (unsigned)u->port);
        mv__decision_permission(ret, ret->capability);
        mv__decision_permission(ret, "ccos.network.outbound");
}
