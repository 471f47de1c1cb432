#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The modules scripts import, against the host's own strict decoder: what a module encodes the host must accept (it kills the
cell otherwise) and give back, and what the host encodes the module must read as the same value. Prints TAP.
Usage: t_modules.py MICROVM"""
import json
import os
import subprocess
import sys
import tempfile

MICROVM = os.path.abspath(sys.argv[1])

PYTHON = r'''
import json, math, microvm, random, struct
from microvm import Keyword, Symbol, List, encode, decode

def same(a, b):
    if isinstance(a, float) and isinstance(b, float):
        return struct.pack('>d', a) == struct.pack('>d', b) or (a != a and b != b)
    if type(a) is not type(b) and not (isinstance(a, (list, tuple)) and isinstance(b, (list, tuple))):
        return False
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    return a == b

values = [None, True, False, 0, -1, 23, 24, 255, 256, 65535, 65536, 2**32 - 1, 2**32, 2**63 - 1, -2**63, -24, -25, -257,
          0.0, -0.0, 1.5, 0.1, 1e300, 5e-324, 6e-8, 65504.0, 65505.0, 3.4e38, 1e-40, math.inf, -math.inf, math.nan, 2.0,
          '', 'a', 'x' * 23, 'x' * 24, 'x' * 256, 'x' * 70000, 'caf\u00e9 \U0001f600 \x00', Keyword('k'), Keyword('a/b'),
          Symbol('s'), [], [1, [2, [3]]], List([1, 2]), {}, {'b': 1, 'a': 2, 'aa': 3}, {1: 'x', -1: 'y', 300: 'z'},
          {Keyword('z'): 1, 'z': 2, 5: 3}, {'n': {'m': [None, {'k': 1.25}]}}]
rng = random.Random(7)
def make(depth):
    kind = rng.randrange(9 if depth else 6)
    if kind == 0: return rng.choice([None, True, False])
    if kind == 1: return rng.randrange(-2**63, 2**63) >> rng.randrange(64)
    if kind == 2: return struct.unpack('>d', rng.randbytes(8))[0]
    if kind == 3: return float(rng.randrange(-5000, 5000)) / 2 ** rng.randrange(30)
    if kind == 4: return ''.join(chr(rng.choice([rng.randrange(32, 127), rng.randrange(0xa0, 0xd7ff), 0x1f600])) for _ in range(rng.randrange(40)))
    if kind == 5: return Keyword('k%d' % rng.randrange(100))
    if kind == 6: return {('s%d' % i if i % 3 else i): make(depth - 1) for i in range(rng.randrange(30))}
    return [make(depth - 1) for _ in range(rng.randrange(8))]
values += [make(3) for _ in range(300)]
bad = sum(not same(v, microvm.call('ccos.echo', v)) for v in values)

refused = 0
malformed = ['', '18', '1817', '190001', '1a0000ffff', '1bffffffffffffffff', '1b8000000000000000', 'f800', 'f7', 'ff', '5f', '9f', 'bf', 'fb3ff8000000000000',
             'fa3fc00000', 'f97e01', 'fa7fc00000', '61ff', '62c080', '63eda080', '82', 'a1', 'a161610161', 'a2616101616102', 'a2616201616101',
             'a1f601', '9a00ffffff', 'f6f6', 'd82700', 'd8276161f6', 'c100', '1c', '3c', 'a1f90000f6', '81' * 600 + 'f6']
for text in malformed:
    try:
        decode(bytes.fromhex(text))
    except (ValueError, IndexError):
        refused += 1
    except Exception as e:
        refused -= 1000
unencodable = 0
for v in (2**63, -2**63 - 1, object(), {None: 1}, {1.5: 1}, {True: 1}, '\ud800', b'x'):
    try:
        encode(v)
    except microvm.Error:
        unencodable += 1
deep = None
for _ in range(600): deep = [deep]
try:
    encode(deep)
except microvm.Error:
    unencodable += 1
print(json.dumps({'values': len(values), 'bad': bad, 'accepted': len(malformed) - refused, 'unencodable': unencodable}))
'''

NODE = r'''
'use strict';
const m = require('microvm');
const { Keyword, Sym, List, Float, encode, decode } = m;
function same(a, b) {
    if (a instanceof Float) a = a.value;
    if (typeof a === 'number' || typeof b === 'number') return Object.is(a, b);
    if (a === null || typeof a !== 'object') return a === b;
    if (a instanceof Keyword || a instanceof Sym) return a.constructor === b.constructor && a.name === b.name;
    if (Array.isArray(a)) return Array.isArray(b) && (a instanceof List) === (b instanceof List) && a.length === b.length && a.every((x, i) => same(x, b[i]));
    const x = a instanceof Map ? [...a] : Object.entries(a), y = b instanceof Map ? [...b] : Object.entries(b);
    const text = k => k instanceof Keyword ? ':' + k.name : typeof k + k;
    x.sort((p, q) => text(p[0]) < text(q[0]) ? -1 : 1);
    y.sort((p, q) => text(p[0]) < text(q[0]) ? -1 : 1);
    return x.length === y.length && x.every(([k, v], i) => text(k) === text(y[i][0]) && same(v, y[i][1]));
}
const values = [null, true, false, 0, -1, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -(2 ** 53 - 1),
    2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n, -0, 1.5, 0.1, 1e300, 5e-324, 6e-8, 5.960464477539063e-8, 65504.5, 65536.5, 3.4e38, 1e-40, Infinity, -Infinity, NaN,
    new Float(2), new Float(0), new Float(65504), new Float(65520), '', 'a', 'x'.repeat(24), 'x'.repeat(70000), 'caf\u00e9 \u{1f600} \0', new Keyword('k'),
    new Sym('s'), [], [1, [2, [3]]], List.from([1, 2]), {}, { b: 1, a: 2, aa: 3 }, new Map([[1, 'x'], [-1, 'y'], [300, 'z']]),
    new Map([[new Keyword('z'), 1], ['z', 2], [5, 3]]), { n: { m: [null, { k: 1.25 }] } }];
let seed = 7;
const rand = n => { seed = (seed * 1103515245 + 12345) % 2147483648; return Math.floor(seed / 2147483648 * n); };
const view = new DataView(new ArrayBuffer(8));
function make(depth) {
    switch (rand(depth ? 8 : 6)) {
    case 0: return [null, true, false][rand(3)];
    case 1: return rand(2 ** 31) - 2 ** 30;
    case 2: for (let i = 0; i < 8; i++) view.setUint8(i, rand(256)); return new Float(view.getFloat64(0));
    case 3: return new Float((rand(10000) - 5000) / 2 ** rand(30));
    case 4: return Array.from({ length: rand(40) }, () => String.fromCodePoint([32 + rand(95), 0xa0 + rand(0xd000), 0x1f600][rand(3)])).join('');
    case 5: return new Keyword('k' + rand(100));
    case 6: return Object.fromEntries(Array.from({ length: rand(30) }, (_, i) => ['s' + i, make(depth - 1)]));
    default: return Array.from({ length: rand(8) }, () => make(depth - 1));
    }
}
for (let i = 0; i < 300; i++) values.push(make(3));
const wrong = values.filter(v => !same(v, m.call('ccos.echo', v)));
const malformed = ['', '18', '1817', '190001', '1a0000ffff', '1bffffffffffffffff', '1b8000000000000000', 'f800', 'f7', 'ff', '5f', '9f', 'bf', 'fb3ff8000000000000',
    'fa3fc00000', 'f97e01', 'fa7fc00000', '61ff', '62c080', '63eda080', '82', 'a1', 'a161610161', 'a2616101616102', 'a2616201616101',
    'a1f601', '9a00ffffff', 'f6f6', 'd82700', 'd8276161f6', 'c100', '1c', '3c', 'a1f90000f6', '81'.repeat(600) + 'f6'];
const accepted = malformed.filter(text => { try { decode(Buffer.from(text, 'hex')); return true; } catch (e) { return false; } });
let unencodable = 0;
for (const v of [2n ** 63n, -(2n ** 63n) - 1n, () => 1, new Map([[null, 1]]), new Map([[1.5, 1]]), '\ud800', new Date()])
    try { encode(v); } catch (e) { unencodable++; }
console.log(JSON.stringify({ values: values.length, bad: wrong.length, accepted: accepted.length, which: accepted, unencodable }));
'''


def run(name, text):
    with tempfile.TemporaryDirectory(prefix='microvm-modules-') as work:
        path = os.path.join(work, name)
        with open(path, 'w') as f:
            f.write(text)
        done = subprocess.run([MICROVM, 'run', path, '--json', '--audit', 'none', '--allow', 'external_program', '--allow', 'ccos.echo'],
                              capture_output=True, timeout=60, check=False)
    return json.loads(done.stdout)


def main():
    print('1..2')
    failed = 0
    for number, (name, text, interpreter, unencodable) in enumerate((('t.py', PYTHON, '/usr/bin/python3', 9),
                                                                     ('t.js', NODE, '/usr/bin/node', 7)), 1):
        title = f'{number} - {name}: every value goes through the door and back, nothing malformed is read'
        if not os.access(interpreter, os.X_OK):
            print(f'ok {title} # SKIP no {interpreter}')
            continue
        r = run(name, text)
        v = r.get('value') or {}
        good = r['ok'] and v['bad'] == 0 and v['accepted'] == 0 and v['unencodable'] == unencodable and v['values'] > 300 and \
            r['metadata']['calls'] == v['values']
        if not good:
            failed += 1
            print('# ' + json.dumps(v if r['ok'] else r['error']))
        print(('ok ' if good else 'not ok ') + title)
    return 1 if failed else 0


sys.exit(main())
