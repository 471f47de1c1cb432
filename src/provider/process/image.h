/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_PROCESS_IMAGE_H
#define MV_PROVIDER_PROCESS_IMAGE_H
/* A process provider around any static image that speaks the door; the table's init uses the image in this library. */
#include <microvm/provider.h>

int mv__process_init_image(struct mv_slice image, const struct mv_value *config,
                           struct mv_provider **ret, struct mv_err *err);

#endif
