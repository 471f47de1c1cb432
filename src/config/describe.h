/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MV_CONFIG_DESCRIBE_H
#define MV_CONFIG_DESCRIBE_H
/* The documentation that the schemas hold. */
#include <config/text.h>

enum mv_document { MV_DOCUMENT_AGENT, MV_DOCUMENT_SETTINGS, MV_DOCUMENT_CONTRACT };
enum mv_document_format { MV_DOCUMENT_SCHEMA, MV_DOCUMENT_MARKDOWN, MV_DOCUMENT_MAN };
void mv_describe(enum mv_document which, enum mv_document_format format, struct mv_text *ret);

#endif
