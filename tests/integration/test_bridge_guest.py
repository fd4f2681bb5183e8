# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `bridge` on a whole Debian with networkd, whose kernel has VLAN filtering and bonds.

One booted guest for all; each test goes on from where the one before it ended. What is there is asked of the guest's
kernel, and frames are sent from a network card of the guest that lies in a network namespace of its own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.ansible_run import run_play, run_remote_module
from tests.bench.daemon import Daemon
from tests.bench.debian_guest import DebianGuest, DebianSettings
from tests.bench.guest_image import make_key
from tests.bench.module import Result

ADDRESS, FAR = "203.0.113.5", "203.0.113.9"
_NETWORK = "<network><name>trunk</name><bridge name='nbt-trunk' stp='off' delay='0'/></network>"
# two cards of the guest as one link; the manager makes it again after a reboot
_BOND = {
    "20-bond0.netdev": "[NetDev]\nName=bond0\nKind=bond\n\n[Bond]\nMode=active-backup\nMIIMonitorSec=1s\n",
    "20-cards.network": "[Match]\nName=enp2s0 enp3s0\n\n[Network]\nBond=bond0\n",
}
TRUNK: Result = {
    "name": "trunk0",
    "vlan_filtering": True,
    "ports": [{"name": "bond0", "pvid": 5, "tagged": ["10", "100-102"]}],
    "vlans": {"pvid": 10, "tagged": ["100"]},
    "addresses": [f"{ADDRESS}/24"],
    "confirm_timeout": 60,
}
# the host moves to VLAN 20, and VLAN 1 is in every list, so that it becomes the one of links that nobody declares
OTHER: Result = {
    **TRUNK,
    "ports": [{"name": "bond0", "pvid": 1, "tagged": ["20", "101-103"]}],
    "vlans": {"pvid": 20, "tagged": ["1"]},
}
_PVID = ("Egress Untagged", "PVID")
VLANS = {
    "trunk": {
        "bond0": {5: _PVID, 10: (), 100: (), 101: (), 102: ()},
        "trunk0": {10: _PVID, 100: ()},
    },
    "other": {
        "bond0": {1: _PVID, 20: (), 101: (), 102: (), 103: ()},
        "trunk0": {1: (), 20: _PVID},
    },
}
# a guest's tap that says nothing, and one that somebody put into a VLAN
_TAPS = (
    "for tap in vnet8 vnet9; do ip tuntap add $tap mode tap && ip link set $tap master trunk0 || exit 1; done; "
    "bridge vlan add vid 30 dev vnet8 pvid untagged"
)
_IN_NONE: dict[str, dict[int, Any]] = {"vnet8": {30: _PVID}, "vnet9": {}}
_IN_VLAN_1: dict[str, dict[int, Any]] = {"vnet8": {30: _PVID}, "vnet9": {1: _PVID}}
# files, VLANs, addresses, routes, and what is under what
_STATE = (
    "cd /; find etc/systemd/network var/lib/nestbox.virt/bridges run/nestbox.virt/bridges -type f 2>/dev/null | sort | "
    "xargs md5sum; bridge vlan show; ip -4 -br address show | sort; ip -4 route show; ls -d1 sys/class/net/*; "
    "readlink -e sys/class/net/*/master"
)
MANAGEMENT: Result = {"name": "lan0", "inherit": True, "vlan_filtering": True}
# the host would be in VLAN 99, and all that comes in is in VLAN 1
WRONG: Result = {**MANAGEMENT, "ports": [{"name": "enp1s0"}], "vlans": {"pvid": 99}, "confirm_timeout": 20}
RIGHT: Result = {**MANAGEMENT, "ports": [{"name": "enp1s0", "pvid": 20}], "vlans": {"pvid": 20}, "confirm_timeout": 60}


