# SPDX-License-Identifier: MIT
"""creel screen, beside screen(1) as it is typed by hand."""

import json

from harness import Terminal, marker, wait_until


def screens(vm):
    return {one["name"]: one for one in json.loads(vm.agent.sh("creel screen list --json"))}


def test_start_list_attach_stop(vm):
    seconds = marker()
    one = json.loads(vm.agent.sh(f"creel screen start work --json -- sleep {seconds}"))
    assert one["name"] == "work"
    wait_until(lambda: vm.alive(f"sleep {seconds}"), 60, "it outlives the session")
    vm.agent.sh("screen -dmS hand bash; creel screen start workshop")
    wait_until(lambda: "hand" in screens(vm), 60)  # screen goes into the background before it listens
    found = screens(vm)
    assert set(found) == {"work", "hand", "workshop"} and {s["state"] for s in found.values()} == {"detached"}, found
    assert found["work"] == one and str(one["pid"]) in vm.agent.sh("screen -ls | cat")
    with Terminal(vm.agent.argv("creel screen attach workshop", options=["-tt"])) as terminal:
        terminal.expect(r"\$")
        terminal.line("echo in-$((40+2))")
        terminal.expect("in-42")
        assert screens(vm)["workshop"]["state"] == "attached"
        done = vm.agent("creel screen attach workshop", options=["-tt"])
        assert done.rc == 1 and "--take" in done.text, done
        terminal.send("\x01d")
        terminal.expect("detached")
    wait_until(lambda: screens(vm)["workshop"]["state"] == "detached", 60)
    assert vm.agent.sh("creel screen stop work") == "work: ended"
    assert set(screens(vm)) == {"hand", "workshop"}, "no other one whose name begins with it"
    wait_until(lambda: not vm.alive(f"sleep {seconds}"), 60)
    vm.agent.sh(f"creel screen stop {found['hand']['pid']}; creel screen stop workshop")
    assert screens(vm) == {} and "no screens" in vm.agent.sh("creel screen list")


def test_several_of_a_name_and_dead_ones(vm):
    vm.agent.sh("screen -dmS twin sleep 1000; screen -dmS twin sleep 1000; screen -dmS gone sleep 1000")
    wait_until(lambda: vm.agent.sh("creel screen list --json").count('"pid"') == 3, 60)  # as above
    done = vm.agent("creel screen stop twin")
    assert done.rc == 1 and "several" in done.errors, done
    pid = screens(vm)["gone"]["pid"]
    vm.agent.sh(f"kill -9 {pid}")
    wait_until(lambda: screens(vm)["gone"]["state"] == "dead", 60)
    assert vm.agent("creel screen attach gone").rc == 1
    vm.agent.sh("creel screen stop gone; screen -ls | grep -o '[0-9]*\\.twin' | xargs -n 1 creel screen stop")
    wait_until(lambda: screens(vm) == {}, 60)


def test_refusals(vm):
    vm.agent.sh("creel screen start taken -- sleep 1000")
    for words, rc, what in (("start taken", 1, "there is a screen of that name"), ("start a/b", 2, "slash"), ("start -x", 2, "-x"),
                            (f"start {'n' * 300}", 2, "300"), ("start x -- no-such-program", 1, "command not found"),
                            ("start x --", 2, "command"), ("attach taken", 1, "ssh -t"), ("attach nobody", 1, "no screen of that name"),
                            ("stop take", 1, "no screen of that name"), ("stop", 2, "name"), ("dance", 2, "verb")):
        done = vm.agent(f"creel screen {words}")
        assert done.rc == rc and what in done.errors and not done.out, (words, done)
    vm.agent.sh("creel screen stop taken")
