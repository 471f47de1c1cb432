/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_WASM_IMPORTS_H
#define MV_WASM_IMPORTS_H
/* Every function that a module may import, with its type. The same table checks the module's declarations
 * when it is compiled (glue.c: a conflicting type is an error) and declares what this folder defines. */
#include <stdint.h>

struct Z_wasi_snapshot_preview1_instance_t;
struct Z_microvm_instance_t;

#define WASI(name, ...)                                                                            \
        uint32_t Z_wasi_snapshot_preview1Z_##name(struct Z_wasi_snapshot_preview1_instance_t *,    \
                                                  ##__VA_ARGS__)
WASI(args_get, uint32_t, uint32_t);
WASI(args_sizes_get, uint32_t, uint32_t);
WASI(environ_get, uint32_t, uint32_t);
WASI(environ_sizes_get, uint32_t, uint32_t);
WASI(clock_res_get, uint32_t, uint32_t);
WASI(clock_time_get, uint32_t, uint64_t, uint32_t);
WASI(fd_advise, uint32_t, uint64_t, uint64_t, uint32_t);
WASI(fd_allocate, uint32_t, uint64_t, uint64_t);
WASI(fd_close, uint32_t);
WASI(fd_datasync, uint32_t);
WASI(fd_fdstat_get, uint32_t, uint32_t);
WASI(fd_fdstat_set_flags, uint32_t, uint32_t);
WASI(fd_fdstat_set_rights, uint32_t, uint64_t, uint64_t);
WASI(fd_filestat_get, uint32_t, uint32_t);
WASI(fd_filestat_set_size, uint32_t, uint64_t);
WASI(fd_filestat_set_times, uint32_t, uint64_t, uint64_t, uint32_t);
WASI(fd_pread, uint32_t, uint32_t, uint32_t, uint64_t, uint32_t);
WASI(fd_prestat_get, uint32_t, uint32_t);
WASI(fd_prestat_dir_name, uint32_t, uint32_t, uint32_t);
WASI(fd_pwrite, uint32_t, uint32_t, uint32_t, uint64_t, uint32_t);
WASI(fd_read, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(fd_readdir, uint32_t, uint32_t, uint32_t, uint64_t, uint32_t);
WASI(fd_renumber, uint32_t, uint32_t);
WASI(fd_seek, uint32_t, uint64_t, uint32_t, uint32_t);
WASI(fd_sync, uint32_t);
WASI(fd_tell, uint32_t, uint32_t);
WASI(fd_write, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(path_create_directory, uint32_t, uint32_t, uint32_t);
WASI(path_filestat_get, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(path_filestat_set_times, uint32_t, uint32_t, uint32_t, uint32_t, uint64_t, uint64_t, uint32_t);
WASI(path_link, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(path_open, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint64_t, uint64_t, uint32_t,
     uint32_t);
WASI(path_readlink, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(path_remove_directory, uint32_t, uint32_t, uint32_t);
WASI(path_rename, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(path_symlink, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(path_unlink_file, uint32_t, uint32_t, uint32_t);
WASI(poll_oneoff, uint32_t, uint32_t, uint32_t, uint32_t);
void Z_wasi_snapshot_preview1Z_proc_exit(struct Z_wasi_snapshot_preview1_instance_t *, uint32_t);
WASI(proc_raise, uint32_t);
WASI(sched_yield);
WASI(random_get, uint32_t, uint32_t);
WASI(sock_accept, uint32_t, uint32_t, uint32_t);
WASI(sock_recv, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(sock_send, uint32_t, uint32_t, uint32_t, uint32_t, uint32_t);
WASI(sock_shutdown, uint32_t, uint32_t);
#undef WASI

/* docs/formats/wasm.md: capability calls through the door. */
uint32_t Z_microvmZ_call(struct Z_microvm_instance_t *, uint32_t, uint32_t, uint32_t, uint32_t);
uint32_t Z_microvmZ_answer(struct Z_microvm_instance_t *, uint32_t, uint32_t);
uint32_t Z_microvmZ_log(struct Z_microvm_instance_t *, uint32_t, uint32_t);

#endif
