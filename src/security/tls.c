/* SPDX-License-Identifier: Apache-2.0 */
/* How granted hosts are reached (REQ-NET-07, REQ-AC-29): whose keys are accepted, and as whom the host shows itself.
 * (1) It only narrows: pins of two files are those that both have; a client certificate that one of them wants is needed.
 * (2) Where there are pins, or a client certificate is wanted, nothing leaves but https.
 * (3) The client's key is a path here. It is opened on the host, for one transfer; a context that grants its file to the
 *     program is refused (host/client_key.c). */
#include <security/grants.h>
#include <security/lexical.h>
#include <security/tls.h>
#include <stdlib.h>

static bool is_base64(uint8_t c)
{
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               c == '+' || c == '/';
}

/* 43 letters and one =, the last letter without stray bits. */
const char *mv__pin_check(struct mv_slice t)
{
        if (!mv_slice_starts(t, "sha256/"))
                return "it does not begin with sha256/";
        bool ok = t.len == 7 + 44 && t.p[t.len - 1] == '=' &&
                  memchr("AEIMQUYcgkosw048", t.p[t.len - 2], 16);
        for (size_t i = 7; ok && i < t.len - 1; i++)
                ok = is_base64(t.p[i]);
        return ok ? NULL : "it is not the base64 text of 32 bytes";
}

int mv_context_pin_tls(struct mv_context *c, const char *pin, struct mv_err *err)
{
        const char *why = pin ? mv__pin_check(mv_slice_str(pin)) : NULL;
        if (why)
                return mv_fail(err, MV_E_INVALID, 0, "TLS pin: %s", why);
        c->tls.pinned = true; /* NULL: no key is accepted */
        return pin ? mv__grants_add(&c->tls.pins, pin, err) : 0;
}

static bool replace(char **to, const char *from)
{
        char *copy = from ? strdup(from) : NULL;
        if (from && !copy)
                return false;
        free(*to);
        *to = copy;
        return true;
}

int mv_context_use_tls(struct mv_context *c, const struct mv_tls_files *f, struct mv_err *err)
{
        const char *const paths[] = { f->ca, f->client_cert, f->client_key };
        for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
                const char *why = paths[i] ? mv__path_check(mv_slice_str(paths[i])) : NULL;
                if (why)
                        return mv_fail(err, MV_E_INVALID, 0, "a file for TLS: %s", why);
        }
        if (!f->client_cert != !f->client_key)
                return mv_fail(err, MV_E_INVALID, 0, "a client certificate has a key of its own");
        if ((f->ca && !replace(&c->tls.ca, f->ca)) ||
            (f->client_cert && (!replace(&c->tls.client_cert, f->client_cert) ||
                                !replace(&c->tls.client_key, f->client_key))))
                return mv_fail(err, MV_E_NOMEM, 0, "files for TLS");
        c->tls.client_wanted |= f->client_wanted;
        return 0;
}

/* --- from one context to another -------------------------------------------------------------- */
bool mv__tls_any(const struct mv_context *c)
{
        const struct mv_tls *t = &c->tls;
        return t->pinned || t->client_wanted || t->ca || t->client_cert;
}

bool mv__tls_copy(struct mv_context *to, const struct mv_context *from)
{
        to->tls.pinned = from->tls.pinned;
        to->tls.client_wanted = from->tls.client_wanted;
        return mv__grants_copy(&to->tls.pins, &from->tls.pins, NULL) == 0 &&
               replace(&to->tls.ca, from->tls.ca) &&
               replace(&to->tls.client_cert, from->tls.client_cert) &&
               replace(&to->tls.client_key, from->tls.client_key);
}

static int fit_pins(struct mv_tls *t, const struct mv_tls *most, struct mv_err *err)
{
        if (!most->pinned)
                return 0;
        if (!t->pinned) {
                t->pinned = true;
                return mv__grants_copy(&t->pins, &most->pins, err);
        }
        for (uint32_t i = t->pins.count; i-- > 0;) {
                if (mv__grants_find(&most->pins, t->pins.items[i]) >= 0)
                        continue;
                char pin[64];
                mv_fmt(pin, sizeof pin, "%s", t->pins.items[i]);
                mv__grants_remove(&t->pins, pin);
        }
        return 0;
}

/* A file of one's own has to be the one that is given; none: that one. */
static int fit_file(char **own, const char *given, const char *what, struct mv_err *err)
{
        if (*own && (!given || strcmp(*own, given) != 0))
                return mv_fail(err, MV_E_DENIED, 0, "%s is not the one given; name it in tls there",
                               what);
        return replace(own, given) ? 0 : mv_fail(err, MV_E_NOMEM, 0, "files for TLS");
}

int mv__tls_fit(struct mv_context *c, const struct mv_context *most, struct mv_err *err)
{
        struct mv_tls *t = &c->tls;
        int r = fit_pins(t, &most->tls, err);
        if (r == 0)
                r = fit_file(&t->ca, most->tls.ca, "the file of trusted authorities", err);
        if (r == 0)
                r = fit_file(&t->client_cert, most->tls.client_cert, "the client certificate", err);
        if (r == 0)
                r = fit_file(&t->client_key, most->tls.client_key, "the key of the client", err);
        t->client_wanted |= most->tls.client_wanted;
        for (uint32_t i = 0; r == 0 && i < c->narrowings_count; i++)
                r = mv__tls_fit(c->narrowings[i].context, most, err);
        return r;
}

void mv__tls_done(struct mv_context *c)
{
        mv__grants_done(&c->tls.pins);
        free(c->tls.ca);
        free(c->tls.client_cert);
        free(c->tls.client_key);
}

/* --- asking ----------------------------------------------------------------------------------- */
bool mv__tls_demands(const struct mv_context *c)
{
        return c && (c->tls.pinned || c->tls.client_wanted);
}

void mv__tls_decide(const struct mv_context *c, bool https, const char *host, struct mv_decision *d)
{
        if (!d->allowed || !mv__tls_demands(c))
                return;
        bool nobody = c->tls.client_wanted && !c->tls.client_cert;
        if (https && !nobody)
                return;
        d->allowed = false;
        mv_fmt(d->rule, sizeof d->rule, "%s", nobody ? "no client certificate" : "TLS only");
        mv_fmt(d->context, sizeof d->context,
               nobody ? "Host '%.100s' is reached with a client certificate, and none is named"
                      : "Host '%.100s' is reached by https only: %s",
               host, c->tls.pinned ? "its key is pinned" : "a client certificate is shown");
        mv_fmt(d->hint, sizeof d->hint, "%s",
               nobody ? "name client_cert and client_key, or set mtls to false"
                      : "ask for https://");
}

static bool put_text(struct mv_out *o, const char *s)
{
        return s ? mv_cbor_put_str(o, s) : mv_cbor_put_null(o);
}

bool mv__tls_encode(const struct mv_context *c, struct mv_out *o)
{
        const struct mv_tls *t = &c->tls;
        bool ok = mv_cbor_put_str(o, "tls") && mv_cbor_put_array(o, 5) &&
                  (t->pinned ? mv_cbor_put_array(o, t->pins.count) : mv_cbor_put_null(o));
        for (uint32_t i = 0; ok && t->pinned && i < t->pins.count; i++)
                ok = mv_cbor_put_str(o, t->pins.items[i]);
        return ok && mv_cbor_put_bool(o, t->client_wanted) && put_text(o, t->ca) &&
               put_text(o, t->client_cert) && put_text(o, t->client_key);
}
