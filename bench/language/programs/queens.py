# SPDX-License-Identifier: Apache-2.0
def safe(col, placed):
    n = len(placed)
    for i, c in enumerate(placed):
        d = n - i
        if c == col or c == col + d or c == col - d:
            return False
    return True


def solutions(size, placed):
    if len(placed) == size:
        return 1
    found = 0
    for col in range(size):
        if safe(col, placed):
            placed.append(col)
            found += solutions(size, placed)
            placed.pop()
    return found


def main():
    return solutions(9, [])
