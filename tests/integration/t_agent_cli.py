#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`microvm run --agent`: what an agent.config gives, what it does not, and that nothing widens it. Prints TAP.
Usage: t_agent_cli.py MICROVM SOURCE_ROOT"""
import hashlib
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

MICROVM, ROOT = map(os.path.abspath, sys.argv[1:3])
WORK = os.path.realpath(tempfile.mkdtemp(prefix='microvm-agent-'))
ENV = environment(WORK)


def run(*args, stdin=None, **env):
    r = subprocess.run([MICROVM, *args], input=stdin, capture_output=True, timeout=60, env={**ENV, **env}, cwd=WORK)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def write(name, text):
    with open(os.path.join(WORK, name), 'w', encoding='utf-8') as f:
        f.write(text)
    return os.path.join(WORK, name)


def agent(text, mode=':none', name='agent.rtfs'):
    return write(name, f'(agent.config :agent-id "agent.test" :orchestrator {{:isolation {{:mode {mode}}}}} {text})')


def evaluate(program, config, *options, **env):
    return run('eval', program, '--agent', config, '--audit', 'none', *options, **env)


READ = '(call "ccos.io.read-file" "%s/data/in.txt")' % WORK
os.mkdir(os.path.join(WORK, 'data'))
write('data/in.txt', 'forty-two')


@test
def an_agent_that_asks_for_nothing_gets_nothing():
    path = agent('')
    equal(evaluate('(+ 1 2)', path)[:2], (0, '3\n'))
    code, _, err = evaluate(READ, path)
    equal(code, 3)
    has(err, 'note: ' + path + ' does not grant it')


@test
def files_are_read_below_the_paths_of_the_configuration():
    path = agent(':capabilities {:fs {:enabled true :paths ["data"]}}')
    equal(evaluate(READ, path)[:2], (0, '"forty-two"\n'))
    equal(evaluate('(call "ccos.io.read-file" "/etc/hostname")', path)[0], 3)
    equal(evaluate('(call "ccos.io.write-file" "%s/data/out.txt" "x")' % WORK, path)[0], 3)


@test
def a_mount_that_may_be_written_needs_a_file_system_that_stays():
    mounts = ':orchestrator {:isolation {:mode :none :fs {:ephemeral %s :mounts {:d {:mode :rw :source "data"}}}}}'
    program = '(call "ccos.io.write-file" "%s/data/out.txt" "x")' % WORK
    files = ' :capabilities {:fs {:enabled true}}'
    stays = write('stays.rtfs', '(agent.config ' + mounts % 'false' + files + ')')
    equal(evaluate(program, stays)[0], 0)
    gone = write('gone.rtfs', '(agent.config ' + mounts % 'true' + files + ')')
    code, _, err = evaluate(program, gone)
    equal(code, 3)
    has(err, 'gone.rtfs:1:94: orchestrator.isolation.fs.mounts.d: read-only')
    equal(evaluate(READ, gone)[0], 0)


@test
def nobody_writes_into_a_registry():  # REQ-CAP-15
    text = ('(agent.config :orchestrator {:isolation {:mode :none :fs {:mounts {:d {:mode :rw :source "%s"}}}}}'
            ' :marketplace {:registry_paths ["data/caps"] %s})')
    for source in ('data', 'data/caps', 'data/caps/inner', '/'):
        code, _, err = evaluate('1', write('reg.rtfs', text % (source, '')))
        equal(code, 2)
        has(err, 'marketplace.registry_paths[0]: a mount may write there')
    equal(evaluate('1', write('reg.rtfs', text % ('data', ':readonly false')))[0], 0)
    equal(evaluate('1', write('reg.rtfs', text % ('data/capsule', '')))[0], 0)


@test
def options_only_narrow_an_agent():  # REQ-CFG-09
    path = agent(':capabilities {:fs {:enabled true :paths ["data"]}}')
    for option in (('--allow', 'ccos.system.get-env'), ('--allow-read', '/etc'), ('--allow-write', WORK + '/data'),
                   ('--allow-net', 'example.com'), ('--env', 'HOME'), ('--level', 'full'), ('--timeout', '1h')):
        code, out, err = evaluate('1', path, *option)
        equal((code, out), (3, ''))
        has(err, 'agent.rtfs')
    equal(evaluate(READ, path, '--allow', 'ccos.io.read-file')[0], 0)
    equal(evaluate(READ, path, '--allow', 'ccos.io.mkdir')[0], 3)
    equal(evaluate(READ, path, '--level', 'pure')[0], 3)


@test
def the_environment_names_the_agent_where_no_option_does():  # REQ-AC-13
    path = agent(':capabilities {:fs {:enabled true :paths ["data"]}}')
    other = agent('', name='other.rtfs')
    write('read.rtfs', READ)
    plain = ('--audit', 'none')
    for verb in (('run', 'read.rtfs'), ('eval', READ), ('call', 'ccos.io.read-file', '"%s/data/in.txt"' % WORK)):
        equal(run(*verb, *plain, AGENT_CONFIG_PATH=path)[:2], (0, '"forty-two"\n'))
        equal(run(*verb, *plain, AGENT_CONFIG_PATH=other)[0], 3)
        equal(run(*verb, *plain, '--agent', path, AGENT_CONFIG_PATH=other)[0], 0)
        equal(run(*verb, *plain, '--agent', 'none', AGENT_CONFIG_PATH=path)[0], 3)
        equal(run(*verb, *plain, AGENT_CONFIG_PATH='')[0], 3)
        code, _, err = run(*verb, *plain, AGENT_CONFIG_PATH=WORK + '/nowhere')
        assert code != 0
        has(err, 'nowhere')
    equal(run('explain', 'read.rtfs', AGENT_CONFIG_PATH=path)[0], 0)
    equal(run('explain', 'read.rtfs', AGENT_CONFIG_PATH=other)[0], 3)
    code, _, err = run('exec', *plain, '--', '/bin/true', AGENT_CONFIG_PATH=path)
    equal(code, 3)
    equal(run('eval', '1', *plain, '--allow', 'ccos.echo', AGENT_CONFIG_PATH=path)[0], 3)  # options narrow it


@test
def an_agent_gets_the_time_and_memory_that_options_and_settings_give():  # REQ-SEC-17, REQ-CFG-09
    text = '(count (map inc (range 0 3000000)))'
    small, large = agent(''), agent(':microvm {:kernel {:image "k"} :rootfs {:image "r"} :resources {:mem-mb 500}}', ':microvm', 'l.rtfs')
    write('l.rtfs', open(large, encoding='utf-8').read().replace('{:mode :microvm}', '{:mode :microvm :fs {:ephemeral true}}'))
    settings = write('time.toml', '[default_config]\ntimeout = "30s"\nmemory_limit_mb = 400\n')
    ends = lambda config, *options: json.loads(evaluate(text, config, '--json', *options)[1])['termination']
    equal(ends(small), 'memory')
    equal(ends(small, '--memory', '400M', '--timeout', '20s'), 'completed')
    equal(ends(small, '--policy', settings), 'completed')
    equal(evaluate('1', small, '--policy', settings, '--timeout', '31s')[0], 3)
    assert ends(large, '--timeout', '20s') in ('completed', 'unavailable')
    equal(evaluate('1', large, '--memory', '501M')[0], 3)


@test
def an_agent_never_runs_below_the_tier_of_its_mode():  # REQ-FACT-07
    path = agent('', ':process')
    code, _, err = evaluate('1', path, '--provider', 'mock')
    equal(code, 5)
    has(err, "provider 'mock' is tier none, below the tier process that was asked for")
    equal(evaluate('1', path, '--min-tier', 'none')[0], 3)
    code, out, _ = evaluate('1', path, '--json')
    equal(code, 0)
    assert json.loads(out)['tier'] in ('process', 'vm')


@test
def an_agent_asks_within_the_settings_or_is_refused():  # REQ-CFG-09, REQ-SEC-15
    path = agent(':capabilities {:fs {:enabled true :paths ["data"]}}')
    files = 'capabilities = ["ccos.io.*"]\n'
    less = write('less.toml', '[grants]\n' + files + 'read = ["/etc"]\n')
    code, _, err = evaluate(READ, path, '--policy', less)
    equal(code, 3)
    has(err, f"agent.rtfs:1:")
    has(err, f"capabilities.fs.paths[0]: {less} does not grant '{WORK}/data'; add it to grants.read there")
    enough = write('enough.toml', f'min_tier = "process"\n[grants]\n{files}read = ["{WORK}"]\n'
                   '[capability_configs."ccos.io.read-file".fs_policy]\nReadOnly = ["%s/data/in.txt"]\n' % WORK)
    code, out, _ = evaluate(READ, path, '--policy', enough, '--json')
    equal(code, 0)
    assert json.loads(out)['tier'] != 'none'
    write('data/other.txt', 'other')
    equal(evaluate(READ.replace('in.txt', 'other.txt'), path, '--policy', enough)[0], 3)


@test
def hosts_are_granted_by_the_network_and_by_the_capability():
    text = (':network {:enabled true :egress {:via :proxy :allow-domains ["a.invalid" "b.invalid"] %s}}'
            ' :capabilities {:http {:enabled true :egress {:allow-domains ["b.invalid" "c.invalid"]}}}')
    fetch = '(call "ccos.network.http-fetch" "http://%s.invalid/")'
    path = agent(text % '')
    for host, code in (('a', 3), ('b', 1), ('c', 3)):
        equal(evaluate(fetch % host, path)[0], code)
    for closed in (':mtls true', ':tls-pins ["sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="]'):
        path = agent(text % closed)
        equal(evaluate(fetch % 'b', path)[0], 3)  # https only, and mutual TLS with a certificate only: t_tls.py
    path = agent((text % '').replace(':capabilities', ':orchestrator {:isolation {:mode :none} :dlp {:enabled true}} :capabilities'))
    code, _, err = evaluate(fetch % 'b', path)
    equal(code, 3)
    has(err, 'no host is granted')


@test
def what_is_not_given_is_said():
    path = agent(':capabilities {:llm {:enabled true} :wiring [{:capability "ccos.echo"}'
                 ' {:capability "ccos.math.*" :resources {:max_time_ms 5}}]} :delegation {:enabled true}')
    code, _, err = evaluate('(call "ccos.echo" 1)', path)
    equal(code, 0)
    for part in ('capabilities.llm.enabled: not granted', 'capabilities.wiring[1]: not granted', 'delegation: not used'):
        has(err, part)
    equal(evaluate('(call "ccos.math.add" 1 2)', path)[0], 3)


@test
def a_wired_capability_keeps_its_time():  # REQ-AC-49, -61
    path = agent(':capabilities {:wiring [{:capability :ccos.system.sleep-ms :resources {:max_time_ms 20}}'
                 ' {:capability "ccos.echo" :enabled false}]}')
    equal(evaluate('(call "ccos.system.sleep-ms" 1)', path)[0], 0)
    assert evaluate('(call "ccos.system.sleep-ms" 2000)', path)[0] != 0
    equal(evaluate('(call "ccos.echo" 1)', path)[0], 3)


CONTRACT = ('{:id "ccos.io.read-file" :version "1.2.0" :effects [[:fs {:paths ["%s"] :modes [:read]}]]'
            ' :resources {:max_time_ms 1000} :idempotency {:supports true :scope :plan}}')
WIRED = (':capabilities {:fs {:enabled true :paths ["data"]} :wiring [{:capability "ccos.io.read-file" %s}]}'
         ' :marketplace {:registry_paths ["caps"]}')


def registry(contract, revoked=None):
    os.makedirs(os.path.join(WORK, 'caps'), exist_ok=True)
    for name, text in (('read.rtfs', contract), ('revoked', revoked)):
        path = os.path.join(WORK, 'caps', name)
        if text is not None:
            write('caps/' + name, text)
        elif os.path.exists(path):
            os.remove(path)
    return 'sha256:' + hashlib.sha256(contract.encode()).hexdigest()


def wired(entry):
    return agent(WIRED % entry)


@test
def a_wired_capability_stays_within_its_contract():  # REQ-AC-49, -61, REQ-CAP-15
    write('data/other.txt', 'other')
    digest = registry(CONTRACT % (WORK + '/data/in.txt'))
    path = wired(':contract "read.rtfs" :digest "%s"' % digest)
    equal(evaluate(READ, path)[:2], (0, '"forty-two"\n'))
    equal(evaluate(READ.replace('in.txt', 'other.txt'), path)[0], 3)
    registry(CONTRACT % (WORK + '/data'))
    path = wired(':contract "read.rtfs" :effects [[:fs {:paths ["%s/data/in.txt"]}]]' % WORK)
    equal(evaluate(READ, path)[0], 0)
    equal(evaluate(READ.replace('in.txt', 'other.txt'), path)[0], 3)
    registry(CONTRACT % WORK)  # the contract allows more than the agent is granted
    write('secret.txt', 'secret')
    equal(evaluate('(call "ccos.io.read-file" "%s/secret.txt")' % WORK, wired(':contract "read.rtfs"'))[0], 3)
    equal(evaluate(READ, wired(':effects []'))[0], 3)


@test
def a_contract_that_does_not_hold_is_a_capability_that_is_not_granted():  # REQ-AC-49, REQ-CAP-15, -16
    good = CONTRACT % (WORK + '/data')
    cases = (
        (good, ':contract "nowhere.rtfs"', 'no registry has its contract'),
        (good, ':contract "read.rtfs" :digest "sha256:%s"' % ('0' * 64), 'its contract has the digest'),
        (good, ':digest "sha256:%s"' % ('0' * 64), 'a digest needs a contract'),
        (good, ':contract "read.rtfs" :effects [[:fs {:paths ["/etc"]}]]', "its contract does not allow '/etc'"),
        (good, ':contract "read.rtfs" :effects [[:fs {:modes [:write]}]]', 'does not allow these modes'),
        (good, ':contract "read.rtfs" :effects [:fs :network]', "its contract has no effect 'network'"),
        (good, ':contract "read.rtfs" :effects [[:fs {:size 5}]]', "nothing here can keep the restriction 'size'"),
        (good, ':contract "read.rtfs" :effects 7', 'effects are rows'),
        (good, ':contract "read.rtfs" :resources {:max_time_ms 1001}', 'max_time_ms 1001 is more than the 1000'),
        (good.replace('read-file', 'write-file'), ':contract "read.rtfs"', 'its contract is of another capability'),
        (good.replace(':version "1.2.0"', ''), ':contract "read.rtfs"', 'its contract has no version'),
        (good.replace('1.2.0', '1.2'), ':contract "read.rtfs"', 'three numbers'),
        (good.replace(':effects', ':efects'), ':contract "read.rtfs"', "Unknown key 'efects'"),
        (good.replace(':fs', ':clock'), ':contract "read.rtfs"', "does not name the effect 'fs'"),
        (good[:-1], ':contract "read.rtfs"', 'its contract, line 1'),
        ('42', ':contract "read.rtfs"', 'its contract, line 1'),
    )
    for contract, entry, why in cases:
        registry(contract)
        code, _, err = evaluate(READ, wired(entry))
        assert code == 3, (entry, code, err)
        has(err, 'not granted: ')
        has(err, why)
    for revoked in ('ccos.io.read-file', 'x\nccos.io.read-file@1.2.0\n', registry(good).upper().replace('SHA', 'sha')):
        registry(good, revoked)
        code, _, err = evaluate(READ, wired(':contract "read.rtfs"'))
        equal(code, 3)
        has(err, 'it was revoked by')
    registry(good, 'ccos.io.read-file@1.1.0')
    equal(evaluate(READ, wired(':contract "read.rtfs"'))[0], 0)


def promised(terms):
    """An agent whose ccos.math.add has a contract with these terms."""
    write('caps/add.rtfs', '{:id "ccos.math.add" :version "1.0.0" %s}' % terms)
    return agent(':capabilities {:wiring [{:capability "ccos.math.add" :contract "add.rtfs"} {:capability "ccos.echo"}]}'
                 ' :marketplace {:registry_paths ["caps"]}')


@test
def what_a_contract_demands_of_arguments_and_result_is_asked_of_every_call():  # REQ-IDEM-06, -08, REQ-CAP-16
    before, after = 'ccos.math.add: contract/precondition-failed: ', 'ccos.math.add: contract/postcondition-failed: '
    for terms, good, bad, why in (
            (':pre "(< (reduce + 0 args) 10)"', '1 2', '5 6', before + '(< (reduce + 0 args) 10)'),
            (':post "(and (= args [1 result]) (> result 0)) ; a comment"', None, '1 2', after + '(and (= args'),
            (':post "(= result (+ (nth args 0) (nth args 1)))"', '1 2', None, ''),
            (':invariant "(or (nil? result) (< result 10))"', '1 2', '5 6', 'contract/invariant-failed: '),
            (':input-schema [:vector [:and :int [:>= 0]]]', '1 2', '1 -2',
             before + '[:vector [:and :int [:>= 0]]]: Type validation error: Predicate violation at [1]: >= 0 failed'),
            (':input-schema "[:tuple int int]"', '1 2', '1.5 2', 'Type mismatch at [0]: expected :int'),
            (':output-schema [:and :int [:< 10]]', '1 2', '5 6', after + '[:and :int [:< 10]]: '),
            (':pre "(< (reduce + 0 args) 10)" :output-schema [:and :int [:< 5]]', '1 2', '4 5', after),
            (':pre "(= 1 2 3"', None, None, None), (':pre "1 2"', None, None, 'pre is one expression'),
            (':pre ""', None, None, 'pre is one expression'), (':pre "true\\u0000 false"', None, None, None),
            (':pre "%s"' % ('(= 1 1) ' * 600), None, None, None), (':pre "(or %s true)"' % ('false ' * 600), '1 2', None, ''), (':input-schema "7 ) (call :ccos.echo 1"', None, None, 'input-schema'),
            (':pre "(call :ccos.echo 1)"', None, '1 2', 'it calls a capability'),
            (':pre "(loop [] (recur))"', None, '1 2', 'contract/precondition-failed: (loop [] (recur)): '),
            (':pre "(undefined-thing args)"', None, '1 2', 'undefined-thing'),
            (':pre "true) (do true"', None, None, None)):
        path = promised(terms)
        if good is None and bad is None:  # it is no term: the capability is not granted
            code, _, err = evaluate('(call "ccos.math.add" 1 2)', path)
            equal((terms, code), (terms, 3))
            has(err, 'not granted: its contract')
            continue
        if good is not None:
            code, out, err = evaluate('(call "ccos.math.add" %s)' % good, path)
            equal((terms, code, out), (terms, 0, '3\n'))
        if bad is not None:
            code, _, err = evaluate('(call "ccos.math.add" %s)' % bad, path)
            equal((terms, code), (terms, 1))
            has(err, 'ContractViolation')
            has(err, why)
    path = promised(':pre "(< (count args) 2)"')  # the program may deal with it; other capabilities have their own
    code, out, _ = evaluate('(list (try (call "ccos.math.add" 1 2) (catch e :none)) (call "ccos.echo" "a"))', path)
    equal((code, out.strip()), (0, '(:none "a")'))


@test
def explain_asks_the_terms_of_a_contract_as_far_as_the_arguments_are_known():
    path = promised(':pre "(< (reduce + 0 args) 10)" :post "false"')
    for args, verdict in (('5 6', 'fails'), ('1 2', 'allowed'), ('1 (+ 1 1)', 'depends')):
        file = write('asks.rtfs', f'(call "ccos.math.add" {args})')
        out = run('explain', file, '--agent', path)[1]
        assert re.search(verdict + ' +1:1 ccos.math.add', out), (args, out)
    code, out, _ = run('call', 'ccos.math.add', '5', '6', '--agent', path, '--explain')
    has(out, 'denied  call: ccos.math.add: contract/precondition-failed: (< (reduce + 0 args) 10)')
    assert 'does not grant it' not in out, out
    has(run('call', 'ccos.math.add', '1', '2', '--agent', path, '--explain')[1], 'allowed call')


@test
def terms_of_a_contract_hold_whatever_the_settings_say_of_the_capability():
    path = promised(':pre "(< (reduce + 0 args) 10)"')
    settings = write('terms.toml', 'default_provider = "mock"\n[grants]\ncapabilities = ["ccos.*"]\n'
                     '[capability_configs."ccos.math.add"]\ntimeout = "2s"\n')
    for more in ((), ('--timeout', '3s'), ('--allow', 'ccos.math.add'), ('--deny-effect', 'network')):
        equal(evaluate('(call "ccos.math.add" 1 2)', path, '--policy', settings, *more)[:2], (0, '3\n'))
        code, _, err = evaluate('(call "ccos.math.add" 5 6)', path, '--policy', settings, *more)
        equal((more, code), (more, 1))
        has(err, 'contract/precondition-failed')


@test
def terms_of_a_contract_hold_for_what_a_granted_script_or_program_calls():
    path = promised(':pre "(< (reduce + 0 args) 10)"')
    program = '(call "ccos.microvm.execute" {:program {:type "RtfsSource" :source "(call \\"ccos.math.add\\" %s)"}})'
    text = open(path).read().replace('{:capability "ccos.echo"}', '{:capability "ccos.microvm.execute"}')
    open(path, 'w').write(text)
    code, out, err = evaluate(program % '1 2', path)
    equal((code, '3' in out), (0, True))
    code, out, err = evaluate(program % '5 6', path)
    has(out + err, 'ContractViolation')


@test
def a_prefix_does_not_grant_what_a_contract_refuses():
    registry('42')
    path = agent(':capabilities {:fs {:paths ["data"] :enabled true} :wiring ['
                 '{:capability "ccos.io.read-file" :contract "read.rtfs"} {:capability "ccos.io.*"}]}'
                 ' :marketplace {:registry_paths ["caps"]}')
    equal(evaluate(READ, path)[0], 3)


@test
def a_contract_is_read_in_every_syntax():
    contract = {'id': 'ccos.io.read-file', 'version': '1.2.0', 'effects': [{'kind': 'fs', 'paths': [WORK + '/data']}]}
    os.makedirs(os.path.join(WORK, 'caps'), exist_ok=True)
    write('caps/read.json', json.dumps(contract))
    write('caps/read.toml', 'id = "ccos.io.read-file"\nversion = "1.2.0"\n[effects.fs]\npaths = ["%s/data"]\n' % WORK)
    for name in ('read.json', 'read.toml'):
        code, _, err = evaluate(READ, wired(':contract "%s"' % name))
        assert code == 0, (name, err)


@test
def a_budget_is_kept_before_the_effect():  # REQ-RES-12, REQ-AC-40
    text = ('(agent.config :orchestrator {:isolation {:mode :none :fs {:mounts {:d {:mode :rw :source "data"}}}}}'
            ' :capabilities {:fs {:enabled true} :wiring [{:capability "ccos.echo"} {:capability "external_program"}]}'
            ' :governance {:policies {:default {:budgets {%s}}}})')
    write_file = '(call "ccos.io.write-file" "%s/data/b.txt" "%s")'
    path = write('budget.rtfs', text % ':max_written_bytes 10')
    equal(evaluate(write_file % (WORK, '0123456789'), path)[0], 0)
    code, _, err = evaluate('(do %s %s)' % (write_file % (WORK, '0123456'), write_file % (WORK, 'abcd')), path)
    equal(code, 1)
    has(err, 'BudgetExhausted')
    has(err, '4 written bytes more, the budget is 10')
    equal(open(os.path.join(WORK, 'data', 'b.txt'), encoding='utf-8').read(), '0123456')
    program = ('(let [h (call "ccos.io.open-file" "%s/data/b.txt" "w")] (call "ccos.io.write-line" h "12345")'
               ' (call "ccos.io.write-line" h "1234"))' % WORK)
    equal(evaluate(program, path)[0], 1)
    equal(open(os.path.join(WORK, 'data', 'b.txt'), encoding='utf-8').read(), '12345\n')
    path = write('budget.rtfs', text % ':max_calls 2')
    echo = '(call "ccos.echo" 1)'
    equal(evaluate(f'(do {echo} {echo})', path)[0], 0)
    code, _, err = evaluate(f'(do {echo} {echo} {echo})', path)
    equal(code, 1)
    has(err, 'ccos.echo: the budget is 2 calls')
    path = write('budget.rtfs', text.replace(':none', ':process') % ':max_written_bytes 10')
    code, _, err = run('exec', '--agent', path, '--audit', 'none', '--', '/bin/true')
    equal(code, 5)
    has(err, 'is not counted')


@test
def bytes_that_leave_are_counted_before_they_do():
    path = agent(':network {:enabled true :egress {:via :proxy :allow-domains ["a.invalid"]}}'
                 ' :capabilities {:http {:enabled true}}'
                 ' :governance {:policies {:default {:budgets {:max_egress_bytes 100}}}}')
    code, _, err = evaluate('(call "ccos.network.http-fetch" "http://a.invalid/")', path)
    equal(code, 1)
    has(err, 'egress bytes more, the budget is 100')


@test
def approvals_are_not_skipped():
    path = agent(':capabilities {:fs {:enabled true :paths ["data"]}} :governance {:policies {:default :moderate}}')
    equal(evaluate('1', path)[:2], (0, '1\n'))
    code, _, err = evaluate(READ, path)
    equal(code, 3)
    has(err, 'needs an audit store in a file')
    code, _, err = run('exec', '--agent', path, '--', '/bin/true')
    equal(code, 3)
    has(err, 'governance.policies.default.requires_approvals is 1')


@test
def a_call_of_the_risk_waits_for_the_people_that_the_policy_names_and_goes_on():
    path = agent(':capabilities {:fs {:enabled true :paths ["data"]}} '
                 ':governance {:policies {:default :allow :careful {:risk_tier "medium" :requires_approvals 2}}}')
    store = os.path.join(WORK, 'waits.mva')
    code, _, err = run('eval', READ, '--agent', path, '--audit', store)
    equal(code, 3)
    has(err, "waits for 2 approvals by rule 'policy-careful-medium'")
    request = re.search(r'approvals approve (\S+),', err).group(1)
    execution = re.search(r'microvm resume (\S+)', err).group(1)
    for name in ('ada', 'bob'):
        equal(run('approvals', 'approve', request, '--as', name, '--audit', store)[0], 0)
    equal(run('resume', execution, '--agent', path, '--audit', store)[:2], (0, '"forty-two"\n'))


@test
def what_was_spent_before_a_pause_stays_spent_after_it():
    path = write('spent.rtfs', '(agent.config :agent-id "a.b" :orchestrator {:isolation {:mode :none '
                 ':fs {:ephemeral false :mounts {:d {:mode :rw :source "data"}}}}} :capabilities {:fs {:enabled true}} '
                 ':governance {:policies {:default {:budgets {:max_written_bytes 10}} '
                 ':careful {:risk_tier "medium" :requires_approvals 1}}})')
    store = os.path.join(WORK, 'spent.mva')
    write_six = '(call "ccos.io.write-file" "%s/data/out.txt" "123456")' % WORK
    code, _, err = run('eval', f'(do {write_six} {write_six})', '--agent', path, '--audit', store)
    for _ in range(2):
        equal(code, 3)
        equal(run('approvals', 'approve', re.search(r'approvals approve (\S+),', err).group(1),
                  '--as', 'ada', '--audit', store)[0], 0)
        execution = re.search(r'microvm resume (\S+)', err).group(1)
        code, _, err = run('resume', execution, '--agent', path, '--audit', store)
    equal(code, 1)
    has(err, 'written bytes more, the budget is 10')


@test
def the_record_goes_where_the_configuration_says():
    path = agent(':causal-chain {:storage {:mode :append_file :path "kept.mva"}}')
    equal(run('eval', '1', '--agent', path)[0], 0)
    equal(run('audit', 'verify', os.path.join(WORK, 'kept.mva'))[0], 0)
    equal(evaluate('1', path)[0], 3)
    code, _, err = run('eval', '1', '--agent', agent(':causal-chain {:storage {:mode :sqlite}}'))
    equal(code, 5)
    has(err, 'use append_file')


@test
def the_first_record_names_the_agent_and_the_files_that_decided():  # REQ-SEC-19, -20
    path = agent(':capabilities {:wiring [{:capability "ccos.echo"}]}', name='named.rtfs')
    settings = write('named.toml', '[grants]\ncapabilities = ["ccos.echo"]\n')
    store = os.path.join(WORK, 'named.mva')
    digest = lambda f: 'sha256:' + hashlib.sha256(open(f, 'rb').read()).hexdigest()
    roots = []
    for config in (path, write('other-name.rtfs', open(path, encoding='utf-8').read().replace('agent.test', 'agent.other'))):
        out = json.loads(run('eval', '(call "ccos.echo" 1)', '--agent', config, '--policy', settings, '--audit', store, '--json')[1])
        roots.append(out['audit']['root'])
    equal(roots[0], roots[1])  # who asks does not change what happened
    equal(run('exec', '--agent', path, '--audit', store, '--', '/bin/true')[0], 3)
    equal(run('eval', '1', '--audit', store, '--provider', 'mock')[0], 0)
    records = json.loads(run('audit', 'show', store, '--json')[1])['records']
    first = {}
    for r in records:
        if r['execution_id']:
            first.setdefault(r['execution_id'], r)
    one, two, denied, plain = first.values()
    equal((one['type'], one['observed']['agent'], one['observed']['uid']), ('PlanStarted', 'agent.test', os.getuid()))
    equal(one['observed']['configs'], [[path, digest(path)], [settings, digest(settings)]])
    equal(two['observed']['agent'], 'agent.other')
    equal((denied['type'], denied['observed']['agent'], denied['observed']['configs']),
          ('SecurityDecision', 'agent.test', [[path, digest(path)]]))
    equal((plain['observed']['uid'], 'agent' in plain['observed'], 'configs' in plain['observed']), (os.getuid(), False, False))
    equal(run('audit', 'verify', store)[0], 0)
    has(run('audit', 'list', store)[1], 'agent agent.test')
    for shown in (one, two):
        equal(run('audit', 'replay', store, '--execution', shown['execution_id'])[0], 0)
    _, out, _ = run('repl', '--agent', path, '--audit', os.path.join(WORK, 'repl.mva'), stdin=b'(+ 1 2)\n')
    has(run('audit', 'show', os.path.join(WORK, 'repl.mva'))[1], 'agent agent.test')


@test
def the_program_is_the_one_that_is_expected():
    program = write('p.rtfs', '(+ 40 2)\n')
    digest = hashlib.sha256(b'(+ 40 2)\n').hexdigest()
    text = ('(agent.config :orchestrator {:isolation {:mode :microvm :fs {:ephemeral true}}} :microvm {:kernel {:image "k"}'
            ' :rootfs {:image "r"} :attestation {:enabled true :expect-rootfs-hash "sha256:%s" :expect-agent-hash "sha256:%s"}})')
    wrong = write('wrong.rtfs', text % (digest, '0' * 64))
    code, _, err = run('run', program, '--agent', wrong, '--explain')
    equal(code, 3)
    has(err, 'expect_agent_hash: this program is sha256:' + digest)


@test
def a_wrong_configuration_runs_nothing_and_explain_names_its_line():  # REQ-AC-60
    path = write('bad.rtfs', '(agent.config :profile :microvn :causal-chain {:storage {:mode :append_file :path "never.mva"}})')
    code, out, err = run('eval', '1', '--agent', path)
    equal((code, out), (2, ''))
    has(err, 'bad.rtfs:1:24: profile')
    assert not os.path.exists(os.path.join(WORK, 'never.mva'))  # checked before anything is begun
    path = agent(':capabilities {:fs {:enabled true :paths ["data"]}}')
    code, out, _ = run('call', 'ccos.io.read-file', f'"{WORK}/data/in.txt"', '--agent', path, '--explain', '--json')
    equal(code, 0)
    source = json.loads(out)['call']['source']
    equal((source['file'], source['field_path'], source['line']), (path, 'capabilities.fs.paths[0]', 1))
    code, _, err = evaluate('1', agent(':capabilities {:fs {:enable true}}'))
    equal(code, 0)
    has(err, "warning: ")
    has(err, "Unknown key 'enable'")


@test
def a_session_grants_no_more_than_its_files():
    path = agent(':capabilities {:wiring [{:capability "ccos.echo"}]}')
    lines = b':allow ccos.echo\n:allow ccos.math.add\n(call "ccos.echo" 7)\n(call "ccos.math.add" 1 2)\n'
    _, out, err = run('repl', '--agent', path, '--audit', 'none', stdin=lines)
    has(out, '7')
    has(err, 'allow ccos.math.add: ' + path + ' does not grant it')
    has(err, 'SecurityViolation')


class Repl:
    def __init__(self, *args):
        self.process = subprocess.Popen([MICROVM, 'repl', *args, '--audit', 'none'], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=ENV, cwd=WORK)

    def ask(self, line, until):
        self.process.stdin.write((line + '\n').encode())
        self.process.stdin.flush()
        seen = ''
        while until not in seen:
            got = self.process.stdout.readline().decode()
            assert got, f'{until!r} did not come: {seen!r}'
            seen += got
        return seen

    def end(self):
        self.process.communicate(timeout=60)


@test
def a_session_takes_new_settings_whole_or_not_at_all():  # REQ-CFG-14
    one = '[grants]\ncapabilities = ["ccos.echo"]\n'
    settings = write('live.toml', one)
    repl = Repl('--policy', settings, '--provider', 'mock')
    repl.ask('(def kept 7) (call "ccos.echo" 1)', '1')
    write('live.toml', '[grants\n')
    repl.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    has(repl.ask('(call "ccos.echo" (+ kept 1000))', '1007'), 'not reloaded, the old settings stay in force')
    write('live.toml', '[grants]\ncapabilities = ["ccos.math.*"]\n')
    repl.process.send_signal(signal.SIGHUP)
    time.sleep(0.2)
    has(repl.ask('(call "ccos.math.add" kept 2000)', '2007'), 'reloaded')
    repl.ask('(call "ccos.echo" 1)', 'SecurityViolation')
    write('live.toml', one)
    repl.ask(':reload', 'reloaded')
    repl.ask('(call "ccos.echo" (+ kept 3000))', '3007')
    repl.end()


@test
def a_session_whose_cell_is_too_weak_for_new_settings_gets_another():
    settings = write('live.toml', '[grants]\n')
    repl = Repl('--policy', settings, '--min-tier', 'none', '--provider', 'mock')
    repl.ask('(def kept 7) kept', '7')
    write('live.toml', 'min_tier = "process"\n[grants]\n')
    seen = repl.ask(':reload', '\n')
    has(seen, 'not reloaded')  # the option asks for less than the file
    repl.ask('(+ kept 1000)', '1007')
    repl.end()
    repl = Repl('--agent', agent('', ':none'))
    repl.ask('(def kept 7) kept', '7')
    agent('', ':process')
    repl.ask(':reload', 'the session starts anew')
    repl.ask('kept', 'Undefined')
    repl.end()


@test
def a_session_without_files_has_nothing_to_reload_and_asks_for_approval_like_a_run():
    repl = Repl('--provider', 'mock')
    repl.ask(':reload', 'start with --policy or --agent')
    repl.end()
    config = agent(':capabilities {:fs {:enabled true :paths ["data"]}} :governance {:policies {:default :moderate}}')
    _, out, err = run('repl', '--agent', config, '--audit', 'none', stdin=READ.encode() + b'\n')
    has(out + err, 'cannot wait')


@test
def the_example_of_an_agent_does_what_its_comments_say():  # REQ-AC-62
    folder = os.path.join(ROOT, 'examples', 'agent')
    config = os.path.join(folder, 'agent.config.rtfs')
    equal(run('config', 'check', config, '--strict')[0], 0)
    code, out, err = run('run', os.path.join(folder, 'summary.rtfs'), '--agent', config, '--audit', 'none')
    equal((code, out, err), (0, 'north: 120\nsouth: 80\n200\n', ''))
    code, out, _ = run('call', 'ccos.io.read-file', '"/etc/hostname"', '--agent', config, '--explain')
    equal(code, 3)
    has(out, 'options only narrow')


@test
def every_example_runs_as_an_agent():
    for name in sorted(os.listdir(os.path.join(ROOT, 'examples', 'config'))):
        path = shutil.copy(os.path.join(ROOT, 'examples', 'config', name), WORK)
        code, out, err = run('eval', '(+ 1 2)', '--agent', path)
        unavailable = code == 5 and 'no provider of tier' in err
        assert (code, out) == (0, '3\n') or unavailable, (name, code, err)


@test
def a_threshold_of_a_budget_is_told_of_and_recorded():  # REQ-RES-12
    store = os.path.join(WORK, 'warn.mva')
    settings = write('warn.toml', f'''[grants]
capabilities = ["ccos.*"]
write = ["{WORK}/data"]
[governance.budgets]
max_calls = 4
warn = {{ calls = 3, written_bytes = 5 }}
[environments.less.governance.budgets]
max_calls = 3
[environments.never.governance.budgets]
max_calls = 2
warn.calls = 3
''')
    write_file = '(call "ccos.io.write-file" "%s/data/b.txt" "123456")' % WORK
    echo = '(call "ccos.echo" 1)'
    code, _, err = run('eval', f'(do {write_file} {echo} {echo} {echo})', '--policy', settings, '--audit', store)
    equal(code, 0)
    has(err, 'warning: 6 written bytes were spent by call 1: 5 are told of')
    has(err, 'warning: 3 calls were spent by call 3: 3 are told of')
    notes = [r for r in json.loads(run('audit', 'show', store, '--json')[1])['records'] if r['type'] == 'BudgetWarningIssued']
    equal(len(notes), 2)
    equal(run('audit', 'verify', store)[0], 0)
    code, out, _ = run('eval', f'(do {echo} {echo} {echo} {echo})', '--policy', settings, '--environment', 'less', '--audit', 'none',
                       '--json')
    equal(code, 1)
    has(out, 'the budget is 3 calls')
    equal([w['call'] for w in json.loads(out)['metadata']['budget_warnings']], [3])
    has(run('config', 'check', '--policy', settings)[1], 'BUDGET_WARNING_UNREACHABLE')
    path = agent(':capabilities {:wiring [{:capability "ccos.echo"}]} :governance {:policies {:default {:budgets {:warn {:calls 1}}}}}')
    code, _, err = evaluate(echo, path)
    equal(code, 0)
    has(err, 'warning: 1 calls were spent by call 1')


@test
def a_spent_budget_waits_and_is_extended_within_what_the_settings_allow():  # REQ-RES-12
    store = ['--audit', os.path.join(WORK, 'extended.mva')]
    settings = write('ceiling.toml', f'''[grants]
capabilities = ["ccos.*"]
write = ["{WORK}/data"]
[governance.budgets]
max_calls = 4
on_exhausted = {{ written_bytes = "approval-required" }}
max_written_bytes = 10
''')
    path = agent(':capabilities {:fs {:enabled true} :wiring [{:capability "ccos.echo"}]} :governance {:policies {:default {:budgets '
                 '{:max_calls 2 :on_exhausted {:calls :approval-required :approvals 2} :extension {:calls 1}}}}}')
    files = ['--agent', path, '--policy', settings]
    echo = '(call "ccos.echo" %d)'
    code, _, err = run('eval', '(do %s)' % ' '.join(echo % i for i in range(5)), *files, *store)
    equal(code, 3)
    has(err, 'call 3 (ccos.echo) waits for 2 approvals: the budget of calls is 2, the call needs 3')
    request, execution = re.search(r'apr_[0-9a-f]{32}', err)[0], re.search(r'resume (exec_[-0-9a-f]+)', err)[1]
    has(run('approvals', 'list', *store)[1], 'budget of calls: 2 spent, the call would spend 1; extends 2 to 3')
    listed = json.loads(run('approvals', 'list', '--json', *store)[1])['approvals'][0]
    equal(listed['budget'], {'what': 'calls', 'max': 2, 'spent': 2, 'call_spends': 1, 'extends_to': 3, 'ceiling': 4})
    approve = ['approvals', 'approve', request, *store]
    for amount in ('0', '-1', '1.5', 'much', '99999999999999999999', '0x10', ''):
        equal(run(*approve, '--extend', amount)[0], 2)
    for amount in ('3', '9000000000000000000'):  # beyond the settings
        code, _, err = run(*approve, '--extend', amount)
        equal(code, 1)
        has(err, 'other budgets end at 4; 1 to 2 would do')
    equal(run('approvals', 'reject', request, '--extend', '1', *store)[0], 2)
    equal(run('approvals', 'list', '--extend', '1', *store)[0], 2)
    equal(run(*approve, '--as', 'ada', '--extend', '2')[0], 0)
    has(run(*approve, '--as', 'bob', '--extend', '2')[1], 'extended   to 4')
    code, out, err = run('resume', execution, *files, *store)
    equal(code, 1)
    has(err, 'Resource budget exhausted: ccos.echo: the budget is 4 calls; 5 would allow it (policy: hard-stop)')
    equal(run('audit', 'verify', *store[1:])[0], 0)
    equal(run('audit', 'replay', *store[1:], '--execution', execution)[0], 0)
    types = [r['type'] for r in json.loads(run('audit', 'show', *store[1:], '--json')[1])['records']]
    for t in ('BudgetAllocated', 'BudgetConsumptionRecorded', 'BudgetExhausted', 'BudgetExtended', 'PlanPaused', 'GovernanceApproval'):
        assert t in types, (t, types)
    code, _, err = run('eval', '(call "ccos.io.write-file" "%s/data/w.txt" "0123456789ab")' % WORK, '--policy', settings, *store)
    equal(code, 3)
    request, execution = re.search(r'apr_[0-9a-f]{32}', err)[0], re.search(r'resume (exec_[-0-9a-f]+)', err)[1]
    assert not os.path.exists(os.path.join(WORK, 'data/w.txt'))
    equal(run('approvals', 'approve', request, '--extend', '1K', *store)[0], 0)
    equal(run('resume', execution, '--policy', settings, *store)[0], 0)
    equal(os.path.getsize(os.path.join(WORK, 'data/w.txt')), 12)
    has(run('approvals', 'show', request, *store)[1], 'extended   to 1034')


@test
def a_soft_budget_is_told_of_and_goes_on():
    settings = write('soft.toml', '[grants]\ncapabilities = ["ccos.*"]\n[governance.budgets]\nmax_calls = 1\non_exhausted = "soft-warn"\n')
    code, out, err = run('eval', '(do (call "ccos.echo" 1) (call "ccos.echo" 2))', '--policy', settings, '--audit', 'none')
    equal((code, out), (0, '2\n'))
    has(err, 'warning: 2 calls were spent: the budget is 1, 1 less')


RULED = (':capabilities {:fs {:enabled true :paths ["data"]}} :governance {:rules ['
         '{:id "not-this" :action :deny :argument "%(w)s/data/other*"}'
         ' {:id "fine" :action :allow :argument "%(w)s/data/in.txt"}'
         ' {:id "ask" :action :require-approval :effects [:filesystem] :approvals 2 :timeout "1h"}]}') % {'w': WORK}


@test
def the_rules_of_an_agent_take_away_in_their_order():  # REQ-GOV-01, REQ-SEC-16
    write('data/other.txt', 'other')
    path = agent(RULED)
    equal(run('config', 'check', path, '--strict')[0], 0)
    equal(evaluate(READ, path)[:2], (0, '"forty-two"\n'))
    code, _, err = evaluate(READ.replace('in.txt', 'other.txt'), path)
    equal(code, 3)
    has(err, "rule 'not-this' of the constitution: it denies this")
    assert 'does not grant it' not in err
    code, out, _ = run('call', 'ccos.io.read-file', '"%s/data/third"' % WORK, '--agent', path, '--explain')
    equal(code, 3)
    has(out, "rule 'ask' of the constitution: it needs 2 approvals")
    has(out, f'by {path}:1:')
    has(out, 'governance.rules[2]')
    for syntax in ('json', 'toml'):
        same = write('same.' + syntax, run('config', 'show', path, '--format', syntax)[1])
        equal(evaluate(READ, same)[0], 0)
        equal(evaluate(READ.replace('in.txt', 'other.txt'), same)[0], 3)
    never = agent(RULED.replace(':fs {:enabled true :paths ["data"]}', ''))
    has(evaluate(READ, never)[2], 'not allowed by runtime context')  # a rule that allows grants nothing


@test
def explain_tells_the_rules_of_each_call_of_a_program():
    program = write('ruled.rtfs', '(defn later [x] (call "ccos.io.read-file" x))\n%s\n(step "s" %s)\n(call "ccos.io.println" 1)'
                    % (READ, READ.replace('in.txt', 'other.txt')))
    path = agent(RULED.replace(':fs', ':wiring [{:capability "ccos.io.println"}] :fs'))
    code, out, _ = run('explain', program, '--agent', path, '--json')
    equal(code, 3)
    told = json.loads(out)
    equal([c['verdict'] for c in told['calls']], ['depends', 'allowed', 'denied', 'allowed'])
    equal(told['calls'][2]['rule'], 'rule not-this')
    equal([c for c in told['granted'] if c.startswith('ccos.io.')], ['ccos.io.println'])


@test
def a_program_that_needs_more_than_the_agent_has_is_refused_before_it_begins():  # REQ-AC-63, REQ-GOV-05
    store = os.path.join(WORK, 'admission.mva')
    path = agent(':capabilities {:fs {:enabled true :paths ["data"]}} :network {:enabled true :egress {:via :proxy '
                 ':allow-domains ["a.invalid"]}}')
    said = '(do (call "ccos.io.read-file" "%s/data/in.txt") ^{:effects [%%s]} (call "ccos.io.file-exists" "%s/data/in.txt"))' % (WORK, WORK)
    for effects, code in ((':fs', 0), ('[:fs {:paths ["%s/data"]}]' % WORK, 0), ('[:fs {:paths ["/etc"]}]', 3), (':gpu', 5), (':llm', 5),
                          ('[:network {:domains ["a.invalid"]}]', 0), ('[:network {:domains ["b.invalid"]}]', 3)):
        got = run('eval', said % effects, '--agent', path, '--audit', store)
        assert got[0] == code, (effects, got)
    budget = agent(':capabilities {:fs {:enabled true :paths ["data"]}} :governance {:policies {:default {:budgets {:max_cost_usd 1.5 '
                   ':token_budget 100 :max_calls 9 :max_egress_bytes 10 :max_written_bytes 11}}}}')
    for what, code in ((':cost_usd 1.5 :tokens 100 :calls 9 :egress_bytes 10 :written_bytes 11', 0), (':cost_usd 1.51', 3),
                       (':tokens 101', 3), (':calls 10', 3), (':egress_bytes 11', 3), (':written_bytes 12', 3)):
        equal((what, run('eval', said % '[:resources {%s}]' % what, '--agent', budget, '--audit', 'none')[0]), (what, code))
    calls = [r for r in json.loads(run('audit', 'show', store, '--json')[1])['records'] if r['type'] == 'CapabilityCall']
    equal(len(calls), 3 * 2)  # of those that were refused no call was made
    for tier, needed in (('low', True), ('medium', True), ('high', False)):  # the policy of a call is found by its risk
        policy = agent(':capabilities {:fs {:enabled true :paths ["data"]}} :governance {:policies {:default :allow :p '
                       '{:risk_tier "%s" :requires_approvals 1}}}' % tier)
        equal(run('eval', READ, '--agent', policy, '--audit', store)[0], 3 if needed else 0)


@test
def each_file_has_its_own_constitution_and_none_gives_back_what_another_takes():  # REQ-CFG-09, REQ-GOV-02
    store = ('--audit', os.path.join(WORK, 'two.mva'))
    settings = write('two.toml', f"""[grants]
