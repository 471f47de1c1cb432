/* SPDX-License-Identifier: Apache-2.0 */
#include <base/err.h>
#include <string.h>

const char *mv__errno_text(int sys)
{
        const char *text = strerrordesc_np(sys);
        return text ? text : "unknown error";
}
