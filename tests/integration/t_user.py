#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""An ordinary user runs the same examples as root does, behind each wall that he can have, with the same outcome. The user is one that
useradd makes for this test and userdel removes. Needs root for that. Prints TAP. Usage: t_user.py MICROVM SOURCE EMBED"""
import ctypes
import json
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import Skip, add, run_tests, skip_all

MICROVM, SOURCE, EMBED = map(os.path.abspath, sys.argv[1:4])
EXAMPLES = os.path.join(SOURCE, 'examples')
WORK = tempfile.mkdtemp(prefix='microvm-user-')
os.chmod(WORK, 0o755)
WALLS = ('mock', 'landlock', 'process', 'wasm', 'kvm', 'gvisor')
PROGRAMS = ('process', 'gvisor', 'landlock')
PEOPLE = {'root': {}}


def home(who):
    return os.path.join(WORK, who)


def account_make():
    """The name, or why there is none. Its group and home are its own; nobody logs in as it."""
    name = f'microvm-test-{os.getpid()}'
    os.mkdir(home('root'))
    try:
        made = subprocess.run(['useradd', '--system', '--user-group', '--create-home', '--home-dir', home('user'), '--skel', '/nonexistent',
                               '--shell', '/bin/sh', '--comment', 'a test of microvm', name], capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        return None, 'there is no useradd'
    if made.returncode != 0:
        account_remove(name)
        return None, f'useradd: {made.stderr.strip()}'
    who = pwd.getpwnam(name)
    PEOPLE['user'] = {'user': who.pw_uid, 'group': who.pw_gid, 'extra_groups': os.getgrouplist(name, who.pw_gid)}
    os.chmod(home('user'), 0o755)
    return name, None


def account_remove(name):
    for command in ('userdel', name), ('groupdel', name):
        subprocess.run(command, capture_output=True, timeout=30)


def lend_kvm():
    """Users have /dev/kvm through its group, where somebody gave it one. Elsewhere they have it here: in a mount namespace of this test
    lies a second node of the device, which the account may use; the machine's own is left alone."""
    there = os.path.exists('/dev/kvm') and os.stat('/dev/kvm')
    if not there or subprocess.run(('test', '-r', '/dev/kvm', '-a', '-w', '/dev/kvm'), **PEOPLE['user']).returncode == 0:
        return
    node, libc = os.path.join(WORK, 'kvm').encode(), ctypes.CDLL(None)
    new_mounts, recursive, private, bind = 0x20000, 0x4000, 0x40000, 0x1000
    if libc.unshare(new_mounts) or libc.mount(None, b'/', None, recursive | private, None):
        return
    os.mknod(node, stat.S_IFCHR | 0o600, there.st_rdev)
    os.chown(node, 0, PEOPLE['user']['group'])
    os.chmod(node, 0o660)
    libc.mount(node, b'/dev/kvm', None, bind, None)


def run(who, *args, text=None):
    env = {'PATH': '/usr/local/bin:/usr/bin:/bin', 'HOME': home(who), 'LC_ALL': 'C.UTF-8', 'TMPDIR': home(who)}
    for name in ('ASAN_OPTIONS', 'UBSAN_OPTIONS', 'LSAN_OPTIONS'):
        if name in os.environ:
            env[name] = os.environ[name]
    return subprocess.run(args, capture_output=True, text=True, timeout=120, env=env, cwd=home(who), input=text, **PEOPLE[who])


def providers(who):
    return {p['name'] for p in json.loads(run(who, MICROVM, 'providers', '--json').stdout)['providers'] if p['available']}


def outcome(r):
    """What does not name this execution, its time, or the strongest wall that somebody has."""
    try:
        d = json.loads(r.stdout)
    except ValueError:
        return r.returncode, re.sub(r'behind the \w+ wall \(tier \w+\)', 'behind a wall', r.stdout)
    e = d.get('error') or {}
    return r.returncode, d.get('ok'), d.get('value'), d.get('termination'), e.get('kind'), e.get('message'), d.get('stdout')


def put(name, content):
    path = os.path.join(WORK, name)
    with open(path, 'wb') as f:
        f.write(content)
    os.chmod(path, 0o644)
    return path


CALLS = {'py': b'import microvm\nprint(microvm.call("ccos.math.add", 40, 2))\n',
         'js': b'const m = require("microvm"); console.log(m.call("ccos.math.add", 40, 2))\n',
         'sh': b'read line; echo "[1, \\"$line\\"]"; echo left > output/left.txt\n',
         'rb': b'puts [1, 2, 3].sum\n', 'lua': b'print(6 * 7)\n'}
TOOLS = {'py': 'python3', 'js': 'node', 'sh': 'sh', 'rb': 'ruby', 'lua': 'lua'}
SALES = os.path.join(EXAMPLES, 'data', 'sales.csv')
# Its _start writes 42 to descriptor 1; made by hand, so that no compiler of modules is needed to have it.
MODULE = bytes.fromhex(
    '0061736d01000000010c0260047f7f7f7f017f60000002230116776173695f736e617073686f745f7072657669657731'
    '0866645f77726974650000030201010503010001071302066d656d6f72790200065f737461727400010a0f010d004101'
    '41004101411010001a0b0b16020041080b0334320a0041000b080800000003000000')


