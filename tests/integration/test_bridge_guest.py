# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `bridge` on a whole Debian, whose kernel has VLAN filtering and bonds, with three managers side by side.

One booted guest for all; each test goes on from where the one before it ended. Each manager has a card of its own under
a bond, and networkd the management card too. Frames are sent from a card that lies in a network namespace.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.bench.ansible_run import run_remote_module
from tests.bench.daemon import Daemon
from tests.bench.debian_guest import DebianGuest, DebianSettings
from tests.bench.guest_host import GuestHost
from tests.bench.guest_image import make_key, ssh_options
from tests.bench.module import Result
from tests.integration.bridge_steps import (
    CASES,
    assert_holds,
    assert_refused,
    assert_unchanged,
    filled_in,
    four_steps,
    succeed,
)

_NETWORK = "<network><name>trunk</name><bridge name='nbt-trunk' stp='off' delay='0'/></network>"
_STATION = "enp3s0"
# what the host is reached by: files, VLANs, addresses, routes, and what is under what
_REACHED_BY = (
    "cd /; find etc/systemd/network etc/NetworkManager/system-connections etc/network var/lib/nestbox.virt/bridges "
    "run/nestbox.virt/bridges -type f 2>/dev/null | sort | xargs md5sum; bridge vlan show; "
    "ip -4 -br address show | sort; ip -4 route show; ls -d1 sys/class/net/*; "
    "readlink -e sys/class/net/*/master"
)


@dataclass(frozen=True)
class Side:
    """What one manager has: a bond of one card, and a network of its own. `start` makes it begin."""

    manager: str
    card: str
    bond: str
    bridge: str
    address: str
    far: str  # of a station at the other end
    files: dict[str, str]
    start: str

    def options(self, case: dict[str, Any]) -> dict[str, Any]:
        """The options of a case, for here."""
        here: dict[str, Any] = filled_in(case["options"], {"BOND": self.bond, "ADDRESS": f"{self.address}/27"})
        return {"name": self.bridge, **here}


_SIDES = (
    Side(
        *("networkd", "enp2s0", "ndbond", "ndtrunk", "203.0.113.5", "203.0.113.9"),
        {
            "/etc/systemd/network/20-ndbond.netdev": (
                "[NetDev]\nName=ndbond\nKind=bond\n\n[Bond]\nMode=active-backup\nMIIMonitorSec=1s\n"
            ),
            "/etc/systemd/network/20-card.network": "[Match]\nName=enp2s0\n\n[Network]\nBond=ndbond\n",
        },
        "networkctl reload",
    ),
    Side(
        *("networkmanager", "enp4s0", "nmbond", "nmtrunk", "203.0.113.37", "203.0.113.41"),
        {
            "/etc/NetworkManager/conf.d/00-known.conf": (
                "[main]\nno-auto-default=*\n\n[keyfile]\nunmanaged-devices=*,except:interface-name:nm*,"
                "except:interface-name:enp4s0\n"
            ),
            "/etc/NetworkManager/system-connections/bond.nmconnection": (
                "[connection]\nid=bond\nuuid=9f0bb0a8-5d9f-4d0c-8f7a-0d9f6a4c1b33\ntype=bond\ninterface-name=nmbond\n\n"
                "[bond]\nmode=active-backup\nmiimon=1000\n\n[ipv4]\nmethod=disabled\n\n[ipv6]\nmethod=disabled\n"
            ),
            "/etc/NetworkManager/system-connections/card.nmconnection": (
                "[connection]\nid=card\nuuid=9f0bb0a8-5d9f-4d0c-8f7a-0d9f6a4c1b44\ntype=ethernet\n"
                "interface-name=enp4s0\nmaster=nmbond\nslave-type=bond\n"
            ),
        },
        "systemctl enable --now NetworkManager",
    ),
    Side(
        *("ifupdown", "enp5s0", "ifbond", "iftrunk", "203.0.113.69", "203.0.113.73"),
        {
            "/etc/network/interfaces": (
                "auto ifbond\niface ifbond inet manual\n    bond-slaves enp5s0\n    bond-mode active-backup\n"
                "    bond-miimon 1000\n"
            ),
        },
        "systemctl enable --now networking",
    ),
)
MANAGEMENT: Result = {"name": "lan0", "inherit": True, "vlan_filtering": True}
# the host would be in VLAN 99, and all that comes in is in VLAN 1
WRONG_VLAN: Result = {"vlan_filtering": True, "vlans": {"pvid": 99}, "confirm_timeout": 20}
RIGHT: Result = {**MANAGEMENT, "ports": [{"name": "enp1s0", "pvid": 20}], "vlans": {"pvid": 20}, "confirm_timeout": 300}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuestHost]:
    directory: Path = tmp_path_factory.mktemp("bridge")
    with Daemon(f"bridge-{os.getpid()}") as daemon:
        with daemon.connect() as connection:
            connection.networkCreateXML(_NETWORK)
        settings = DebianSettings(name="bridged", more_networks=["trunk"] * 4)
        with DebianGuest(daemon, directory, make_key(directory), settings) as guest:
            for side in _SIDES:
                for path, text in side.files.items():
                    guest.write(path, text)
                    if path.endswith(".nmconnection"):  # NetworkManager reads none that others can read
                        guest.call(f"chmod 600 {path}")
                guest.call(side.start)
                up = f"until grep -q {side.card} /proc/net/bonding/{side.bond}; do sleep 0.2; done"
                guest.call(f"timeout 60 sh -c '{up}'")
            started = GuestHost(guest, "bridge")
            yield started
            started.close()


