#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""compile, inspect and the forms a program can have, through the command and behind every wall. Prints TAP.
Usage: t_language.py MICROVM SOURCE_ROOT"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import environment, equal, has, run_tests, test

MICROVM = os.path.abspath(sys.argv[1])
WORK = tempfile.mkdtemp(prefix='microvm-language-')
ENV = environment(WORK)
PROGRAM = '''(defmacro twice [e] `(do ~e ~e))
(defn fact [n] (if (< n 2) 1 (* n (fact (- n 1)))))
(twice (call "ccos.echo" (fact 5)))
(println {:b 1 :a [2 "x"]})
(let [{:keys [a] c :d} {:a 1 :d 2}] [a c (fact 10)])
'''


def run(*args, stdin=None):
    r = subprocess.run([MICROVM, *args], input=stdin, capture_output=True, timeout=60, env=ENV, cwd=WORK)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def run_json(*args, stdin=None):
    code, out, _ = run(*args, '--json', stdin=stdin)
    return code, json.loads(out)


def write(name, text):
    with open(os.path.join(WORK, name), 'wb') as f:
        f.write(text if isinstance(text, bytes) else text.encode())
    return name


def read(name):
    with open(os.path.join(WORK, name), 'rb') as f:
        return f.read()


def providers():
    return [p['name'] for p in run_json('providers')[1]['providers'] if p['available'] and p['name'] in ('mock', 'process', 'kvm')]


@test
def bytecode_and_ast_do_what_the_source_does_behind_every_wall():
    write('p.rtfs', PROGRAM)
    seen = {}
    for provider in providers():
        equal(run('compile', 'p.rtfs', '--provider', provider), (0, '', ''))
        equal(run('compile', 'p.rtfs', '--ast', '--provider', provider)[0], 0)
        for file in ('p.rtfs', 'p.cbor', 'p.rtfsb'):
            code, r = run_json('run', file, '--provider', provider, '--allow', 'ccos.echo', '--allow', 'ccos.io.*')
            equal((code, r['printed'], r['stdout']), (0, '[1 2 3628800]', '{:a [2 "x"] :b 1}\n'))
            # the root is that of the bytes that were run; macros take their fuel when they expand
            equal(seen.setdefault(file, (r['metadata']['fuel'], r['audit']['root'])), (r['metadata']['fuel'], r['audit']['root']))
        equal(seen.setdefault('bytes', (read('p.rtfsb'), read('p.cbor'))), (read('p.rtfsb'), read('p.cbor')))
    equal(seen['p.rtfs'][0], seen['p.cbor'][0])
    assert seen['p.rtfs'][1] != seen['p.cbor'][1]


@test
def an_ast_compiles_to_the_bytecode_of_its_source():
    write('q.rtfs', PROGRAM)
    run('compile', 'q.rtfs', '--ast', '-o', 'q.cbor')
    run('compile', 'q.rtfs', '-o', 'from-source')
    run('compile', 'q.cbor', '-o', 'from-ast')
    equal(read('from-source'), read('from-ast'))


@test
def an_error_at_run_time_names_line_and_column_of_the_source():
    write('e.rtfs', '(defn f [x]\n  (/ 10 x))\n(f 0)\n')
    run('compile', 'e.rtfs')
    run('compile', 'e.rtfs', '--ast')
    for file in ('e.rtfsb', 'e.cbor'):
        code, _, err = run('run', file)
        equal(code, 1)
        has(err, 'DivisionByZero')
        has(err, f'--> {file}:2:3')


@test
def an_error_of_the_source_is_shown_when_compiling_and_nothing_is_written():
    code, out, err = run('compile', write('bad.rtfs', '(+ 1\n  (foo]'))
    equal((code, out), (1, ''))
    has(err, '--> bad.rtfs:2:7')
    assert not os.path.exists(os.path.join(WORK, 'bad.rtfsb'))


@test
def bytecode_is_known_by_its_content_too():
    write('s.rtfs', '(+ 1 2)')
    run('compile', 's.rtfs', '-o', 's.bin')
    equal(run('run', 's.bin')[:2], (0, '3\n'))
    equal(run('run', '-', stdin=read('s.bin'))[:2], (0, '3\n'))