def first(who, wall):
    report = os.path.join(home(who), 'report.txt')
    r = run(who, MICROVM, 'run', os.path.join(EXAMPLES, 'first.rtfs'), '--provider', wall, '--json', '--audit', 'none',
            '--allow', 'ccos.io.read-file', '--allow', 'ccos.io.write-file', '--allow-read', SALES, '--allow-write', home(who),
            '--arg', json.dumps(SALES), '--arg', json.dumps(report), '--arg', '"/etc/hostname"')
    return outcome(r) + (open(report).read() if os.path.exists(report) else None,)


def script(kind):
    def one(who, wall):
        out = os.path.join(home(who), f'out-{kind}-{wall}')
        r = run(who, MICROVM, 'run', SCRIPTS[kind], '--provider', wall, '--json', '--audit', 'none', '--allow', 'external_program',
                '--allow', 'ccos.math.add', '--output', out, text='a line\n')
        return outcome(r) + (sorted(os.listdir(out)) if os.path.isdir(out) else None,)
    return one


def command(*args, text=None):
    return lambda who, wall: outcome(run(who, MICROVM, *args, *(('--provider', wall) if wall else ()), text=text))


def dashed(*args, text=None):
    """Options go before the program."""
    return lambda who, wall: outcome(run(who, MICROVM, 'exec', '--json', '--audit', 'none', '--provider', wall, '--allow',
                                         'external_program', '--', *args, text=text))


SCRIPTS = {k: put('script.' + k, v) for k, v in CALLS.items()}
MODULE_FILE = put('module.wasm', MODULE)
AGENT = os.path.join(EXAMPLES, 'agent')
EACH_WALL = {  # what it is: how, and the walls
    'examples/first.rtfs': (first, WALLS),
    'examples/agent': (command('run', os.path.join(AGENT, 'summary.rtfs'), '--agent', os.path.join(AGENT, 'agent.config.rtfs'),
                               '--json', '--audit', 'none'), ('process', 'wasm', 'kvm', 'gvisor')),
    'a session': (command('repl', text='(def a 40)\n(+ a 2)\n'), ('process', 'wasm', 'kvm')),
    'a program': (dashed('/usr/bin/env', '-i', '/bin/sh', '-c', 'cat; id -u | wc -l', text='in'), PROGRAMS),
    'a program that fails': (dashed('/bin/sh', '-c', 'exit 3'), PROGRAMS),
    'a program that is denied': (dashed('/bin/cat', '/etc/shadow'), PROGRAMS),
    'a module': (command('run', MODULE_FILE, '--json', '--audit', 'none', '--allow', 'external_program'), ('wasm', 'kvm')),
    **{f'a script in {TOOLS[k]}': (script(k), PROGRAMS) for k in CALLS if shutil.which(TOOLS[k], path='/usr/bin:/bin')},
}
NO_WALL = {
    'inspect': command('inspect', os.path.join(EXAMPLES, 'first.rtfs')),
    'explain': command('run', os.path.join(EXAMPLES, 'first.rtfs'), '--explain'),
    **{'policy ' + f: command('run', os.path.join(EXAMPLES, 'first.rtfs'), '--policy', os.path.join(EXAMPLES, 'settings', f), '--explain')
       for f in sorted(os.listdir(os.path.join(EXAMPLES, 'settings')))},
    **{'config ' + f: command('config', 'check', os.path.join(EXAMPLES, 'config', f))
       for f in sorted(os.listdir(os.path.join(EXAMPLES, 'config')))},
    'the example that embeds the library': lambda who, wall: (lambda r: (r.returncode, len(r.stdout.splitlines())))(run(who, EMBED)),
}


def same(how, wall, walls):
    seen = {who: how(who, wall) for who in PEOPLE}
    if seen['user'][0] == 5 and walls['root'] != walls['user']:
        raise Skip('it demands a wall that is not available to user')
    assert seen['root'] == seen['user'], seen
    return seen['root']


def made(name, how, wall, has):
    missing = [who for who in PEOPLE if wall and wall not in has[who]]

    def one():
        if missing:
            raise Skip(f'{wall} is not available to {" and ".join(missing)}')
        got = same(how, wall, has)
        assert got[0] in (0, 1, 3), got
    add(name, one)


def main():
    lend_kvm()
    has = {who: providers(who) for who in PEOPLE}
    for name, (how, walls) in EACH_WALL.items():
        for wall in walls:
            made(f'{name}, {wall}', how, wall, has)
    for name, how in NO_WALL.items():
        made(name, how, None, has)
    return run_tests()


def with_account():
    if os.geteuid() != 0:
        return skip_all('only root can make another user')
    name, why = account_make()
    if not name:
        return skip_all(why)
    try:
        return main()
    finally:
        account_remove(name)


signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the account goes all the same
try:
    status = with_account()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
