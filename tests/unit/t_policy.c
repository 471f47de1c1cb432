/* SPDX-License-Identifier: Apache-2.0 */
#include "../test.h"
#include <arpa/inet.h>
#include <policy/policy.h>
#include <stdio.h>

static struct mv_decision d;
static struct mv_slice root;

static int path(const struct mv_context *c, const char *p, bool write)
{
        return mv_policy_path(c, mv_slice_str(p), write, "ccos.io.read-file", &d, &root);
}

static struct mv_context *with_roots(void)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(mv_context_allow_read(c, "/data", NULL) == 0 &&
              mv_context_allow_read(c, "/tmp/deep/er", NULL) == 0);
        CHECK(mv_context_allow_write(c, "/tmp/", NULL) == 0 &&
              mv_context_allow_write(c, "/w", NULL) == 0);
        return c;
}

/* REQ-FS-01, -02 */
TEST(a_path_grant_covers_whole_components_only)
{
        struct mv_context *c = with_roots();
        CHECK(path(c, "/tmp", true) == 0 && path(c, "/tmp/a", true) == 0 &&
              path(c, "/tmp/a/b/", false) == 0);
        CHECK(mv_slice_eq_str(root, "/tmp"));
        CHECK(path(c, "/tmpevil", false) == -1 && path(c, "/tm", false) == -1 &&
              path(c, "/", false) == -1);
        CHECK(path(c, "/data/x", false) == 2 && mv_slice_eq_str(root, "/data"));
        CHECK_STR(d.rule, "grant read /data");
        CHECK(path(c, "/data/x", true) == -1);
        CHECK_STR(d.hint, "--allow-write /data/x");
        CHECK_STR(d.context, "Path not allowed by policy (write=true): /data/x");
        CHECK_STR(d.operation, "filesystem");
        CHECK(d.permissions_count == 2);
        CHECK_STR(d.permissions[1], "ccos.io.file-access");
        mv_context_free(c);
}

TEST(the_most_specific_root_decides_and_writing_implies_reading)
{
        struct mv_context *c = with_roots();
        CHECK(path(c, "/tmp/deep/er/f", false) == 3 && mv_slice_eq_str(root, "/tmp/deep/er"));
        CHECK(path(c, "/tmp/deep/er/f", true) == 0 && path(c, "/w/f", false) == 1);
        CHECK_STR(d.rule, "grant write /w");
        mv_context_free(c);
}

TEST(paths_with_two_readings_are_refused_with_the_reason)
{
        static const char *const bad[] = { "/tmp/../etc/passwd",
                                           "/tmp/..",
                                           "/..",
                                           "/tmp//a",
                                           "//tmp",
                                           "/tmp/a//",
                                           "tmp/a",
                                           "./tmp",
                                           "/tmp/./a",
                                           "/tmp/\xff",
                                           "..",
                                           "~" };
        struct mv_context *c = with_roots(), *f = mv_context_new(MV_LEVEL_FULL);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                CHECK(path(c, bad[i], false) == -1 && path(f, bad[i], true) == -1 && !d.allowed);
                CHECK_STR(d.hint, "");
                CHECK(strstr(d.context, "Path not allowed by policy (write=true): ") == d.context);
        }
        CHECK(mv_policy_path(f, mv_slice("/tmp/a\0/b", 9), false, "x", &d, &root) == -1);
        CHECK_STR(d.rule, "path holds a NUL byte");
        CHECK(path(f, "", false) == -1);
        CHECK_STR(d.context, "No path provided for filesystem operation");
        struct mv_err err;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CHECK(mv_context_allow_read(c, bad[i], &err) == -MV_E_INVALID);
        mv_context_free(c);
        mv_context_free(f);
}

TEST(level_full_grants_every_path_and_pure_none)
{
        struct mv_context *f = mv_context_new(MV_LEVEL_FULL);
        CHECK(path(f, "/etc/passwd", true) == 0 && mv_slice_eq_str(root, "/"));
        CHECK(path(NULL, "/tmp", false) == -1);
        CHECK_STR(d.hint, "--level controlled --allow-read /tmp");
        mv_context_free(f);
}

TEST(a_root_grant_of_slash_covers_everything)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(mv_context_allow_read(c, "/", NULL) == 0);
        CHECK(path(c, "/", false) == 0 && path(c, "/a/b", false) == 0 && path(c, "/a", true) == -1);
        mv_context_free(c);
}

