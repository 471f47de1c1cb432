#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile WebAssembly behind the wasm or the kvm wall: malformed modules, traps, limits, and WASI attacks by name. Every attack
fails for its right reason. Prints TAP. Usage: t_hostile_wasm.py MICROVM HOSTILE.c PROVIDER [TEST...]"""
import contextlib
import functools
import hashlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import add, environment, run_tests, skip_all, test

MICROVM, HOSTILE = map(os.path.abspath, sys.argv[1:3])
PROVIDER = sys.argv[3]
WORK = tempfile.mkdtemp(prefix='microvm-wasm-')
os.chmod(WORK, 0o755)
ENV = environment(WORK, SECRET='hunter2', XDG_CACHE_HOME=os.path.join(WORK, 'cache'), XDG_STATE_HOME=os.path.join(WORK, 'state'))
AS = {}  # who runs the command, and the compilers too
if os.environ.get('MV_TEST_AS_USER') and os.geteuid() == 0:
    AS = {'user': 54321, 'group': 54321, 'extra_groups': []}
    subprocess.run = functools.partial(subprocess.run, **AS)
    os.chown(WORK, 54321, 54321)
COMMANDS = []  # the numbers of the processes that ran the command: a control group bears its maker's


def command(*args):
    with subprocess.Popen([MICROVM, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV, cwd=WORK, **AS) as p:
        COMMANDS.append(p.pid)
        try:
            stdout, stderr = p.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            p.kill()
            raise
    return stdout, stderr.decode()


def run(module, *args):
    stdout, stderr = command('run', '--json', '--provider', PROVIDER, '--allow', 'external_program', module, *args)
    assert stdout, stderr
    return json.loads(stdout)


def wat(text, *args, name='m'):
    source, module = os.path.join(WORK, name + '.wat'), os.path.join(WORK, name + '.wasm')
    open(source, 'w').write(text)
    subprocess.run(['wat2wasm', '--no-check', source, '-o', module], check=True)
    return run(module, *args)


def raw(content):
    module = os.path.join(WORK, 'raw.wasm')
    open(module, 'wb').write(content)
    return run(module)


def fails(r, part):
    assert not r['ok'] and part in r['error']['message'], f'{part!r} is not why: {r.get("error")} {r.get("stdout")}'


# --- traps, told apart --------------------------------------------------------------------------------------------------
START = '(module (memory (export "memory") 1) %s (func (export "_start") %s))'
TRAPS = {
    'unreachable': ('', 'unreachable', 'unreachable was reached'),
    'divide by zero': ('', '(drop (i32.div_s (i32.const 1) (i32.const 0)))', 'integer divided by zero'),
    'remainder by zero': ('', '(drop (i64.rem_u (i64.const 1) (i64.const 0)))', 'integer divided by zero'),
    'smallest integer divided by -1': ('', '(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))', 'integer overflow'),
    'a float too large for an integer': ('', '(drop (i32.trunc_f64_s (f64.const 1e10)))', 'integer overflow'),
    'not a number as an integer': ('', '(drop (i32.trunc_f32_s (f32.const nan)))', 'a number that is none'),
    'a load behind the memory': ('', '(drop (i32.load (i32.const 65533)))', 'access outside of the memory'),
    'a load at the largest address and offset': ('', '(drop (i64.load offset=4294967295 (i32.const -1)))',
                                                 'access outside of the memory'),
    'a store behind the memory': ('', '(i32.store offset=4294967292 (i32.const 4) (i32.const 1))', 'access outside of the memory'),
    'memory.fill past the end': ('', '(memory.fill (i32.const 65530) (i32.const 1) (i32.const 7))', 'access outside of the memory'),
    'memory.copy that wraps': ('', '(memory.copy (i32.const 4) (i32.const -1) (i32.const 2))', 'access outside of the memory'),
    'a data segment outside': ('(data (i32.const 65535) "ab")', '', 'access outside of the memory'),
    'a table element outside': ('(table 2 funcref) (func $f) (elem (i32.const 2) $f)', '', 'access outside of the memory or a table'),
    'an indirect call behind the table': ('(table 2 funcref)', '(call_indirect (i32.const 2))', 'an indirect call'),
    'an indirect call far behind the table': ('(table 2 funcref)', '(call_indirect (i32.const -1))', 'an indirect call'),
    'an indirect call of nothing': ('(table 2 funcref)', '(call_indirect (i32.const 1))', 'an indirect call'),
    'an indirect call of another type': ('(table 1 funcref) (func $f (param i32)) (elem (i32.const 0) $f)',
                                         '(call_indirect (i32.const 0))', 'an indirect call'),
    'endless recursion': ('(func $f (param i64) (result i64) (i64.add (call $f (local.get 0)) (i64.const 1)))',
                          '(drop (call $f (i64.const 1)))', 'the call stack is exhausted'),
    'recursion with large frames': ('(func $f (param i64) (result i64) (local i64 i64 i64 i64 i64 i64 i64 i64) '
                                    '(i64.add (call $f (local.get 0)) (call $f (local.get 3))))',
                                    '(drop (call $f (i64.const 1)))', 'the call stack is exhausted'),
    'recursion through a table': ('(table 1 funcref) (func $f (call_indirect (i32.const 0)) (call_indirect (i32.const 0))) '
                                  '(elem (i32.const 0) $f)', '(call $f)', 'the call stack is exhausted'),
}
for what, (fields, body, why) in TRAPS.items():
    add(f'trap: {what}', lambda f=fields, b=body, w=why:
        fails(wat(START % (f, b)), 'WASM execution failed: ' + w))

# --- malformed modules ----------------------------------------------------------------------------------------------------
MAGIC = b'\0asm\1\0\0\0'


def leb(n):
    out = b''
    while True:
        out += bytes([n & 127 | (128 if n > 127 else 0)])
        n >>= 7
        if not n:
            return out


def section(kind, body):
    return bytes([kind]) + leb(len(body)) + body


TYPE = section(1, b'\1\x60\0\0')
FUNCTION = section(3, b'\1\0')
EXPORT = section(7, b'\1\6_start\0\0')
CODE = section(10, b'\1\2\0\x0b')
MALFORMED = {
    'empty': (b'', 'does not begin as'),
    'another magic': (b'\x7fELF' + MAGIC, 'does not begin as'),
    'another version': (b'\0asm\2\0\0\0', 'does not begin as'),
    'a section past the end': (MAGIC + b'\1\xff\xff\xff\xff\x0f', 'past the end'),
    'a length of six bytes': (MAGIC + b'\1\x80\x80\x80\x80\x80\1', 'past the end'),
    'an unknown section': (MAGIC + section(77, b''), 'unknown kind'),
    'sections out of order': (MAGIC + EXPORT + TYPE, 'out of order'),
    'a section twice': (MAGIC + TYPE + TYPE, 'out of order'),
    'a billion imports': (MAGIC + section(2, leb(10**9)), 'does not end where it says'),
    'a billion exports': (MAGIC + section(7, leb(10**9)), 'does not end where it says'),
    'an import name past its section': (MAGIC + section(2, b'\1\x7fab'), 'does not end where it says'),
    'two memories': (MAGIC + section(5, b'\2\0\1\0\1'), 'more than one memory'),
    'a billion types': (MAGIC + section(1, leb(10**9)) + FUNCTION + EXPORT + CODE, 'Failed to compile WASM'),
    'a billion functions': (MAGIC + TYPE + section(3, leb(10**9)) + EXPORT + CODE, 'Failed to compile WASM'),
    'a billion locals': (MAGIC + TYPE + FUNCTION + EXPORT + section(10, b'\1\7\1\x80\x94\xeb\xdc\3\x7f\x0b'), 'Failed to compile WASM'),
    'code without its end': (MAGIC + TYPE + FUNCTION + EXPORT + section(10, b'\1\2\0\1'), 'Failed to compile WASM'),
    'an operand that is not there': (MAGIC + TYPE + FUNCTION + EXPORT + section(10, b'\1\3\0\x6a\x0b'), 'Failed to compile WASM'),
    'a function that is not there': (MAGIC + TYPE + FUNCTION + section(7, b'\1\6_start\0\7') + CODE, 'Failed to compile WASM'),
    'no _start': (MAGIC + TYPE + FUNCTION + CODE, 'Failed to find _start in WASM'),
    '_start that is a memory': (MAGIC + section(5, b'\1\0\1') + section(7, b'\1\6_start\2\0'), 'Failed to find _start in WASM'),
}
for what, (content, why) in MALFORMED.items():
    add(f'malformed: {what}', lambda c=content, w=why: fails(raw(c), w))
for n in range(9, 9 + len(TYPE + FUNCTION + EXPORT + CODE) - 1, 5):
    whole = MAGIC + TYPE + FUNCTION + EXPORT + CODE
    add(f'malformed: cut after {n} bytes', lambda c=whole[:n]: fails(raw(c), 'Failed to'))

IMPORTS = {
    'a function of env': ('"env" "system"', '(func)', "imports 'env' 'system'"),
    'an unknown function of WASI': ('"wasi_snapshot_preview1" "sock_open"', '(func)', "'sock_open'"),
    'a memory': ('"microvm" "memory"', '(memory 1)', "'memory'"),
    'a name with a quotation mark': ('"e\\22;\\0a" "x"', '(func)', 'Failed to instantiate WASM'),
    'a wrong type': ('"wasi_snapshot_preview1" "fd_close"', '(func (param i64) (result i64))', 'another type'),
    'fewer parameters': ('"wasi_snapshot_preview1" "fd_write"', '(func (result i32))', 'another type'),
}
for what, (names, kind, why) in IMPORTS.items():
    add(f'import: {what}', lambda n=names, k=kind, w=why:
        fails(wat(f'(module (import {n} {k}) (func (export "_start")))'), w))


@test
def an_empty_start_gives_nil():  # REQ-WASM-02
    r = raw(MAGIC + TYPE + FUNCTION + EXPORT + CODE)
    assert r['ok'] and r['value'] is None, r


@test
def names_of_exports_do_not_reach_the_compiler_as_code():
    r = wat('(module (func (export "_start")) (func (export "x(){} __attribute__((constructor)) void y") unreachable) '
            '(func (export "main")) (func (export "write")))')
    assert r['ok'], r


# --- limits ---------------------------------------------------------------------------------------------------------------
@test
def an_endless_loop_ends_at_the_deadline():
    t = time.monotonic()
    r = wat('(module (func (export "_start") (loop (br 0))))', '--timeout', '1s', name='loop')
    assert r['termination'] == 'timeout', r
    t = time.monotonic()
    r = run(os.path.join(WORK, 'loop.wasm'), '--timeout', '300ms')
    assert r['termination'] == 'timeout' and r['metadata']['duration_ns'] < 10e9, r


@test
def cpu_time_is_held():
    r = wat('(module (func (export "_start") (loop (br 0))))', '--cpu', '200ms', '--timeout', '20s')
    assert r['termination'] == 'timeout' and 'CPU time' in r['error']['message'], r


@test
def fuel_is_refused_because_nothing_would_count_it():
    r = wat('(module (func (export "_start")))', '--fuel', '1000')
    assert not r['ok'] and 'fuel counts steps of RTFS' in r['error']['message'], r


@test
def compiling_is_not_on_the_time_of_the_execution():
    for pages in (3, 4, 5):  # compiling takes longer than that every time; others compute here, and one of three gets its turn
        r = wat('(module (memory (export "memory") %d) (func (export "_start")))' % pages, '--timeout', '100ms', name='slow')
        if r['ok']:
            break
    assert r['ok'] and r['metadata']['duration_ns'] > 0, r


@test
def a_memory_of_65536_pages_is_refused_at_the_start():
    r = wat('(module (memory (export "memory") 65536) (func (export "_start")))')
    assert r['termination'] == 'memory', r


@test
def growing_beyond_the_limit_answers_minus_one():
    text = '(module (memory (export "memory") 1) (func (export "_start") (if (i32.ne (memory.grow (i32.const %s)) (i32.const %d)) (then unreachable))))'
    for pages, answer in (('65535', -1), ('-1', -1), ('200', -1), ('100', 1)):
        r = wat(text % (pages, answer), '--memory', '8M')
        assert r['ok'], (pages, r)


@test
def a_memory_bomb_ends_by_its_memory_limit():
    r = wat('(module (memory (export "memory") 1) (func (export "_start") (local i32) (drop (memory.grow (i32.const 120))) '
            '(loop (i32.store8 (local.get 0) (i32.const 1)) (local.set 0 (i32.add (local.get 0) (i32.const 4096))) (br 0))))',
            '--memory', '8M')
    assert not r['ok'] and ('memory' in r['error']['message']), r


@test
def a_table_of_four_billion_elements_is_refused():
    fails(wat('(module (table 4000000000 funcref) (func (export "_start")))'), 'a table')


@test
def an_output_flood_ends_at_the_output_limit():
    r = wat('(module (import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32))) '
            '(memory (export "memory") 1) (data (i32.const 4) "\\00\\80\\00\\00") '
            '(func (export "_start") (loop (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))) (br 0))))')
    assert r['termination'] == 'output', r


# --- the cache ------------------------------------------------------------------------------------------------------------
def entries():
    d = os.path.join(ENV['XDG_CACHE_HOME'], 'microvm', 'modules')
    return d, sorted(os.listdir(d))


@test
def a_damaged_cache_entry_is_rebuilt_and_never_run():
    shutil.rmtree(os.path.join(WORK, 'cache'), ignore_errors=True)
    text = '(module (func (export "_start")))'
    assert wat(text)['ok']
    d, names = entries()
    assert len(names) == 1 and os.stat(d).st_mode & 0o777 == 0o700, names
    entry = os.path.join(d, names[0])
    good = open(entry, 'rb').read()
    for what in ('flipped', 'cut', 'empty', 'swapped', 'open to others', 'linked'):
        if what == 'flipped':
            open(entry, 'wb').write(good[:5000] + bytes([good[5000] ^ 1]) + good[5001:])
        elif what == 'cut':
            open(entry, 'wb').write(good[:-7])
        elif what == 'empty':
            open(entry, 'wb').close()
        elif what == 'swapped':
            shutil.copy('/bin/true', entry)
        elif what == 'open to others':
            os.chmod(entry, 0o666)
        elif what == 'linked':
            os.rename(entry, entry + 'x')
            os.symlink(entry + 'x', entry)
        assert wat(text)['ok'], what
        assert open(entry, 'rb').read()[:72] == good[:72] and not os.path.islink(entry), what
        assert os.stat(entry).st_mode & 0o777 == 0o600, what
        rebuilt = os.stat(entry)
        assert wat(text)['ok'], what
        assert os.stat(entry).st_mtime_ns == rebuilt.st_mtime_ns and os.stat(entry).st_ino == rebuilt.st_ino, what
        good = open(entry, 'rb').read()


@test
def without_a_private_directory_nothing_is_kept():
    os.chmod(entries()[0], 0o777)
    before = entries()[1]
    assert wat('(module (memory (export "memory") 2) (func (export "_start")))')['ok']
    assert entries()[1] == before
    os.chmod(entries()[0], 0o700)


# --- WASI: attacks by name --------------------------------------------------------------------------------------------------
BADF, FAULT, INVAL, LOOP, MFILE, NAMETOOLONG, NOENT, NOSYS, NOTSUP, NOTCAPABLE = 8, 21, 28, 32, 33, 37, 44, 52, 58, 76
ATTACKS = {
    'dotdot': NOTCAPABLE, 'dotdot_inside': NOTCAPABLE, 'dotdot_alone': NOTCAPABLE, 'dotdot_stays': 0, 'absolute': NOTCAPABLE,
    'absolute_slashes': NOTCAPABLE, 'link_absolute': NOTCAPABLE, 'link_up': NOTCAPABLE, 'link_in_the_middle': NOTCAPABLE,
    'link_to_self': LOOP, 'link_inside': 0, 'link_loop': LOOP, 'link_swap': NOENT, 'make_link_absolute': NOTCAPABLE,
    'make_link_up': NOTCAPABLE, 'stat_up': NOTCAPABLE, 'stat_link': NOTCAPABLE, 'write_read_only': NOTCAPABLE,
    'create_read_only': NOTCAPABLE, 'truncate_read_only': NOTCAPABLE, 'unlink_read_only': NOTCAPABLE,
    'mkdir_read_only': NOTCAPABLE, 'rename_read_only': NOTCAPABLE, 'hard_link_out': NOTCAPABLE, 'fifo': NOTSUP,
    'escalate_rights': NOTCAPABLE, 'write_after_drop': NOTCAPABLE, 'inherit_nothing': NOTCAPABLE, 'door_by_number': BADF,
    'descriptor_huge': BADF, 'descriptor_renumber': BADF, 'all_descriptors': MFILE, 'stdin_write': NOTCAPABLE,
    'stdout_seek': NOTCAPABLE, 'vector_count': INVAL, 'vector_at_end': FAULT, 'vector_length': FAULT, 'vector_pointer': FAULT,
    'path_nul': INVAL, 'path_long': NAMETOOLONG, 'path_length': FAULT, 'path_pointer': FAULT, 'path_empty': NOENT,
    'path_deep': NAMETOOLONG, 'random_beyond': FAULT, 'arguments_beyond': FAULT, 'poll_many': INVAL, 'fill_the_disk': 51, 'sleep_long': 1,
    'directory_cookie': None, 'socket': NOTCAPABLE, 'raise': NOSYS, 'proc': 0, 'passwd': 0, 'device': 0, 'own_code': 0,
    'environment': 0, 'call_out_of_memory': 0,
}


def attacker():
    module = os.path.join(WORK, 'hostile.wasm')
    if not os.path.exists(module):
        subprocess.run(['clang', '--target=wasm32-wasi', '-O1', '-w', HOSTILE, '-o', module], check=True)
        d = os.path.join(WORK, 'granted')
        os.makedirs(os.path.join(d, 'inner'))
        open(os.path.join(d, 'plain'), 'w').write('plain')
        open(os.path.join(WORK, 'secret'), 'w').write('secret')
        os.mkfifo(os.path.join(d, 'fifo'))
        for name, target in (('absolute', '/etc/passwd'), ('up', '../secret'), ('dir', '/etc'), ('loop', 'link-loop'),
                             ('inside', 'inner/../plain')):
            os.symlink(target, os.path.join(d, 'link-' + name))
    return module


def attack(name, *args):
    granted = os.path.join(WORK, 'granted')
    return run(attacker(), '--allow-read', granted, '--arg', f'"{name}"', '--arg', f'"{granted}"', *args)


def carried_out(name, answer):
    r = attack(name)
    assert r['ok'], r
    if answer is None:
        assert r['stdout'] in (f'answer {INVAL}', 'answer 0'), r['stdout']
    else:
        assert r['stdout'].endswith(f'answer {answer}'), f'{answer} is not the answer: {r["stdout"]} {r["stderr"]}'


HAS_CLANG = shutil.which('clang') and os.path.exists('/usr/include/wasm32-wasi/wasi/api.h') and \
    subprocess.run(['clang', '--target=wasm32-wasi', '-x', 'c', '-', '-o', '/dev/null'], input=b'int main(void){return 0;}',
                   capture_output=True).returncode == 0
if HAS_CLANG:
    for name, answer in ATTACKS.items():
        add(f'wasi: {name}', lambda n=name, a=answer: carried_out(n, a))

    @test
    def an_exit_code_cannot_forge_a_trap():
        fails(attack('forge_a_trap'), 'WASM execution failed: exit code above 125')

    @test
    def a_capability_that_is_not_granted_is_denied_and_recorded():  # REQ-WASM-11
        r = attack('capability_denied')
        assert r['ok'] and '"kind":"SecurityViolation"' in r['stdout'] and r['stdout'].endswith('answer 0'), r
        assert r['metadata']['calls'] == 1, r['metadata']

    @test
    def a_granted_capability_answers_json():
        r = attack('capability_denied', '--allow', 'ccos.io.read-file', '--allow-read', '/etc/hostname')
        assert r['stdout'].startswith('value "'), r

    @test
    def malformed_arguments_of_a_call_are_told_to_the_module():
        r = attack('call_malformed')
        assert 'InvalidArgument' in r['stdout'] and 'JSON parsing error' in r['stdout'], r
else:
    print('# WASI attacks are skipped: no clang with wasi-libc')


# --- kvm: other machine code in the module's place, and the wasm provider beside it -----------------------------------------
IMAGES = os.environ.get('MV_MODULE_IMAGES', '')
EACCES, EBADF, EINVAL, ELOOP, ENOSYS, EROFS, EISDIR, ENOTDIR, EOPNOTSUPP = -13, -9, -22, -40, -38, -30, -21, -20, -95


def forged(image, *args):
    """The kept machine code of a module, replaced by an image with all digests right: in a cache that holds nothing else."""
    module, usual = os.path.join(WORK, 'forged.wasm'), ENV['XDG_CACHE_HOME']
    ENV['XDG_CACHE_HOME'] = os.path.join(WORK, 'forged')
    try:
        if not os.path.exists(module):
            assert wat('(module (func (export "_start")))', name='forged')['ok']
        d, (name,) = entries()
        key = open(os.path.join(d, name), 'rb').read()[8:40]
        body = open(image, 'rb').read()
        open(os.path.join(d, name), 'wb').write(b'mvwasm1\n' + key + hashlib.sha256(body).digest() + body)
        return run(module, *args)
    finally:
        ENV['XDG_CACHE_HOME'] = usual


def hostile_image(name, *args):
    attacker()
    granted = os.path.join(WORK, 'granted')
    return forged(IMAGES + '0', '--allow-read', granted, '--arg', f'"{name}"', '--arg', f'"{granted}"', *args)


def killed(name, part):
    r = hostile_image(name)
    assert r['termination'] == 'killed' and part in r['error']['message'], r


BELLS = {
    'unknown_bell': 'unknown operation', 'ready_again': 'unknown operation', 'huge_exit_code': 'no exit code',
    'output_beyond': 'more bytes than the outbox holds', 'output_far_beyond': 'more bytes than the outbox holds',
    'forged_result': 'a frame that programs do not send', 'files_short': 'a request of a wrong size',
    'files_long': 'a request of a wrong size', 'write_text': 'page fault at 0x4000000', 'write_tables': 'page fault at 0x800000',
    'write_behind_memory': 'page fault at 0x210000000', 'run_data': 'page fault at 0x1b00000', 'system_call': 'rip 0x',
}
ANSWERS = {
    'files_escape': [EACCES, EACCES, EINVAL, EINVAL, EINVAL, ELOOP, ENOTDIR, EOPNOTSUPP, EROFS, EROFS, EACCES, EACCES, -18],
    'files_handles': [EBADF, EBADF, EBADF, EBADF, EBADF, EBADF, EBADF, ENOSYS, EISDIR],
}
if PROVIDER == 'kvm' and os.path.exists(IMAGES + '0') and HAS_CLANG:
    for name, part in BELLS.items():
        add(f'image: {name}', lambda n=name, p=part: killed(n, p))

    @test
    def image_that_does_as_it_is_told_is_run_at_all():
        r = forged(IMAGES + '0')
        assert r['metadata']['exit_code'] == 7 and not r['ok'], r

    @test
    def image_that_forges_a_trap_fails_only_itself():
        fails(hostile_image('forge_a_trap'), 'WASM execution failed')

    @test
    def image_that_floods_its_output_ends_at_the_limit():
        r = hostile_image('output_flood')
        assert r['termination'] == 'output', r

    @test
    def image_that_sleeps_or_rings_for_ever_ends_at_the_deadline():
        for name in ('sleep', 'sleep_nothing', 'output_nothing', 'files_and_spin'):
            r = hostile_image(name, '--timeout', '300ms')
            assert r['termination'] == 'timeout' and r['metadata']['phases_ns']['run'] < 10e9, (name, r)

    @test
    def image_gets_no_further_with_files_than_wasi_would():
        for name, answers in ANSWERS.items():
            r = hostile_image(name)
            assert r['ok'] and [int(n) for n in r['stdout'].split()] == answers, (name, r['stdout'], r.get('error'))

    @test
    def image_that_asks_for_files_with_noise_hurts_nobody():
        r = hostile_image('files_noise')
        assert r['ok'] and r['stdout'] == 'noise over', r

    @test
    def image_that_never_gets_ready_ends_its_execution():
        for boot, limit, why in (('1', '500ms', 'was not ready'), ('2', '20s', 'another doorbell than READY'),
                                 ('3', '20s', 'did not start: page fault')):
            r = forged(IMAGES + boot, '--timeout', limit)
            assert r['termination'] == 'killed' and why in r['error']['message'], (boot, r)

    @test
    def image_that_is_no_ring_3_image_is_refused():
        for path in ('/bin/true', MICROVM, __file__):
            r = forged(path)
            assert r['termination'] == 'killed' and 'guest image' in r['error']['message'], (path, r)

    @test
    def image_whose_segments_overlap_or_stand_elsewhere_is_refused():
        for segments, why in (([(5, 0x4000000, 0x400000), (4, 0x4001000, 16)], 'segments overlap'),
                              ([(4, 0x4001000, 16), (5, 0x4000000, 0x400000)], 'segments overlap'),
                              ([(5, 0x4000000, 4096), (6, 0x800000, 4096)], 'outside of its region'),
                              ([(5, 0x200000, 4096)], 'outside of its region'),
                              ([(7, 0x4000000, 4096)], 'writable and executable'),
                              ([(5, 0x4000000, 2**64 - 4096)], 'outside of the file'),
                              ([(5, 0x4000000 + 4096 * i, 4096) for i in range(7)], 'too many segments')):
            body = elf(segments)
            path = os.path.join(WORK, 'elf')
            open(path, 'wb').write(body)
            r = forged(path)
            assert r['termination'] == 'killed' and why in r['error']['message'], (segments, r)

    @test
    def compiled_image_has_no_instruction_that_leaves_ring_3():
        assert attack('dotdot')['ok']
        d, names = entries()
        kept = max((open(os.path.join(d, name), 'rb').read() for name in names), key=len)  # it is the largest module here
        code = os.path.join(WORK, 'code')
        open(code, 'wb').write(kept[72:])
        text = subprocess.run(['objdump', '-d', '--no-show-raw-insn', code], capture_output=True, check=True).stdout.decode()
        leaving = re.compile(r'\s(syscall|sysenter|int|in|out|ins[bwl]?|outs[bwl]?|vmcall|vmmcall|rdtscp?|cpuid|rdrand|rdseed)(\s|$)')
        found = [line for line in text.splitlines() if leaving.search(line)]
        assert text.count('call ') > 100 and not found, found[:5]

    @test
    def modules_end_the_same_behind_wasm_and_kvm():  # REQ-PRV-20: one outcome, one root
        programs = {
            'random': ('(import "wasi_snapshot_preview1" "random_get" (func $r (param i32 i32) (result i32)))',
                       '(drop (call $r (i32.const 64) (i32.const 32)))'),
            'clock': ('(import "wasi_snapshot_preview1" "clock_time_get" (func $c (param i32 i64 i32) (result i32)))',
                      '(drop (call $c (i32.const 0) (i64.const 0) (i32.const 64)))(drop (call $c (i32.const 1) (i64.const 0) (i32.const 72)))'),
            'arguments': ('(import "wasi_snapshot_preview1" "args_get" (func $a (param i32 i32) (result i32)))',
                          '(drop (call $a (i32.const 64) (i32.const 96)))'),
            'environment': ('(import "wasi_snapshot_preview1" "environ_get" (func $e (param i32 i32) (result i32)))',
                            '(drop (call $e (i32.const 64) (i32.const 96)))'),
            'input': ('(import "wasi_snapshot_preview1" "fd_read" (func $i (param i32 i32 i32 i32) (result i32)))',
                      '(drop (call $i (i32.const 0) (i32.const 8) (i32.const 1) (i32.const 40)))'),
            'trap': ('', 'unreachable'),
        }
        write = '(import "wasi_snapshot_preview1" "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))'
        memory = '(memory (export "memory") 2) (data (i32.const 0) "\\40\\00\\00\\00\\00\\01\\00\\00\\40\\00\\00\\00\\00\\01\\00\\00")'
        say = '(drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 40)))'
        for name, (imported, body) in programs.items():
            text = f'(module {imported} {write} {memory} (func (export "_start") {body} {say}))'
            seen = [on(p, text, '--arg', '{"a" [1 2.5]}', '--arg', '"two"', '--env', 'A=b') for p in ('wasm', 'kvm')]
            assert seen[0] == seen[1], (name, seen)

    @test
    def without_a_wish_the_stronger_wall_is_taken():
        wat('(module (func (export "_start")))')
        for wish in ((), ('--min-tier', 'vm')):
            r = subprocess.run([MICROVM, 'run', '--json', '--allow', 'external_program', *wish, os.path.join(WORK, 'm.wasm')],
                               capture_output=True, timeout=120, env=ENV, cwd=WORK)
            assert json.loads(r.stdout)['provider'] == 'kvm', r.stdout

    @test
    def attacks_end_the_same_behind_wasm_and_kvm():
        for name in ('dotdot_stays', 'link_loop', 'all_descriptors', 'capability_denied', 'call_malformed', 'sleep_long', 'forge_a_trap'):
            seen = []
            for p in ('wasm', 'kvm'):
                with provider(p):
                    seen.append(outcome(attack(name)))
            assert seen[0] == seen[1], (name, seen)


def elf(segments):
    """A static x86-64 ELF file; each segment is (flags, address, bytes), all of it from the file's beginning."""
    head = struct.pack('<16sHHIQQQIHHHHHH', b'\x7fELF\2\1\1', 2, 62, 1, 0x4000000, 64, 0, 0, 64, 56, len(segments), 0, 0, 0)
    for flags, at, size in segments:
        head += struct.pack('<IIQQQQQQ', 1, flags, 0, at, at, size, size, 4096)
    return head + bytes(0x400000 + 4096)


