/* SPDX-License-Identifier: Apache-2.0 */
/* Settings that change while a process lives (REQ-CFG-14). */
#include "test.h"
#include <microvm/microvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static void write_settings(const char *text)
{
        char next[80];
        snprintf(next, sizeof next, "%s.next", path);
        FILE *f = fopen(next, "w");
        CHECK(f && fputs(text, f) >= 0);
        if (f)
                fclose(f);
        CHECK(rename(next, path) == 0);
}

static void begin(const char *text)
{
        memcpy(path, "/tmp/mv-live-XXXXXX", 20);
        int fd = mkstemp(path);
        CHECK(fd >= 0);
        close(fd);
        write_settings(text);
}

#define ONE "[grants]\ncapabilities = [\"ccos.echo\"]\n"
#define TWO "min_tier = \"process\"\n[grants]\ncapabilities = [\"ccos.math.add\"]\n"

static bool allows(struct mv_live_settings *s, const char *id)
{
        struct mv_context *c = mv_live_settings_context(s);
        bool yes = mv_context_allows(c, id);
        mv_context_free(c);
        return yes;
}

TEST(a_reload_replaces_the_whole)
{
        struct mv_live_settings *s;
        struct mv_err err;
        char provider[32];
        enum mv_tier tier;
        begin(ONE);
        REQUIRE(mv_live_settings_open(path, NULL, &s, &err) == 0);
        CHECK(allows(s, "ccos.echo") && !allows(s, "ccos.math.add"));
        struct mv_context *running = mv_live_settings_context(s);
        write_settings(TWO);
        CHECK(mv_live_settings_reload(s, &err) == 0 && mv_live_settings_generation(s) == 2);
        CHECK(!allows(s, "ccos.echo") && allows(s, "ccos.math.add"));
        mv_live_settings_wall(s, provider, &tier);
        CHECK(provider[0] == '\0' && tier == MV_TIER_PROCESS);
        CHECK(mv_context_allows(running, "ccos.echo")); /* what runs keeps what it has */
        mv_context_free(running);
        mv_live_settings_close(s);
        unlink(path);
}

TEST(a_file_that_is_wrong_leaves_the_old_settings_in_force_and_says_why)
{
        static const struct {
                const char *text, *why;
        } cases[] = {
                { "[grants\n", "1:8" },
                { "[grants]\nreed = [\"/\"]\n", "Unknown key 'reed'" },
                { "environment = \"nowhere\"\n" ONE, "environment 'nowhere' is not known" },
        };
        struct mv_live_settings *s;
        struct mv_err err;
        begin(ONE);
        REQUIRE(mv_live_settings_open(path, NULL, &s, &err) == 0);
        for (size_t i = 0; i < 3; i++) {
                write_settings(cases[i].text);
                CHECK(mv_live_settings_reload(s, &err) < 0);
                CHECK(strstr(err.msg, cases[i].why));
                CHECK(allows(s, "ccos.echo") && mv_live_settings_generation(s) == 1);
        }
        CHECK(unlink(path) == 0);
        CHECK(mv_live_settings_reload(s, &err) == -(int)MV_E_SYS && allows(s, "ccos.echo"));
        mv_live_settings_close(s);
}

TEST(an_environment_that_widens_is_refused_and_nothing_is_opened_from_a_wrong_file)
{
        struct mv_live_settings *s = NULL;
        struct mv_err err;
        begin(ONE "[environments.production.grants]\ncapabilities = [\"ccos.io.mkdir\"]\n");
        CHECK(mv_live_settings_open(path, "production", &s, &err) == -(int)MV_E_DENIED && !s);
        CHECK(mv_live_settings_open("/nowhere/at/all", NULL, &s, &err) == -(int)MV_E_SYS && !s);
        unlink(path);
}

/* --- threads ---------------------------------------------------------------------------------- */
static atomic_bool over;

/* Either file as a whole, never a mixture. */
static void *reader(void *arg)
{
        struct mv_live_settings *s = arg;
        while (!over) {
                struct mv_context *c = mv_live_settings_context(s);
                CHECK(mv_context_allows(c, "ccos.echo") != mv_context_allows(c, "ccos.math.add"));
                mv_context_free(c);
        }
        return NULL;
}

TEST(readers_see_one_file_or_the_other)
{
        struct mv_live_settings *s;
        struct mv_err err;
        pthread_t threads[3];
        begin(ONE);
        REQUIRE(mv_live_settings_open(path, NULL, &s, &err) == 0);
        over = false;
        for (int i = 0; i < 3; i++)
                REQUIRE(pthread_create(&threads[i], NULL, reader, s) == 0);
        for (unsigned i = 1; i <= 200; i++) {
                write_settings(i % 2 ? TWO : i % 3 ? ONE : "[grants\n");
                int r = mv_live_settings_reload(s, &err);
                CHECK(i % 2 || i % 3 ? r == 0 : r < 0);
        }
        over = true;
        for (int i = 0; i < 3; i++)
                pthread_join(threads[i], NULL);
        mv_live_settings_close(s);
        unlink(path);
}
