# SPDX-License-Identifier: Apache-2.0
def shape(i):
    kind = i % 4
    if kind == 0:
        return ('circle', i)
    if kind == 1:
        return ('rectangle', i, 3)
    if kind == 2:
        return {'line': i}
    return i


def area(s):
    match s:
        case ('circle', r):
            return 3 * r
        case ('rectangle', w, h):
            return w * h
        case {'line': n}:
            return n + 1
        case 0:
            return 0
        case n if n % 2 == 1:
            return n
    return -1


def main():
    return sum(area(shape(i)) for i in range(1000000))
