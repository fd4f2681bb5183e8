# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""bridge and bridge_info on the kernel of a namespace: every option in four steps, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.bench.module import Result, run_module
from tests.bench.network_namespace import NetworkNamespace
from tests.integration.bridge_steps import CASES, assert_holds, four_steps, run_bridge, succeed
from tests.unit.bridge.help import written_out

_LINKS = (
    "ip link add eth0 address 52:54:00:00:00:01 type veth peer name far0",
    "ip link add eth1 address 52:54:00:00:00:02 type veth peer name far1",
    "ip link set eth0 up; ip link set far0 up; ip link set eth1 up; ip link set far1 up",
    "ip addr add 198.51.100.2/24 dev eth0; ip addr add 2001:db8::2/64 dev eth0 nodad",
    "ip route add default via 198.51.100.1; ip route add 203.0.113.0/28 via 198.51.100.9 metric 50",
)
_EVERYTHING = "ip -br addr; ip route; ip -6 route show default; ip -br link"
_OTHERS = (
    "ip link add other type bridge; ip link add taken type veth peer name far2; ip link set taken master other",
    "ip link add above link other type macvlan mode bridge; ip link property add dev eth1 altname ethernet-one",
    "ip link add spanning type bridge stp_state 1; ip tuntap add tun0 mode tun; ip tuntap add tun9 mode tap",
    "ip link add eth2 type veth peer name far3; ip link set eth2 up; ip addr add 203.0.113.2/24 dev eth2",
)


@pytest.fixture
def host() -> Iterator[NetworkNamespace]:
    """A host with two network cards, one of which has the addresses."""
    namespace = NetworkNamespace()
    try:
        namespace.run(*_LINKS)
        yield namespace
    finally:
        namespace.close()


def _bridge(host: NetworkNamespace, options: dict[str, Any], **more: Any) -> Result:
    return run_bridge(host, {"persist": "none", **options}, **more)


def _succeed(host: NetworkNamespace, options: dict[str, Any]) -> Result:
    return succeed(host, {"persist": "none", **options})


def _four_steps(host: NetworkNamespace, options: dict[str, Any]) -> Result:
    return four_steps(host, {"persist": "none", **options})


def test_every_option_on_one_bridge(host: NetworkNamespace) -> None:
    for case in CASES["changes"]:
        bridge = _four_steps(host, case["options"])["bridge"]
        assert_holds(bridge, case)
    found = run_module("bridge_info", {"uri": "test:///default"}, inside=host)
    assert found["bridges"] == [bridge]


@pytest.mark.parametrize("options", CASES["removed"], ids=", ".join)
def test_removal_gives_everything_back(host: NetworkNamespace, options: dict[str, Any]) -> None:
    before = host.run(_EVERYTHING)
    _succeed(host, {"ports": [{"name": "eth0"}], **options})
    result = _four_steps(host, {"state": "absent"})
    given = ["address 198.51.100.2/24", "address 2001:db8::2/64", "route 203.0.113.0/28", "route 0.0.0.0/0"]
    assert [step["target"] for step in result["steps"] if step["verb"] == "add"] == [
        f"port eth0 {one}" for one in given
    ]
    host.settled()
    assert sorted(host.run(_EVERYTHING).split()) == sorted(before.split())
    assert host.run("find /run/nestbox.virt /var/lib -type f") == ""


def test_addresses_of_the_bridge_itself_go_with_it_unless_the_host_needs_them(host: NetworkNamespace) -> None:
    _succeed(host, {"ports": [{"name": "eth1"}], "addresses": ["203.0.113.5/24"]})
    host.run("ip addr flush dev eth0")
    before = host.settled()
    refused = _bridge(host, {"state": "absent"})
    assert (refused["error"]["code"], "the host's only addresses" in refused["msg"]) == ("refused", True), refused
    assert host.state() == before
    host.run("ip addr add 198.51.100.2/24 dev eth0")
    result = _four_steps(host, {"state": "absent"})
    assert [(step["target"], step["verb"]) for step in result["steps"]][:1] == [("bridge br0", "remove")]
    assert "203.0.113.5" not in host.run("ip addr")