@pytest.fixture(scope="module")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DebianGuest]:
    directory: Path = tmp_path_factory.mktemp("bridge")
    with Daemon(f"bridge-{os.getpid()}") as daemon:
        with daemon.connect() as connection:
            connection.networkCreateXML(_NETWORK)
        settings = DebianSettings(name="bridged", more_networks=["trunk"] * 3)
        with DebianGuest(daemon, directory, make_key(directory), settings) as started:
            for name, text in _BOND.items():
                started.write(f"/etc/systemd/network/{name}", text)
            started.call("networkctl reload && until grep -q enp3s0 /proc/net/bonding/bond0; do sleep 0.2; done")
            yield started


def vlans(guest: DebianGuest, *links: str) -> dict[str, dict[int, tuple[str, ...]]]:
    """The VLANs of links, as the kernel has them: by number, with their flags."""
    found: dict[str, dict[int, tuple[str, ...]]] = {link: {} for link in links}
    for entry in json.loads(guest.call("bridge -json vlan show")):
        for row in entry["vlans"] if entry["ifname"] in found else ():
            for number in range(row["vlan"], row.get("vlanEnd", row["vlan"]) + 1):
                found[entry["ifname"]][number] = tuple(sorted(row.get("flags", ())))
    return found


def links(guest: DebianGuest) -> dict[str, dict[str, Any]]:
    """All links with what the kernel says of them, addresses included."""
    return {link["ifname"]: link for link in json.loads(guest.call("ip -json -details address show"))}


def state(guest: DebianGuest) -> list[str]:
    """What a run that changes nothing leaves as it is."""
    return guest.call(_STATE).splitlines()


def _addresses(link: dict[str, Any]) -> list[str]:
    return [f"{row['local']}/{row['prefixlen']}" for row in link["addr_info"] if row["family"] == "inet"]


def run(guest: DebianGuest, declaration: Result) -> Result:
    """The module's result, the action plugin's part included."""
    return run_remote_module(guest, "bridge", declaration)


def four_steps(guest: DebianGuest, declaration: Result) -> Result:
    """Foreseen and nothing written; changed; unchanged twice. The result of the run that changed it."""
    tasks: list[dict[str, Any]] = [{"name": "before: state", "ansible.builtin.raw": _STATE}]
    for name, check in (("foreseen", True), ("changed", False), ("again", False), ("checked again", True)):
        tasks.append({"name": name, "nestbox.virt.bridge": declaration, "check_mode": check})
        tasks.append({"name": f"{name}: state", "ansible.builtin.raw": _STATE})
    steps = run_play(guest, tasks).succeeded()
    assert [name for name in steps.changed if not name.endswith(": state")] == ["foreseen", "changed"], steps.output
    states = [task.result["stdout_lines"] for task in steps.tasks if task.name.endswith(": state")]
    before, foreseen, *after = states
    assert foreseen == before
    assert before != after[0] == after[1] == after[2]
    changed = steps.task("changed")
    assert changed["confirmation"]["state"] == "confirmed"
    return changed


def unchanged(guest: DebianGuest, declaration: Result) -> None:
    """Neither a run nor check mode finds anything to do."""
    tasks = [
        {"name": f"check {check}", "nestbox.virt.bridge": declaration, "check_mode": check} for check in (False, True)
    ]
    assert run_play(guest, tasks).succeeded().changed == []


def reached(guest: DebianGuest, number: int) -> bool:
    """Whether the bridge's address answers to a station in a VLAN behind the bond."""
    station = f"ip -n far link add link enp4s0 name tagged type vlan id {number} && ip -n far link set tagged up"
    guest.call(
        "ip netns add far && ip link set enp4s0 netns far && ip -n far link set enp4s0 up && "
        f"{station} && ip -n far addr add {FAR}/24 dev tagged"
    )
    try:
        return guest.ssh(f"ip netns exec far ping -c 3 -i 0.3 -W 2 {ADDRESS}").returncode == 0
    finally:
        guest.call("ip -n far link del tagged && ip -n far link set enp4s0 netns 1 && ip netns del far")


