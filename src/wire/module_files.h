/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WIRE_MODULE_FILES_H
#define MV_WIRE_MODULE_FILES_H
/* How a module in a microVM reaches the files it was granted: requests of its runtime (guest/module_files.c), passed on by
 * the host without a look inside (provider/kvm/files.c), carried out in a process cell (guest/module_server.c).
 *
 *  REQUEST  OFFSET SIZE  FIELD              all integers little-endian
 *              0     4   op                 enum mv_files_op
 *              4     4   handle             what an earlier answer said
 *              8     4   handle2            of RENAME and LINK: the target's directory
 *             12     4   flags              Linux's: open, AT_REMOVEDIR, whence
 *             16     8   a                  length, size, position of SEEK
 *             24     8   b                  position of PREAD and PWRITE, length of ALLOCATE
 *             32     4   name_len
 *             36     4   name2_len
 *             40         name, name2, then the bytes to write
 *
 *  ANSWER      0     8   result             >= 0, or -errno
 *              8         bytes that were read; of STAT and STATAT mode, inode, links, size, and three times in ns, u64 each
 */

enum mv_files_op {
        MV_FILES_ROOT = 1, /* name: a preopened path, or the directory of one */
        MV_FILES_OPEN,
        MV_FILES_CLOSE,
        MV_FILES_READ,
        MV_FILES_WRITE,
        MV_FILES_PREAD,
        MV_FILES_PWRITE,
        MV_FILES_SEEK,
        MV_FILES_STAT,
        MV_FILES_STATAT,
        MV_FILES_TRUNCATE,
        MV_FILES_ALLOCATE,
        MV_FILES_SYNC,
        MV_FILES_DATASYNC,
        MV_FILES_APPEND,  /* flags: O_APPEND or 0 */
        MV_FILES_ENTRIES, /* getdents64 */
        MV_FILES_READLINK,
        MV_FILES_MKDIR,
        MV_FILES_UNLINK,
        MV_FILES_SYMLINK, /* name: the new link, name2: its text */
        MV_FILES_RENAME,
        MV_FILES_LINK,
        MV_FILES_MAX_
};

#define MV_FILES_REQUEST_BYTES 40u
#define MV_FILES_ANSWER_BYTES  8u
#define MV_FILES_STAT_FIELDS   7u
/* Bytes of one read or write; more is several requests. */
#define MV_FILES_DATA_MAX    (128u << 10)
#define MV_FILES_NAMES_MAX   8192u
#define MV_FILES_HANDLES_MAX 1024u /* more than WASI's descriptors and the directories of a walk */

#endif
