#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What programs and scripts read on their standard input. Prints TAP. Usage: t_input.py MICROVM"""
import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
import tempfile
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import Skip, run_tests, test

MICROVM = os.path.abspath(sys.argv[1])
DIR = tempfile.mkdtemp(prefix='microvm-input-')
EXEC = [MICROVM, 'exec', '--audit', 'none', '--allow', 'external_program']


def run(argv, **more):
    return subprocess.run([*EXEC, '--json', '--', *argv], capture_output=True, timeout=60, **more)


@test
def a_pipe_is_read_to_its_end():
    data = os.urandom(3 << 20)
    r = json.loads(run(['/usr/bin/sha256sum'], input=data).stdout)
    assert r['ok'] and r['value'].split()[0] == hashlib.sha256(data).hexdigest(), r


@test
def a_file_is_read_and_cannot_be_written():
    path = os.path.join(DIR, 'file')
    with open(path, 'w') as f:
        f.write('one\ntwo\n')
    with open(path, 'r+') as f:
        r = json.loads(run(['/bin/sh', '-c', 'cat; echo bad >&0; echo bad > /proc/self/fd/0; readlink /proc/self/fd/0'], stdin=f).stdout)
    assert r['stdout'].startswith('one\ntwo\n') and 'pipe:' in r['stdout'], r
    with open(path) as f:
        assert f.read() == 'one\ntwo\n'


@test
def what_arrives_late_is_handed_on_at_once():
    p = subprocess.Popen([*EXEC, '--', '/bin/sh', '-c', 'read a; echo "got $a"; read b; echo "got $b"'],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    p.stdin.write('x\n')
    p.stdin.flush()
    assert p.stdout.readline() == 'got x\n'
    p.stdin.write('y\n')
    p.stdin.flush()
    assert p.stdout.readline() == 'got y\n'
    p.stdin.close()
    assert p.wait(timeout=60) == 0


@test
def a_program_that_does_not_read_ends_all_the_same():
    p = subprocess.Popen([*EXEC, '--', '/bin/true'], stdin=subprocess.PIPE)
    assert p.wait(timeout=60) == 0  # though nobody closed the other end
    p.stdin.close()
    r = json.loads(run(['/bin/sh', '-c', 'exec 0<&-; sleep 0.3; echo done'], input=b'z' * (1 << 20)).stdout)
    assert r['ok'] and r['value'] == 'done\n', r


@test
def endless_input_is_streamed_not_kept():
    with open('/dev/zero', 'rb') as zero:
        r = json.loads(run(['/usr/bin/head', '-c', '200000000'], stdin=zero).stdout)
    assert r['termination'] in ('output', 'completed', 'timeout'), r
    with open('/dev/zero', 'rb') as zero:
        r = json.loads(run(['/bin/sh', '-c', 'head -c 100000000 | wc -c'], stdin=zero).stdout)
    assert r['ok'] and r['value'].strip() == '100000000', r


@test
def a_terminal_never_reaches_a_program():  # REQ-RES-09: TIOCSTI
    ours, theirs = pty.openpty()
    r = json.loads(run(['/bin/sh', '-c', 'test -t 0 && echo terminal; readlink /proc/self/fd/0'], stdin=theirs).stdout)
    os.close(ours)
    os.close(theirs)
    assert r['ok'] and r['value'] == '/dev/null\n', r


@test
def without_an_input_there_is_nothing_to_read():
    r = json.loads(run(['/bin/cat'], stdin=subprocess.DEVNULL).stdout)
    assert r['ok'] and r['value'] == '', r


@test
def a_script_reads_it_too():
    path = os.path.join(DIR, 's.py')
    with open(path, 'w') as f:
        f.write('import sys; print(len(sys.stdin.read()))')
    r = subprocess.run([MICROVM, 'run', path, '--audit', 'none', '--allow', 'external_program', '--json'], input='q' * 5000,
                       capture_output=True, text=True, timeout=30)
    assert json.loads(r.stdout)['value'] == 5000, r.stdout


@test
def ruby_runs_where_it_is_installed():  # REQ-PROG-03
    if not os.access('/usr/bin/ruby', os.X_OK):
        raise Skip('ruby is not installed')
    path = os.path.join(DIR, 's.rb')
    with open(path, 'w') as f:
        f.write('require "json"; puts JSON.generate({"sum" => [1, 2, 3].sum})')
    r = subprocess.run([MICROVM, 'run', path, '--audit', 'none', '--allow', 'external_program', '--json'],
                       capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    assert json.loads(r.stdout)['value'] == {'sum': 6}, r.stdout


@test
def only_programs_have_an_input():
    r = subprocess.run([MICROVM, 'eval', '(+ 1 2)', '--audit', 'none'], input='x', capture_output=True, text=True, timeout=30)
    assert r.stdout == '3\n', r.stdout


try:
    status = run_tests()
finally:
    shutil.rmtree(DIR, ignore_errors=True)
sys.exit(status)
