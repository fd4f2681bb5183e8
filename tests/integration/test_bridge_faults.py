# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever is killed in the middle of a change of a bridge, the host ends in its old or in its new state.

On systemd-networkd, whose host boots quickest; test_bridge_switch.py has the other managers.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.bridge_host import ADDRESS, GOOD, ROUTER, BridgeHost, Result, assert_same

# nothing is inherited, but the card had the same address
DECLARED: Result = {**GOOD, "inherit": False, "addresses": [f"{ADDRESS}/24"], "gateway4": ROUTER}
# without a DHCP server it waits for a lease, so whoever is to be killed in the middle is there to be killed
SLOW: Result = {"ports": [{"name": "eth0"}], "dhcp4": True, "timeout": 40, "confirm_timeout": 60}


@pytest.fixture(scope="module")
def shared_host() -> Iterator[BridgeHost]:
    made = BridgeHost("networkd", "switch-faults")
    try:
        made.start()
        yield made
    finally:
        made.remove()


@pytest.fixture
def host(shared_host: BridgeHost) -> Iterator[BridgeHost]:
    """The host in its old state, which it has to have again after each test unless the test removes the bridge."""
    before = shared_host.settled_state()
    assert not any("br0" in line for line in before["kernel"])
    yield shared_host
    shared_host.plug_in()


def _kill(process: subprocess.Popen[str]) -> None:
    """Kills the controller's Ansible with all its children, of which each task is a session of its own."""
    family = [process.pid]
    for pid in family:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            family += [int(child) for child in children.read_text(encoding="ascii").split()]
    for pid in family:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.communicate()


def test_a_killed_controller_leaves_the_old_state_and_the_next_run_says_so(host: BridgeHost) -> None:
    before = host.settled_state()
    process = host.start_bridge(**{**SLOW, "confirm_timeout": 4})
    host.until_applying()
    _kill(process)
    host.until_settled()
    after = host.settled_state()
    assert_same(host.without_reports(after), before)
    told = host.bridge(check=True, **GOOD)
    assert len(told["warnings"]) == 1 and "was undone" in told["warnings"][0]
    assert "Everything is as it was before." in told["warnings"][0]
    told = host.bridge(**GOOD)
    assert len(told["warnings"]) == 1 and told["changed"] and "was undone" in told["warnings"][0]
    assert host.bridge(state="absent")["warnings"] == [], "it is shown until a run could clear it away, and no longer"
    assert_same(host.settled_state(), before)


def test_killed_ssh_connections_do_not_keep_a_good_change_from_being_confirmed(host: BridgeHost) -> None:
    before = host.settled_state()
    process = host.start_bridge(**GOOD)
    host.until_applying()
    for _round in range(3):
        host.execute("sh", "-c", "pkill -9 -f '^sshd: root'", check=False)
        time.sleep(0.2)
    result = host.parse(*process.communicate(timeout=120))
    assert result["confirmation"]["state"] == "confirmed" and result["changed"], result
    host.bridge(state="absent")
    assert_same(host.settled_state(), before)


def test_a_killed_module_leaves_the_old_state(host: BridgeHost) -> None:
    before = host.settled_state()
    process = host.start_bridge(**{**GOOD, "confirm_timeout": 3})
    host.execute(
        "timeout", "60", "sh", "-c", "until pgrep -x python3 >/dev/null; do :; done; sleep 0.3; pkill -9 python3"
    )
    result = host.parse(*process.communicate(timeout=120))
    assert result["failed"]
    host.until_settled()
    assert_same(host.without_reports(host.settled_state()), before)
    host.bridge(state="absent")


@pytest.mark.parametrize("victim", ["worker", "watchdog"])
def test_a_killed_half_of_the_switch_leaves_the_old_state_and_the_task_says_so(host: BridgeHost, victim: str) -> None:
    before = host.settled_state()
    process = host.start_bridge(**SLOW)
    host.until_applying()
    host.kill(victim)
    result = host.parse(*process.communicate(timeout=120))
    assert result["failed"] and result["confirmation"]["state"] == "restored", result
    assert "ended without an outcome. It was undone at once." in result["msg"], result["msg"]
    assert "The host is as it was before" in result["msg"]
    assert_same(host.settled_state(), before)


def test_a_host_that_is_away_too_long_has_put_itself_back(host: BridgeHost) -> None:
    before = host.settled_state()
    process = host.start_bridge(**{**SLOW, "confirm_timeout": 5})
    host.until_applying()
    host.unplug()
    host.until_settled()
    host.plug_in()
    result = host.parse(*process.communicate(timeout=120))
    assert result["failed"] and result["confirmation"]["state"] == "restored", result
    assert_same(host.settled_state(), before)


def test_a_host_that_loses_its_power_boots_with_its_old_files(host: BridgeHost) -> None:
    before = host.settled_state()
    process = host.start_bridge(**{**GOOD, "confirm_timeout": 300})
    host.until_applying()
    host.unplug()
    host.execute("timeout", "60", "sh", "-c", "until ls /run/nestbox.virt/switch/*/outcome.json; do sleep 0.1; done")
    _kill(process)
    host.reboot(power_cut=True)
    assert_same(host.without_reports(host.settled_state()), before)
    told = host.bridge(state="absent")
    assert "restarted before the change was confirmed" in told["warnings"][0]
    assert_same(host.settled_state(), before)


def test_a_second_task_is_refused_while_a_change_is_pending(host: BridgeHost) -> None:
    process = host.start_bridge(**{**GOOD, "confirm_timeout": 15})
    host.until_applying()
    _kill(process)
    refused = host.bridge(**GOOD)
    assert refused["failed"] and refused["error"]["code"] == "conflict", refused
    assert "is not confirmed yet" in refused["msg"]
    host.until_settled()
    host.bridge(state="absent")


def test_a_change_that_fails_by_itself_is_undone_at_once(host: BridgeHost) -> None:
    before = host.settled_state()
    result = host.bridge(**{**SLOW, "timeout": 3, "confirm_timeout": 300})
    assert result["failed"] and "The host is as it was before" in result["msg"], result
    assert result["error"]["code"] in ("not_converged", "step_failed")
    assert_same(host.settled_state(), before)


@pytest.mark.parametrize(
    ("variables", "declaration"),
    [
        ({"ansible_connection": "containers.podman.podman", "ansible_host": "nbt-switch-faults"}, GOOD),
        ({"ansible_become": True, "ansible_become_method": "ansible.builtin.su"}, DECLARED),
    ],
    ids=["without a network", "become, and addresses that are declared"],
)
def test_other_ways_to_the_host_confirm_too(host: BridgeHost, variables: Result, declaration: Result) -> None:
    before = host.settled_state()
    result = host.bridge(variables=variables, **declaration)
    assert result["confirmation"]["state"] == "confirmed" and result["changed"], result
    assert host.bridge(variables=variables, state="absent")["confirmation"]["state"] == "confirmed"
    assert_same(host.settled_state(), before)
