# SPDX-License-Identifier: Apache-2.0
SIZE, LIMIT = 300, 50


def inside(cr, ci):
    zr = zi = 0.0
    for _ in range(LIMIT + 1):
        rr, ii = zr * zr, zi * zi
        if rr + ii > 4.0:
            return False
        zr, zi = rr - ii + cr, 2.0 * zr * zi + ci
    return True


def main():
    count = 0
    for y in range(SIZE):
        for x in range(SIZE):
            if inside(3.0 * (x / SIZE) - 2.0, 2.0 * (y / SIZE) - 1.0):
                count += 1
    return count
