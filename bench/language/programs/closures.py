# SPDX-License-Identifier: Apache-2.0
from functools import reduce


def adder(n):
    return lambda x: x + n


def scaler(n):
    return lambda x: x * n % 1000003


def compose(f, g):
    return lambda x: g(f(x))


def pipeline(n):
    return reduce(compose, [adder(i) if i % 2 == 0 else scaler(i + 2) for i in range(n)])


def main():
    total = 0
    for i in range(30000):
        total += pipeline(10)(i)
    run = pipeline(10)
    for x in range(200000):
        total += run(x)
    return total