def outcome(r):
    assert 'audit' in r, r
    return {k: r.get(k) for k in ('ok', 'value', 'stdout', 'stderr', 'termination', 'error')} | {
        'root': r['audit']['root'], 'code': r['metadata']['exit_code'], 'calls': r['metadata']['calls']}


@contextlib.contextmanager
def provider(name):
    global PROVIDER
    before, PROVIDER = PROVIDER, name
    try:
        yield
    finally:
        PROVIDER = before


def on(name, text, *args):
    with provider(name):
        return outcome(wat(text, *args))


def main():
    if not shutil.which('wat2wasm') or not shutil.which('wasm2c'):
        return skip_all('wabt is not installed')
    providers = json.loads(subprocess.run([MICROVM, 'providers', '--json'], capture_output=True, env=ENV).stdout)['providers']
    wall = next(p for p in providers if p['name'] == PROVIDER)
    if not wall['available'] or 'RTFS only' in (wall['reason'] or ''):
        return skip_all(wall['reason'])
    return run_tests(only=sys.argv[4:])


# --- the record, and what is left -------------------------------------------------------------------------------------------
def recorded(name, *args):
    record = os.path.join(WORK, 'record.mva')
    if os.path.exists(record):
        os.unlink(record)
    r = attack(name, '--audit', record, *args)
    verified = subprocess.run([MICROVM, 'audit', 'verify', record], capture_output=True, env=ENV, cwd=WORK)
    shown = subprocess.run([MICROVM, 'audit', 'show', record], capture_output=True, env=ENV, cwd=WORK).stdout.decode()
    assert verified.returncode == 0, verified.stderr.decode()
    return r, shown


