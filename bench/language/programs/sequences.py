# SPDX-License-Identifier: Apache-2.0
from functools import reduce
from operator import add


def main():
    numbers = list(range(1000000))
    mapped = list(map(lambda x: x * 7 + 1, numbers))
    kept = list(filter(lambda x: x % 3 == 0, mapped))
    return reduce(add, kept, 0)
