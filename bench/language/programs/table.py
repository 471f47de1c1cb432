# SPDX-License-Identifier: Apache-2.0
def main():
    m = {}
    for i in range(1000000):
        k = i * 7919 % 100003
        m[k] = i + m.get(k, 0)
    return len(m) + sum(m.values())
