/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_HOST_SETTINGS_H
#define MV_HOST_SETTINGS_H
/* What a capability gets when it is executed by itself, without a program around it (REQ-CFG-01,
 * -05; REQ-CAP-06). */
#include <microvm/context.h>

struct mv__capability_settings {
        const char *capability; /* NULL: the default */
        struct mv_limits limits;
        uint32_t cpu_percent;        /* of one core; printed by the demo */
        const char *network, *files; /* for people: the grants it is meant to be used with */
};
/* Never NULL: the default for a capability without settings of its own. */
const struct mv__capability_settings *mv__settings_of(const char *capability);

#endif
