#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The `microvm` command against its contract: exit codes, the shape of --json, what people see. Prints TAP.
Usage: t_cli.py MICROVM SOURCE_ROOT"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import environment, equal, has, run_tests, test

MICROVM, ROOT = map(os.path.abspath, sys.argv[1:3])
WORK = tempfile.mkdtemp(prefix='microvm-cli-')
ENV = environment(WORK)


def run(*args, stdin=None, env=None):
    r = subprocess.run([MICROVM, *args], input=stdin, capture_output=True, timeout=60, env=env or ENV, cwd=WORK)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def run_json(*args, stdin=None):
    code, out, _ = run(args[0], '--json', *args[1:], stdin=stdin) # words after -- are the program's
    assert out.count('\n') == 1, f'one line of JSON, got {out!r}'
    return code, json.loads(out)


def path(name):
    return os.path.join(WORK, name)


def providers():
    return [p['name'] for p in run_json('providers')[1]['providers'] if p['available'] and p['name'] in ('mock', 'process', 'kvm')]


@test
def a_value_is_printed_and_the_exit_code_is_0():
    equal(run('eval', '(+ 3 4)', '--provider', 'mock'), (0, '7\n', ''))


@test
def json_of_a_value_has_the_keys_of_the_contract_in_their_order():
    code, r = run_json('eval', '(+ 3 4)', '--provider', 'mock')
    equal(code, 0)
    equal(list(r), ['ok', 'value', 'printed', 'type', 'execution_id', 'provider', 'tier', 'termination', 'stdout', 'stderr',
                    'metadata', 'audit'])
    equal((r['ok'], r['value'], r['printed'], r['type']), (True, 7, '7', 'integer'))
    equal((r['provider'], r['tier'], r['termination']), ('mock', 'none', 'completed'))
    equal(list(r['metadata']), ['duration_ns', 'cpu_ns', 'memory_peak_bytes', 'calls', 'fuel', 'simulated', 'phases_ns',
                                'network_requests', 'file_operations'])
    equal(list(r['metadata']['phases_ns']), ['open', 'run', 'close'])
    assert r['execution_id'].startswith('exec_') and r['audit']['root'].startswith('sha256:')
    assert r['metadata']['simulated'] is True and r['metadata']['duration_ns'] > 0


@test
def json_of_a_denial_says_what_would_allow_it():
    code, r = run_json('eval', '(call :ccos.io.open-file "/etc/passwd")', '--provider', 'mock')
    equal((code, r['ok'], r['termination']), (3, False, 'denied'))
    equal(list(r['error']), ['kind', 'message', 'operation', 'capability', 'context', 'line', 'column', 'hint'])
    equal((r['error']['kind'], r['error']['capability']), ('SecurityViolation', 'ccos.io.open-file'))
    equal(r['error']['hint'], '--allow ccos.io.open-file --allow-read /etc/passwd')


@test
def a_program_error_is_1_and_shows_the_place():
    with open(path('bad.rtfs'), 'w') as f:
        f.write('(def x 1)\n(+ x\n   "two")\n')
    code, out, err = run('run', 'bad.rtfs', '--provider', 'mock')
    equal((code, out), (1, ''))
    has(err, 'error: TypeError: Type error in +: expected number, got string')
    has(err, '--> bad.rtfs:2:1')
    has(err, '| (+ x')
    has(err, '^')


@test
def a_parse_error_names_file_line_and_column():
    code, _, err = run('run', '-', '--provider', 'mock', stdin=b'(+ 1\n  2))')
    equal(code, 1)
    has(err, 'ParseError')
    has(err, 'standard input:2:')


@test
def a_program_that_is_not_utf8_is_refused_with_its_line():
    code, _, err = run('run', '-', '--provider', 'mock', stdin=b'(+ 1\n\xff 2)')
    equal(code, 1)
    has(err, 'standard input:2')


@test
def a_denial_is_3_and_prints_rule_and_hint():
    code, out, err = run('eval', '(call :ccos.echo 1)', '--provider', 'mock')
    equal((code, out), (3, ''))
    has(err, 'SecurityViolation')
    has(err, 'rule: ')
    has(err, 'hint: --allow ccos.echo')


