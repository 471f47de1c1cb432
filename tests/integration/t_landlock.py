#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs and scripts where no user namespace can be made: refused with the option that admits the weaker wall, run behind it with that
option. A system without them is made here: an ordinary user in a user namespace whose user.max_user_namespaces is 0. Prints TAP.
Usage: t_landlock.py MICROVM"""
import ctypes
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import Skip, run_tests, skip_all, test

MICROVM = os.path.abspath(sys.argv[1])
USER = 54321
DIR = tempfile.mkdtemp(prefix='microvm-test-landlock-')
TMP = os.path.join(DIR, 'tmp')
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWUSER, PR_SET_DUMPABLE = 0x10000000, 4
LANDLOCK_CREATE_RULESET, ABI_VERSION = 444, 1


def put(path, text):
    with open(path, 'w') as f:
        f.write(text)
    return path


def become_user():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)


def without_namespaces():
    """In the child, before exec: after which it has no capability, and none of its like can make a namespace."""
    become_user()
    LIBC.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    uid, gid = os.getuid(), os.getgid()
    if LIBC.unshare(CLONE_NEWUSER) != 0:
        os._exit(99)
    put('/proc/self/setgroups', 'deny')
    put('/proc/self/uid_map', f'{uid} {uid} 1')
    put('/proc/self/gid_map', f'{gid} {gid} 1')
    put('/proc/sys/user/max_user_namespaces', '0')


class Filter(ctypes.Structure):
    _fields_ = [('code', ctypes.c_ushort), ('yes', ctypes.c_ubyte), ('no', ctypes.c_ubyte), ('k', ctypes.c_uint)]


class Program(ctypes.Structure):
    _fields_ = [('len', ctypes.c_ushort), ('filter', ctypes.POINTER(Filter))]


def in_a_container():
    """What a container's filter does about namespaces: clone3 does not exist, unshare is refused."""
    become_user()
    clone3, unshare = 435, {'x86_64': 272, 'aarch64': 97}[os.uname().machine]
    code = (Filter * 6)((0x20, 0, 0, 0), (0x15, 0, 1, clone3), (0x06, 0, 0, 0x50000 | 38), (0x15, 0, 1, unshare),
                        (0x06, 0, 0, 0x50000 | 1), (0x06, 0, 0, 0x7fff0000))
    LIBC.prctl(38, 1, 0, 0, 0)
    if LIBC.prctl(22, 2, ctypes.byref(Program(6, code)), 0, 0) != 0:
        os._exit(99)


def home():
    return {'PATH': '/usr/local/bin:/usr/bin:/bin', 'HOME': DIR, 'LC_ALL': 'C.UTF-8', 'XDG_STATE_HOME': DIR, 'TMPDIR': TMP,
            **{k: v for k, v in os.environ.items() if k.endswith('SAN_OPTIONS')}}


def run(*args, start=without_namespaces, env=None, **more):
    r = subprocess.run([MICROVM, *args], capture_output=True, text=True, timeout=60, cwd=DIR, env={**home(), **(env or {})},
                       preexec_fn=start, **more)
    if r.returncode == 99:
        raise Skip('no user namespace can be made to make such a system in')
    return r


def program(*args, options=('--min-tier', 'landlock'), **more):
    return run('exec', '--audit', 'none', '--allow', 'external_program', *options, '--', *args, **more)


def ok(r):
    assert r.returncode == 0, (r.returncode, r.stdout, r.stderr)
    return r.stdout


def script(name, text, *options, **more):
    path = put(os.path.join(DIR, name), text)
    r = run('run', path, '--json', '--audit', 'none', '--allow', 'external_program', '--min-tier', 'landlock', *options, **more)
    d = json.loads(r.stdout)
    assert d['ok'], d
    assert d['provider'] == 'landlock' and d['tier'] == 'landlock' and 'process namespace' in d['lacks'], d
    return d


def places():
    return glob.glob(os.path.join(TMP, 'microvm-*-' + '[0-9a-f]' * 16))


@test
def without_the_option_it_is_refused_with_the_option():
    for options in ((), ('--provider', 'process'), ('--min-tier', 'process')):
        r = program('/bin/echo', 'hi', options=options)
        assert r.returncode == 5 and r.stdout == '', r
        assert 'user namespaces' in r.stderr and 'user.max_user_namespaces' in r.stderr, r.stderr
        assert '--min-tier landlock admits the weaker wall' in r.stderr, r.stderr


@test
def with_the_option_it_runs():
    assert ok(program('/bin/echo', 'hi')) == 'hi\n'
    assert ok(program('/bin/echo', 'hi', options=('--provider', 'landlock'))) == 'hi\n'