def as_declared(guest: DebianGuest, which: str) -> None:
    """The bridge in the kernel is the one of `VLANS`, with its bond and its address."""
    assert vlans(guest, "bond0", "trunk0") == VLANS[which]
    found = links(guest)
    assert found["trunk0"]["linkinfo"]["info_data"]["vlan_filtering"] == 1
    assert found["bond0"]["master"] == "trunk0" and found["bond0"]["linkinfo"]["info_kind"] == "bond"
    assert [found[card]["master"] for card in ("enp2s0", "enp3s0")] == ["bond0", "bond0"]
    assert _addresses(found["trunk0"]) == [f"{ADDRESS}/24"]


def test_a_bond_under_a_bridge_with_vlans(guest: DebianGuest) -> None:
    result = four_steps(guest, TRUNK)
    as_declared(guest, "trunk")
    assert result["bridge"]["ports"][0]["link_kind"] == "bond"
    guest.call(_TAPS)
    assert vlans(guest, "vnet8", "vnet9") == _IN_NONE and result["bridge"]["default_vlan"] is None
    assert reached(guest, 10) and not reached(guest, 20)


def test_other_vlans(guest: DebianGuest) -> None:
    result = run(guest, OTHER)
    assert result["changed"] and result["confirmation"]["state"] == "confirmed"
    as_declared(guest, "other")
    assert vlans(guest, "vnet8", "vnet9") == _IN_VLAN_1 and result["bridge"]["default_vlan"] == 1
    assert reached(guest, 20) and not reached(guest, 10)


def test_it_outlives_a_reboot(guest: DebianGuest) -> None:
    assert run(guest, TRUNK)["confirmation"]["state"] == "confirmed"
    assert vlans(guest, "vnet8", "vnet9") == _IN_NONE
    guest.reboot()
    # its ports' own files are read one after another while ssh answers already
    guest.call("/usr/lib/systemd/systemd-networkd-wait-online --interface=trunk0:routable --timeout=120")
    as_declared(guest, "trunk")
    guest.call(_TAPS)
    assert vlans(guest, "vnet8", "vnet9") == _IN_NONE
    unchanged(guest, TRUNK)
    assert reached(guest, 10) and not reached(guest, 20)


def test_what_can_be_no_port(guest: DebianGuest) -> None:
    guest.call("modprobe mac80211_hwsim radios=1 && udevadm settle")
    before = state(guest)
    refused = {"wlan0": "is a wireless network card", "enp2s0": "Name bond0 itself as the port"}
    tasks: list[dict[str, Any]] = [
        {"name": port, "nestbox.virt.bridge": {"name": "br9", "ports": [{"name": port}]}, "ignore_errors": True}
        for port in refused
    ]
    found = run_play(guest, tasks)
    assert {port: text in found.task(port)["msg"] for port, text in refused.items()} == dict.fromkeys(refused, True)
    assert state(guest) == before
    guest.call("modprobe -r mac80211_hwsim")


def test_a_wrong_vlan_comes_back_by_itself(guest: DebianGuest) -> None:
    before = state(guest)
    result = run(guest, WRONG)
    assert result["failed"] and not result["changed"], result
    assert result["error"]["code"] == "not_confirmed"
    assert result["confirmation"]["state"] == "restored"
    assert "The host is as it was before" in result["msg"]
    assert state(guest) == before


def test_the_right_vlan_over_the_management_card(guest: DebianGuest) -> None:
    before = state(guest)
    result = run(guest, RIGHT)
    assert result["changed"] and result["confirmation"]["state"] == "confirmed"
    assert vlans(guest, "enp1s0", "lan0") == {"enp1s0": {20: _PVID}, "lan0": {20: _PVID}}
    found = links(guest)
    assert (found["enp1s0"]["master"], _addresses(found["lan0"])) == ("lan0", [f"{guest.address}/24"])
    assert _addresses(found["enp1s0"]) == []
    assert run(guest, {"name": "lan0", "state": "absent"})["confirmation"]["state"] == "confirmed"
    assert state(guest) == before


def test_absent_gives_the_bond_back(guest: DebianGuest) -> None:
    four_steps(guest, {"name": "trunk0", "state": "absent"})
    found = links(guest)
    assert "trunk0" not in found and "master" not in found["bond0"]
    assert guest.call("ls /etc/systemd/network") == "\n".join([*_BOND, "50-lan.network"])