@test
def limits_are_4_each_with_its_own_termination():
    for args, termination in ((['(loop [] (recur))', '--timeout', '100ms'], 'timeout'),
                              (['(loop [] (recur))', '--fuel', '1000'], 'fuel'),
                              (['(loop [v []] (recur (conj v v v v)))', '--memory', '8M'], 'memory'),
                              (['(str (range 0 20000))', '--max-output', '1K'], 'output')):
        for provider in providers():
            code, r = run_json('eval', *args, '--provider', provider)
            equal((code, r['termination'], r['error']['kind']), (4, termination, 'LimitExceeded'))


@test
def options_give_more_than_the_level_begins_with_up_to_a_bound():  # REQ-CFG-01, REQ-SEC-10
    text = '(count (map inc (range 0 3000000)))'
    for provider in providers():
        equal(run_json('eval', text, '--provider', provider)[1]['termination'], 'memory')
        equal(run_json('eval', text, '--provider', provider, '--memory', '512M', '--timeout', '20s')[1].get('value'), 3000000)
    code, out, err = run('eval', '1', '--timeout', '5m', '--memory', '1G', '--audit', 'none')
    equal((code, out), (0, '1\n'))
    has(err, 'note: level controlled ends a program after at most 60 s')
    has(err, 'note: level controlled gives a program at most 512 MiB')
    equal(run('eval', '1', '--timeout', '60s', '--audit', 'none'), (0, '1\n', ''))


@test
def an_unavailable_provider_is_5():
    code, out, err = run('eval', '1', '--provider', 'firecracker')
    equal((code, out), (5, ''))
    has(err, 'not available')
    code, r = run_json('eval', '1', '--provider', 'firecracker')
    equal((code, r['ok'], r['error']['kind'], r['termination']), (5, False, 'Unavailable', 'unavailable'))
    equal(run('eval', '1', '--provider', 'mock', '--min-tier', 'vm')[0], 5)
    equal(run('eval', '1', '--provider', 'no-such')[0], 5)


@test
def usage_errors_are_2_and_say_what_is_wrong():
    for args, part in ((['eval'], 'needs'), (['eval', '1', '2'], "'2'"), (['frobnicate'], 'frobnicate'), ([], ''),
                       (['eval', '1', '--colour'], '--colour'), (['eval', '1', '--timeout'], '--timeout'),
                       (['eval', '1', '--timeout', 'soon'], 'soon'), (['eval', '1', '--memory', '-5M'], '-5M'),
                       (['eval', '1', '--level', 'root'], 'root'), (['eval', '1', '--min-tier', 'high'], 'high'),
                       (['eval', '1', '--json=yes'], '--json'), (['eval', '1', '--fuel', '1.5'], '1.5'),
                       (['eval', '1', '--allow', 'not an id'], 'not an id'), (['eval', '1', '--arg', '(+ 1'], '--arg'),
                       (['eval', '1', '--arg', '1 2'], '--arg'), (['version', 'x'], 'x'), (['audit', 'burn', 'x'], 'burn'),
                       (['audit', 'replay', 'x'], '--execution'), (['schema', 'x'], "'x' not found"),
                       (['eval', '1', '--level', 'full', '--allow-read', '/tmp'], 'level full grants')):
        code, out, err = run(*args)
        assert code == 2, f'{args} gave {code}: {err}'
        has(err + out, part)


@test
def durations_and_sizes_have_units():
    for text in ('250ms', '30s', '5m', '0.5s', '2'):
        equal(run('eval', '1', '--provider', 'mock', '--timeout', text)[:2], (0, '1\n'))
    for text in ('8192K', '16M', '1G'):
        equal(run('eval', '1', '--provider', 'mock', '--memory', text)[:2], (0, '1\n'))
    for text in ('', '1x', 'ms', '0', '-1s', '1e400s', 'inf', '0x10'):
        equal(run('eval', '1', '--provider', 'mock', '--timeout', text)[0], 2)


@test
def arguments_are_rtfs_literals():
    equal(run('eval', 'args', '--provider', 'mock', '--arg', '1', '--arg', '"two words"', '--arg', '{:a [1 2]}')[1],
          '[1 "two words" {:a [1 2]}]\n')
    equal(run('eval', 'args', '--provider', 'mock')[1], '[]\n')


@test
def call_makes_one_call_with_its_arguments():
    equal(run('call', 'ccos.math.add', '5', '6', '--allow', 'ccos.math.add', '--provider', 'mock')[:2], (0, '11\n'))
    equal(run('call', ':ccos.echo', '{:a 1}', '--allow', 'ccos.*', '--provider', 'mock')[:2], (0, '{:a 1}\n'))
    equal(run('call', 'ccos.math.add', '5', '6', '--provider', 'mock')[0], 3)
    equal(run('call', 'ccos.math.add", (', '--provider', 'mock')[0], 2)
    code, r = run_json('call', 'no.such', '--allow', 'no.such', '--provider', 'mock')
    equal((code, r['error']['kind']), (1, 'UnknownCapability'))


