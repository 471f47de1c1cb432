/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SECURITY_TLS_H
#define MV_SECURITY_TLS_H
#include <security/security.h>
#include <wire/cbor.h>

/* "sha256/" and the base64 text of the digest of a public key. NULL: good. */
const char *mv__pin_check(struct mv_slice text);
/* Does it want TLS? Then a way out whose TLS the host does not speak itself is closed. */
bool mv__tls_demands(const struct mv_context *c);
/* A host that is granted: may it be reached like this? */
void mv__tls_decide(const struct mv_context *c, bool https, const char *host,
                    struct mv_decision *d);

/* For context.c, encode.c and config/choose.c. */
bool mv__tls_any(const struct mv_context *c);
bool mv__tls_copy(struct mv_context *to, const struct mv_context *from);
int mv__tls_fit(struct mv_context *c, const struct mv_context *most, struct mv_err *err);
void mv__tls_done(struct mv_context *c);
bool mv__tls_encode(const struct mv_context *c, struct mv_out *o);

#endif
