/* SPDX-License-Identifier: Apache-2.0 */
#include <host/settings.h>
#include <stddef.h>
#include <string.h>

#define SECONDS(n) ((n)*1000000000ull)
#define MIB(n)     ((n)*1048576ull)

static const char file_grants[] = "/tmp/rtfs_sandbox, /workspace";
static const struct mv__capability_settings by_id[] = {
        { "ccos.network.http-fetch",
          { .wall_ns_max = SECONDS(30), .memory_bytes_max = MIB(64) },
          30,
          "api.github.com, localhost",
          "none" },
        { "ccos.io.open-file",
          { .wall_ns_max = SECONDS(10), .memory_bytes_max = MIB(32) },
          20,
          "denied",
          file_grants },
        { "ccos.io.read-line",
          { .wall_ns_max = SECONDS(10), .memory_bytes_max = MIB(32) },
          20,
          "denied",
          file_grants },
        { "ccos.io.write-line",
          { .wall_ns_max = SECONDS(10), .memory_bytes_max = MIB(32) },
          20,
          "denied",
          file_grants },
        { "ccos.io.close-file",
          { .wall_ns_max = SECONDS(10), .memory_bytes_max = MIB(32) },
          20,
          "denied",
          file_grants },
};
static const struct mv__capability_settings by_default = {
        NULL, { .wall_ns_max = SECONDS(30), .memory_bytes_max = MIB(512) }, 100, "denied", "none",
};

const struct mv__capability_settings *mv__settings_of(const char *capability)
{
        for (size_t i = 0; capability && i < sizeof by_id / sizeof by_id[0]; i++)
                if (strcmp(by_id[i].capability, capability) == 0)
                        return &by_id[i];
        return &by_default;
}