@test
def exec_is_denied_refused_or_named():
    equal(run('exec', '--provider', 'process', '--', '/bin/ls', '-la')[0], 3)
    equal(run('exec', '--provider', 'process', '--allow', 'external_program', '--', '/bin/echo', 'hello', 'world'),
          (0, 'hello world\n', ''))
    equal(run('exec', '--allow', 'external_program', '--', 'sh', '-c', 'echo out; echo bad >&2; exit 7')[0:2], (1, 'out\n'))
    code, r = run_json('exec', '--allow', 'external_program', '--', 'sh', '-c', 'echo bad >&2; exit 7')
    equal((code, r['error']['message'], r['metadata']['exit_code']), (1, 'Process failed: bad', 7))
    code, r = run_json('exec', '--allow', 'external_program', '--', '/bin/nothing')
    has(r['error']['message'], 'Process execution failed: /bin/nothing: No such file')
    code, r = run_json('exec', '--allow', 'external_program', '--', 'sh', '-c', 'kill -SEGV $$')
    equal((code, r['termination'], r['metadata']['signal']), (1, 'killed', 11))
    equal(run('exec', '--allow', 'external_program', '--fuel', '9', '--', '/bin/true')[0], 5)
    equal(run('exec', '--allow', 'external_program', '--min-tier', 'vm', '--', '/bin/true')[0], 5)
    code, out, _ = run('exec', '--provider', 'mock', '--allow', 'external_program', '--', '/bin/ls', '-la')
    equal((code, out), (0, '"Mock external program: /bin/ls ["-la"]"\n'))


@test
def scripts_are_recognised_run_and_refused_by_providers_without_programs():
    with open(path('hello.py'), 'w') as f:
        f.write('print(1)\n')
    with open(path('hello'), 'w') as f:
        f.write('#!/bin/sh\necho 1\n')
    equal(run('run', 'hello.py', '--allow', 'external_program', '--provider', 'mock')[1], '"Mock Python script result: 9 bytes"\n')
    equal(run('run', 'hello', '--allow', 'external_program', '--provider', 'mock')[1], '"Mock Shell script result: 17 bytes"\n')
    equal(run('run', 'hello', '--allow', 'external_program', '--provider', 'process'), (0, '1\n', ''))
    equal(run('run', 'hello.py', '--allow', 'external_program', '--provider', 'kvm')[0], 5)


INTERPRETERS = {'py': '/usr/bin/python3', 'js': '/usr/bin/node', 'sh': '/bin/sh', 'lua': '/usr/bin/lua', 'rb': '/usr/bin/ruby'}
SCRIPTS = {'py': 'import json, os, sys\nprint(json.dumps([json.load(open(os.environ["RTFS_INPUT_FILE"])), sys.argv[1:]]))',
           'js': 'const fs = require("fs");\nconsole.log(JSON.stringify([JSON.parse(fs.readFileSync(process.env.RTFS_INPUT_FILE)), process.argv.slice(2)]))',
           'sh': 'echo "[$(cat $RTFS_INPUT_FILE), [\\"$1\\", \\"$2\\"]]"',
           'lua': 'print("[" .. io.open(os.getenv("RTFS_INPUT_FILE")):read("a") .. ", [\\"" .. arg[1] .. "\\", \\"" .. arg[2] .. "\\"]]")',
           'rb': 'puts "[#{File.read(ENV["RTFS_INPUT_FILE"])}, [\\"#{ARGV[0]}\\", \\"#{ARGV[1]}\\"]]"'}


@test
def a_script_gets_its_arguments_as_json_and_its_output_is_json():
    for ext, text in SCRIPTS.items():
        if not os.access(INTERPRETERS[ext], os.X_OK):
            continue
        with open(path('args.' + ext), 'w') as f:
            f.write(text + '\n')
        code, r = run_json('run', 'args.' + ext, '--allow', 'external_program', '--arg', '42', '--arg', 'true')
        equal((ext, code, r.get('value'), r.get('error')), (ext, 0, [42, ['42', 'true']], None))


