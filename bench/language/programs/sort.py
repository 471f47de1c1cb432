# SPDX-License-Identifier: Apache-2.0
def randoms(n):
    x, out = 42, []
    for _ in range(n):
        x = x * 16807 % 2147483647
        out.append(x)
    return out


def main():
    numbers = sorted(randoms(1000000))
    total = 0
    for x in numbers[::1000]:
        total = (31 * total + x) % 1000000007
    return total
