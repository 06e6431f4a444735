# SPDX-License-Identifier: MIT
"""The network of a run where it is less than its agent's: none, and restricted while the agent has all."""

import pytest

from harness import PROBE_DIR, policy, wait_until
from outside import LISTED, OK, OTHER, OTHER6, PORT, REFUSED, outside, reach  # noqa: F401
from test_run import POLICY, ask, order

HOSTS = f"[network]\nallowed_hosts = ok.example, {LISTED}\n"


def reaching(network, *words, **options):
    """Order of a run that tries these, one line each."""
    made = order("bash", f"SECONDS=20 python3 reach.py {' '.join(words)}", network=network)
    made["options"].update(options)
    return made


@pytest.fixture(scope="module", autouse=True)
def rules(vm, outside):  # noqa: F811
    # where an independent run finds it, too
    vm.agent.sh(f"mkdir -p ~/workspace && cp {PROBE_DIR}/reach.py ~/workspace/")
    with policy(vm, POLICY.replace("[exec]\n", "[exec]\nnetwork = restricted\n") + HOSTS):
        yield
    vm.agent.sh("rm ~/workspace/reach.py")


@pytest.mark.parametrize("independent", (False, True))
def test_restricted(vm, independent):
    words = [f"tcp:{LISTED},{PORT}", f"udp:{LISTED},{PORT}", f"tcp:{OTHER},{PORT}", f"udp:{OTHER},{PORT}", f"tcp:{OTHER6},{PORT}",
             f"ping:{OTHER},0", "tcp:169.254.169.254,80", "name:bad.example,4", "name:ok.example,4", f"tcp:{OK},{PORT}"]

    def said():
        answer, = ask(vm, reaching("restricted", *words, independent=independent), timeout=400)
        assert answer["reason"] == "ok", answer
        return answer["stdout"].splitlines()

    # its resolver may still be starting
    wait_until(lambda: said()[8] == f"ok {OK}", 120, "the run's resolver answers", 2)
    lines = said()
    assert lines[:2] == ["ok hello"] * 2 and lines[8:] == [f"ok {OK}", "ok hello"], lines
    assert set(lines[2:7]) <= REFUSED, lines
    assert lines[7] in ("EAI_NONAME", "EAI_NODATA", "EAI_AGAIN"), lines
    # the agent itself has all of it
    assert reach(vm.agent, f"tcp:{OTHER},{PORT}", f"udp:{OTHER},{PORT}") == ["ok hello"] * 2


def test_restricted_meets_only_its_agents_listeners_here(vm):
    own = ("import socket\ns = socket.create_server(('127.0.0.1', 3456)); socket.create_connection(('127.0.0.1', 3456)); print('own')\n"
           "try: socket.create_connection(('127.0.0.1', 22), 20); print('root')\nexcept OSError as e: print('refused')")
    answer, = ask(vm, order("python", own, network="restricted"))
    assert answer["stdout"] == "own\nrefused\n", answer


def test_a_flow_of_the_agents_is_none_of_the_runs(vm):
    """Sent from the port of a flow that the agent began, to where that goes."""
    begin = f"import socket\ns = socket.socket(2, 2); s.bind(('', 5555)); s.settimeout(30); s.connect(('{OTHER}', {PORT})); s.send(b'x'); print(s.recv(9))"
    again = begin.replace("settimeout(30)", "settimeout(8)")
    assert vm.agent.sh(f"python3 -c \"{begin}\"") == "b'x'"
    answer, = ask(vm, order("python", again, network="restricted"))
    assert answer["reason"] == "exit" and "b'x'" not in answer["stdout"], answer


@pytest.mark.parametrize("independent", (False, True))
def test_none(vm, independent):
    code = ("import os, socket\nprint([name for _, name in socket.if_nameindex()])\n"
            "s = socket.create_server(('127.0.0.1', 3456)); socket.create_connection(s.getsockname()); print('own')\n"
            f"for there in (('{OK}', {PORT}), ('127.0.0.1', 22), ('{LISTED}', {PORT})):\n"
            "    try: socket.create_connection(there, 10); print('reached')\n    except OSError as e: print(e.errno)\n"
            "for door in ('bus', 'systemd/private'): print(os.path.exists(f'/run/user/{os.getuid()}/{door}'))\n"
            "print(os.path.exists(f'/run/creel/{os.getuid()}'))")
    made = order("python", code, network="none")
    made["options"]["independent"] = independent
    answer, systemd = ask(vm, made, order("bash", "systemd-run --user --wait true; creel limits", network="none"))
    assert answer["stdout"].split("\n")[:8] == ["['lo']", "own", "101", "111", "101", "False", "False", "False"], answer
    assert systemd["reason"] == "exit", systemd


def test_more_than_the_policys_is_refused(vm):
    full, = ask(vm, order("bash", "true", network="full"))
    assert "more than the policy's" in full["why"], full