TEST(a_hint_never_names_a_shorter_path_than_the_one_asked_for)
{
        char longer[600];
        memset(longer, 'a', sizeof longer);
        longer[0] = '/';
        longer[sizeof longer - 1] = '\0';
        struct mv_context *c = with_roots();
        CHECK(path(c, longer, false) == -1);
        CHECK_STR(d.hint, "--allow-read PATH (the path asked for)");
        mv_context_free(c);
}

/* --- URLs ------------------------------------------------------------------------------------- */

static struct mv_url u;
static int url(const char *text)
{
        struct mv_err err;
        return mv_url_parse(mv_slice_str(text), &u, &err);
}

TEST(good_urls_are_taken_apart)
{
        CHECK(url("https://Example.COM./a?b#c") == 0 && u.port == 443 && !u.is_ip);
        CHECK_STR(u.host_ascii, "example.com");
        CHECK(mv_slice_eq_str(u.host, "Example.COM.") && mv_slice_eq_str(u.path, "/a?b#c"));
        CHECK(mv_slice_eq_str(u.scheme, "https"));
        CHECK(url("HTTP://a_b.xn--nxasmq6b:8080") == 0 && u.port == 8080 && u.path.len == 0);
        CHECK(url("http://127.0.0.1:1/") == 0 && u.is_ip && u.port == 1);
        CHECK(url("http://[2001:DB8::1]:65535?x") == 0 && u.is_ip && u.port == 65535);
        CHECK_STR(u.host_ascii, "2001:db8::1");
        CHECK(url("http://[::ffff:10.0.0.1]/") == 0);
        CHECK_STR(u.host_ascii, "::ffff:10.0.0.1");
        CHECK(url("http://127.0.0.1./") == 0 && u.is_ip);
        CHECK(url("https://good.com#@evil.com/") == 0 && mv_slice_eq_str(u.host, "good.com"));
}

TEST(urls_with_two_readings_are_refused)
{
        static const char *const bad[] = {
                "",
                "http://",
                "http:///x",
                "https:/a",
                "ftp://a/",
                "file:///etc/passwd",
                "javascript:x",
                "//a/",
                "a.com",
                "http://u@a.com/",
                "http://u:p@a.com/",
                "http://a.com@evil.com",
                "http://a.com\\@evil.com",
                "http://a b/",
                "http://a.com/\x01",
                "http://a.com/ x",
                "http://a.com/\x7f",
                "http://a%2ecom/",
                "http://a.com%00/",
                "http://0x7f.1/",
                "http://2130706433/",
                "http://0177.0.0.1/",
                "http://127.1/",
                "http://1.2.3.4.5/",
                "http://0x7f000001/",
                "http://256.0.0.1/",
                "http://a.0x1/",
                "http://a.1/",
                "http://0x/",
                "http://1.2.3.04/",
                "http://a..b/",
                "http://.a/",
                "http://a../",
                "http://-a.com/",
                "http://a-.com/",
                "http://./",
                "http://*.a.com/",
                "http://\xc3\xa9.com/",
                "http://\xef\xbc\x91\xef\xbc\x92\xef\xbc\x97.0.0.1/",
                "http://a.com/\xc3\xa9",
                "http://a:0/",
                "http://a:65536/",
                "http://a:/",
                "http://a:+1/",
                "http://a:080/",
                "http://a:1a/",
                "http://a:123456/",
                "http://[::1/",
                "http://::1/",
                "http://[::1]x/",
                "http://[::1]80/",
                "http://[127.0.0.1]/",
                "http://[fe80::1%25eth0]/",
                "http://[]/",
                "http://[::1%eth0]/",
                "http://[1:2]/",
                "http://a:80:90/",
                "http://a]/",
                "http://a,b/",
                "http://a;b/",
        };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                if (url(bad[i]) == 0)
                        printf("# accepted: row %zu\n", i);
                CHECK(url(bad[i]) == -MV_E_INVALID);
        }
        struct mv_err err;
        CHECK(mv_url_parse(mv_slice("http://a\0b/", 11), &u, &err) == -MV_E_INVALID);
        char longer[300];
        snprintf(longer, sizeof longer, "http://%0254d.com/", 0);
        CHECK(url(longer) == -MV_E_INVALID);
}

/* --- hosts ------------------------------------------------------------------------------------ */