@pytest.fixture(params=_SIDES, ids=lambda side: side.manager)
def side(request: pytest.FixtureRequest) -> Side:
    found: Side = request.param
    return found


def reached(host: GuestHost, side: Side, number: int) -> bool:
    """Whether the bridge's address answers to a station in a VLAN behind the bond."""
    host.guest.call(
        f"ip netns add far && ip link set {_STATION} netns far && ip -n far link set {_STATION} up && "
        f"ip -n far link add link {_STATION} name tagged type vlan id {number} && ip -n far link set tagged up && "
        f"ip -n far addr add {side.far}/27 dev tagged"
    )
    try:
        return host.guest.ssh(f"ip netns exec far ping -c 3 -i 0.3 -W 2 {side.address}").returncode == 0
    finally:
        host.guest.call(f"ip -n far link del tagged && ip -n far link set {_STATION} netns 1 && ip netns del far")


def vlans_of_a_tap(host: GuestHost, side: Side) -> list[int]:
    """Those of a guest's tap that joins the bridge."""
    found = json.loads(
        host.guest.call(
            f"ip tuntap add vnet9 mode tap && ip link set vnet9 master {side.bridge} && "
            "bridge -json vlan show dev vnet9; ip link del vnet9"
        )
    )
    return [row["vlan"] for entry in found for row in entry["vlans"]]


def as_declared(host: GuestHost, side: Side, bridge: Result, case: dict[str, Any]) -> None:
    """The bridge is what the case says, with its bond, and frames pass in the host's own VLAN alone."""
    assert_holds(bridge, case)
    port = bridge["ports"][0]
    assert {key: port[key] for key in case["port"]} == case["port"]
    assert (port["name"], bridge["addresses"]) == (side.bond, [f"{side.address}/27"])
    assert vlans_of_a_tap(host, side) == case["tap"]
    assert reached(host, side, case["reached"]) and not reached(host, side, case["not_reached"])


@pytest.mark.parametrize("case", CASES["vlans"], ids=lambda case: str(case["reached"]))
def test_vlans_of_a_bond_in_four_steps(host: GuestHost, side: Side, case: dict[str, Any]) -> None:
    as_declared(host, side, four_steps(host, side.options(case))["bridge"], case)


