/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_GUEST_LINUX_DOOR_H
#define MV_GUEST_LINUX_DOOR_H
/* What both Linux runners (linux_main.c, wasm_linux.c) stand on: numbers of the command line, the filter, whole frames through
 * descriptors 0 and 1. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <microvm/value.h>

struct region {
        uint8_t *p;
        size_t cap;
};
/* A size; ends the process when it is none. */
size_t mv_linux_number(const char *s);
/* From here on: read on 0, write on 1, exit. advise: and giving pages back (madvise with MADV_DONTNEED). */
void mv_linux_lock_up(bool advise);
bool mv_linux_write_all(struct mv_slice s);
/* One whole frame; false at the end of the door, or for a frame the host should not have sent. */
bool mv_linux_read_frame(struct region into, struct mv_slice *ret);

#endif
