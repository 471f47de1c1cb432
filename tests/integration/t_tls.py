#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Pins, mutual TLS and authorities of http-fetch against servers that really speak TLS (REQ-NET-07, REQ-AC-29, -37).
Prints TAP. Usage: t_tls.py MICROVM"""
import base64
import hashlib
import http.server
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import threading
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import environment, equal, has, run_tests, skip_all, test

MICROVM = os.path.abspath(sys.argv[1])
WORK = os.path.realpath(tempfile.mkdtemp(prefix='microvm-tls-'))
ENV = environment(WORK)
WRONG_PIN = 'sha256/47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='


def run(*args):
    r = subprocess.run([MICROVM, *args], capture_output=True, timeout=60, env=ENV, cwd=WORK)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def at(name):
    return os.path.join(WORK, name)


def write(name, text):
    with open(at(name), 'w', encoding='utf-8') as f:
        f.write(text)
    return at(name)


def openssl(*args):
    return subprocess.run(['openssl', *args], check=True, capture_output=True, cwd=WORK).stdout


def make_certificate(name, issuer=None, subject='/CN=localhost'):
    openssl('ecparam', '-name', 'prime256v1', '-genkey', '-noout', '-out', name + '.key')
    os.chmod(at(name + '.key'), 0o600)
    write(name + '.ext', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n' if issuer else 'basicConstraints=critical,CA:TRUE\n')
    openssl('req', '-new', '-key', name + '.key', '-subj', subject, '-out', name + '.csr')
    signed = ['-CA', issuer + '.pem', '-CAkey', issuer + '.key', '-CAcreateserial'] if issuer else ['-signkey', name + '.key']
    openssl('x509', '-req', '-in', name + '.csr', *signed, '-days', '2', '-extfile', name + '.ext', '-out', name + '.pem')


def pin_of(name):
    der = openssl('pkey', '-in', name + '.key', '-pubout', '-outform', 'DER')
    return 'sha256/' + base64.b64encode(hashlib.sha256(der).digest()).decode()


class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):  # pylint: disable=invalid-name
        seen = self.connection.getpeercert() if hasattr(self.connection, 'getpeercert') else None
        self.server.requests.append(seen)
        body = json.dumps(dict(pair[0] for pair in seen['subject'])['commonName'] if seen else None).encode()
        self.send_response(200)
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):  # pylint: disable=arguments-differ
        pass


def serve(certificate, wants_client):
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), Answers)
    server.requests = []
    server.handle_error = lambda *args: None
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(at(certificate + '.pem'), at(certificate + '.key'))
        if wants_client:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(at('ca.pem'))
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def url_of(server, scheme='https'):
    return f'{scheme}://localhost:{server.server_port}/'


def fetch(server, *options, scheme='https'):
    server.requests.clear()
    return run('call', 'ccos.network.http-fetch', f'"{url_of(server, scheme)}"', '--audit', 'none', '--provider', 'mock', '--min-tier',
               'none', *options)


def agent(egress, more='', grants='', name='agent.rtfs'):
    return write(name, '(agent.config :agent-id "agent.tls" :orchestrator {:isolation {:mode :none}} :network {:enabled true'
                 f' :egress {{:via :proxy :allow-domains ["localhost"] {egress}}}}}'
                 f' :capabilities {{:http {{:enabled true {more}}} {grants}}})')


def settings(tls, grants='', name='s.toml'):
    return write(name, f'[grants]\ncapabilities = ["ccos.*"]\nhosts = ["localhost"]\n{grants}\n[tls]\n{tls}\n')


CLIENT = ':mtls true :client-cert "client.pem" :client-key "client.key" :ca "ca.pem"'


@test
def a_certificate_is_always_verified():
    code, _, err = fetch(TLS, '--agent', agent(''))
    equal(code, 1)
    has(err, 'NetworkError')
    equal(TLS.requests, [])
    code, out, _ = fetch(TLS, '--agent', agent(':ca "ca.pem"'))
    equal(code, 0)
    has(out, '"status" 200')
    equal(fetch(TLS, '--agent', agent(':ca "other.pem"'))[0], 1)
    equal(fetch(TLS, '--agent', agent(':ca "nowhere.pem"'))[0], 1)
    equal(TLS.requests, [])


@test
def only_a_pinned_key_is_spoken_to():
    pin = pin_of('server')
    equal(fetch(TLS, '--agent', agent(f':ca "ca.pem" :tls-pins ["{pin}"]'))[0], 0)
    equal(fetch(TLS, '--agent', agent(f':ca "ca.pem" :tls-pins ["{WRONG_PIN}" "{pin}"]'))[0], 0)
    code, _, err = fetch(TLS, '--agent', agent(f':ca "ca.pem" :tls-pins ["{WRONG_PIN}"]'))
    equal(code, 1)
    has(err, 'pinned public key')
    equal(TLS.requests, [])
    equal(fetch(TLS, '--agent', agent(f':tls-pins ["{pin}"]'))[0], 1)  # a pin does not replace the authority
    equal(TLS.requests, [])


@test
def what_is_pinned_is_reached_by_https_only():
    for demand in (f':tls-pins ["{WRONG_PIN}"]', CLIENT):
        code, _, err = fetch(PLAIN, '--agent', agent(demand), scheme='http')
        equal(code, 3)
        has(err, 'reached by https only')
        equal(PLAIN.requests, [])
    equal(fetch(PLAIN, '--agent', agent(''), scheme='http')[0], 0)


@test
def the_client_certificate_is_shown_and_the_server_knows_who_asks():
    code, out, _ = fetch(MUTUAL, '--agent', agent(CLIENT))
    equal(code, 0)
    has(out, 'agent.example')
    code, _, err = fetch(MUTUAL, '--agent', agent(':ca "ca.pem"'))
    equal(code, 1)
    has(err, 'NetworkError')
    equal(MUTUAL.requests, [])
    equal(fetch(MUTUAL, '--agent', agent(CLIENT.replace(':mtls true', ''), ':egress {:mtls true}'))[0], 0)
    code, _, err = fetch(MUTUAL, '--agent', agent(':mtls true :ca "ca.pem"'))
    equal(code, 3)
    has(err, 'no host is reached without a client certificate')
    equal(MUTUAL.requests, [])


@test
def the_clients_key_is_the_hosts_alone():
    path = agent(CLIENT, name='client.rtfs')
    os.chmod(at('client.key'), 0o640)
    code, _, err = fetch(MUTUAL, '--agent', path)
    equal(code, 3)
    has(err, 'others may read or write it')
    os.chmod(at('client.key'), 0o600)
    for grants in ('"client.key"', '"."'):  # what the program may read, it may send
        code, _, err = fetch(MUTUAL, '--agent', agent(CLIENT, grants=f':fs {{:enabled true :paths [{grants}]}}'))
        equal(code, 3)
        has(err, 'the program may read it')
    os.symlink(at('client.key'), at('link.key'))
    assert fetch(MUTUAL, '--agent', agent(CLIENT.replace('client.key', 'link.key')))[0] != 0
    os.link(at('client.key'), at('second.key'))
    code, _, err = fetch(MUTUAL, '--agent', path)
    equal(code, 3)
    has(err, 'a second name')
    os.unlink(at('second.key'))
    os.mkdir(at('inner'))
    os.symlink(WORK, at('inner/up'))  # a path of the key that no grant names, and a directory that one does
    code, _, err = fetch(MUTUAL, '--agent', agent(CLIENT.replace('"client.key"', '"inner/up/client.key"'),
                                                  grants=f':fs {{:enabled true :paths ["{WORK}/client.key"]}}'))
    equal(code, 3)
    has(err, 'the program may read it')
    full = write('full.toml', f'level = "full"\n[tls]\nclient_cert = "{at("client.pem")}"\nclient_key = "{at("client.key")}"\n')
    equal(fetch(MUTUAL, '--policy', full)[0], 3)
    equal(MUTUAL.requests, [])
    equal(fetch(MUTUAL, '--agent', path)[0], 0)


@test
def settings_have_the_last_word_about_keys_and_pins():  # REQ-CFG-09
    files = f'ca = "{at("ca.pem")}"\nclient_cert = "{at("client.pem")}"\nclient_key = "{at("client.key")}"\n'
    both = ('--policy', settings(files), '--agent')
    code, out, _ = fetch(MUTUAL, *both, agent(':mtls true'))  # the agent wants one, the settings have it
    equal(code, 0)
    has(out, 'agent.example')
    equal(fetch(MUTUAL, *both, agent(CLIENT))[0], 0)
    code, _, err = fetch(MUTUAL, *both, agent(CLIENT.replace('client.', 'server.')))
    equal(code, 3)
    has(err, 'the client certificate is not the one given')
    code, _, err = fetch(MUTUAL, '--policy', settings(''), '--agent', agent(CLIENT))
    equal(code, 3)
    has(err, 'is not the one given')
    pin = pin_of('server')
    mine = agent(f':tls-pins ["{pin}" "{WRONG_PIN}"]')
    equal(fetch(TLS, '--policy', settings(files + f'pins = ["{pin}"]'), '--agent', mine)[0], 0)
    equal(fetch(TLS, '--policy', settings(files + f'pins = ["{WRONG_PIN}"]'), '--agent', mine)[0], 1)
    none = agent(f':tls-pins ["{pin}"]')
    equal(fetch(TLS, '--policy', settings(files + f'pins = ["{WRONG_PIN}"]'), '--agent', none)[0], 1)  # both have none
    equal(TLS.requests, [])
    equal(fetch(PLAIN, '--policy', settings('mtls = true'), scheme='http')[0], 3)
    half = settings(f'client_cert = "{at("client.pem")}"')
    has(run('config', 'check', '--policy', half)[1], 'CLIENT_CERT_AND_KEY')


@test
def a_program_that_speaks_tls_itself_has_no_network():
    grants = ':wiring [{:capability "external_program"}]'
    for demand, wanted in ((f':tls-pins ["{WRONG_PIN}"]', False), ('', True)):
        path = agent(demand, grants=grants)
        code, out, err = run('exec', '--agent', path, '--audit', 'none', '--min-tier', 'process', '--', '/bin/sh', '-c',
                             'echo "${http_proxy:-none}"')
        if code == 5:
            return
        equal(code, 0)
        equal(out.strip() != 'none', wanted)
        assert not err or 'note' in err


@test
def explain_says_what_a_demand_about_tls_will_do():
    path = agent(f':tls-pins ["{WRONG_PIN}"]')
    code, out, _ = run('call', 'ccos.network.http-fetch', f'"{url_of(PLAIN, "http")}"', '--agent', path, '--explain')
    equal(code, 3)
    has(out, 'reached by https only')
    equal(run('call', 'ccos.network.http-fetch', f'"{url_of(TLS)}"', '--agent', path, '--explain')[0], 0)


def main():
    if not shutil.which('openssl'):
        return skip_all('there is no openssl to make certificates with')
    global TLS, MUTUAL, PLAIN
    make_certificate('ca', subject='/CN=Test authority')
    make_certificate('other', subject='/CN=Another authority')
    make_certificate('server', 'ca')
    make_certificate('client', 'ca', '/CN=agent.example')
    TLS, MUTUAL, PLAIN = serve('server', False), serve('server', True), serve(None, False)
    return run_tests()


try:
    status = main()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