static bool host(const struct mv_context *c, const char *text)
{
        CHECK(url(text) == 0);
        mv_policy_host(c, &u, "ccos.network.http-fetch", &d);
        return d.allowed;
}

static struct mv_context *with_hosts(void)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(mv_context_allow_host(c, "API.example.com.", NULL) == 0 &&
              mv_context_allow_host(c, "p.net:8443", NULL) == 0);
        CHECK(mv_context_allow_host(c, "*.wild.org", NULL) == 0 &&
              mv_context_allow_host(c, "*.q.org:81", NULL) == 0);
        CHECK(mv_context_deny_host(c, "bad.wild.org", NULL) == 0 &&
              mv_context_deny_host(c, "*.worse.wild.org", NULL) == 0);
        CHECK(mv_context_allow_host(c, "[2606:4700::1111]:443", NULL) == 0 &&
              mv_context_allow_host(c, "2001:4860:0::8", NULL) == 0);
        return c;
}

/* REQ-NET-01, -02 */
TEST(hosts_match_exactly_or_below_an_opted_in_suffix)
{
        struct mv_context *c = with_hosts();
        CHECK(host(c, "https://api.EXAMPLE.com/") && host(c, "http://api.example.com:99/"));
        CHECK(!host(c, "https://example.com/") && !host(c, "https://x.api.example.com/"));
        CHECK(host(c, "https://a.wild.org/") && host(c, "https://a.b.wild.org./"));
        CHECK_STR(d.rule, "grant host *.wild.org");
        CHECK(!host(c, "https://wild.org/") && !host(c, "https://evil-wild.org/") &&
              !host(c, "https://wild.org.evil.com/"));
        CHECK(host(c, "http://a.q.org:81/") && !host(c, "http://a.q.org/"));
        CHECK(host(c, "https://p.net:8443/") && !host(c, "https://p.net/"));
        CHECK_STR(d.context, "Port '443' not in HTTP allowlist");
        CHECK_STR(d.hint, "--allow-net p.net:443");
        CHECK(host(c, "https://[2606:4700::1111]/") && !host(c, "http://[2606:4700::1111]/"));
        CHECK(host(c, "http://[2001:4860::8]:1/"));
        mv_context_free(c);
}

/* REQ-NET-12 */
TEST(host_denials_carry_the_kept_texts)
{
        struct mv_context *c = with_hosts(), *none = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(!host(c, "https://evil.com/"));
        CHECK_STR(d.context, "Host 'evil.com' not in HTTP allowlist");
        CHECK_STR(d.operation, "network");
        CHECK_STR(d.permissions[1], "ccos.network.outbound");
        CHECK_STR(d.hint, "--allow-net evil.com:443");
        CHECK(!host(none, "https://evil.com/"));
        CHECK_STR(d.context, "Network access denied by policy");
        CHECK(!host(NULL, "https://[::1]/"));
        CHECK_STR(d.hint, "--level controlled --allow-net [::1]:443");
        mv_context_free(c);
        mv_context_free(none);
}

TEST(the_deny_list_is_asked_first_at_every_level)
{
        struct mv_context *c = with_hosts(), *f = mv_context_new(MV_LEVEL_FULL);
        CHECK(!host(c, "https://bad.wild.org/"));
        CHECK_STR(d.context, "Host in denylist");
        CHECK_STR(d.hint, "");
        CHECK(!host(c, "https://a.worse.wild.org/") && host(c, "https://worse.wild.org/"));
        CHECK(mv_context_deny_host(f, "evil.com:443", NULL) == 0);
        CHECK(!host(f, "https://evil.com/") && host(f, "http://evil.com/") &&
              host(f, "http://other.com/"));
        mv_context_free(c);
        mv_context_free(f);
}

TEST(host_grants_that_are_not_hosts_are_refused)
{
        static const char *const bad[] = { "",
                                           "*",
                                           "*.",
                                           "*.*.com",
                                           "a.*.com",
                                           "https://a.com",
                                           "a.com/",
                                           "10.0.0.0/8",
                                           "a b",
                                           "a:0",
                                           "a:x",
                                           "[::1",
                                           "[::1]x",
                                           "[a]",
                                           "*.127.0.0.1",
                                           "0x7f.1",
                                           "2130706433",
                                           "u@a.com",
                                           "\xc3\xa9.com",
                                           "fe80::1%eth0",
                                           "*.[::1]",
                                           "*a.com",
                                           ":80" };
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                CHECK(mv_context_allow_host(c, bad[i], NULL) == -MV_E_INVALID);
                CHECK(mv_context_deny_host(c, bad[i], NULL) == -MV_E_INVALID);
        }
        CHECK(c->hosts.count == 0);
        mv_context_free(c);
}