@test
def an_input_may_be_larger_than_any_command_line():
    with open(path('size.sh'), 'w') as f:
        f.write('wc -c < $RTFS_INPUT_FILE; echo $#')
    code, r = run_json('run', 'size.sh', '--allow', 'external_program', '--arg', '"' + 'x' * 120000 + '"')
    equal((code, r['stdout'].split()), (0, ['120002', '0']))


@test
def a_script_may_print_anything():
    for text, value in (('printf ""', ''), ('printf "plain"', 'plain'), ("printf '\\303\\050'", None), ('echo "{"', '{\n'),
                        ('echo \'{"a": [1, 2.5, null]}\'', {'a': [1, 2.5, None]})):
        with open(path('any.sh'), 'w') as f:
            f.write(text)
        code, r = run_json('run', 'any.sh', '--allow', 'external_program')
        equal(code, 0)
        assert value is None or r['value'] == value, r['value']


@test
def scripts_call_capabilities_and_see_typed_denials():
    for ext, text in (('py', """import microvm
print(microvm.call('ccos.math.add', 20, 22))
try:
    microvm.call('ccos.io.read-file', '/etc/shadow')
except microvm.Denied as e:
    print(e.capability, e.operation)
"""), ('js', """const microvm = require('microvm');
console.log(microvm.call('ccos.math.add', 20, 22));
try {
    microvm.call('ccos.io.read-file', '/etc/shadow');
} catch (e) {
    if (!(e instanceof microvm.Denied)) throw e;
    console.log(e.capability, e.operation);
}
""")):
        if not os.access(INTERPRETERS[ext], os.X_OK):
            continue
        with open(path('call.' + ext), 'w') as f:
            f.write(text)
        code, r = run_json('run', 'call.' + ext, '--allow', 'external_program', '--allow', 'ccos.math.add')
        equal((code, r['stdout'], r['metadata']['calls']), (0, '42\nccos.io.read-file capability_authorization\n', 2))


@test
def a_program_may_run_a_script_as_a_capability():
    text = '(let [r (call "ccos.sandbox.python" {:code "import sys, json\\nprint(json.dumps(int(sys.argv[1]) * 2))" :args [21]})] (get r "result"))'
    if not os.access(INTERPRETERS['py'], os.X_OK):
        return
    for provider in [p for p in providers() if p != 'mock']:
        code, r = run_json('eval', text, '--provider', provider, '--allow', 'ccos.sandbox.python')
        equal((code, r.get('value'), r.get('error')), (0, 42, None))
    equal(run('eval', text)[0], 3)
    if 'kvm' in providers(): # a script may not be behind less than what its caller asked for
        code, r = run_json('eval', text, '--min-tier', 'vm', '--allow', 'ccos.sandbox.python')
        has(r['error']['message'], 'no provider of tier vm')
    text = '(call "ccos.sandbox.shell" {:code "echo out; echo err >&2; exit 3"})'
    code, r = run_json('eval', text, '--allow', 'ccos.sandbox.shell')
    equal(r['value'], {'result': None, 'stdout': 'out\n', 'stderr': 'err\n', 'exit_code': 3})
    code, r = run_json('eval', '(call "ccos.sandbox.shell" {:code "sleep 20"})', '--allow', 'ccos.sandbox.shell', '--timeout', '400ms')
    equal((code, r['termination']), (4, 'timeout'))
    code, r = run_json('eval', '(call "ccos.sandbox.shell" {:code "true" :allowed_hosts ["x"]})', '--allow', 'ccos.sandbox.shell')
    has(r['error']['message'], 'nothing else')


@test
def scripts_that_start_one_another_are_told_to_stop():
    if not os.access(INTERPRETERS['py'], os.X_OK):
        return
    code = ('import json, microvm, sys\na, n = json.loads(sys.argv[1]), int(sys.argv[2])\ntry:\n'
            '  print(json.dumps(microvm.call("ccos.sandbox.python", {"code": a, "args": [a, n + 1]})["result"]))\n'
            'except microvm.Error as e:\n  print(json.dumps([n, e.kind, e.message]))\n')
    text = '(get (call "ccos.sandbox.python" {:code %s :args [%s 1]}) "result")' % (json.dumps(code), json.dumps(code))
    got, r = run_json('eval', text, '--level', 'full')
    equal((got, r.get('value')), (0, [8, 'LimitExceeded', 'executions start one another at most 8 deep']))


