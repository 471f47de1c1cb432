#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Assembler source that holds FILE as read-only data: SYMBOL .. SYMBOL_end.     usage: embed.sh FILE|none OUTPUT SYMBOL
set -eu
content=
[ "$1" = none ] || content=".incbin \"$(realpath "$1")\""
cat >"$2" <<EOF
        .section .rodata.$3, "a", %progbits
        .balign 16
        .globl $3
        .hidden $3
        .type $3, %object
$3:
        $content
        .globl $3_end
        .hidden $3_end
        .type $3_end, %object
$3_end:
        .section .note.GNU-stack, "", %progbits
EOF
