# SPDX-License-Identifier: Apache-2.0
def main():
    total = 0
    for i in range(20000000):
        total += i % 7
    return total
