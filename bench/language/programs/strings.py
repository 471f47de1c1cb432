# SPDX-License-Identifier: Apache-2.0
def main():
    text = ','.join([f'field{i}' for i in range(1000000)])
    fields = text.split(',')
    return len(fields) + len(text) + sum(len(s) for s in fields)
