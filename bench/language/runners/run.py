# SPDX-License-Identifier: Apache-2.0
"""run.py PROGRAM [TEXT]: "SECONDS<tab>VALUE" of loading and running a program, in processor time."""
import sys
import time


def read(path):
    with open(path, encoding='utf-8') as f:
        return f.read()


texts = [read(path) for path in sys.argv[2:]]
source = read(sys.argv[1])
start = time.process_time()
program = {}
exec(compile(source, sys.argv[1], 'exec'), program)
value = program['main'](*texts)
print(f'{time.process_time() - start:.6f}\t{value}')