capabilities = ["ccos.io.*"]
read = ["{WORK}"]
[[governance.rules]]
id = "all"
action = "allow"
[[environments.careful.governance.rules]]
id = "second"
action = "require-approval"
risk_tier = "medium"
[[environments.closed.governance.rules]]
id = "closed"
action = "deny"
effects = ["filesystem"]
""")
    path = agent(RULED)
    third = READ.replace('in.txt', 'third')
    write('data/third', '3')
    write('third.rtfs', third)
    equal(evaluate(READ, path, '--policy', settings)[0], 0)
    for environment in ((), ('--environment', 'careful')):  # `all` does not overrule the agent's own
        has(evaluate(third, path, '--policy', settings, *environment)[2], 'needs an approval')
    code, _, err = evaluate(READ, path, '--policy', settings, '--environment', 'closed')
    equal(code, 3)
    has(err, "rule 'closed' of the constitution: it denies this")
    files = ('--agent', path, '--policy', settings, '--environment', 'careful')
    voters = ['ada', 'bob', 'cyd']
    code, _, err = run('run', 'third.rtfs', *files, *store)
    for rule, approvals in (('ask', 2), ('second', 1)):
        equal(code, 3)
        has(err, f"waits for {approvals} approval")
        has(err, f"by rule '{rule}'")
        request, execution = re.search(r'apr_[0-9a-f]{32}', err)[0], re.search(r'resume (exec_[-0-9a-f]+)', err)[1]
        for _ in range(approvals):
            equal(run('approvals', 'approve', request, '--as', voters.pop(), *store)[0], 0)
        code, out, err = run('resume', execution, *files, *store)
    equal((code, out), (0, '"3"\n'))
    decided = [r for r in json.loads(run('audit', 'show', *store[1:], '--json')[1])['records']
               if 'rule second approved; rule all; rule ask approved; grant read' in json.dumps(r)]
    equal(len(decided), 1)
    equal(run('audit', 'verify', *store[1:])[0], 0)
    same = write('same-id.toml', '[[governance.rules]]\nid = "ask"\naction = "deny"\n[grants]\ncapabilities = ["ccos.io.*"]\n'
                 f'read = ["{WORK}"]\n')
    has(evaluate(READ, path, '--policy', same)[2], 'two files have a rule of this id')


@test
def an_external_program_is_one_call_for_the_rules():
    base = '[grants]\ncapabilities = ["external_program"]\n[[governance.rules]]\nid = "r"\naction = "%s"\n%s\n'
    cases = (('deny', 'argument = "--now*"', 3), ('deny', 'argument = "/bin/true"', 3), ('deny', 'effects = ["network"]', 0),
             ('deny', 'capability = "ccos.io.*"', 0), ('deny', 'risk_tier = "medium"', 3),
             ('require-approval', 'effects = ["filesystem"]', 3), ('allow', '', 0))
    for action, condition, wanted in cases:
        path = write('program.toml', base % (action, condition))
        for explain in ((), ('--explain',)):
            code, out, err = run('exec', '--policy', path, '--audit', 'none', *explain, '--', '/bin/true', '--now=1')
            unavailable = code == 5 and 'no provider' in err
            assert code == wanted or unavailable, (action, condition, code, err)
            if wanted:
                has(out + err, "rule 'r' of the constitution")
    path = write('program.toml', base.replace('[[', 'hosts = ["a.invalid"]\n[[') % ('deny', 'effects = ["network"]'))
    equal(run('exec', '--policy', path, '--audit', 'none', '--', '/bin/true')[0], 3)


try:
    status = run_tests()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
