# SPDX-License-Identifier: Apache-2.0
"""The tests of one Python program, as TAP: @test registers a function, whose name is a sentence; run_tests runs all of them, or those whose
names hold one of the given texts. What a test says of its failure stands before its line, as in C (tests/test_main.c)."""
import os
import traceback

TESTS = []


class Skip(Exception):
    """Raised by a test that cannot be made here; its text says why."""


def test(fn):
    add(fn.__name__, fn)
    return fn


def add(name, fn):
    TESTS.append((name, fn))


def equal(got, wanted):
    assert got == wanted, f'{got!r} is not {wanted!r}'


def has(text, part):
    assert part in text, f'{part!r} is not in {text!r}'


def environment(home, **more):
    """What the command is started with: nothing of the tester's own but where programs are, and what a sanitizer is told."""
    told = {name: os.environ[name] for name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS') if name in os.environ}
    return {'PATH': os.environ['PATH'], 'HOME': home, 'LC_ALL': 'C.UTF-8', **told, **more}


def skip_all(why):
    print(f'1..0 # SKIP {why}')
    return 0


def explain(problem):
    for frame in traceback.extract_tb(problem.__traceback__)[1:]:
        print(f'# {os.path.basename(frame.filename)}:{frame.lineno}: {frame.line}')
    for line in f'{type(problem).__name__}: {str(problem)[:3000]}'.splitlines():
        print('#', line)


def run_tests(only=()):
    chosen = [t for t in TESTS if not only or any(part in t[0] for part in only)]
    failed = 0
    print(f'1..{len(chosen)}')
    for n, (name, fn) in enumerate(chosen, 1):
        try:
            fn()
            print(f'ok {n} - {name}', flush=True)
        except Skip as why:
            print(f'ok {n} - {name} # SKIP {why}', flush=True)
        except Exception as problem:  # pylint: disable=broad-except
            failed += 1
            explain(problem)
            print(f'not ok {n} - {name}', flush=True)
    return 1 if failed else 0