/* --- addresses -------------------------------------------------------------------------------- */

static bool address(const struct mv_context *c, const char *to, const char *text)
{
        uint8_t bytes[16];
        char why[96];
        int family = strchr(text, ':') ? AF_INET6 : AF_INET;
        CHECK(url(to) == 0 && inet_pton(family, text, bytes) == 1);
        return mv_policy_address(c, &u, bytes, family == AF_INET ? 4 : 16, why);
}

static const char *const inside[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.0.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::7f00:1",
        "::8.8.8.8",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2002:c0a8:1::",
        "2001::1",
        "2001:10::1",
        "2001:db8::1",
        "3fff::1",
        "3fff:fff::1",
        "100::1",
        "4000::1",
        "5f00::1",
};
static const char *const outside[] = {
        "1.1.1.1",         "9.255.255.255",    "11.0.0.0",
        "100.63.255.255",  "100.128.0.0",      "126.255.255.255",
        "128.0.0.0",       "169.253.0.1",      "172.15.255.255",
        "172.32.0.0",      "192.0.1.1",        "192.167.0.1",
        "192.169.0.0",     "198.17.0.1",       "198.20.0.0",
        "223.255.255.255", "2606:4700::1111",  "2001:4860:4860::8888",
        "::ffff:8.8.8.8",  "64:ff9b::8.8.8.8", "2002:808:808::1",
        "3ffe::1",
};

TEST(addresses_inside_a_network_are_refused_for_names_and_wildcards_at_every_level)
{
        struct mv_context *c = with_hosts(), *f = mv_context_new(MV_LEVEL_FULL);
        for (size_t i = 0; i < sizeof inside / sizeof *inside; i++) {
                if (address(c, "https://a.wild.org/", inside[i]) ||
                    address(f, "https://any.com/", inside[i]))
                        printf("# passed: %s\n", inside[i]);
                CHECK(!address(c, "https://a.wild.org/", inside[i]));
                CHECK(!address(f, "https://any.com/", inside[i]));
        }
        for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
                CHECK(address(c, "https://a.wild.org/", outside[i]) &&
                      address(f, "https://any.com/", outside[i]));
                CHECK(!address(NULL, "https://any.com/", outside[i]));
        }
        char why[96];
        CHECK(!mv_policy_address(f, &u, (const uint8_t *)"\1\2\3\4\5", 5, why));
        mv_context_free(c);
        mv_context_free(f);
}

TEST(a_literal_address_in_a_grant_admits_every_spelling_of_it)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
        CHECK(mv_context_allow_host(c, "169.254.169.254:80", NULL) == 0 &&
              mv_context_allow_host(c, "[::1]", NULL) == 0);
        CHECK(address(c, "http://169.254.169.254/", "169.254.169.254"));
        CHECK(address(c, "http://169.254.169.254/", "::ffff:169.254.169.254"));
        CHECK(!address(c, "http://169.254.169.254:81/", "169.254.169.254"));
        CHECK(address(c, "http://[::1]:9/", "::1") && !address(c, "http://[::1]:9/", "127.0.0.1"));
        mv_context_free(c);
}

/* Whoever runs the DNS of a granted name may lead to private addresses only, never to the
 * metadata service. */
TEST(a_name_in_a_grant_admits_private_addresses_but_not_special_ones)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED),
                          *f = mv_context_new(MV_LEVEL_FULL);
        CHECK(mv_context_allow_host(c, "localhost:8080", NULL) == 0 &&
              mv_context_allow_host(f, "intra.corp", NULL) == 0);
        CHECK(address(c, "http://localhost:8080/", "127.0.0.1") &&
              address(c, "http://localhost:8080/", "::1"));
        CHECK(!address(c, "http://localhost:9090/", "127.0.0.1"));
        CHECK(!address(c, "http://localhost:8080/", "169.254.169.254") &&
              !address(c, "http://localhost:8080/", "0.0.0.0"));
        CHECK(address(f, "http://intra.corp/", "10.1.2.3") &&
              !address(f, "http://other.corp/", "10.1.2.3"));
        mv_context_free(c);
        mv_context_free(f);
}

