#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`microvm config` and `--policy` against their contract: exit codes, JSON, what decides. Prints TAP.
Usage: t_config_cli.py MICROVM SOURCE_ROOT"""
import json
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
from tap import environment, equal, has, run_tests, test

MICROVM, ROOT = map(os.path.abspath, sys.argv[1:3])
WORK = tempfile.mkdtemp(prefix='microvm-config-')
ENV = environment(WORK)
EXAMPLES = os.path.join(ROOT, 'examples')
MICROVM_TOML = os.path.join(EXAMPLES, 'settings', 'microvm.toml')
AGENT = os.path.join(EXAMPLES, 'config', 'microvm.rtfs')


def run(*args, **env):
    r = subprocess.run([MICROVM, *args], capture_output=True, timeout=60, env={**ENV, **env}, cwd=WORK)
    return r.returncode, r.stdout.decode(), r.stderr.decode()


def write(name, text):
    with open(os.path.join(WORK, name), 'w', encoding='utf-8') as f:
        f.write(text)
    return os.path.join(WORK, name)


@test
def every_example_checks_with_exit_code_0():
    for name in sorted(os.listdir(os.path.join(EXAMPLES, 'config'))):
        equal(run('config', 'check', os.path.join(EXAMPLES, 'config', name), '--strict')[0], 0)
    for name in sorted(os.listdir(os.path.join(EXAMPLES, 'settings'))):
        equal(run('config', 'check', '--policy', os.path.join(EXAMPLES, 'settings', name))[0], 0)


@test
def a_wrong_configuration_is_exit_code_1_and_one_line_of_json():
    path = write('bad.rtfs', '(agent.config :profile :microvn)')
    code, out, _ = run('config', 'check', path, '--json')
    equal(code, 1)
    equal(out.count('\n'), 1)
    d = json.loads(out)
    equal((d['ok'], d['errors'][0]['code'], d['errors'][0]['line'], d['errors'][0]['column']),
          (False, 'UNKNOWN_PROFILE', 1, 24))
    equal(d['errors'][0]['suggestion'], "Did you mean 'microvm'?")
    equal(run('config', 'show', path)[0:2], (1, ''))
    equal(run('config', 'spec', path)[0:2], (1, ''))


@test
def strict_makes_an_unknown_key_an_error():
    path = write('key.rtfs', '(agent.config :profil :minimal)')
    equal(run('config', 'check', path)[0], 0)
    equal(run('config', 'check', path, '--strict')[0], 1)


@test
def a_missing_file_is_exit_code_1_and_no_file_is_usage():
    code, _, err = run('config', 'check', 'nowhere.rtfs')
    equal(code, 1)
    has(err, 'Failed to read agent config file: nowhere.rtfs')
    equal(run('config', 'check')[0], 2)
    equal(run('config')[0], 2)
    equal(run('config', 'check', 'a', 'b')[0], 2)
    equal(run('config', 'spec', AGENT, '--vmm', 'qemu')[0], 2)


@test
def the_environment_names_the_file():  # REQ-AC-13
    equal(run('config', 'check', AGENT_CONFIG_PATH=AGENT)[0], 0)
    has(run('config', 'show', AGENT_CONFIG_PATH=AGENT)[1], ':agent-id "agent.reports"')


@test
def what_is_shown_is_read_by_other_programs():  # REQ-AC-14
    wanted = json.loads(run('config', 'show', AGENT, '--json')[1])
    equal(tomllib.loads(run('config', 'show', AGENT, '--format', 'toml')[1]), wanted)
    path = write('again.rtfs', run('config', 'show', AGENT)[1])
    equal(json.loads(run('config', 'show', path, '--json')[1]), wanted)


@test
def toml_is_read_as_others_read_it():
    text = open(os.path.join(EXAMPLES, 'config', 'agent.toml'), encoding='utf-8').read()
    theirs = tomllib.loads(text)
    ours = json.loads(run('config', 'show', os.path.join(EXAMPLES, 'config', 'agent.toml'), '--json')[1])
    for key in ('version', 'agent_id', 'profile', 'features'):
        equal(ours[key], theirs[key])
    equal(ours['governance']['policies']['high_risk']['budgets']['token_budget'], 2e6)


@test
def specs_are_json_for_their_vmm():  # REQ-SUP-08, -10, -11
    ours = json.loads(run('config', 'spec', AGENT)[1])
    equal(ours['boot_source']['kernel_image_path'], os.path.join(EXAMPLES, 'config', 'kernels', 'vmlinuz-min'))
    assert len(ours['network_interfaces'][0]['host_dev_name']) <= 15
    assert ours['run_directory'].startswith('/run/ccos-microvm/')
    fc = json.loads(run('config', 'spec', AGENT, '--vmm', 'firecracker', '--kernel', '/k', '--rootfs', 'r')[1])
    equal(fc['boot-source']['kernel_image_path'], '/k')
    equal(fc['drives'][0]['path_on_host'], os.path.join(WORK, 'r'))
    ch = json.loads(run('config', 'spec', AGENT, '--vmm', 'cloud-hypervisor')[1])
    equal(ch['memory']['size'], 256 << 20)
    private = json.loads(run('config', 'spec', AGENT, XDG_RUNTIME_DIR='/run/user/7')[1])
    equal(private['vsock']['uds_path'], '/run/user/7/ccos-microvm/agent.reports/vsock.sock')


@test
def every_default_is_the_one_of_the_specification():  # REQ-AC-20..48
    shown = json.loads(run('config', 'show', write('empty.rtfs', '(agent.config)'), '--json')[1])
    off = {'enabled': False}
    equal(shown, {
        'version': '0.1', 'agent_id': 'agent.default', 'profile': 'minimal', 'features': [],
        'orchestrator': {'isolation': {'mode': 'wasm', 'fs': {'ephemeral': False}}, 'dlp': {**off, 'policy': 'lenient'}},
        'network': {**off, 'egress': {'via': 'none', 'allow_domains': [], 'mtls': False, 'tls_pins': []}},
        'capabilities': {'http': {**off, 'egress': {'allow_domains': [], 'mtls': False}}, 'fs': {**off, 'paths': []},
                         'llm': {**off, 'models': []}},
        'governance': {'keys': {'verify': ''}},
        'causal_chain': {'storage': {'mode': 'in_memory'}, 'anchor': off},
        'marketplace': {'registry_paths': []},
        'delegation': {'agent_registry': {'registry_type': 'in_memory'},
                       'adaptive_threshold': {'enabled': True, 'base_threshold': 0.65, 'min_threshold': 0.3, 'max_threshold': 0.9,
                                              'success_rate_weight': 0.7, 'historical_weight': 0.3, 'decay_factor': 0.8, 'min_samples': 5,
                                              'env_prefix': 'CCOS_DELEGATION_'}},
        'discovery': {'match_threshold': 0.65, 'use_embeddings': False, 'action_verb_threshold': 0.7, 'action_verb_weight': 0.4,
                      'capability_class_weight': 0.3},
        'catalog': {'plan_min_score': 0.65, 'keyword_min_score': 1.0},
        'missing_capabilities': {'tool_selector': {}},
        'storage': {'capabilities_dir': '../capabilities', 'discovered_subdir': 'discovered', 'generated_subdir': 'generated',
                    'servers_approved_subdir': 'servers/approved', 'pending_synth_subdir': 'storage/pending_synth',
                    'approvals_dir': 'storage/approvals'},
        'self_programming': {'enabled': True, 'trust_level': 0, 'max_synthesis_per_session': 10, 'max_decomposition_depth': 5,
                             'require_approval_for_registration': True, 'enable_versioning': True, 'auto_rollback_on_failure': True},
        'sandbox': {'enabled': True, 'runtime': 'bubblewrap', 'package_allowlist': [], 'network_enabled': True,
                    'package_cache_dir': '/tmp/ccos-sandbox-cache'}})
    path = write('guest.rtfs', '(agent.config :orchestrator {:isolation {:mode :microvm :fs {:ephemeral true :mounts {:data {}}}}}'
                 ' :microvm {:kernel {:image "k"} :rootfs {:image "r"}} :governance {:policies {:p {}}})')
    shown = json.loads(run('config', 'show', path, '--json')[1])
    equal(shown['microvm'], {'kernel': {'image': 'k', 'cmdline': ''}, 'rootfs': {'image': 'r', 'ro': True},
                             'resources': {'vcpus': 1, 'mem_mb': 512},
                             'devices': {'nic': {**off, 'proxy_ns': ''}, 'vsock': {**off, 'cid': 0}},
                             'attestation': {**off, 'expect_rootfs_hash': ''}})
    equal(shown['orchestrator']['isolation']['fs']['mounts'], {'data': {'mode': 'ro'}})
    equal({k: shown['governance']['policies']['p'][k] for k in ('risk_tier', 'requires_approvals')},
          {'risk_tier': 'low', 'requires_approvals': 0})


@test
def the_schema_is_printed():
    d = json.loads(run('config', 'schema')[1])
    equal(d['properties']['microvm']['properties']['resources']['properties']['mem_mb']['default'], 512)
    has(run('config', 'schema', 'settings', '--format', 'markdown')[1], '| `grants.hosts` |')


# --- --policy ------------------------------------------------------------------------------------------------------------
def settings(text):
    return write('settings.toml', text)


@test
def a_file_grants_and_nothing_else_is_granted():
    data = write('data.txt', 'hello')
    path = settings(f'default_provider = "mock"\n[grants]\ncapabilities = ["ccos.io.read-file"]\nread = ["{WORK}"]\n')
    code, out, _ = run('call', 'ccos.io.read-file', f'"{data}"', '--policy', path)
    equal((code, out), (0, '"hello"\n') if out.startswith('"') else (0, 'hello\n'))
    code, _, err = run('call', 'ccos.io.read-file', '"/etc/hostname"', '--policy', path)
    equal(code, 3)
    has(err, 'settings.toml does not grant it')
    equal(run('call', 'ccos.echo', '1', '--policy', path)[0], 3)
    equal(run('eval', '(+ 1 2)', '--policy', path)[0:2], (0, '3\n'))


@test
def options_only_narrow():  # REQ-CFG-09
    path = settings('default_provider = "mock"\n[grants]\ncapabilities = ["ccos.math.*", "ccos.echo"]\n'
                    '[default_config]\ntimeout = "2s"\n')
    equal(run('call', 'ccos.math.add', '1', '2', '--policy', path, '--allow', 'ccos.math.add')[0:2], (0, '3\n'))
    equal(run('call', 'ccos.echo', '1', '--policy', path, '--allow', 'ccos.math.add')[0], 3)
    for option in (['--allow', 'ccos.io.log'], ['--allow', 'ccos.*'], ['--allow-read', '/etc'], ['--allow-net', 'a.example'],
                   ['--env', 'HOME'], ['--timeout', '3s'], ['--level', 'full']):
        code, out, err = run('eval', '1', '--policy', path, *option)
        equal((code, out), (3, ''))
        has(err, 'options only narrow')
    equal(run('eval', '1', '--policy', path, '--timeout', '1s', '--level', 'pure')[0], 0)


@test
def effects_are_refused_whatever_grants_them():  # REQ-SEC-07
    base = f'default_provider = "mock"\nlevel = "%s"\n[grants]\n%s\n[environments.calm.grants]\ndeny_effects = ["system"]\n'
    ids = 'capabilities = ["ccos.*", "external_program"]\nhosts = ["a.invalid"]\n'
    fetch, clock = ('call', 'ccos.network.http-fetch', '"http://a.invalid/"'), ('call', 'ccos.system.current-timestamp-ms')
    path = settings(base % ('controlled', ids + 'deny_effects = [":Network"]'))
    code, _, err = run(*fetch, '--policy', path)
    equal(code, 3)
    has(err, "effect_policy operation on capability 'ccos.network.http-fetch'")
    has(err, "Effect ':network' denied by runtime context")
    equal(run(*clock, '--policy', path)[0], 0)
    equal(run(*clock, '--policy', path, '--environment', 'calm')[0], 3)
    equal(run(*clock, '--policy', path, '--deny-effect', 'system')[0], 3)
    equal(run(*clock, '--policy', path, '--deny-effect', 'clock')[0], 2)
    code, _, err = run('exec', '--policy', path, '--provider', 'process', '--', '/bin/true')  # it could reach the granted host
    equal(code, 3)
    has(err, "Effect ':network' denied")
    # a level of steps is denied by the effects that make it: REQ-SEC-03, REQ-STEP-08
    step = '(step "s" (call "ccos.system.current-timestamp-ms"))'
    equal(run('eval', step, '--policy', path)[0], 0)
    has(run('eval', step, '--policy', path, '--deny-effect', 'system')[2], "Effect ':system' denied")
    path = settings(base % ('full', 'effects = ["compute"]'))
    equal(run('call', 'ccos.math.add', '1', '2', '--policy', path)[0], 0)
    for call in (fetch, clock, ('call', 'ccos.io.read-file', '"/etc/hostname"')):
        code, _, err = run(*call, '--policy', path)
        equal(code, 3)
        has(err, 'not permitted by runtime context allowlist')
    code, out, _ = run(*fetch, '--policy', path, '--explain')
    equal(code, 3)
    has(out, 'allow the effect network too')
    equal(run(*clock, '--level', 'full', '--deny-effect', 'system', '--audit', 'none')[0], 3)


@test
def a_capability_has_settings_of_its_own():  # REQ-CFG-05, -06
    inner, outer = os.path.join(WORK, 'in'), os.path.join(WORK, 'out')
    os.makedirs(inner, exist_ok=True)
    os.makedirs(outer, exist_ok=True)
    path = settings(f'default_provider = "mock"\n[grants]\ncapabilities = ["ccos.io.*"]\nwrite = ["{WORK}"]\n'
                    f'[capability_configs."ccos.io.write-file"]\nfs_policy = {{ ReadWrite = ["{outer}"] }}\n')
    equal(run('call', 'ccos.io.write-file', f'"{outer}/x"', '"1"', '--policy', path)[0], 0)
    equal(run('call', 'ccos.io.write-file', f'"{inner}/x"', '"1"', '--policy', path)[0], 3)
    equal(run('call', 'ccos.io.read-file', f'"{outer}/x"', '--policy', path)[0], 0)
    os.symlink(inner, os.path.join(outer, 'link'))
    assert run('call', 'ccos.io.write-file', f'"{outer}/link/x"', '"1"', '--policy', path)[0] != 0
    assert not os.path.exists(os.path.join(inner, 'x'))


@test
def a_script_that_a_capability_runs_finds_the_settings_of_the_others():  # REQ-CFG-09
    inner, outer = os.path.join(WORK, 'in'), os.path.join(WORK, 'out')
    for d in (inner, outer):
        os.makedirs(d, exist_ok=True)
    base = (f'[grants]\ncapabilities = ["ccos.io.write-file", "ccos.sandbox.shell", "ccos.sandbox.python"]\n'
            f'write = ["{inner}", "{outer}"]\n[capability_configs."ccos.io.write-file"]\nfs_policy = {{ ReadWrite = ["{outer}"] }}\n')
    code = ('import json, microvm\nr = []\nfor d in ("%s", "%s"):\n  try:\n    microvm.call("ccos.io.write-file", d + "/nested", "x")\n'
            '    r.append("done")\n  except microvm.Denied:\n    r.append("denied")\nprint(json.dumps(r))' % (inner, outer))
    for own in ('', '[capability_configs."ccos.sandbox.python"]\ntimeout = "4s"\n'):
        r, out, err = run('eval', '(get (call "ccos.sandbox.python" {:code %s}) "result")' % json.dumps(code), '--policy', settings(base + own),
                          '--provider', 'process', '--audit', 'none')
        if r == 5 or 'interpreter' in out + err:
            return
        equal((r, out), (0, '["denied" "done"]\n'))
        assert not os.path.exists(os.path.join(inner, 'nested'))


@test
def a_program_that_another_one_starts_is_under_the_same_settings():  # REQ-CFG-09, -13
    inner, outer = os.path.join(WORK, 'in'), os.path.join(WORK, 'out')
    for d in (inner, outer):
        os.makedirs(d, exist_ok=True)
    base = (f'[grants]\ncapabilities = ["ccos.io.write-file", "ccos.microvm.execute", "ccos.echo"]\nwrite = ["{inner}", "{outer}"]\n'
            f'[capability_configs."ccos.io.write-file"]\nfs_policy = {{ ReadWrite = ["{outer}"] }}\n')
    asks = '[[governance.rules]]\nid = "ask"\ncapability = "ccos.echo"\naction = "require-approval"\n'
    own = '[capability_configs."ccos.microvm.execute"]\ntimeout = "4s"\n'
    start = '(get (call "ccos.microvm.execute" {:program {:type "RtfsSource" :source %s} %s}) "ok")'
    write_file = lambda d: json.dumps('(call "ccos.io.write-file" "%s/started" "x")' % d)
    for more in ('', own, own + asks):
        path = settings(base + more)
        for source, config, wanted in (
                (write_file(inner), '', 'false\n'), (write_file(outer), '', 'true\n'),
                (write_file(inner), ':config {:fs_policy {:ReadWrite ["%s"]}}' % inner, 'false\n'),
                (write_file(outer), ':config {:fs_policy {:ReadWrite ["%s"]}}' % inner, 'false\n'),
                (json.dumps('(call "ccos.echo" 1)'), '', 'false\n' if asks in more else 'true\n')):  # nobody could resume it
            equal(run('eval', start % (source, config), '--policy', path, '--audit', os.path.join(WORK, 'start.mva'))[:2], (0, wanted))
        assert not os.path.exists(os.path.join(inner, 'started'))
    code, out, _ = run('approvals', 'list', '--audit', os.path.join(WORK, 'start.mva'), '--json')
    equal((code, json.loads(out).get('approvals')), (0, []))


@test
def a_capability_has_a_deadline_of_its_own():  # REQ-CFG-05
    path = settings('default_provider = "mock"\n[grants]\ncapabilities = ["ccos.system.*"]\n'
                    '[capability_configs."ccos.system.sleep-ms"]\ntimeout = "100ms"\n')
    code, out, _ = run('call', 'ccos.system.sleep-ms', '3000', '--policy', path, '--json')  # it would end by itself
    equal((code, json.loads(out)['termination']), (1, 'error'))


@test
def explain_names_the_line_that_decides():
    code, out, _ = run('call', 'ccos.io.read-file', '"/workspace/x"', '--policy', MICROVM_TOML, '--explain')
    equal(code, 0)
    has(out, f'by {MICROVM_TOML}:7:9 grants.read[0]')
    code, out, _ = run('call', 'ccos.echo', '1', '--policy', MICROVM_TOML, '--explain')
    equal(code, 3)
    has(out, f'{MICROVM_TOML} does not grant it')
    code, out, _ = run('call', 'ccos.math.add', '1', '2', '--policy', MICROVM_TOML, '--explain', '--json')
    equal(json.loads(out)['call']['source'],
          {'file': MICROVM_TOML, 'field_path': 'grants.capabilities[0]', 'line': 6, 'column': 17})


@test
def environments_are_chosen_by_option_or_variable():  # REQ-CFG-07
    equal(run('eval', '1', '--policy', MICROVM_TOML, '--environment', 'dev')[0], 0)
    tiers = settings('min_tier = "process"\n')  # development is mock: a tier is never lowered
    equal(run('eval', '1', '--policy', tiers, '--environment', 'dev')[0], 5)
    code, _, err = run('eval', '1', '--policy', MICROVM_TOML, '--environment', 'staging')
    equal(code, 2)
    has(err, "environment 'staging' is not known")
    equal(run('eval', '1', '--policy', MICROVM_TOML, MICROVM_ENVIRONMENT='staging')[0], 2)
    path = settings('[environments.strict]\nmin_tier = "vm"\n')
    equal(run('eval', '1', '--policy', path, '--environment', 'strict', '--provider', 'process')[0], 5)
    equal(run('eval', '1', '--policy', path, '--environment', 'strict', '--min-tier', 'process')[0], 3)
    equal(run('eval', '1', '--environment', 'dev')[0], 2)


@test
def providers_get_their_configuration():  # REQ-CFG-04
    good = settings('default_provider = "mock"\n[provider_configs.mock]\n')
    equal(run('eval', '1', '--policy', good)[0], 0)
    for text, part in (('[provider_configs.mock]\nspaceship = 1\n', 'provider_configs.mock'),
                       ('[provider_configs.moc]\n', "Provider 'moc' not found"), ('provider_configs = 5\n', 'Expected map')):
        code, out, err = run('eval', '1', '--policy', settings('default_provider = "mock"\n' + text))
        equal((code, out), (2, ''))
        has(err, part)


@test
def a_wrong_settings_file_runs_nothing():  # REQ-CFG-10
    path = settings('[grants]\nreed = ["/"]\n')
    code, out, err = run('eval', '1', '--policy', path)
    equal((code, out), (2, ''))
    has(err, "settings.toml:2:1: grants.reed: Unknown key 'reed'; Did you mean 'read'?")
    equal(run('config', 'check', '--policy', path)[0], 1)
    equal(run('eval', '1', '--policy', os.path.join(WORK, 'nowhere.toml'))[0] != 0, True)


try:
    status = run_tests()
finally:
    shutil.rmtree(WORK, ignore_errors=True)
sys.exit(status)