@test
def without_user_namespaces_programs_are_refused_and_told_why():
    if not shutil.which('unshare') or subprocess.run(['unshare', '-Ur', 'true'], check=False).returncode:
        return
    inside = 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" "$@"'
    r = subprocess.run(['unshare', '-Ur', 'sh', '-c', inside, MICROVM, 'exec', '--allow', 'external_program', '--', '/bin/true'],
                       capture_output=True, env=ENV, cwd=WORK, timeout=60, check=False)
    equal(r.returncode, 5)
    has(r.stderr.decode(), 'user namespaces')
    r = subprocess.run(['unshare', '-Ur', MICROVM, 'exec', '--allow', 'external_program', '--', 'id', '-u'], # nested: it works
                       capture_output=True, env=ENV, cwd=WORK, timeout=60, check=False)
    equal((r.returncode, r.stdout), (0, b'1000\n'))


@test
def granted_paths_appear_at_their_place_and_nothing_else_does():
    os.makedirs(path('in'), exist_ok=True)
    os.makedirs(path('out'), exist_ok=True)
    with open(path('in/data'), 'w') as f:
        f.write('seven')
    os.chmod(path('in/data'), 0o600)
    with open(path('copy.sh'), 'w') as f:
        f.write(f'cat {WORK}/in/data; cp {WORK}/in/data {WORK}/out/data; echo x > {WORK}/in/more; ls {WORK} | tr "\\n" " "')
    code, out, err = run('run', 'copy.sh', '--allow', 'external_program', '--allow-read', 'in', '--allow-write', 'out')
    equal((code, out), (0, 'sevenin out '))
    has(err, 'Read-only file system')
    with open(path('out/data')) as f:
        equal(f.read(), 'seven')
    equal(os.stat(path('out/data')).st_uid, os.geteuid())
    assert not os.path.exists(path('in/more'))
    os.symlink('in', path('link'))
    for grant, why in (('link', 'symbolic link'), ('/', 'whole machine'), ('/proc/1', 'kernel'), ('nothing', 'not exist')):
        code, _, err = run('run', 'copy.sh', '--allow', 'external_program', '--allow-read', grant)
        equal(code, 1)
        has(err, why)


@test
def the_command_is_small_and_an_idle_session_too():  # REQ-AC-64: below 10 MB; below 100 MB
    strip = shutil.which('strip')
    with open(MICROVM, 'rb') as f:
        if not strip or b'__asan_init' in f.read():
            return
    subprocess.run([strip, '-o', path('stripped'), MICROVM], check=True)
    size = os.path.getsize(path('stripped'))
    assert size < 10_000_000, size
    for provider in providers():
        with subprocess.Popen([MICROVM, 'repl', '--provider', provider, '--audit', 'none'], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                              stderr=subprocess.DEVNULL, env=ENV) as p:
            p.stdin.write(b'(+ 1 2)\n')
            p.stdin.flush()
            equal(p.stdout.readline(), b'3\n')
            with open(f'/proc/{p.pid}/status', encoding='ascii') as f:
                resident = int([l for l in f if l.startswith('VmRSS')][0].split()[1])
            p.stdin.close()
            assert resident < 100_000, (provider, resident)
            print(f'# {provider}: {size} bytes, {resident} KiB resident')


@test
def a_missing_file_is_named():
    code, _, err = run('run', 'no-such-file.rtfs')
    equal(code, 1)
    has(err, 'no-such-file.rtfs')


@test
def captured_output_comes_before_the_value():
    equal(run('eval', '(do (call :ccos.io.println "hello") 5)', '--allow', 'ccos.io.println', '--provider', 'mock')[:2],
          (0, 'hello\n5\n'))
    equal(run_json('eval', '(do (call :ccos.io.println "hello") 5)', '--allow', 'ccos.io.println', '--provider', 'mock')[1]['stdout'],
          'hello\n')


@test
def explain_decides_and_runs_nothing():
    target, home = path('explained.txt'), path('explain-home')
    args = ['call', 'ccos.io.write-file', f'"{target}"', '"x"', '--allow', 'ccos.io.write-file', '--explain']
    code, out, _ = run(*args)
    equal(code, 3)
    has(out, f'--allow-write {target}')
    code, out, _ = run(*args, '--allow-write', target)
    equal(code, 0)
    has(out, 'allowed')
    assert not os.path.exists(target)
    code, r = run_json('eval', '(call :ccos.echo 1)', '--allow', 'ccos.echo', '--explain')
    equal((code, r['allowed'], r['granted']), (0, True, ['ccos.echo']))
    code, out, _ = run('exec', '--explain', '--', '/bin/ls')
    equal(code, 3)
    has(out, 'external_program')
    run('eval', '1', '--explain', env=dict(ENV, HOME=home))
    assert not os.path.exists(home), '--explain must leave no record'


