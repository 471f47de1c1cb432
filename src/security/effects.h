/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_SECURITY_EFFECTS_H
#define MV_SECURITY_EFFECTS_H
#include <security/security.h>
#include <wire/cbor.h>

/* NULL: the label of an effect; the colon and the case of letters do not matter. */
const char *mv__effect_check(struct mv_slice name);
/* Of an allowing decision about a capability, or a program, with these effects (enum mv_effect). */
void mv__effects_decide(const struct mv_context *c, const char *id, uint32_t effects,
                        struct mv_decision *d);
/* For context.c and encode.c. */
MV_INLINE bool mv__effects_any(const struct mv_context *c)
{
        return c->effects.denied || c->effects.allowed != UINT32_MAX;
}
void mv__effects_join(struct mv_context *c, const struct mv_context *most);
bool mv__effects_encode(const struct mv_context *c, struct mv_out *o);

#endif