def leftovers():
    processes, groups = [], []
    for p in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open(f'/proc/{p}/environ', 'rb') as f, open(f'/proc/{p}/cmdline', 'rb') as g:
                line = g.read()
                if WORK.encode() in f.read() + line and int(p) != os.getpid():
                    processes.append(line)
        except OSError:
            pass
    mounts = [line for line in open('/proc/self/mounts') if WORK in line]
    ours = tuple(f'microvm-{pid}-' for pid in COMMANDS)
    for top, directories, _ in os.walk('/sys/fs/cgroup'):
        groups += [os.path.join(top, d) for d in directories if d.startswith(ours)]
    return processes, mounts, groups


def each_attack_is_on_record():
    ways = {'dotdot': 'completed', 'capability_denied': 'completed', 'forge_a_trap': 'error', 'sleep_long': 'completed'}
    for name, termination in ways.items():
        r, shown = recorded(name)
        assert r['termination'] == termination, r
        assert shown.count(' PlanStarted ') == 1, shown
        assert [line.split()[4] for line in shown.splitlines() if ' PlanEnded ' in line] == [termination], shown
    _, shown = recorded('capability_denied')
    assert any('SecurityDecision denied' in line and 'ccos.io.read-file' in line for line in shown.splitlines()), shown


def nothing_is_left():
    before = sorted(os.listdir(os.path.join(WORK, 'granted'))) if HAS_CLANG else []
    if HAS_CLANG:
        for name in ('dotdot', 'create_read_only', 'make_link_up', 'hard_link_out', 'all_descriptors'):
            attack(name)
        assert open(os.path.join(WORK, 'granted', 'plain')).read() == 'plain'
        assert open(os.path.join(WORK, 'secret')).read() == 'secret' and os.stat(os.path.join(WORK, 'secret')).st_nlink == 1
        assert sorted(os.listdir(os.path.join(WORK, 'granted'))) == before
    wat('(module (func (export "_start") (loop (br 0))))', '--timeout', '200ms')
    processes, mounts, groups = leftovers()
    assert COMMANDS and not processes and not mounts and not groups, (processes, mounts, groups)


def the_memory_peak_is_what_a_module_used():  # REQ-RES-08
    text = ('(module (memory (export "memory") 1) (func (export "_start") (local i32) (drop (memory.grow (i32.const %d))) (loop '
            '(i32.store8 (local.get 0) (i32.const 1)) (local.set 0 (i32.add (local.get 0) (i32.const 4096))) '
            '(br_if 0 (i32.lt_u (local.get 0) (i32.const %d))))))')
    small, large = (wat(text % (n // 65536, n)) for n in (1 << 20, 33 << 20))
    assert small['ok'] and large['ok'], (small, large)
    more = large['metadata']['memory_peak_bytes'] - small['metadata']['memory_peak_bytes']
    assert 0.9 * (32 << 20) <= more <= 1.1 * (32 << 20), (small['metadata'], large['metadata'])
    assert large['metadata']['memory_peak_bytes'] <= 1.1 * (33 << 20), large['metadata']


test(the_memory_peak_is_what_a_module_used)
if HAS_CLANG:
    test(each_attack_is_on_record)
add('nothing_is_left_on_the_host', nothing_is_left)

try:
    status = main()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