@test
def explain_tells_about_every_step_and_call():
    program, target = path('explained.rtfs'), path('explained.out')
    with open(program, 'w') as f:
        f.write(f'(step "get" (call :ccos.network.http-fetch "https://api.example.com/v1"))\n'
                f'(step "put" (call :ccos.io.write-file "{target}" "x"))\n'
                '(defn any [p] (call :ccos.io.read-file p))\n'
                '(call :ccos.no-such 1)\n'
                '(with-security-profile {:hosts []} (call :ccos.network.http-fetch "https://api.example.com/"))\n')
    wall = ['--provider', 'mock']
    code, r = run_json('explain', program, *wall)
    equal(code, 3)
    equal([c['verdict'] for c in r['calls']], ['denied'] * 5)
    equal(r['calls'][0]['hint'], '--allow ccos.network.http-fetch --allow-net api.example.com:443')
    equal(r['calls'][1]['hint'], f'--allow ccos.io.write-file --allow-write {target}')
    # with exactly what the hints say
    grants = [w for c in r['calls'][:4] for w in c['hint'].split()]
    code, r = run_json('explain', program, *wall, *grants)
    equal([(c['line'], c['verdict']) for c in r['calls']],
          [(1, 'allowed'), (2, 'allowed'), (3, 'depends'), (4, 'unknown'), (5, 'denied')])
    equal((code, r['calls'][4]['rule']), (3, 'step profile: hosts'))
    steps = {s['step']: s for s in r['steps']}
    equal(steps['get']['hosts'], ['api.example.com'])
    equal(steps['get']['methods'], ['GET'])
    equal((steps['put']['writes'], steps['put']['isolation']), ([target], 'isolated'))
    assert not os.path.exists(target), 'explain must run nothing'
    # one mechanism: --explain of run prints the same, and exits by the program alone
    code, again = run_json('run', program, *wall, *grants, '--explain')
    equal((code, again), (0, r))
    code, out, _ = run('explain', program, *wall, *grants)
    has(out, 'hosts api.example.com')
    with open(program, 'w') as f:
        f.write('(step "x" (+ 1 2)')
    equal(run('explain', program, *wall)[0], 1)


@test
def explain_says_which_step_runs_in_a_cell_of_its_own():
    program = path('apart.rtfs')
    with open(program, 'w') as f:
        f.write('(step "here" (call :ccos.echo 1))\n'
                '(with-security-profile {:isolation-level :process} (call :ccos.math.add 1 2))\n')
    grants = ['--allow', 'ccos.echo', '--allow', 'ccos.math.add']
    code, r = run_json('explain', program, '--provider', 'mock', *grants)
    equal(code, 0)
    equal([(s['step'], s['provider'], s['tier'], s['own_cell']) for s in r['steps']],
          [('here', 'mock', 'none', False), ('with-security-profile', 'process', 'process', True)])
    code, out, _ = run('explain', program, '--provider', 'mock', *grants)
    has(out, 'runs in a cell of its own, behind the process wall (tier process)')
    code, r = run_json('explain', program, '--provider', 'process', *grants)
    equal([s['own_cell'] for s in r['steps']], [False, False])
    store = path('apart.mva')
    code, r = run_json('run', program, '--provider', 'mock', '--audit', store, *grants)
    equal((code, r['value'], r['provider']), (0, 3, 'mock'))
    has(run('audit', 'show', store)[1], 'in a cell of its own, provider process, tier process')
    equal(run('audit', 'replay', store, '--execution', r['execution_id'], '--provider', 'mock')[0], 0)


@test
def a_step_is_held_to_its_text_and_replays():
    store, data = path('steps.mva'), path('steps.txt')
    with open(data, 'w') as f:
        f.write('hello')
    code, r = run_json('eval', f'(step "r" (call :ccos.io.read-file "{data}"))', '--provider', 'mock', '--audit', store,
                       '--allow', 'ccos.io.read-file', '--allow-read', data)
    equal((code, r['value']), (0, 'hello'))
    out = run('audit', 'show', store)[1]
    has(out, 'StepProfileDerived')
    has(out, f'reads ["{data}"]')
    equal(run('audit', 'replay', store, '--execution', r['execution_id'])[0], 0)
    equal(run('audit', 'verify', store)[0], 0)