@test
def damaged_programs_are_refused_as_parse_errors_and_run_nothing():
    write('d.rtfs', '(println 1) (+ 1 2)')
    run('compile', 'd.rtfs')
    run('compile', 'd.rtfs', '--ast')
    for file in ('d.rtfsb', 'd.cbor'):
        whole = read(file)
        for damaged in (whole[:-1], whole + b'x', whole[:len(whole) // 2], b'RTFB\x01\x00\x00\x00' + b'\xff' * 60, b''):
            write('hurt' + os.path.splitext(file)[1], damaged)
            for provider in providers():
                code, r = run_json('run', 'hurt' + os.path.splitext(file)[1], '--provider', provider, '--allow', 'ccos.io.*')
                equal((code, r['ok'], r['stdout']), (1, False, ''))
                equal(r['error']['kind'], 'ParseError')


@test
def bytecode_of_another_version_says_so():
    write('v.rtfs', '1')
    run('compile', 'v.rtfs')
    code, _, err = run('run', write('v.rtfsb', read('v.rtfsb')[:4] + b'\x63\x00' + read('v.rtfsb')[6:]))
    equal(code, 1)
    has(err, 'version 99')
    has(err, 'compile again')


@test
def compile_is_strict_about_its_operands():
    equal(run('compile')[0], 2)
    equal(run('compile', '-', stdin=b'1')[0], 2)
    equal(run('compile', 'p.rtfs', '-o')[0], 2)
    equal(run('compile', 'p.rtfs', '--allow', 'x')[0], 2)
    write('b.rtfs', '1')
    run('compile', 'b.rtfs')
    code, _, err = run('compile', 'b.rtfsb', '-o', 'c.rtfsb')
    equal(code, 1)
    has(err, 'bytecode already')
    equal(run('compile', 'b.rtfs', '-o', '/nonexistent/x')[0], 1)


@test
def compile_and_inspect_can_be_replayed_from_their_record():
    write('r.rtfs', PROGRAM)
    for verb in ('compile', 'inspect'):
        if os.path.exists(os.path.join(WORK, 'a.mva')):
            os.unlink(os.path.join(WORK, 'a.mva'))
        run(verb, 'r.rtfs', '--audit', 'a.mva')
        shown = [json.loads(line) for line in run('audit', 'show', 'a.mva', '--json')[1].splitlines()]
        text = json.dumps(shown)
        execution = text[text.index('exec_'):][:41]
        code, out, err = run('audit', 'replay', 'a.mva', '--execution', execution)
        equal((code, err), (0, ''))


@test
def inspect_lists_ids_effects_permissions_and_the_grants_they_want():
    write('i.rtfs', '(defn f [p]\n  (call "ccos.io.read-file" p))\n(println (call :math.add 1 2))\n'
                    '(defn g [id] (call id))\n^{:effects [[:network {:domains ["a.b"]}]]} (f "/x")\n')
    run('compile', 'i.rtfs')
    run('compile', 'i.rtfs', '--ast')
    for provider in providers():
        for file in ('i.rtfs', 'i.cbor', 'i.rtfsb'):
            code, r = run_json('inspect', file, '--provider', provider)
            equal(code, 0)
            equal(list(r), ['ok', 'complete', 'calls', 'computed', 'declared', 'allow'])
            equal([c['id'] for c in r['calls']], ['ccos.io.println', 'ccos.io.read-file', 'ccos.math.add'])
            equal(r['calls'][1], {'id': 'ccos.io.read-file', 'known': True, 'effects': ['filesystem'],
                                  'permissions': ['ccos.io.read-file', 'ccos.io.file-access'],
                                  'sites': [{'line': 2, 'column': 3, 'via': None}]})
            equal(r['calls'][0]['sites'], [{'line': 3, 'column': 2, 'via': 'println'}])
            equal(r['computed'], [{'line': 4, 'column': 14, 'via': None}])
            equal(r['complete'], False)
            equal(r['allow'], ['ccos.io.println', 'ccos.io.read-file', 'ccos.math.add'])
            equal(len(r['declared']), 0 if file == 'i.rtfsb' else 1)


@test
def what_a_program_declares_to_need_is_asked_for_before_it_runs():  # REQ-LANG-11, REQ-STEP-10, -13, -15, -16, REQ-GOV-05
    grants = ('--allow', 'ccos.io.*', '--allow-net', 'a.b:8443', '--allow-net', '*.ok', '--allow-read', '/data', '--allow-write', '/out')
    cases = (
        (':llm', 5, 'no capability that is granted asks a language model'), ('[:gpu {:memory 1}]', 5, 'no run has one'),
        (':device', 5, 'no run has one'), (':process', 3, '--allow external_program'),
        ('[:network {:domains ["a.b" "x.ok"] :methods [:GET]}]', 0, ''), ('[:network {:domains ["a.b" "c.d"]}]', 3, '--allow-net c.d:443'),
        ('[:network {:domains ["a b"]}]', 1, 'declared effect network'), ('[:network {:domains "a.b"}]', 1, 'a vector of texts'),
        ('[:fs {:paths ["/data/x" "/out"] :modes [:read]}]', 0, ''), ('[:fs {:paths ["/data/x"] :modes [:read :write]}]', 3, '--allow-write'),
        ('[:fs {:paths ["/out/x"] :modes [:rw]}]', 0, ''), ('[:fs {:paths ["/etc"]}]', 3, '--allow-read /etc'),
        ('[:resources {:time_ms 5000 :memory_mb 64 :fuel 10 :tokens 1e9 :cost_usd 2.5 :calls 3}]', 0, ''),
        ('[:resources {:time_ms 5001}]', 3, 'time_ms 5001 is more than the 5000 this run has'),
        ('[:resources {:memory_mb 64.5}]', 3, 'memory_mb 64.5 is more than the 64'), ('[:resources {:time 1}]', 1, 'are expected'),
        ('[:resources {:time_ms "5"}]', 1, 'are expected'), ('[:resources {:memory_mb -1}]', 1, 'are expected'),
        (':clock [:random {:seed 1}]', 0, ''), (':fs :network', 0, ''), (':nuclear', 1, 'no such kind'), ('[1]', 1, 'a row is'))
    for effects, code, why in cases:
        for program in (f'(do (call "ccos.io.println" "began") ^{{:effects [{effects}]}} (+ 1 2))',
                        f'(call "ccos.io.println" "began")\n(step "s" (fn [] ^{{:effects [{effects}]}} (+ 1 2)))'):
            got, out, err = run('eval', program, '--audit', 'none', *grants)
            equal((effects, got, out[:5]), (effects, code, '' if code else 'began'))
            has(err, why)
    equal(run('eval', '^{:effects :none} (+ 1 2)', '--audit', 'none')[0], 1)


@test
def inspect_for_people_names_places_and_flags():
    code, out, _ = run('inspect', 'i.rtfs')
    equal(code, 0)
    for part in ('ccos.io.read-file\n    effects: filesystem', 'called at: 2:3', '3:2 (println)',
                 'an id that is computed at run time\n    called at: 4:14', 'declared at 5:45',
                 'grants: --allow ccos.io.println --allow ccos.io.read-file --allow ccos.math.add'):
        has(out, part)
    equal(run('inspect', '-', stdin=b'(+ 1 2)')[1], 'asks nothing of the host\n')


@test
def a_program_with_exactly_the_grants_that_inspect_wants_is_not_denied():
    write('g.rtfs', '(println (call "ccos.math.add" 1 2)) (call "ccos.echo" (tool/log "x"))')
    _, r = run_json('inspect', 'g.rtfs')
    grants = [w for c in r['allow'] for w in ('--allow', c)]
    equal(run('run', 'g.rtfs', *grants)[0], 0)
    equal(run('run', 'g.rtfs', *grants[2:])[0], 3)


@test
def inspect_and_compile_run_nothing_of_a_program_but_its_macros_and_those_in_a_cell_with_limits():
    for verb in (['inspect', 'x.rtfs'], ['compile', 'x.rtfs']):
        write('x.rtfs', '(println "ran") (loop [] (recur))')
        equal(run(*verb)[0], 0)
        write('x.rtfs', '(defmacro m [] (loop [] (recur))) (m)')
        equal(run(*verb, '--timeout', '200ms')[0], 4)
        equal(run(*verb, '--fuel', '1000')[0], 4)


@test
def inspect_shows_the_error_of_a_source_that_does_not_compile():
    code, out, err = run('inspect', write('y.rtfs', '(let [x] x'))
    equal((code, out), (1, ''))
    has(err, 'ParseError')


try:
    status = run_tests()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
