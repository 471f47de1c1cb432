#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""microvm repl through a pipe and through a pseudo terminal. Prints TAP. Usage: t_repl.py MICROVM EDITING (yes or no)"""
import json
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import Skip, environment, equal, has, run_tests, test

MICROVM, EDITING = os.path.abspath(sys.argv[1]), sys.argv[2] == 'yes'
WORK = tempfile.mkdtemp(prefix='microvm-repl-')
ENV = environment(WORK, TERM='xterm', NO_COLOR='1')
PROMPT = 'microvm> '


def editing(fn):
    def edited():
        if not EDITING:
            raise Skip('built without libedit')
        fn()
    edited.__name__ = fn.__name__
    return test(edited)


def pipe(text, *args):
    r = subprocess.run([MICROVM, 'repl', *args], input=text.encode(), capture_output=True, timeout=60, env=ENV, cwd=WORK)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def providers():
    r = subprocess.run([MICROVM, 'providers', '--json'], capture_output=True, env=ENV, cwd=WORK)
    return [p['name'] for p in json.loads(r.stdout)['providers'] if p['available'] and p['name'] in ('mock', 'process', 'kvm')]


class Terminal:
    """microvm repl on a terminal of its own."""

    def __init__(self, *args):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(WORK)
            os.execve(MICROVM, [MICROVM, 'repl', *args], ENV)
        self.seen = ''
        self.wait(PROMPT)

    def send(self, text):
        time.sleep(0.05)  # the line editor sets the terminal up when it has printed its prompt
        os.write(self.fd, text.encode())

    def wait(self, part, seconds=30):
        """What was printed up to and with `part`, without what moves the cursor."""
        end = time.monotonic() + seconds
        while part not in self.seen:
            assert time.monotonic() < end, f'{part!r} did not come; there is {self.seen!r}'
            if not select.select([self.fd], [], [], 0.1)[0]:
                continue
            try:
                data = os.read(self.fd, 65536).decode(errors='replace')
            except OSError:
                data = ''
            assert data, f'the end came before {part!r}; there is {self.seen!r}'
            self.seen += re.sub('\x1b\\[[0-9;?]*[a-zA-Z]|\r|\x07', '', data)
        at = self.seen.index(part) + len(part)
        before, self.seen = self.seen[:at], self.seen[at:]
        return before

    def line(self, text):
        """Type a line; what comes up to the next prompt, without the echo."""
        self.send(text + '\n')
        out = self.wait('\n' + PROMPT)
        lines = out[out.index(text) + len(text):-len(PROMPT) - 1].split('\n')
        while lines and lines[0].strip() in ('', text):  # typed ahead of the editor it is echoed twice
            lines.pop(0)
        return '\n'.join(lines)

    def end(self):
        """The exit code; the program has ended by itself."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                os.close(self.fd)
                return os.waitstatus_to_exitcode(status)
            if select.select([self.fd], [], [], 0.05)[0]:
                try:
                    os.read(self.fd, 65536)
                except OSError:
                    pass
        os.kill(self.pid, signal.SIGKILL)
        raise AssertionError('it did not end')


@test
def a_pipe_gives_values_only_and_definitions_stay_behind_every_wall():
    for provider in providers():
        equal(pipe('(def x 1)\n(defn f [y]\n  ; one (\n  (+ x y))\n\n(f 41) "s"\n:type (f 0.5)\n', '--provider', provider),
              (0, '1\n#<function>\n"s"\nfloat\n', ''))


@test
def after_an_error_the_session_goes_on_and_the_exit_code_tells():
    for provider in providers():
        code, out, err = pipe('(def x 7)\n(/ 1 0)\nx\n', '--provider', provider)
        equal((code, out), (1, '7\n7\n'))
        has(err, 'DivisionByZero')
        code, out, err = pipe('(call "ccos.echo" 1)\n:allow ccos.echo\n(call "ccos.echo" 1)\n', '--provider', provider)
        equal((code, out), (3, '1\n'))


@test
def input_that_ends_in_the_middle_of_a_form_is_an_error_with_its_place():
    code, out, err = pipe('(+ 1\n 2')
    equal((code, out), (1, ''))
    has(err, 'list is not closed')
    equal(pipe('(+ 1 2)'), (0, '3\n', ''))
    equal(pipe(''), (0, '', ''))
    equal(pipe('; nothing\n\n'), (0, '', ''))


@test
def brackets_in_strings_and_comments_do_not_count():
    code, out, err = pipe('"(" ; [\n#| ( #| [ { |# (str "\\"(")\n"two\nlines"\n')
    equal((code, out.splitlines()[0], out.splitlines()[-1]), (0, '"("', 'lines"'))
    equal(len(out.splitlines()), 4)
    code, out, err = pipe('(]\n1\n')
    equal((code, out), (1, '1\n'))


@test
def a_deadline_keeps_the_definitions_and_a_killed_cell_says_that_they_are_lost():
    for provider in providers():
        code, out, err = pipe('(def x 7)\n(loop [] (recur))\nx\n', '--provider', provider, '--timeout', '200ms')
        equal((code, out), (4, '7\n7\n'))
        has(err, 'time limit reached')
        assert 'lost' not in err
    for provider in providers():
        if provider == 'mock':
            continue
        code, out, err = pipe('(def x 7)\n(loop [] (recur))\nx\n', '--provider', provider, '--cpu', '0.1')
        equal((code, out), (1, '7\n'))
        has(err, 'the session starts anew, and its definitions are lost')
        has(err, 'UndefinedSymbol')


@test
def every_input_is_an_execution_of_its_own_in_the_record():
    audit = os.path.join(WORK, 'a.mva')
    equal(pipe('(def x 1)\n(+ x 1)\n(/ x 0)\n', '--audit', audit)[0], 1)
    shown = subprocess.run([MICROVM, 'audit', 'show', audit, '--json'], capture_output=True, env=ENV).stdout.decode()
    ids = sorted(set(re.findall(r'exec_[0-9a-f-]{36}', shown)))
    equal(len(ids), 3)
    equal(subprocess.run([MICROVM, 'audit', 'verify', audit], capture_output=True, env=ENV).returncode, 0)
    r = subprocess.run([MICROVM, 'audit', 'replay', audit, '--execution', ids[0]], capture_output=True, env=ENV)
    equal(r.returncode, 5)
    has(r.stderr.decode(), 'evaluation of session sess_')


@test
def documentation_comes_from_the_tables_of_the_language_and_of_the_capabilities():
    code, out, err = pipe(':doc conj\n:doc let\n:doc println\n:doc ccos.math.add\n:doc no-such\n:nonsense\n:doc\n:help x\n')
    equal(code, 2)
    for part in ('conj: function', '=>', 'let: special form', 'println: prelude', 'ccos.math.add: capability, pure'):
        has(out, part)
    for part in ('nothing is known about no-such', 'no command :nonsense', ':doc needs an argument', ':help takes no argument'):
        has(err, part)


@test
def reset_forgets_and_grants_stay():
    code, out, err = pipe('(def x 1)\n:allow ccos.echo\n:reset\n(call "ccos.echo" 2)\nx\n')
    equal((code, out), (1, '1\n2\n'))
    has(err, 'UndefinedSymbol')
    has(pipe(':allow x\n', '--level', 'full')[2], 'grants everything already')


@test
def options_are_checked_like_those_of_run():
    equal(pipe('1', 'operand')[0], 2)
    equal(pipe('1', '--explain')[0], 2)
    equal(pipe('1', '--json')[0], 2)
    equal(pipe('1', '--provider', 'firecracker')[0], 5)
    equal(pipe('args\n', '--arg', '[1 2]', '--arg', '3')[1], '[[1 2] 3]\n')


@test
def a_terminal_has_a_prompt_and_another_one_while_a_form_is_open():
    for provider in providers():
        t = Terminal('--provider', provider)
        equal(t.line('(def x 20)'), '20')
        t.send('(+ x\n')
        t.wait('...> ')
        t.send('22)\n')
        has(t.wait('\n' + PROMPT), '42')
        has(t.line('(/ 1 0)'), 'DivisionByZero')
        equal(t.line('x'), '20')
        t.send(':quit\n')
        equal(t.end(), 0)


@test
def ctrl_c_stops_the_evaluation_and_not_the_session():
    for provider in providers():
        t = Terminal('--provider', provider, '--level', 'full')
        t.line('(def x 7)')
        for endless in ('(loop [] (recur))', '(call "ccos.system.sleep-ms" 60000)', '(loop [] (call "ccos.echo" 1) (recur))'):
            t.send(endless + '\n')
            t.wait('\n')
            time.sleep(0.3)
            t.send('\x03')
            t.wait('\n' + PROMPT)
            equal(t.line('x'), '7')
        t.send('\x04')
        equal(t.end(), 0)


@test
def ctrl_c_drops_the_line_that_is_being_typed_and_an_open_form():
    t = Terminal('--provider', 'mock')
    t.send('(+ 1 (')
    time.sleep(0.2)
    t.send('\x03')
    t.wait(PROMPT)
    t.send('(+ 1\n')
    t.wait('...> ')
    t.send('\x03')
    t.wait(PROMPT)
    equal(t.line('(+ 1 2)'), '3')
    t.send('\x04')
    equal(t.end(), 0)


@test
def what_a_program_prints_cannot_command_the_terminal():
    t = Terminal('--provider', 'mock', '--allow', 'ccos.io.*')
    t.send('(println "a\\u001b[2Jb")\n')
    out = t.wait('\n' + PROMPT)
    has(out, '\\x1b')
    t.send('\x04')
    t.end()


@editing
def tab_completes_names_of_the_language_of_capabilities_and_of_the_session():
    t = Terminal('--provider', 'mock')
    t.line('(defn my-own-function [] 77)')
    t.send('(my-own\t)\n')
    has(t.wait('\n' + PROMPT), '77')
    t.send('(group-b\t odd? [1 2])\n')
    has(t.wait('\n' + PROMPT), 'true')
    t.send('(call "ccos.math.ad\t\b" 1 2)\n')
    has(t.wait('\n' + PROMPT), 'ccos.math.add')
    t.send('(ma\t\t')
    has(t.wait('max'), 'map')
    t.send('\x03')
    t.wait(PROMPT)
    t.send('\x04')
    t.end()


@editing
def history_brings_a_line_back_and_outlives_the_session():
    t = Terminal('--provider', 'mock')
    t.line('(+ 40 2)')
    t.send('\x1b[A\n')
    has(t.wait('\n' + PROMPT), '42')
    t.send('(+ 1\n')
    t.wait('...> ')
    t.send('5)\n')
    t.wait('\n' + PROMPT)
    t.send('\x04')
    equal(t.end(), 0)
    kept = os.path.join(WORK, '.local/state/ccos-microvm/repl_history')
    equal(os.stat(kept).st_mode & 0o777, 0o600)
    t = Terminal('--provider', 'mock')
    t.send('\x1b[A')
    has(t.wait('5)'), '(+ 1 5)')
    t.send('\n')
    has(t.wait('\n' + PROMPT), '6')
    t.send('\x04')
    equal(t.end(), 0)


@editing
def a_line_can_be_edited():
    t = Terminal('--provider', 'mock')
    t.send('(+ 1 2)\x01\x1b[C\x1b[C\x1b[C10\x05\n')
    has(t.wait('\n' + PROMPT), '103')
    t.send('"gr\u00fc\u00dfe x"\x1b[D\b\b\n')
    has(t.wait('\n' + PROMPT), 'gr\u00fc\u00dfe')
    t.send('\x04')
    t.end()


try:
    status = run_tests()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