def test_they_outlive_a_reboot(host: GuestHost) -> None:
    case = CASES["vlans"][-1]
    host.reboot()
    # their ports' own files are read one after another while ssh answers already
    host.settled()
    for side in _SIDES:
        assert_unchanged(host, side.options(case))
        as_declared(host, side, succeed(host, side.options(case))["bridge"], case)


def test_without_vlans_again(host: GuestHost, side: Side) -> None:
    bridge = four_steps(host, {"name": side.bridge, "vlan_filtering": False})["bridge"]
    assert bridge["vlan_filtering"] is False


def assert_comes_back(host: GuestHost, wrong: Result, **way: Any) -> None:
    """The change fails, since nobody can confirm it, and the host is as it was. `way`: how it is reached."""
    host.settled()
    before = host.guest.call(_REACHED_BY)
    result = run_remote_module(host.guest, "bridge", wrong, **way)
    assert result["failed"] and not result["changed"], result
    assert result["error"]["code"] == "not_confirmed"
    assert result["confirmation"]["state"] == "restored"
    assert "The host is as it was before" in result["msg"]
    host.settled()
    assert host.guest.call(_REACHED_BY) == before


# networkd's is the one over the management card
@pytest.mark.parametrize("side", _SIDES[1:], indirect=True, ids=lambda side: side.manager)
def test_a_wrong_vlan_over_the_bond_comes_back_by_itself(host: GuestHost, side: Side) -> None:
    host.guest.daemon.exec("ip", "addr", "add", f"{side.far}/27", "dev", "nbt-trunk")
    # not by the connection that is kept for the tests' own commands
    way = {"ansible_host": side.address, "ansible_ssh_common_args": " ".join(ssh_options(host.guest.key))}
    assert_comes_back(host, {"name": side.bridge, **WRONG_VLAN}, variables=way)
    host.guest.daemon.exec("ip", "addr", "del", f"{side.far}/27", "dev", "nbt-trunk")


def test_absent_gives_the_bond_back(host: GuestHost, side: Side) -> None:
    four_steps(host, {"name": side.bridge, "state": "absent"})
    links = {link["ifname"]: link for link in json.loads(host.guest.call("ip -json link show"))}
    assert side.bridge not in links and "master" not in links[side.bond]
    assert links[side.card]["master"] == side.bond
    for path, text in side.files.items():
        assert host.guest.call(f"cat {path}").strip() == text.strip()
    left = host.guest.call("ls /etc/systemd/network /etc/NetworkManager/system-connections /etc/network/interfaces.d")
    assert f"nestbox-{side.bridge}" not in left


def test_what_can_be_no_port(host: GuestHost) -> None:
    host.guest.call("modprobe mac80211_hwsim radios=1 && udevadm settle")
    refused = {"wlan0": "is a wireless network card", "enp2s0": "Name ndbond itself as the port"}
    for port, says in refused.items():
        assert_refused(host, {"name": "br9", "ports": [{"name": port}]}, says)
    host.guest.call("modprobe -r mac80211_hwsim")


def test_a_wrong_vlan_over_the_management_card_comes_back_by_itself(host: GuestHost) -> None:
    assert_comes_back(host, {**MANAGEMENT, "ports": [{"name": "enp1s0"}], **WRONG_VLAN})


def test_the_right_vlan_over_the_management_card(host: GuestHost) -> None:
    before = host.guest.call(_REACHED_BY)
    result = run_remote_module(host.guest, "bridge", RIGHT)
    assert result["confirmation"]["state"] == "confirmed"
    assert result["bridge"]["vlans"] == {"pvid": 20, "untagged": [20], "tagged": []}
    assert result["bridge"]["addresses"] == [f"{host.guest.address}/24"]
    assert_unchanged(host, {**RIGHT, "confirm_timeout": 0})
    removed = run_remote_module(host.guest, "bridge", {"name": "lan0", "state": "absent"})
    assert removed["confirmation"]["state"] == "confirmed"
    host.settled()
    assert host.guest.call(_REACHED_BY) == before
