/* SPDX-License-Identifier: Apache-2.0 */
#include <guest/linux_runner.h>
#include <wire/linux_runner.h>

int main(int argc, char **argv)
{
        return argc == 5 ? mv_linux_runner(argv + 1) : MV_RUNNER_EXIT_USAGE;
}