def test_the_only_port_of_somebody_elses_bridge_gets_its_addresses(host: NetworkNamespace) -> None:
    host.run(
        "ip link add up0 link eth1 type macvlan mode bridge; ip link add br0 type bridge; ip link set up0 master br0",
        "ip link set up0 up; ip link set br0 up; ip addr add 203.0.113.5/24 dev br0",
        "ip route add 192.0.2.0/24 via 203.0.113.1",
    )
    _four_steps(host, {"state": "absent"})
    assert "192.0.2.0/24 via 203.0.113.1 dev up0" in host.run("ip route")


def test_drift_is_one_step_for_each_difference(host: NetworkNamespace) -> None:
    options = {"ports": [{"name": "eth0"}, {"name": "eth1"}], "inherit": True, "ageing": 60}
    _succeed(host, options)
    host.run(
        "ip link set br0 type bridge ageing_time 9900",
        "ip link set eth1 nomaster",
        "ip addr add 203.0.113.9/24 dev br0",
    )
    result = _four_steps(host, options)
    assert {(step["target"], step["verb"]) for step in result["steps"]} == {
        ("bridge br0", "ageing"),
        ("bridge br0 port eth1", "add"),
        ("bridge br0 address 203.0.113.9/24", "remove"),
    }


def test_taps_of_guests_stay(host: NetworkNamespace) -> None:
    _succeed(host, {"ports": [{"name": "eth0"}, {"name": "eth1"}], "inherit": True})
    host.run("ip tuntap add vnet7 mode tap", "ip link set vnet7 master br0")
    bridge = _four_steps(host, {"ports": [{"name": "eth0"}], "inherit": True})["bridge"]
    assert [(port["name"], port["of_guest"]) for port in bridge["ports"]] == [("eth0", False), ("vnet7", True)]


def test_a_lease_moves_with_its_time(host: NetworkNamespace) -> None:
    host.run(
        "ip addr flush dev eth0 scope global", "ip addr add 198.51.100.7/24 dev eth0 valid_lft 900 preferred_lft 900"
    )
    bridge = _succeed(host, {"ports": [{"name": "eth0"}], "inherit": True})["bridge"]
    assert bridge["dynamic_addresses"] == ["198.51.100.7/24"]


@pytest.mark.parametrize("case", CASES["refused"], ids=lambda case: f"{case[1]} {case[2]}")
def test_refused_and_nothing_touched(refusing_host: NetworkNamespace, case: list[Any]) -> None:
    code, text, options = case
    result = _bridge(refusing_host, written_out(options))
    assert (result["failed"], text in result["msg"]) == (True, True), result["msg"]
    assert result.get("error", {}).get("code") == code


@pytest.fixture(scope="module")
def refusing_host() -> Iterator[NetworkNamespace]:
    """One host for all that is refused, for nothing of it may change it; at the end it is looked whether it did."""
    namespace = NetworkNamespace()
    try:
        namespace.run(*_LINKS, *_OTHERS)
        before = namespace.settled()
        yield namespace
        assert namespace.state() == before
    finally:
        namespace.close()


def test_without_rights_nothing_happens(refusing_host: NetworkNamespace) -> None:
    before = refusing_host.settled()
    result = _bridge(refusing_host, {"ports": [{"name": "eth1"}], "addresses": []}, user="nobody")
    assert result["failed"]
    assert "become: true" in result["msg"]
    assert refusing_host.state() == before


def test_info_says_which_bridge_is_missing(refusing_host: NetworkNamespace) -> None:
    result = run_module("bridge_info", {"name": ["other", "nowhere"]}, inside=refusing_host)
    assert result["failed"]
    assert "no bridge of that name. Its bridges: other" in result["msg"]
    found = run_module("bridge_info", {"name": ["other", "nowhere"], "ignore_missing": True}, inside=refusing_host)
    assert [bridge["name"] for bridge in found["bridges"]] == ["other"]
