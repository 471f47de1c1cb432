#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The network of programs and scripts: what was granted is reached through the proxy, nothing else is reached at all, and each
decision is in the record. The other end is a server of this test on 127.0.0.1. Prints TAP.
Usage: t_egress.py MICROVM [PROVIDER [PART-OF-A-NAME...]]"""
import ctypes
import http.server
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import Skip, run_tests, test

MICROVM = os.path.abspath(sys.argv[1])
PROVIDER = sys.argv[2] if len(sys.argv) > 2 else 'process'
DIR = tempfile.mkdtemp(prefix='microvm-egress-')
AS = {}  # whom the command runs as
if os.environ.get('MV_TEST_AS_USER') and os.geteuid() == 0:  # an ordinary user, who owns nothing else on this machine
    AS = {'user': 54321, 'group': 54321, 'extra_groups': []}
    os.chown(DIR, 54321, 54321)
    os.environ['HOME'] = DIR
AUDIT = os.path.join(DIR, 'audit.mva')
seen = []  # requests that arrived: (method, path, host, headers, body)


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'

    def answer(self):
        body = self.rfile.read(int(self.headers.get('Content-Length', '0')))
        seen.append((self.command, self.path, self.headers.get('Host'), dict(self.headers), body))
        if self.path.startswith('/redirect'):
            self.send_response(302)
            self.send_header('Location', 'http://169.254.169.254/latest/meta-data')
            text = b''
        elif self.path.startswith('/large'):
            self.send_response(200)
            text = b'x' * (3 << 20)
        else:
            self.send_response(200)
            text = b'hello from %s' % self.path.encode()
        self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def log_message(self, *a):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


server = Server(('127.0.0.1', 0), Handler)
PORT = server.server_address[1]
threading.Thread(target=server.serve_forever, daemon=True).start()
other = Server(('127.0.0.1', 0), Handler)  # a port that is not granted
OTHER = other.server_address[1]
threading.Thread(target=other.serve_forever, daemon=True).start()
HOST = '127.0.0.1:%d' % PORT
NAME = 'localhost:%d' % PORT


def microvm(*args, text=None):
    return subprocess.run([MICROVM, *args], capture_output=True, text=True, timeout=120, input=text, **AS)


def grants(options):
    options = ['--provider', PROVIDER, *([] if '--timeout' in options else ['--timeout', '60s']), *options]
    return options if '--level' in options else ['--allow', 'external_program', *options]


def program(argv, *options):
    """The result of a program as JSON, and its records."""
    if os.path.exists(AUDIT):
        os.unlink(AUDIT)
    r = microvm('exec', '--json', '--audit', AUDIT, *grants(options), '--', *argv)
    records = microvm('audit', 'show', AUDIT).stdout
    return json.loads(r.stdout), records


PRELUDE = r'''
import json, os, socket, time, urllib.error, urllib.request
PROXY = ('127.0.0.1', 3128)
def talk(data, wait=5, to=PROXY):
    s = socket.create_connection(to, timeout=wait)
    s.sendall(data if isinstance(data, bytes) else data.encode())
    out = b''
    try:
        while True:
            part = s.recv(65536)
            if not part:
                break
            out += part
    except (TimeoutError, ConnectionError):
        pass
    s.close()
    return out.decode('latin-1')
def status(text):
    return int(text.split()[1]) if text.startswith('HTTP/1.') else 0
'''


def script(source, *options):
    path = os.path.join(DIR, 'script.py')
    with open(path, 'w') as f:
        f.write(PRELUDE + source)
    if os.path.exists(AUDIT):
        os.unlink(AUDIT)
    r = microvm('run', path, '--json', '--audit', AUDIT, *grants(options))
    records = microvm('audit', 'show', AUDIT).stdout
    d = json.loads(r.stdout)
    if not d.get('ok'):
        print('# ' + r.stdout[:600].replace('\n', ' '))
    return d, records




def lines(records, *words):
    return [l for l in records.splitlines() if all(w in l for w in words)]


CURL = shutil.which('curl', path='/usr/bin')


def need_curl():
    if not CURL:
        raise Skip('curl is not installed')


@test
def curl_reaches_a_granted_host_and_the_record_says_so():  # REQ-NET-05, -11, REQ-META-01
    need_curl()
    r, records = program([CURL, '-sS', 'http://%s/a?b=1' % NAME], '--allow-net', NAME)
    assert r['ok'] and r['value'] == 'hello from /a?b=1', r
    assert lines(records, 'SecurityDecision allowed', '["GET", "localhost", %d]' % PORT, 'grant host'), records
    assert lines(records, 'CapabilityResult', '"status": 200', '"port": %d' % PORT), records
    n = r['metadata']['network_requests']
    assert len(n) == 1 and n[0]['status_code'] == 200 and n[0]['method'] == 'GET', n
    assert n[0]['bytes_sent'] > 50 and n[0]['bytes_received'] > 50, n


@test
def curl_reaches_it_through_a_tunnel_too():
    need_curl()
    r, records = program([CURL, '-sS', '-p', 'http://%s/t' % NAME], '--allow-net', NAME)
    assert r['ok'] and r['value'] == 'hello from /t', r
    assert lines(records, 'SecurityDecision allowed', '["CONNECT", "localhost", %d]' % PORT), records
    n = r['metadata']['network_requests']
    assert len(n) == 1 and n[0]['method'] == 'CONNECT' and n[0]['url'] == NAME and n[0]['bytes_received'] > 50, n


@test
def urllib_gets_and_posts_without_a_word_about_the_proxy():
    r, _ = script('''
a = urllib.request.urlopen('http://%s/one').read().decode()
b = urllib.request.urlopen('http://%s/two', data=b'y' * 300000).read().decode()
print(json.dumps([a, b]))''' % (NAME, NAME), '--allow-net', NAME)
    assert r['ok'] and r['value'] == ['hello from /one', 'hello from /two'], r
    assert seen[-1][0] == 'POST' and len(seen[-1][4]) == 300000
    assert [n['status_code'] for n in r['metadata']['network_requests']] == [200, 200]


@test
def three_megabytes_arrive_whole_and_are_counted():
    r, _ = script("print(len(urllib.request.urlopen('http://%s/large').read()))" % NAME, '--allow-net', NAME)
    assert r['ok'] and r['value'] == 3 << 20, r
    assert 3 << 20 < r['metadata']['network_requests'][0]['bytes_received'] < (3 << 20) + 4096


@test
def a_host_that_was_not_granted_is_refused_with_what_would_allow_it():  # REQ-NET-01, -12
    r, records = script('''
try:
    urllib.request.urlopen('http://evil.example/x')
except urllib.error.HTTPError as e:
    print(json.dumps([e.code, e.read().decode()]))''', '--allow-net', NAME)
    assert r['ok'] and r['value'][0] == 403, r
    assert "Host 'evil.example' not in HTTP allowlist" in r['value'][1] and '--allow-net evil.example:80' in r['value'][1], r
    assert lines(records, 'SecurityDecision denied', '["GET", "evil.example", 80]', '--allow-net evil.example:80'), records
    assert not r['metadata']['network_requests']


@test
def a_port_that_was_not_granted_is_refused():
    r, records = script("print(status(talk('CONNECT localhost:%d HTTP/1.1\\r\\n\\r\\n')))" % OTHER, '--allow-net', NAME)
    assert r['ok'] and r['value'] == 403, r
    assert lines(records, 'SecurityDecision denied', "Port '%d' not in HTTP allowlist" % OTHER), records


@test
def without_a_grant_there_is_no_proxy_and_no_interface():  # REQ-NET-01, REQ-PROC-12
    r, _ = script('''
def error(f):
    try:
        f()
        return 'reached'
    except OSError as e:
        return type(e).__name__
print(json.dumps([error(lambda: talk('x')), error(lambda: talk('x', to=('127.0.0.1', %d))), os.environ.get('http_proxy')]))''' % PORT)
    assert r['ok'] and r['value'][0] != 'reached' and r['value'][1] != 'reached' and r['value'][2] is None, r


@test
def nothing_but_the_proxy_can_be_connected_to():
    before = len(seen)
    r, _ = script('''
def attempt(family, kind, to, data=b''):
    try:
        s = socket.socket(family, kind)
        s.settimeout(2)
        s.connect(to)
        if data:
            s.send(data)
            s.recv(10)
        return 'reached'
    except OSError as e:
        return type(e).__name__
I4, I6, TCP, UDP = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
print(json.dumps([attempt(I4, TCP, ('127.0.0.1', %d)), attempt(I4, TCP, ('10.0.0.1', 80)), attempt(I4, TCP, ('169.254.169.254', 80)),
                  attempt(I6, TCP, ('::1', %d)), attempt(I6, TCP, ('2001:4860:4860::8888', 53)),
                  attempt(I4, UDP, ('8.8.8.8', 53), b'x'), attempt(I4, UDP, ('127.0.0.1', 53), b'x')]))''' % (PORT, PORT),
                  '--allow-net', NAME)
    assert r['ok'] and 'reached' not in r['value'] and len(r['value']) == 7, r
    assert len(seen) == before


@test
def private_metadata_and_mapped_addresses_are_refused_unless_they_are_named():  # REQ-NET-06
    targets = ['10.0.0.1:80', '169.254.169.254:80', '[::1]:%d' % PORT, '[::ffff:127.0.0.1]:%d' % PORT, '0.0.0.0:%d' % PORT,
               '192.168.1.1:80', '[fd00:ec2::254]:80', '[64:ff9b::7f00:1]:%d' % PORT, '[fe80::1]:80', '127.0.0.2:%d' % PORT]
    r, records = script('''
print(json.dumps([status(talk('CONNECT %s HTTP/1.1\\r\\n\\r\\n' % t)) for t in json.loads(%r)]))''' .replace('%r', repr(json.dumps(targets))),
        '--level', 'full')
    assert r['ok'] and r['value'] == [403] * len(targets), r
    assert len(lines(records, 'SecurityDecision denied', 'CONNECT')) == len(targets), records


@test
def numbers_that_other_readers_take_for_an_address_are_not_hosts():
    targets = ['2130706433:80', '0x7f000001:80', '127.1:80', '0177.0.0.1:80', '127.0.0.1.:80', 'localhost%00.example.com:80']
    r, _ = script('''
print(json.dumps([status(talk('CONNECT %s HTTP/1.1\\r\\n\\r\\n' % t)) for t in json.loads(%r)]))''' .replace('%r', repr(json.dumps(targets))),
        '--level', 'full')
    assert r['ok'] and all(s in (400, 403) for s in r['value']), r


@test
def a_name_that_leads_to_an_inner_address_does_not_get_there():  # REQ-NET-06: DNS rebinding
    before = len(seen)
    r, records = script("print(json.dumps([status(talk('GET http://%s/ HTTP/1.1\\r\\n\\r\\n')), status(talk('CONNECT %s HTTP/1.1\\r\\n\\r\\n'))]))"
                        % (NAME, NAME), '--level', 'full')
    assert r['ok'] and r['value'] == [403, 403], r
    assert lines(records, 'SecurityDecision denied', 'loopback'), records
    assert len(seen) == before


@test
def a_denied_host_stays_denied_at_level_full():
    r, records = script("print(status(talk('CONNECT blocked.example:443 HTTP/1.1\\r\\n\\r\\n')))", '--level', 'full', '--deny-net', 'blocked.example')
    assert r['ok'] and r['value'] == 403 and lines(records, 'denied', 'Host in denylist'), (r, records)


@test
def a_redirect_is_a_request_of_its_own():
    r, records = script('''
try:
    urllib.request.urlopen('http://%s/redirect')
except urllib.error.HTTPError as e:
    print(e.code)''' % NAME, '--allow-net', NAME)
    assert r['ok'] and r['value'] == 403, r
    assert lines(records, 'SecurityDecision denied', '169.254.169.254'), records


@test
def the_server_sees_the_host_that_was_decided_about():  # REQ-NET-05
    r, _ = script('''
print(status(talk('GET http://%s/h HTTP/1.1\\r\\nHost: evil.example\\r\\nProxy-Authorization: secret\\r\\n'
                  'Connection: x-drop\\r\\nX-Drop: 1\\r\\nX-Keep: 1\\r\\n\\r\\n')))''' % NAME, '--allow-net', NAME)
    assert r['ok'] and r['value'] == 200, r
    _, path, host, headers, _ = seen[-1]
    assert path == '/h' and host == NAME, seen[-1]
    assert 'Proxy-Authorization' not in headers and 'X-Drop' not in headers and headers.get('X-Keep') == '1', headers
    assert headers.get('Connection') == 'close', headers


@test
def a_second_request_cannot_hide_behind_the_first():  # smuggling
    before = len(seen)
    r, records = script('''
U = 'http://%s/s'
H = 'GET ' + U + ' HTTP/1.1\\r\\n'
P = 'POST ' + U + ' HTTP/1.1\\r\\n'
heads = [H + '\\r\\nGET /hidden HTTP/1.1\\r\\n\\r\\n',
         P + 'Content-Length: 0\\r\\n\\r\\nGET /hidden HTTP/1.1\\r\\n\\r\\n',
         P + 'Content-Length: 5\\r\\nContent-Length: 60\\r\\n\\r\\nhello',
         P + 'Content-Length: 5, 5\\r\\n\\r\\nhello',
         P + 'Content-Length: +5\\r\\n\\r\\nhello',
         P + 'Transfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\n',
         P + 'Transfer-Encoding: chunked\\r\\nContent-Length: 4\\r\\n\\r\\n0\\r\\n\\r\\n',
         H + 'X: a\\nGET /hidden HTTP/1.1\\r\\n\\r\\n',
         H + 'X: a\\rY: b\\r\\n\\r\\n',
         H + 'X : a\\r\\n\\r\\n',
         H + 'X: a\\r\\n folded: b\\r\\n\\r\\n',
         H + 'Host: a\\r\\nHost: b\\r\\n\\r\\n',
         H + 'X: a\\0b\\r\\n\\r\\n',
         'GET  ' + U + ' HTTP/1.1\\r\\n\\r\\n',
         'GET ' + U + ' HTTP/2.0\\r\\n\\r\\n',
         'GET ' + U + '\\r\\n\\r\\n',
         'GET /s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n',
         'GET http://user:pass@%s/s HTTP/1.1\\r\\n\\r\\n',
         'GET https://%s/s HTTP/1.1\\r\\n\\r\\n',
         'GET ftp://%s/s HTTP/1.1\\r\\n\\r\\n',
         'CONNECT %s/path HTTP/1.1\\r\\n\\r\\n',
         'CONNECT %s HTTP/1.1\\r\\nContent-Length: 3\\r\\n\\r\\nabc']
print(json.dumps([status(talk(h)) for h in heads]))''' % ((NAME,) * 7), '--allow-net', NAME)
    assert r['ok'] and all(400 <= s < 600 and s != 404 for s in r['value']), r
    assert len(seen) == before, seen[before:]
    assert len(lines(records, 'SecurityDecision denied')) == len(r['value']), records


@test
def heads_have_a_size():  # REQ-NET-10
    r, _ = script('''
U = 'GET http://%s/ HTTP/1.1\\r\\n'
print(json.dumps([status(talk(U + 'X: ' + 'a' * 20000 + '\\r\\n\\r\\n')), status(talk(U + 'X: 1\\r\\n' * 101 + '\\r\\n')),
                  status(talk('GET http://%s/' + 'a' * 9000 + ' HTTP/1.1\\r\\n\\r\\n')), status(talk('A' * 20000)),
                  status(talk('CONNECT ' + 'a' * 300 + '.example:443 HTTP/1.1\\r\\n\\r\\n'))]))''' % (NAME, NAME), '--allow-net', NAME)
    assert r['ok'] and r['value'] == [431, 431, 414, 431, 400], r


@test
def a_slow_head_is_cut_off():  # slow loris
    r, _ = script('''
t = time.monotonic()
s = socket.create_connection(PROXY, timeout=30)
s.sendall(b'GET http://%s/ HTTP/1.1\\r\\n')
s.settimeout(0.2)
out = b''
while time.monotonic() - t < 25:
    try:
        s.sendall(b'X')
        part = s.recv(1000)
        out += part
        if not part:
            break
    except TimeoutError:
        pass
    except OSError:
        break
print(json.dumps([status(out.decode()), time.monotonic() - t]))''' % NAME, '--allow-net', NAME)
    assert r['ok'] and r['value'][0] in (0, 408) and 2.5 < r['value'][1] < 20, r


@test
def two_hundred_connections_share_the_places_there_are():
    before = len(seen)
    r, _ = script('''
import threading
threading.stack_size(65536)  # where no control group counts, what threads reserve counts
results = []
def one():
    results.append(status(talk('GET http://%s/many HTTP/1.1\\r\\n\\r\\n', wait=20)))
threads = [threading.Thread(target=one) for _ in range(90)]
[t.start() for t in threads]
[t.join() for t in threads]
idle = [socket.create_connection(PROXY) for _ in range(64)]
[s.close() for s in idle]
for _ in range(110):
    one()
print(json.dumps([results.count(200), len(results)]))''' % NAME, '--allow-net', NAME)
    assert r['ok'] and r['value'] == [200, 200], r
    assert len(seen) == before + 200
    assert len(r['metadata']['network_requests']) == 200


@test
def what_is_open_when_the_program_is_killed_is_recorded():
    limit = 10 if PROVIDER == 'gvisor' else 3  # Python starts in it, and gets as far as its connection
    r, records = script('''
s = socket.create_connection(PROXY)
s.sendall(b'CONNECT %s HTTP/1.1\\r\\n\\r\\n')
s.recv(100)
time.sleep(60)''' % NAME, '--allow-net', NAME, '--timeout', '%ds' % limit)
    assert r['termination'] == 'timeout', r
    assert lines(records, 'SecurityDecision allowed', 'CONNECT') and lines(records, 'CapabilityResult', '"method": "CONNECT"'), records
    assert r['metadata']['duration_ns'] < (limit + 10) * 1e9, r['metadata']


@test
def a_server_that_is_not_there_is_a_bad_gateway():
    free = socket.socket()
    free.bind(('127.0.0.1', 0))
    port = free.getsockname()[1]
    r, _ = script("print(status(talk('GET http://127.0.0.1:%d/ HTTP/1.1\\r\\n\\r\\n')))" % port, '--allow-net', '127.0.0.1:%d' % port)
    free.close()
    assert r['ok'] and r['value'] == 502, r


@test
def tls_goes_through_the_tunnel_and_the_machines_certificates_are_there():
    openssl = shutil.which('openssl')
    if not openssl:
        raise Skip('openssl is not installed')
    key, cert = os.path.join(DIR, 'key.pem'), os.path.join(DIR, 'cert.pem')
    subprocess.run([openssl, 'req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj',
                    '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    tls = Server(('127.0.0.1', 0), Handler)
    tls.socket = context.wrap_socket(tls.socket, server_side=True)
    threading.Thread(target=tls.serve_forever, daemon=True).start()
    name = 'localhost:%d' % tls.server_address[1]
    r, _ = script('''
import ssl
c = ssl.create_default_context(cafile='%s')
print(json.dumps([urllib.request.urlopen('https://%s/tls', context=c).read().decode(), os.path.isdir('/etc/ssl/certs')]))'''
                  % (cert, name), '--allow-net', name, '--allow-read', cert)
    assert r['ok'] and r['value'] == ['hello from /tls', os.path.isdir('/etc/ssl/certs')], r
    assert r['metadata']['network_requests'][0]['method'] == 'CONNECT'


@test
def an_execution_whose_proxy_dies_ends():  # REQ-NET-18
    def proxies():
        found = []
        for p in filter(str.isdigit, os.listdir('/proc')):
            try:
                with open('/proc/%s/cmdline' % p) as f, open('/proc/%s/stat' % p) as g:
                    if f.read().startswith('microvm-egress') and g.read().rsplit(')', 1)[1].split()[1] == str(child.pid):
                        found.append(int(p))
            except OSError:
                pass
        return found
    path = os.path.join(DIR, 'sleep.py')
    with open(path, 'w') as f:
        f.write('import time; time.sleep(60)')
    child = subprocess.Popen([MICROVM, 'run', path, '--json', '--audit', 'none', *grants(['--allow-net', NAME])],
                             stdout=subprocess.PIPE, text=True, **AS)
    end = time.monotonic() + 20
    while not proxies() and time.monotonic() < end:
        time.sleep(0.02)
    for p in proxies():
        os.kill(p, 9)
    r = json.loads(child.communicate(timeout=60)[0])
    assert r['termination'] == 'killed' and 'proxy' in r['error']['message'], r


@test
def no_proxy_is_left_when_the_program_is_gone():
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER: whoever loses its parent is a child of this test
    r, _ = script("print(1)", '--allow-net', NAME)
    assert r['ok']
    names = []
    for p in filter(str.isdigit, os.listdir('/proc')):
        try:
            with open('/proc/%s/cmdline' % p) as f, open('/proc/%s/stat' % p) as g:
                if int(g.read().rsplit(')', 1)[1].split()[1]) == os.getpid():
                    names.append(f.read())
        except OSError:
            pass
    assert not any(names), names  # a zombie has none


@test
def who_carries_the_bytes_out_of_a_sandbox_gives_nothing_away():  # the relay stands beside the program there
    if PROVIDER != 'gvisor':
        raise Skip('only gvisor has a relay in the sandbox')
    before = len(seen)
    r, _ = script('''
def error(f):
    try:
        return 'got ' + str(f())
    except OSError as e:
        return type(e).__name__
others = [int(p) for p in os.listdir('/proc') if p.isdigit() and int(p) not in (1, os.getpid())]
out = {'others': len(others)}
for p in others:
    out['open'] = error(lambda: os.open('/proc/%%d/fd/0' %% p, os.O_RDWR))
    out['mem'] = error(lambda: open('/proc/%%d/mem' %% p, 'r+b').read(1))
def name():
    s = socket.socket(socket.AF_UNIX)
    s.connect(chr(0) + 'microvm-egress')
    return 'the cell'
out['name'] = error(name)
out['before'] = status(talk('GET http://%s/relay HTTP/1.1\\r\\n\\r\\n'))
for p in others:
    os.kill(p, 9)
time.sleep(0.2)
out['after'] = error(lambda: talk('GET http://%s/relay HTTP/1.1\\r\\n\\r\\n'))
print(json.dumps(out))''' % (NAME, NAME), '--allow-net', NAME)
    assert r['ok'], r
    v = r['value']
    assert v['others'] == 1 and v['before'] == 200 and len(seen) == before + 1, v
    assert v['name'] == v['after'] == 'ConnectionRefusedError', v
    assert not any(str(v[k]).startswith('got') for k in ('open', 'mem')), v


try:
    status = run_tests(only=sys.argv[3:])
finally:
    shutil.rmtree(DIR, ignore_errors=True)
sys.exit(status)
