/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_RTFS_READER_H
#define MV_RTFS_READER_H
/* Positions in source text: line << 12 | column, both 1-based; beyond the field they stay at its
 * maximum. */
#include <rtfs/vm.h>

#define POS_COLUMN_BITS 12
#define POS_COLUMN_MASK ((1u << POS_COLUMN_BITS) - 1)
static inline uint32_t pos_make(uint32_t line, uint32_t column)
{
        uint32_t line_max = UINT32_MAX >> POS_COLUMN_BITS;
        return (line > line_max ? line_max : line) << POS_COLUMN_BITS |
               (column > POS_COLUMN_MASK ? POS_COLUMN_MASK : column);
}

/* How much of s, from its start, is one symbol; 0: none starts there. */
size_t reader_symbol_length(struct mv_slice s);

#endif
