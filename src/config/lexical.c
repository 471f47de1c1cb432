/* SPDX-License-Identifier: Apache-2.0 */
#include <base/fmt.h>
#include <base/slice.h>
#include <config/bind.h>
#include <config/lexical.h>
#include <openssl/evp.h>
#include <math.h>
#include <security/effects.h>
#include <security/lexical.h>
#include <security/tls.h>
#include <wire/text.h>

static char same_letter(char c)
{
        return c == '_' ? '-' : c;
}

bool mv__same_name(struct mv_slice a, struct mv_slice b)
{
        if (a.len != b.len)
                return false;
        for (size_t i = 0; i < a.len; i++)
                if (same_letter((char)a.p[i]) != same_letter((char)b.p[i]))
                        return false;
        return true;
}

bool mv__name_is(struct mv_slice key, const char *name)
{
        return mv__same_name(key, mv_slice_str(name));
}

/* The next word of "a|b|c"; false: none is left. */
static bool next_choice(const char **at, struct mv_slice *ret)
{
        if (!*at || !**at)
                return false;
        size_t n = strcspn(*at, "|");
        *ret = mv_slice(*at, n);
        *at += n + ((*at)[n] == '|');
        return true;
}

bool mv__choice_has(const char *choices, struct mv_slice word)
{
        struct mv_slice choice;
        while (next_choice(&choices, &choice))
                if (mv_slice_eq(choice, word))
                        return true;
        return false;
}

void mv__choice_list(const char *choices, char *ret, size_t cap)
{
        struct mv_slice choice;
        size_t n = 0;
        ret[0] = '\0';
        while (next_choice(&choices, &choice))
                n += mv_fmt(ret + n, cap - n, "%s%.*s",
                            !n         ? ""
                            : *choices ? ", "
                                       : " or ",
                            MV_SARG(choice));
}

/* --- nearest names ---------------------------------------------------------------------------- */
#define NEAR_BYTES_MAX 40 /* longer words have no near ones */

static uint32_t smaller(uint32_t a, uint32_t b)
{
        return a < b ? a : b;
}

/* How many letters differ, are missing or too many. */
static uint32_t distance(struct mv_slice a, struct mv_slice b)
{
        uint32_t row[NEAR_BYTES_MAX + 1];
        for (uint32_t k = 0; k <= b.len; k++)
                row[k] = k;
        for (uint32_t i = 1; i <= a.len; i++) {
                uint32_t corner = row[0];
                row[0] = i;
                for (uint32_t k = 1; k <= b.len; k++) {
                        bool same = same_letter((char)(a.p[i - 1] | 0x20)) ==
                                    same_letter((char)(b.p[k - 1] | 0x20));
                        uint32_t changed = corner + !same;
                        corner = row[k];
                        row[k] = smaller(changed, smaller(row[k], row[k - 1]) + 1);
                }
        }
        return row[b.len];
}

struct nearest {
        struct mv_slice written, best;
        uint32_t distance;
};

static struct nearest nearest_begin(struct mv_slice written)
{
        uint32_t most = written.len < 3 ? 1 : written.len < 8 ? 2 : 3;
        return (struct nearest){ .written = written, .distance = most + 1 };
}

static void nearest_try(struct nearest *n, struct mv_slice word)
{
        if (n->written.len > NEAR_BYTES_MAX || word.len > NEAR_BYTES_MAX)
                return;
        uint32_t d = distance(n->written, word);
        if (d < n->distance && d < word.len) {
                n->distance = d;
                n->best = word;
        }
}

void mv__nearest(struct mv_slice written, const char *choices, char *ret, size_t cap)
{
        struct nearest n = nearest_begin(written);
        struct mv_slice choice;
        while (next_choice(&choices, &choice))
                nearest_try(&n, choice);
        mv_fmt(ret, cap, "%.*s", MV_SARG(n.best));
}

void mv__nearest_field(struct mv_slice written, const struct mv_section *s, char *ret, size_t cap)
{
        struct nearest n = nearest_begin(written);
        for (uint32_t i = 0; i < s->count; i++)
                nearest_try(&n, mv_slice_str(s->fields[i].name));
        mv_fmt(ret, cap, "%.*s", MV_SARG(n.best));
}

/* --- durations, digests, pins ----------------------------------------------------------------- */
bool mv__duration_ms(struct mv_slice text, int64_t *ret)
{
        static const struct {
                const char *unit;
                double ms;
        } units[] = { { "ms", 1 }, { "s", 1e3 }, { "m", 60e3 }, { "h", 3600e3 }, { "", 1e3 } };
        size_t n = 0;
        double v;
        while (n < text.len && ((text.p[n] >= '0' && text.p[n] <= '9') || text.p[n] == '.'))
                n++;
        if (n == 0 || text.p[0] == '.' || text.p[n - 1] == '.' ||
            !mv_parse_float(mv_slice(text.p, n), &v))
                return false;
        for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
                if (!mv_slice_eq_str(mv_slice(text.p + n, text.len - n), units[i].unit))
                        continue;
                double ms = v * units[i].ms;
                if (!isfinite(ms) || ms < 1 || ms > MV_DURATION_SECONDS_MAX * 1e3)
                        return false;
                *ret = (int64_t)(ms + 0.5);
                return true;
        }
        return false;
}