TEST(a_denied_address_is_refused_whatever_name_leads_to_it)
{
        struct mv_context *f = mv_context_new(MV_LEVEL_FULL);
        CHECK(mv_context_deny_host(f, "1.1.1.1", NULL) == 0);
        CHECK(!address(f, "http://any.com/", "1.1.1.1") &&
              !address(f, "http://any.com/", "::ffff:1.1.1.1"));
        CHECK(address(f, "http://any.com/", "1.1.1.2"));
        mv_context_free(f);
}

/* --- environment ------------------------------------------------------------------------------ */

TEST(variables_are_granted_by_name)
{
        struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED),
                          *f = mv_context_new(MV_LEVEL_FULL);
        const char *value = "untouched";
        CHECK(mv_context_allow_env(c, "LANG", NULL) == 0 &&
              mv_context_allow_env(c, "KEY=a=b", NULL) == 0);
        CHECK(mv_policy_env(c, MV_SLICE("LANG"), "ccos.system.get-env", &d, &value) && !value);
        CHECK(mv_policy_env(c, MV_SLICE("KEY"), "ccos.system.get-env", &d, &value));
        CHECK_STR(value, "a=b");
        CHECK_STR(d.permissions[1], "ccos.system.environment");
        value = "untouched";
        CHECK(!mv_policy_env(c, MV_SLICE("LAN"), "x", &d, &value) &&
              !mv_policy_env(c, MV_SLICE("HOME"), "x", &d, &value));
        CHECK_STR(d.hint, "--env HOME");
        CHECK_STR(d.operation, "environment");
        CHECK_STR(d.context, "Environment variable 'HOME' not allowed by policy");
        CHECK(!mv_policy_env(c, MV_SLICE("KEY=a"), "x", &d, &value) &&
              !mv_policy_env(c, MV_SLICE("LANG\0"), "x", &d, &value));
        CHECK(!mv_policy_env(NULL, MV_SLICE("LANG"), "x", &d, &value));
        CHECK_STR(value, "untouched");
        CHECK(mv_policy_env(f, MV_SLICE("HOME"), "x", &d, &value) && !value);
        CHECK(!mv_policy_env(f, MV_SLICE(""), "x", &d, &value));
        mv_context_free(c);
        mv_context_free(f);
}

/* --- the search against the rule it stands for ------------------------------------------------ */
static uint32_t next_random(uint32_t *state)
{
        *state = *state * 1664525u + 1013904223u;
        return *state >> 8;
}

static void random_path(uint32_t *state, char ret[64])
{
        static const char *const parts[] = { "a", "ab", "a.b", "a-", "b", "0" };
        unsigned depth = next_random(state) % 4;
        size_t n = 0;
        for (unsigned i = 0; i < depth; i++)
                n += mv_fmt(ret + n, 64 - n, "/%s", parts[next_random(state) % 6]);
        if (depth == 0)
                mv_fmt(ret, 64, "/");
}

/* (1) of policy/path.c, word by word. */
static bool covers(const char *grant, const char *path)
{
        size_t n = strlen(grant);
        return strcmp(grant, "/") == 0 ||
               (strncmp(grant, path, n) == 0 && (path[n] == '\0' || path[n] == '/'));
}

TEST(the_most_specific_grant_is_found_among_its_neighbours) /* REQ-FS-01 */
{
        uint32_t state = 7;
        for (unsigned round = 0; round < 300; round++) {
                struct mv_context *c = mv_context_new(MV_LEVEL_CONTROLLED);
                struct mv_err err;
                char asked[64];
                for (unsigned i = next_random(&state) % 8; i > 0; i--) {
                        random_path(&state, asked);
                        CHECK(mv_context_allow_read(c, asked, &err) == 0);
                }
                for (unsigned i = 0; i < 30; i++) {
                        const char *best = NULL;
                        random_path(&state, asked);
                        for (uint32_t k = 0; k < c->reads.count; k++)
                                if (covers(c->reads.items[k], asked) &&
                                    (!best || strlen(c->reads.items[k]) > strlen(best)))
                                        best = c->reads.items[k];
                        bool found =
                                mv_policy_path(c, mv_slice_str(asked), false, "x", &d, &root) >= 0;
                        CHECK(found == (best != NULL));
                        CHECK(!best || !found || mv_slice_eq_str(root, best));
                }
                mv_context_free(c);
        }
}
