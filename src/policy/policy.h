/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_POLICY_H
#define MV_POLICY_H
/* Path and host rules: pure decisions on text, no effects. The file layer repeats the path decision in the kernel
 * (openat2 beneath the granted root); the network layer repeats the address decision on the address it really connects to. */
#include <security/security.h>

/* Lexical: component-wise below a grant, absolute, no "..", no NUL. Returns the index of the granting root (reads and
 * writes share one numbering: writes first, then reads) or -1, with the decision filled in either way. Level full grants
 * everything with root "/". */
int mv_policy_path(const struct mv_context *c, struct mv_slice path, bool write,
                   const char *capability, struct mv_decision *ret, struct mv_slice *ret_root);

struct mv_url {
        struct mv_slice scheme, host, path; /* host without brackets, as written */
        /* lower case, no trailing dot, IDNA A-labels refused unless already ASCII */
        char host_ascii[256];
        uint16_t port;
        bool is_ip;
};
/* http and https only; no user info, no control or NUL bytes, host and port well formed. INVALID
 * with the reason. */
int mv_url_parse(struct mv_slice url, struct mv_url *ret, struct mv_err *err);
/* Deny list first, then grants. Exact host, host:port, *.suffix. REQ-NET-02, -12. */
void mv_policy_host(const struct mv_context *c, const struct mv_url *u, const char *capability,
                    struct mv_decision *ret);
/* May a connection go to this address for this host? address: 4 or 16 bytes in network order; IPv4-mapped, NAT64 and 6to4
 * forms count as the address they carry. An address that is denied by name is refused. Globally routable addresses pass.
 *  - private (10/8, 172.16/12, 192.168/16, 100.64/10, fc00::/7) and loopback ones need the host or the address to be named
 *    exactly in a grant (a wildcard does not count, level full does not either);
 *  - every other special range (link-local with the metadata services, unspecified, multicast, reserved, documentation,
 *    benchmarking) needs the address itself to be named: whoever runs the DNS of a granted name must not reach those. */
bool mv_policy_address(const struct mv_context *c, const struct mv_url *u, const uint8_t *address,
                       size_t address_len, char why[96]);
/* For profiles (policy/profile.h): the entry of a list that names the host, or NULL; the index of the entry that is the path
 * or a directory above it, or -1; does the context grant the host with some port? */
const char *mv__host_entry(const struct mv_grant_list *l, const struct mv_url *u);
int64_t mv__path_entry(const struct mv_grant_list *l, struct mv_slice path);
bool mv__context_has_host(const struct mv_context *c, const char *host);
/* The decision for an address that was refused for `why`; address as above. */
void mv_policy_address_denied(const struct mv_url *u, const uint8_t *address, size_t address_len,
                              const char *why, const char *capability, struct mv_decision *ret);
/* env NAME: granted? *ret_value: the granted literal value, or NULL to use the host's. */
bool mv_policy_env(const struct mv_context *c, struct mv_slice name, const char *capability,
                   struct mv_decision *ret, const char **ret_value);

#endif
