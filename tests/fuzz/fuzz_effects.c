/* SPDX-License-Identifier: Apache-2.0 */
/* The log of idempotency keys. First the bytes as the whole file; then as changes (u16 length, then u16 offset and u8 xor) to a
 * good log: what it says to be done has the result that was written, and everything else is refused, or forgotten with a
 * torn tail. */
#include <audit/effects.h>
#include <base/slice.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MUST(x)  ((x) ? (void)0 : abort())
#define KEYS     3
#define FILE_MAX (1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static struct mv_audit *audit;
static char dir[64], store[80], effects[96];
static uint8_t good[FILE_MAX];
static size_t good_len;

static void clean(void)
{
        char key[96];
        snprintf(key, sizeof key, "%s.key", store);
        mv_audit_close(audit);
        unlink(effects);
        unlink(store);
        unlink(key);
        rmdir(dir);
}

static struct mv_keyed key_at(int i)
{
        struct mv_keyed k = { .execution_id = "exec_1", .call = (uint64_t)i, .window_ms = 1000000 };
        memset(k.key, i + 1, sizeof k.key);
        memset(k.request, 'r', sizeof k.request);
        return k;
}

static struct mv_slice result_at(int i)
{
        static const char text[] = "\x78\x28the result of a call, forty bytes long..";
        return (struct mv_slice){ (const uint8_t *)text, sizeof text - 1 - (size_t)i };
}

static void make_good(void)
{
        struct mv_err err;
        struct mv_arena a = mv_arena_grow(1 << 20);
        struct mv_effects *e = mv_effects_new(audit);
        for (int i = 0; i < KEYS; i++) {
                struct mv_keyed k = key_at(i);
                struct mv_keyed_found found;
                MUST(mv_effects_begin(e, &k, &a, &found, &err) == 0);
                MUST(mv_effects_end(e, &k, MV_KEYED_DONE, result_at(i), &err) == 0);
        }
        mv_effects_free(e);
        mv_arena_done(&a);
        FILE *f = fopen(effects, "rb");
        MUST(f);
        good_len = fread(good, 1, sizeof good, f);
        fclose(f);
}

static void begin(void)
{
        struct mv_err err;
        char key[96];
        const char *tmp = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
        snprintf(dir, sizeof dir, "%s/mv-fuzz-effects-XXXXXX", tmp);
        MUST(mkdtemp(dir));
        snprintf(store, sizeof store, "%s/a", dir);
        snprintf(effects, sizeof effects, "%s.effects", store);
        snprintf(key, sizeof key, "%s.key", store);
        MUST(mv_audit_open(&(struct mv_audit_options){ .path = store, .key_path = key }, &audit,
                           &err) == 0);
        atexit(clean);
        make_good();
}

static void look(const uint8_t *bytes, size_t len)
{
        struct mv_err err;
        struct mv_arena a = mv_arena_grow(4 << 20);
        int fd = open(effects, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        MUST(fd >= 0 && write(fd, bytes, len) == (ssize_t)len);
        close(fd);
        struct mv_effects *e = mv_effects_new(audit);
        MUST(e);
        for (int i = 0; i < KEYS; i++) {
                struct mv_keyed k = key_at(i);
                struct mv_keyed_found found;
                if (mv_effects_begin(e, &k, &a, &found, &err) < 0)
                        break;
                MUST(found.state == MV_KEYED_ABSENT || found.state == MV_KEYED_BEGUN ||
                     found.state == MV_KEYED_DONE);
                MUST(found.state != MV_KEYED_DONE || mv_slice_eq(found.result, result_at(i)));
        }
        mv_effects_free(e);
        mv_arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
        uint8_t copy[FILE_MAX];
        if (!audit)
                begin();
        if (len > FILE_MAX)
                return 0;
        look(data, len);
        memcpy(copy, good, good_len);
        size_t cut = len >= 2 ? (data[0] | (size_t)data[1] << 8) % (good_len + 1) : good_len;
        for (size_t i = 2; i + 3 <= len; i += 3)
                copy[(data[i] | (size_t)data[i + 1] << 8) % good_len] ^= data[i + 2];
        look(copy, cut);
        return 0;
}