@test
def in_a_container_it_is_the_same():
    r = program('/bin/echo', 'hi', options=(), start=in_a_container)
    assert r.returncode == 5 and '--min-tier landlock admits the weaker wall' in r.stderr, r
    assert ok(program('/bin/sh', '-c', 'setsid sleep 340 & echo hi', start=in_a_container)) == 'hi\n'
    assert not running('340')


@test
def a_tier_above_it_refuses_it():
    for tier in ('process', 'container', 'vm'):
        r = program('/bin/echo', 'hi', options=('--provider', 'landlock', '--min-tier', tier))
        assert r.returncode == 5 and f'below the tier {tier}' in r.stderr and 'minimum tier landlock' in r.stderr, r


@test
def where_namespaces_can_be_made_the_option_takes_them():
    r = program('/bin/echo', 'hi', options=('--min-tier', 'landlock', '--json'), start=become_user)
    assert json.loads(ok(r))['tier'] == 'process', r.stdout


@test
def the_lists_say_what_is_there_and_what_is_missing():
    listed = {p['name']: p for p in json.loads(ok(run('providers', '--json')))['providers']}
    assert listed['landlock']['available'] and listed['landlock']['tier'] == 'landlock', listed['landlock']
    assert 'no namespaces' in listed['landlock']['reason'], listed['landlock']
    assert 'RTFS only' in listed['process']['reason'] and '--min-tier landlock' in listed['process']['reason'], listed['process']
    checks = {c['name']: c for c in json.loads(ok(run('doctor', '--json')))['checks']}
    assert not checks['user-namespaces']['ok'] and '--min-tier landlock' in checks['user-namespaces']['consequence'], checks


@test
def a_settings_file_admits_it_by_saying_so():
    silent = put(os.path.join(DIR, 'silent.toml'), '[grants]\ncapabilities = ["external_program"]\n')
    strict = put(os.path.join(DIR, 'strict.toml'), 'min_tier = "process"\n[grants]\ncapabilities = ["external_program"]\n')
    admits = put(os.path.join(DIR, 'admits.toml'), 'min_tier = "landlock"\n[grants]\ncapabilities = ["external_program"]\n')
    for wall in (('--min-tier', 'landlock'), ('--provider', 'landlock')):
        r = run('exec', '--audit', 'none', '--policy', silent, *wall, '--', '/bin/echo', 'hi')
        assert r.returncode == 3 and 'min_tier = "landlock"' in r.stderr, r
        r = run('exec', '--audit', 'none', '--policy', strict, *wall, '--', '/bin/echo', 'hi')
        assert r.returncode in (3, 5) and r.stdout == '', r
        assert ok(run('exec', '--audit', 'none', '--policy', admits, *wall, '--', '/bin/echo', 'hi')) == 'hi\n'
    assert ok(run('exec', '--audit', 'none', '--policy', admits, '--', '/bin/echo', 'hi')) == 'hi\n'
    r = run('exec', '--audit', 'none', '--policy', admits, '--min-tier', 'process', '--', '/bin/echo', 'hi')
    assert r.returncode == 5, r


@test
def scripts_of_a_program_need_the_option_too():
    path = put(os.path.join(DIR, 'calls.rtfs'), '(get (call :ccos.sandbox.python {:code "print(6*7)"}) "result")')
    options = ('--audit', 'none', '--allow', 'ccos.sandbox.python', '--allow', 'external_program')
    r = run('run', path, *options)
    assert r.returncode == 1 and '--min-tier landlock' in r.stderr, r
    assert ok(run('run', path, *options, '--min-tier', 'landlock')).strip() == '42'


@test
def the_record_names_the_wall():
    store = os.path.join(DIR, 'store.audit')
    ok(run('exec', '--audit', store, '--allow', 'external_program', '--min-tier', 'landlock', '--', '/bin/true'))
    shown = ok(run('audit', 'show', store))
    assert 'landlock' in shown, shown
    ok(run('audit', 'verify', store))


@test
def a_script_in_python_finds_what_it_needs():
    d = script('s.py', 'import json, microvm, os, sqlite3, ssl, subprocess, sys, tempfile\n'
               'open("made", "w").write("x")\nos.mkdir("sub"); os.rename("made", "sub/made")\nopen("output/left.txt", "w").write("left")\n'
               'with tempfile.TemporaryFile() as f:\n    f.write(b"x")\n'
               'out = subprocess.run(["sh", "-c", "echo sub"], capture_output=True, text=True).stdout\n'
               'given = json.load(open(os.environ["RTFS_INPUT_FILE"]))\n'
               'print(json.dumps([out, given, sys.argv[1:], microvm.call("ccos.math.add", 40, 2), open("input/args.json").read(),\n'
               '                  os.listdir("."), os.getcwd() == os.environ["HOME"]]))\n',
               '--allow', 'ccos.math.add', '--arg', '[1 2]', '--output', os.path.join(DIR, 'out'))
    assert d['stderr'] == '', d
    assert d['value'][:5] == ['sub\n', [1, 2], ['[1,2]'], 42, '[[1,2]]'] and d['value'][6] is True, d
    assert sorted(d['value'][5]) == ['input', 'output', 'sub'], d
    with open(os.path.join(DIR, 'out', 'left.txt')) as f:
        assert f.read() == 'left'