static bool is_hex(uint8_t c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

void mv__digest_text(struct mv_slice bytes, char ret[72])
{
        uint8_t d[EVP_MAX_MD_SIZE] = { 0 };
        EVP_Digest(bytes.p, bytes.len, d, NULL, EVP_sha256(), NULL);
        size_t n = mv_fmt(ret, 72, "sha256:");
        for (size_t i = 0; i < 32; i++)
                n += mv_fmt(ret + n, 72 - n, "%02x", d[i]);
}

bool mv__is_digest(struct mv_slice text)
{
        if (!mv_slice_starts(text, "sha256:") || text.len != 7 + 64)
                return false;
        for (size_t i = 7; i < text.len; i++)
                if (!is_hex(text.p[i]))
                        return false;
        return true;
}

static bool is_alnum(uint8_t c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static const char *name_check(struct mv_slice t)
{
        if (t.len == 0 || t.len > 128)
                return "it has no or more than 128 characters";
        for (size_t i = 0; i < t.len; i++)
                if (!is_alnum(t.p[i]) && !strchr(".-_", t.p[i]))
                        return "only letters, digits, '.', '-' and '_' are allowed";
        return is_alnum(t.p[0]) ? NULL : "it does not begin with a letter or digit";
}

static const char *env_check(struct mv_slice t)
{
        size_t n = 0;
        while (n < t.len && t.p[n] != '=')
                n++;
        return mv__env_name_check(mv_slice(t.p, n));
}

static const char *path_check(struct mv_slice t)
{
        if (t.len == 0)
                return "it is empty";
        if (memchr(t.p, 0, t.len)) /* the system would see another path */
                return "it has a NUL character";
        return t.len >= 4096 ? "it is too long" : NULL;
}

/* MAJOR.MINOR.PATCH, then anything of letters, digits, dots and dashes behind - or +. */
static const char *version_check(struct mv_slice t)
{
        static const char wrong[] = "it is not three numbers with dots between them";
        size_t at = 0;
        for (int part = 0; part < 3; part++) {
                size_t from = at;
                while (at < t.len && t.p[at] >= '0' && t.p[at] <= '9')
                        at++;
                if (at == from || at - from > 9 || (part < 2 && (at == t.len || t.p[at++] != '.')))
                        return wrong;
        }
        if (at < t.len && t.p[at] != '-' && t.p[at] != '+')
                return wrong;
        for (; at < t.len; at++)
                if (!is_alnum(t.p[at]) && !memchr(".-+", t.p[at], 3))
                        return wrong;
        return NULL;
}

const char *mv__check_text(enum mv_field_check check, struct mv_slice text)
{
        char canonical[MV_HOST_TEXT_BYTES + 16];
        switch (check) {
        case MV_CHECK_NONE:
                return NULL;
        case MV_CHECK_HOST:
                return mv__host_grant_check(text, canonical);
        case MV_CHECK_PIN:
                return mv__pin_check(text);
        case MV_CHECK_PATH:
                return path_check(text);
        case MV_CHECK_ABSOLUTE:
                return mv__path_check(text);
        case MV_CHECK_GRANT:
                return mv__id_check(text, true);
        case MV_CHECK_ID:
                return name_check(text);
        case MV_CHECK_ENV:
                return env_check(text);
        case MV_CHECK_DIGEST:
                return mv__is_digest(text) ? NULL : "it is not sha256: and 64 hexadecimal digits";
        case MV_CHECK_VERSION:
                return version_check(text);
        case MV_CHECK_EFFECT:
                return mv__effect_check(text);
        }
        return NULL;
}

const char *mv__check_hint(enum mv_field_check check)
{
        static const char *const hints[] = {
                [MV_CHECK_HOST] = "Write a host name such as api.example.com, or *.example.com",
                [MV_CHECK_PIN] = "Write sha256/ and the base64 digest of the public key",
                [MV_CHECK_PATH] = "Write a path",
                [MV_CHECK_ABSOLUTE] = "Write an absolute path without . and ..",
                [MV_CHECK_GRANT] = "Write a capability id such as ccos.io.read-file, or ccos.io.*",
                [MV_CHECK_ID] = "Write a name such as agent.reports",
                [MV_CHECK_ENV] = "Write NAME or NAME=VALUE",
                [MV_CHECK_DIGEST] = "Write sha256: and the 64 digits that `sha256sum` prints",
                [MV_CHECK_VERSION] = "Write three numbers such as 1.2.3",
                [MV_CHECK_EFFECT] = "Write compute, filesystem, network, system, ai, agent, io, "
                                    "streaming or user-interaction",
        };
        return check < sizeof hints / sizeof hints[0] ? hints[check] : NULL;
}
