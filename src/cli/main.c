/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <microvm/microvm.h>

int main(void)
{
        printf("microvm %s\n", MICROVM_VERSION);
        return 0;
}
