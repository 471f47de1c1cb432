/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over the files of its corpus directory, so that every finding stays found
 * in a normal test run. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define INPUT_MAX (1 << 20)

static int run_file(const char *dir, const char *name)
{
        char path[4096];
        uint8_t *data = malloc(INPUT_MAX), *exact = NULL;
        snprintf(path, sizeof path, "%s/%s", dir, name);
        FILE *f = fopen(path, "rb");
        int r = -1;
        if (f && data) {
                size_t len = fread(data, 1, INPUT_MAX, f);
                exact = realloc(
                        data, len ? len : 1); /* so that a sanitizer sees a read beyond the input */
                if (exact) {
                        data = exact;
                        r = LLVMFuzzerTestOneInput(data, len);
                }
        }
        if (f)
                fclose(f);
        free(data);
        return r;
}

int main(int argc, char **argv)
{
        DIR *d = argc == 2 ? opendir(argv[1]) : NULL;
        int ran = 0, failed = 0;
        if (!d)
                return 2;
        for (struct dirent *e = readdir(d); e; e = readdir(d)) {
                if (e->d_name[0] == '.')
                        continue;
                ran++;
                failed += run_file(argv[1], e->d_name) != 0;
        }
        closedir(d);
        printf("%d inputs, %d failed\n", ran, failed);
        return failed || ran == 0;
}