@test
def paths_may_be_relative_to_the_current_directory():
    with open(path('in.txt'), 'w') as f:
        f.write('data')
    equal(run('call', 'ccos.io.read-file', f'"{path("in.txt")}"', '--allow', 'ccos.io.read-file', '--allow-read',
              './x/../in.txt', '--provider', 'mock')[:2], (0, '"data"\n'))


@test
def records_go_to_the_state_directory_and_verify():
    code, r = run_json('eval', '(call :ccos.echo 1)', '--allow', 'ccos.echo', '--provider', 'mock')
    equal(code, 0)
    store = path('.local/state/ccos-microvm/audit.mva')
    equal(os.stat(store + '.key').st_mode & 0o777, 0o600)
    code, verdict = run_json('audit', 'verify', store)
    equal((code, verdict['ok'], verdict['unsealed']), (0, True, 0))
    has(run('audit', 'verify', store)[1], 'sealed: %d of %d records' % (verdict['records'], verdict['records']))
    code, shown = run_json('audit', 'show', store, '--execution', r['execution_id'])
    equal(code, 0)
    equal([rec['type'] for rec in shown['records']],
          ['PlanStarted', 'SecurityDecision', 'SecurityDecision', 'CapabilityCall', 'CapabilityResult', 'PlanEnded', 'Root'])
    equal(shown['records'][-1]['semantic']['root'], r['audit']['root'].removeprefix('sha256:'))
    code, replay = run_json('audit', 'replay', store, '--execution', r['execution_id'])
    equal((code, replay['ok'], replay['outcome']), (0, True, '1'))


@test
def only_denials_are_shown_when_asked():
    store = path('denied.mva')
    run('eval', '(call :ccos.echo 1)', '--audit', store, '--provider', 'mock')
    run('exec', '--audit', store, '--provider', 'process', '--', '/bin/ls')
    code, out, _ = run('audit', 'show', store, '--denied')
    equal((code, out.count('\n')), (0, 2))
    has(out, 'would be allowed by --allow ccos.echo')
    has(out, 'external_program')


