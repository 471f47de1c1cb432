/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_PROVIDER_PROCESS_IMAGE_H
#define MV_PROVIDER_PROCESS_IMAGE_H
/* A process provider around any static image that speaks the door; the table's init uses the image in this library. */
#include <microvm/provider.h>

int mv__process_init_image(struct mv_slice image, const struct mv_value *config,
                           struct mv_provider **ret, struct mv_err *err);
/* The image's runners restore themselves after each run, so that cells may be reset: then a limit of CPU time is this run's. */
void mv__process_keeps(struct mv_provider *p);
/* Whether the cell may be run once more; only of such an image. STATE: not this one. */
int mv__process_reset(struct mv_cell *c, struct mv_err *err);
/* The host's side of a program's door: whoever takes it speaks to the program itself, and the run hands over no frames. The
 * caller closes it. -1: the program has none. */
int mv__process_take_door(struct mv_cell *c);

#endif
