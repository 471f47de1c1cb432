#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`microvm resume` and `microvm approvals` against their contract. Prints TAP. Usage: t_durable_cli.py MICROVM WAITING"""
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import environment, equal, has, run_tests, test

MICROVM, WAITING = map(os.path.abspath, sys.argv[1:3])
WORK = tempfile.mkdtemp(prefix='microvm-durable-')
ENV = environment(WORK)
GRANTS = ['--allow', 'ccos.io.*', '--allow', 'ccos.system.sleep-ms', '--allow-write', WORK]


def run(*args):
    r = subprocess.run([MICROVM, *args], capture_output=True, timeout=60, env=ENV, cwd=WORK)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def killed(store, program, until):
    """Runs the program, kills it when the file is there, returns the execution's id."""
    path = os.path.join(WORK, 'p.rtfs')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(program)
    p = subprocess.Popen([MICROVM, 'run', path, '--audit', store, *GRANTS], env=ENV, cwd=WORK,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not os.path.exists(os.path.join(WORK, until)):
        assert p.poll() is None, 'it ended too early'
        time.sleep(0.01)
    time.sleep(0.1)
    p.send_signal(signal.SIGKILL)
    p.wait()
    records = json.loads(run('audit', 'show', store, '--json')[1])['records']
    return [r for r in records if r['execution_id']][-1]['execution_id']


SLEEPER = '''(call "ccos.io.println" "begin")
(call "ccos.io.write-file" "%(w)s/%(f)s" "one")
(call "ccos.system.sleep-ms" 3000)
(call "ccos.io.println" "end") 42'''


@test
def a_killed_run_is_resumed_with_its_grants_and_shows_all_of_its_output():
    execution = killed('a.mva', SLEEPER % {'w': WORK, 'f': 'one'}, 'one')
    code, out, err = run('resume', execution, '--audit', 'a.mva')
    equal(code, 3)
    has(err, 'was begun with another context')
    code, out, err = run('resume', execution, '--audit', 'a.mva', *GRANTS)
    equal((code, out), (0, 'begin\nend\n42\n'))
    has(run('audit', 'show', 'a.mva')[1], 'PlanResumed')
    equal(run('audit', 'verify', 'a.mva')[0], 0)
    equal(run('audit', 'replay', 'a.mva', '--execution', execution)[0], 0)
    code, out, err = run('resume', execution, '--audit', 'a.mva', *GRANTS)
    has(err, 'has ended: nothing to resume')
    assert code != 0


@test
def a_call_in_doubt_asks_somebody():
    execution = killed('b.mva', '(call "ccos.io.write-file" "%s/two" "x") (call "ccos.system.sleep-ms" 3000)' % WORK, 'two')
    records = json.loads(run('audit', 'show', 'b.mva', '--json')[1])['records']
    equal(records[-1]['type'], 'CapabilityCall')
    code, out, _ = run('resume', execution, '--audit', 'b.mva', '--json', *GRANTS, '--in-doubt', '2=done', '--arg', '":seen"')
    equal(code, 0)  # a sleep may be repeated, but somebody said that it is over
    equal(json.loads(out)['value'], ':seen')


# REQ-IDEM-05
@test
def a_failed_run_says_what_it_has_undone():
    program = ('(do ^{:runtime.compensate ["ccos.io.delete-file" "%s/three"]} (call "ccos.io.write-file" "%s/three" "x")'
               ' (+ 1 "x"))' % (WORK, WORK))
    code, _, err = run('eval', program, '--audit', 'c.mva', *GRANTS)
    equal(code, 1)
    has(err, 'undone: 1 call; 0 could not be undone')
    assert not os.path.exists(os.path.join(WORK, 'three'))
    out = json.loads(run('eval', program, '--audit', 'c.mva', '--json', *GRANTS)[1])
    equal((out['metadata']['compensations'], out['metadata']['compensations_failed']), (1, 0))


@test
def a_run_with_limits_of_its_own_is_resumed_with_the_same():  # REQ-CKPT-06, REQ-SEC-14
    with open(os.path.join(WORK, 'ask.toml'), 'w', encoding='utf-8') as f:
        f.write('[grants]\ncapabilities = ["ccos.echo"]\n[[governance.rules]]\nid = "ask"\naction = "require-approval"\n')
    limits = ('--memory', '32M', '--fuel', '100000', '--max-output', '1M', '--timeout', '4s')
    files = ('--policy', 'ask.toml', '--audit', 'limits.mva')
    code, _, err = run('eval', '(call "ccos.echo" 5)', *files, *limits)
    equal(code, 3)
    equal(run('approvals', 'approve', re.search(r'apr_[0-9a-f]{32}', err)[0], '--as', 'ada', '--audit', 'limits.mva')[0], 0)
    execution = re.search(r'resume (exec_[-0-9a-f]+)', err)[1]
    for other in ((), limits[:6], ('--memory', '64M', *limits[2:])):
        code, _, err = run('resume', execution, *files, *other)
        equal(code, 3)
        has(err, 'begun with another context')
    equal(run('resume', execution, *files, *limits)[:2], (0, '5\n'))


@test
def a_list_says_how_each_execution_stands_and_a_checkpoint_is_gone_on_from():  # REQ-CKPT-02, -03, -04
    with open(os.path.join(WORK, 'ask.toml'), 'w', encoding='utf-8') as f:
        f.write('[grants]\ncapabilities = ["ccos.echo"]\n[[governance.rules]]\nid = "ask"\naction = "require-approval"\n')
    files = ('--policy', 'ask.toml', '--audit', 'list.mva')
    listed = lambda *o: json.loads(run('audit', 'list', 'list.mva', '--json', *o)[1])['executions']
    equal(run('eval', '(+ 1 2)', *files)[0], 0)
    equal(run('eval', '(/ 1 0)', *files)[0], 1)
    equal(run('exec', *files, '--', '/bin/true')[0], 3)
    _, _, err = run('eval', '(call "ccos.echo" 5)', *files)
    equal([(e['state'], e['termination']) for e in listed()],
          [('ended', 'completed'), ('ended', 'error'), ('denied', None), ('waiting', None)])
    assert len({e['checkpoint'] for e in listed()}) == 4, listed()
    waits = listed()[3]
    equal(waits['execution_id'], re.search(r'resume (exec_[-0-9a-f]+)', err)[1])
    equal([e['execution_id'] for e in listed('--denied')], [listed()[2]['execution_id']])
    equal(listed('--execution', waits['execution_id']), [waits])
    equal(run('approvals', 'approve', re.search(r'apr_[0-9a-f]{32}', err)[0], '--as', 'ada', '--audit', 'list.mva')[0], 0)
    for checkpoint, wanted in (('cp-1', 'Checkpoint not found'), ('cp-' + 'G' * 64, 'Checkpoint not found'),
                               (listed()[0]['checkpoint'], 'Checkpoint does not match plan/intent: it stands at ' + waits['checkpoint'])):
        code, _, err = run('resume', waits['execution_id'], *files, '--checkpoint', checkpoint)
        assert code != 0
        has(err, wanted)
    equal(listed()[3], waits)  # a refused resumption changes nothing
    equal(run('resume', waits['execution_id'], *files, '--checkpoint', waits['checkpoint'])[:2], (0, '5\n'))
    equal((listed()[3]['state'], listed()[3]['termination']), ('ended', 'completed'))
    out = run('audit', 'list', 'list.mva')[1]
    has(out, waits['execution_id'] + ' ended      completed')
    os.makedirs(os.path.join(WORK, 'state'), exist_ok=True)
    state = {**ENV, 'XDG_STATE_HOME': os.path.join(WORK, 'state')}
    subprocess.run([MICROVM, 'eval', '1'], env=state, check=True, capture_output=True)
    has(subprocess.run([MICROVM, 'audit', 'list'], env=state, check=True, capture_output=True).stdout.decode(), 'completed')


@test
def a_secret_that_a_program_did_not_ask_for_is_in_no_record():  # REQ-CKPT-07
    for program, there in (('(call "ccos.echo" 1)', False), ('(count (call "ccos.system.get-env" "TOKEN"))', True)):
        store = os.path.join(WORK, 'secret-%d.mva' % there)
        code, _, _ = run('eval', program, '--allow', 'ccos.echo', '--allow', 'ccos.system.get-env', '--env', 'TOKEN=s3cr3t-value',
                         '--audit', store)
        equal(code, 0)
        with open(store, 'rb') as f:
            equal(b's3cr3t-value' in f.read(), there)
        equal(os.stat(store).st_mode & 0o777, 0o600)


@test
def a_call_ends_after_the_time_that_the_program_gives_it():  # REQ-IDEM-07
    nap = '(call "ccos.system.sleep-ms" 30000)'
    for hint in ('{:runtime.timeout 100}', '{:runtime.learning.timeout {:absolute-ms 100}}'):
        begun = time.monotonic()
        code, out, _ = run('eval', f'(do (try ^{hint} {nap} (catch e 7)) (call "ccos.system.sleep-ms" 1) 7)',
                           '--allow', 'ccos.system.sleep-ms', '--audit', 'none', '--timeout', '60s')
        equal((code, out), (0, '7\n'))
        assert time.monotonic() - begun < 20, hint
    for hint in ('{:runtime.timeout 0}', '{:runtime.timeout "1s"}', '{:runtime.learning.timeout {:multiplier 2}}',
                 '{:runtime.learning.timeout {:absolute-ms 5 :multiplier 2}}'):
        code, _, err = run('eval', f'^{hint} {nap}', '--allow', 'ccos.system.sleep-ms', '--audit', 'none')
        equal(code, 1)
        has(err, 'runtime.timeout: milliseconds')


@test
def options_that_say_what_is_run_are_usage_errors():
    for options in (['--explain'], ['--output', 'x'], ['--arg', '1'], ['--in-doubt', 'x'],
                    ['--in-doubt', '7=maybe'], ['--in-doubt', '0=done'], ['--audit', 'none']):
        equal(run('resume', 'exec_x', *options)[0], 2)
    equal(run('resume')[0], 2)


@test
def an_unknown_execution_is_not_resumed():
    code, _, err = run('resume', 'exec_nobody', '--audit', 'a.mva', *GRANTS)
    assert code != 0
    has(err, "has no execution 'exec_nobody'")


@test
def a_seed_makes_random_numbers_the_same():  # REQ-LANG-12
    program = '[(random-int 1000000000) (step-parallel (random-int 1000000000) (random-int 1000000000))]'
    def drawn(*options):
        code, out, err = run('eval', program, '--allow', 'ccos.random.int', *options)
        equal(code, 0)
        return out
    seeded = drawn('--seed', 'a')
    equal(drawn('--seed', 'a', '--audit', 'none'), seeded)
    assert len({seeded, drawn('--seed', 'b'), drawn('--seed', ''), drawn(), drawn()}) == 5
    numbers = re.findall(r'\d+', seeded)
    equal(len(set(numbers)), 3)
    assert run('eval', '1', '--seed', 'x' * 257)[0] != 0
    equal(run('eval', '1', '--seed')[0], 2)


def waiting(*args):
    return subprocess.run([WAITING, os.path.join(WORK, 'w.mva'), os.path.join(WORK, 'written'), *args],
                          capture_output=True, timeout=60, env=ENV).stdout.decode()


# REQ-GOV-02
@test
def an_approval_is_listed_shown_given_and_counted():
    said = waiting()
    approval, execution = re.search(r'apr_[0-9a-f]{32}', said)[0], re.search(r'exec_\S+', said)[0].rstrip(':')
    has(said, 'waits for 2 approvals')
    store = ['--audit', 'w.mva']
    listed = json.loads(run('approvals', 'list', '--json', *store)[1])['approvals']
    equal([(a['id'], a['state'], a['rule'], a['approvals_needed'], a['votes']) for a in listed],
          [(approval, 'waiting', 'writes', 2, [])])
    equal(listed[0]['execution_id'], execution)
    has(run('approvals', 'list', *store)[1], approval)
    equal(run('approvals', 'approve', approval, '--as', 'ada', *store)[0], 0)
    code, _, err = run('approvals', 'approve', approval, '--as', 'ada', *store)
    assert code != 0
    has(err, 'a vote stands')
    has(waiting(execution), 'waits for 2 approvals')
    equal(run('approvals', 'approve', approval, '--as', 'bob', *store)[0], 0)
    code, out, _ = run('approvals', 'show', approval, *store)
    has(out, 'approved, 2 of 2 approvals')
    assert '\x1b' not in out
    equal(waiting(execution), 'done\n')
    has(run('audit', 'show', 'w.mva')[1], 'GovernanceApprovalGranted')
    equal(run('audit', 'verify', 'w.mva')[0], 0)


@test
def approvals_that_are_none_are_refused():
    store = ['--audit', 'w.mva']
    equal(run('approvals', 'list', '--audit', 'fresh.mva')[0], 0)
    for words in (['approve'], ['bless', 'x'], ['list', 'x'], ['list', '--as', 'x'], []):
        equal(run('approvals', *words, *store)[0], 2)
    for name in ('apr_0', '../x', 'apr_' + '0' * 32):
        assert run('approvals', 'approve', name, *store)[0] not in (0, 70)
        assert run('approvals', 'show', name, *store)[0] not in (0, 70)


try:
    status = run_tests()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