@test
def a_damaged_store_fails_verification_and_names_the_record():
    store = path('damaged.mva')
    equal(run('eval', '(+ 1 2)', '--audit', store, '--provider', 'mock')[0], 0)
    data = bytearray(open(store, 'rb').read())
    data[len(data) // 2] ^= 1
    open(store, 'wb').write(data)
    code, verdict = run_json('audit', 'verify', store)
    equal((code, verdict['ok']), (1, False))
    assert verdict['why'] and 'bad_index' in verdict


@test
def a_script_runs_by_its_extension_or_the_missing_interpreter_is_named():
    languages = {'py': ('python3', 'print(1 + 2)'), 'js': ('node', 'console.log(1 + 2)'), 'sh': ('sh', 'echo 3'),
                 'rb': ('ruby', 'puts 1 + 2'), 'lua': ('lua', 'print(1 + 2)')}
    for ext, (name, text) in languages.items():
        with open(path('three.' + ext), 'w') as f:
            f.write(text + '\n')
        code, out, err = run('run', 'three.' + ext, '--allow', 'external_program')
        if any(os.path.exists(d + name) for d in ('/usr/bin/', '/usr/local/bin/')):
            equal((ext, code, out), (ext, 0, '3\n'))
        else:
            equal((ext, code), (ext, 5))
            has(err, name)


@test
def a_store_whose_end_is_damaged_is_not_appended_to_and_the_error_says_what_to_do():
    store = path('damaged-end.mva')
    equal(run('eval', '(+ 1 2)', '--audit', store, '--provider', 'mock')[0], 0)
    data = bytearray(open(store, 'rb').read())
    for at in (100, len(data) - 60):
        data[at] ^= 1
    open(store, 'wb').write(data)
    code, _, err = run('eval', '(+ 1 2)', '--audit', store, '--provider', 'mock')
    equal(code, 1)
    has(err, 'damaged')
    has(err, 'audit verify')
    equal(open(store, 'rb').read(), bytes(data))


@test
def a_result_that_cannot_be_written_is_no_success():
    with open('/dev/full', 'w') as full:
        for args in (['eval', '1'], ['eval', '1', '--json'], ['providers']):
            r = subprocess.run([MICROVM, *args], stdout=full, stderr=subprocess.PIPE, timeout=60, env=ENV, cwd=WORK)
            equal(r.returncode, 1)
            has(r.stderr.decode(), 'standard output')


@test
def a_closed_stdout_does_not_become_the_audit_store():
    store = path('closed.aud')
    r = subprocess.run(['sh', '-c', f'"{MICROVM}" eval 1 --provider mock --audit "{store}" >&- 2>&-'], timeout=60, env=ENV, cwd=WORK)
    equal(r.returncode, 1)
    equal(run('audit', 'verify', store)[0], 0)


@test
def no_audit_store_is_touched_with_audit_none():
    env = dict(ENV, HOME='/proc/nonexistent')
    equal(run('eval', '1', '--provider', 'mock', '--audit', 'none', env=env)[:2], (0, '1\n'))
    code, _, err = run('eval', '1', '--provider', 'mock', env=env)
    equal(code, 1)
    has(err, '--audit')


@test
def auto_never_takes_the_mock():
    strong = [p for p in providers() if p != 'mock']
    code, r = run_json('eval', '1')
    if strong:
        equal((code, r['provider'], r['metadata']['simulated']), (0, strong[-1], False))
    else:
        equal(code, 5)


@test
def every_provider_gives_the_same_root():
    roots = {run_json('eval', '(map (fn [x] (* x x)) [1 2 3])', '--provider', p)[1]['audit']['root'] for p in providers()}
    equal(len(roots), 1)


@test
def the_lists_are_json():
    names = [p['name'] for p in run_json('providers')[1]['providers']]
    equal(names, ['mock', 'process', 'wasm', 'gvisor', 'kvm', 'firecracker', 'landlock'])
    ids = {c['id'] for c in run_json('capabilities')[1]['capabilities']}
    assert {'ccos.echo', 'ccos.math.add', 'ccos.io.read-file', 'ccos.network.http-fetch'} <= ids
    for c in run_json('capabilities')[1]['capabilities']:
        equal(list(c), ['id', 'arguments', 'result', 'summary', 'effects', 'permissions', 'pure'])
    for check in run_json('doctor')[1]['checks']:
        assert check['ok'] or (check['consequence'] and check['mend']), check
    for name in names:
        schema = json.loads(run('schema', name)[1])
        assert schema['type'] == 'object' and 'properties' in schema


@test
def tables_and_help_are_for_people():
    for verb in ('providers', 'doctor', 'capabilities', 'version', 'help'):
        code, out, err = run(verb)
        equal((code, err), (0, ''))
        assert out.strip() and '\033' not in out
    listed = run('help')[1]
    for verb in ('run', 'eval', 'call', 'compile', 'inspect', 'repl', 'exec', 'bench', 'audit', 'config', 'demo'):
        has(listed, f'  {verb} ')
        equal(run('help', verb)[0], 0)


@test
def the_demo_tells_its_story():
    code, out, _ = run('demo')
    equal(code, 0)
    for part in ('=== RTFS/CCOS MicroVM Architecture Demo ===', 'Selected provider: mock', 'Timeout: 30 s', 'CPU limit: 100%',
                 'Executing ccos.network.http-fetch', 'Executing ccos.io.open-file', 'Executing ccos.system.current-time',
                 'Result:', 'Memory limit: 64 MB'):
        has(out, part)
    equal(out.count('✓'), 5)


@test
def the_first_example_reports_what_it_may_and_is_refused_the_rest():
    sales, report = os.path.join(ROOT, 'examples/data/sales.csv'), path('report.txt')
    for provider in providers():
        if os.path.exists(report):
            os.unlink(report)
        code, r = run_json('run', os.path.join(ROOT, 'examples/first.rtfs'), '--provider', provider,
                           '--allow', 'ccos.io.read-file', '--allow-read', sales,
                           '--allow', 'ccos.io.write-file', '--allow-write', report,
                           '--arg', f'"{sales}"', '--arg', f'"{report}"', '--arg', '"/etc/hostname"')
        equal(code, 0)
        equal(r['value']['report'], ['east: 1050', 'north: 1785', 'south: 1085', 'west: 2220'])
        equal(r['value']['other-file'], 'refused')
        equal(open(report).read(), 'east: 1050\nnorth: 1785\nsouth: 1085\nwest: 2220\n')
        equal([f['operation'] for f in r['metadata']['file_operations']], ['read-file', 'write-file'])


try:
    status = run_tests()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