@test
def scripts_in_other_languages_run():
    kinds = {'sh': ('sh', 'echo a > x; cat x | tr a b; : > y; rm y; mkfifo p; echo "done" >&2', 'b\n'),
             'js': ('node', 'const m = require("microvm"); console.log(m.call("ccos.math.add", 40, 2))', 42),
             'rb': ('ruby', 'puts [1, 2, 3].sum', 6), 'lua': ('lua', 'print(6 * 7)', 42)}
    for kind, (tool, text, value) in kinds.items():
        if shutil.which(tool, path='/usr/local/bin:/usr/bin:/bin'):
            d = script('s.' + kind, text, '--allow', 'ccos.math.add')
            assert d['value'] == value, d


@test
def what_was_granted_is_what_there_is():
    tree = os.path.join(DIR, 'tree')
    os.makedirs(os.path.join(tree, 'write'))
    os.chmod(os.path.join(tree, 'write'), 0o777)
    put(os.path.join(tree, 'read'), 'granted')
    secret = put(os.path.join(tree, 'secret'), 'secret')
    grants = ('--allow-read', os.path.join(tree, 'read'), '--allow-write', os.path.join(tree, 'write'))
    r = program('/bin/sh', '-c', f'cd {tree}; cat read; cat secret; echo no > read; echo yes > write/made; ls; chmod 600 read; ln secret write/x; '
                'mv secret write/y; rm read', options=('--min-tier', 'landlock', *grants))
    assert r.stdout == 'granted', (r.stdout, r.stderr)
    assert open(os.path.join(tree, 'write', 'made')).read() == 'yes\n' and open(secret).read() == 'secret'
    assert sorted(os.listdir(tree)) == ['read', 'secret', 'write'] and os.listdir(os.path.join(tree, 'write')) == ['made']
    assert open(os.path.join(tree, 'read')).read() == 'granted'


@test
def what_cannot_be_held_is_refused_with_the_reason():
    r = program('/bin/true', options=('--min-tier', 'landlock', '--allow-net', 'example.com'))
    assert r.returncode == 5 and 'network namespace' in r.stderr and 'ccos.network.http-fetch' in r.stderr, r
    r = program('/bin/true', options=('--min-tier', 'landlock', '--allow-write', TMP))
    assert r.returncode != 0 and 'private directories' in r.stderr and 'TMPDIR' in r.stderr, r


@test
def its_place_is_removed_whatever_is_in_it():
    before = places()
    deep = 'i=0; while [ $i -lt 300 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done; echo x > x; cd $HOME; ln -s /etc link; mkfifo p'
    ok(program('/bin/sh', '-c', deep))
    assert places() == before, places()
    r = program('/bin/sh', '-c', 'mkdir -m 0 locked; mkdir half; echo x > half/x; umask 777; mkdir half/dark; sleep 1')
    assert 'private directories' in r.stderr, r  # nobody can tell how much is in there
    assert places() == before, places()
    r = program('/bin/sh', '-c', 'while :; do head -c 20000000 /dev/zero > $((i=i+1)); done', options=('--min-tier', 'landlock', '--memory', '64M'))
    assert 'private directories hold more than 32768 KiB' in r.stderr, r
    assert places() == before, places()
    hidden = 'import os\nheld = []\nwhile 1:\n    held.append(open("f", "wb")); os.unlink("f"); held[-1].write(b"x" * 8000000); held[-1].flush()\n'
    r = run('run', put(os.path.join(DIR, 'hidden.py'), hidden), '--audit', 'none', '--allow', 'external_program', '--min-tier', 'landlock',
            '--memory', '32M')
    assert 'or it has written 16 times that' in r.stderr, r  # files without a name are written too
    # nor does a process whose first thread has ended look as if it wrote
    headless = ('import ctypes, os, threading\ndef fill():\n    for i in range(300):\n        f = open("f", "wb")\n        os.unlink("f")\n'
                '        f.write(b"x" * 8000000)\n        f.flush()\n        os.fsync(f.fileno())\n        f.close()\n'
                'threading.Thread(target=fill).start()\nctypes.CDLL(None).syscall(60, 0)\n')
    r = run('run', put(os.path.join(DIR, 'headless.py'), headless), '--audit', 'none', '--allow', 'external_program', '--min-tier', 'landlock',
            '--memory', '32M', '--timeout', '60s')
    assert 'or it has written 16 times that' in r.stderr, r
    unseen = 'import os, shutil\nfd = os.open("u", os.O_CREAT | os.O_WRONLY, 0o111)\nwith open("/bin/sleep", "rb") as f:\n    os.write(fd, f.read())\n' \
        'os.close(fd)\nos.execv("u", ["u", "4"])\n'
    r = run('run', put(os.path.join(DIR, 'unseen.py'), unseen), '--audit', 'none', '--allow', 'external_program', '--min-tier', 'landlock')
    assert 'private directories' in r.stderr, r  # what runs from a file that cannot be read cannot be looked at
    assert places() == before, places()


