/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CAPABILITY_HTTP_REQUEST_H
#define MV_CAPABILITY_HTTP_REQUEST_H
/* What a program asked http-fetch for, read out of its arguments once for the decision and once
 * for the effect. */
#include <capability/builtin.h>

#define MV_HTTP_TIMEOUT_MS_DEFAULT       30000
#define MV_HTTP_REQUEST_HEADERS_MAX      64   /* what servers accept by default is about 100 */
#define MV_HTTP_REQUEST_HEADER_BYTES_MAX 8192 /* of one: the usual limit of servers */

struct mv_http_request {
        struct mv_slice url;
        const char *method; /* static text */
        /* MAP with string or keyword keys and string values, checked; or NULL */
        const struct mv_value *headers;
        struct mv_slice body;
        bool has_body;
        uint64_t timeout_ms;
};
/* (url) | (url {options}) | ({:url ...}) | (:url ... :method ...). 0, or -MV_E_PROGRAM with the
 * fault. Pure. */
int mv__http_request(const struct mv_value *args, uint32_t n, struct mv_http_request *ret,
                     struct mv_fault *fault);
bool mv__http_header_is(struct mv_slice name, const char *lower);

#endif