@test
def what_a_killed_host_left_is_removed_by_the_next():
    before = set(places())
    p = subprocess.Popen([MICROVM, 'exec', '--audit', 'none', '--allow', 'external_program', '--min-tier', 'landlock', '--timeout', '60s',
                          '--', '/bin/sh', '-c', 'setsid sleep 333 & sleep 334'], preexec_fn=without_namespaces, env=home(), cwd=DIR,
                         stdin=subprocess.DEVNULL)
    wait(lambda: len(running('333')) == 1 and len(running('334')) == 1)
    (left,) = set(places()) - before
    p.kill()
    p.wait()
    wait(lambda: not running('333') and not running('334'))
    assert os.path.isdir(left)
    ok(program('/bin/true'))
    assert set(places()) == before


@test
def its_group_can_be_killed_and_nothing_is_left():
    """Whoever ends the host's whole process group does not end init before the family."""
    p = subprocess.Popen([MICROVM, 'exec', '--audit', 'none', '--allow', 'external_program', '--min-tier', 'landlock', '--timeout', '60s',
                          '--', '/bin/sh', '-c', 'setsid sleep 335 & sleep 336'], env=home(), cwd=DIR, stdin=subprocess.DEVNULL,
                         preexec_fn=lambda: (os.setsid(), without_namespaces()))
    wait(lambda: len(running('335')) == 1 and len(running('336')) == 1)
    os.killpg(p.pid, signal.SIGKILL)
    p.wait()
    wait(lambda: not running('335') and not running('336'))


@test
def the_end_of_one_is_not_the_end_of_another():
    """Both are processes of one user; what one of them ends, and however it ends, the other goes on."""
    slow = subprocess.Popen([MICROVM, 'exec', '--audit', 'none', '--allow', 'external_program', '--min-tier', 'landlock', '--timeout', '60s',
                             '--', '/bin/sh', '-c', 'setsid sleep 337 & read line; kill -0 $! && echo "$line"'], env=home(), cwd=DIR,
                            preexec_fn=without_namespaces, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    wait(lambda: len(running('337')) == 1)
    ok(program('/bin/sh', '-c', 'sleep 338 & kill -TERM -1; echo still'))
    r = program('/bin/sh', '-c', 'setsid sleep 338 & sleep 338', options=('--min-tier', 'landlock', '--timeout', '200ms'))
    assert r.returncode == 4 and not running('338'), r
    assert len(running('337')) == 1
    assert slow.communicate('the other one goes on\n', timeout=60)[0] == 'the other one goes on\n'
    assert not running('337')


@test
def an_interrupt_ends_all_of_it():
    p = subprocess.Popen([MICROVM, 'exec', '--audit', 'none', '--allow', 'external_program', '--min-tier', 'landlock', '--timeout', '60s',
                          '--', '/bin/sh', '-c', 'trap "" INT TERM; setsid sleep 339 & sleep 339'], env=home(), cwd=DIR,
                         preexec_fn=without_namespaces, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    wait(lambda: len(running('339')) == 2)
    p.send_signal(signal.SIGINT)
    p.wait(timeout=60)
    wait(lambda: not running('339'))
    ok(program('/bin/true'))
    assert not places()


def running(seconds):
    found = []
    for d in glob.glob('/proc/[0-9]*'):
        try:
            with open(d + '/cmdline', 'rb') as f:
                if f.read().split(b'\0')[:2] == [b'sleep', seconds.encode()]:
                    found.append(d)
        except OSError:
            pass
    return found


def wait(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def skip_reason():
    abi = LIBC.syscall(LANDLOCK_CREATE_RULESET, None, 0, ABI_VERSION)
    return f'Landlock ABI {abi}; 6 is needed' if abi < 6 else None


def main():
    os.chmod(DIR, 0o755)
    os.mkdir(TMP)
    if os.geteuid() == 0:
        os.chown(DIR, USER, USER)
        os.chown(TMP, USER, USER)
    return skip_all(skip_reason()) if skip_reason() else run_tests()


try:
    status = main()
finally:
    shutil.rmtree(DIR, ignore_errors=True)
sys.exit(status)
