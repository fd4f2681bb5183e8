# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module network_info on a real libvirtd."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.bench.module import run_module
from tests.integration.network_help import NAME, NAT, make_transient, prepare

if TYPE_CHECKING:
    from tests.conftest import BoundModule


def test_info_reads_all_one_and_some(module: BoundModule) -> None:
    for name in ("nbt-b", "nbt-a"):
        prepare(module, [{"name": name, "mode": "isolated"}])
    make_transient(module)
    before = module.daemon.state()
    everything = module("network_info")
    assert [network["name"] for network in everything["networks"]] == ["nbt-a", "nbt-b", NAME]
    assert [network["persistent"] for network in everything["networks"]] == [True, True, False]
    some = module("network_info", {"name": ["nbt-b", "nbt-a"], "xml": True})["networks"]
    assert [network["name"] for network in some] == ["nbt-b", "nbt-a"]
    assert "<name>nbt-b</name>" in some[0]["xml"]["inactive"]
    assert some[0]["xml"]["live"] is None
    assert module("network_info", {"name": ["nbt-none"]})["error"]["code"] == "not_found"
    assert module("network_info", {"name": ["nbt-none"], "ignore_missing": True})["networks"] == []
    module.daemon.assert_unchanged(before, "network_info")


def test_info_says_what_waits_for_a_restart(module: BoundModule) -> None:
    prepare(module, [NAT, {"mtu": 1400}])
    told = module("network_info", {"name": [NAME]})["networks"][0]
    assert told["restart_required"] is True
    assert "1400" in told["restart_reasons"][0]


def test_other_drivers_have_networks_too() -> None:
    """The test driver has no ports, no leases and no separate definition."""
    told = run_module("network_info", {"uri": "test:///default"})
    assert [network["name"] for network in told["networks"]] == ["default"]
    entry = {"ip": "192.0.2.7", "hostnames": ["seven"]}
    done = run_module("network", {"uri": "test:///default", "name": "default", "dns": {"hosts": [entry]}})
    assert done["network"]["dns"]["hosts"] == [entry]


def test_info_lists_leases(module: BoundModule) -> None:
    """A lease as dnsmasq's helper of libvirt leaves it."""
    prepare(module, [NAT])
    lease = {"ip-address": "198.51.100.150", "mac-address": "52:54:00:00:00:01", "hostname": "web1"}
    entry = json.dumps([{**lease, "expiry-time": 4102444800}])
    module.daemon.path("/var/lib/libvirt/dnsmasq/virbr0.status").write_text(entry)
    leases = module("network_info", {"name": [NAME]})["networks"][0]["leases"]
    assert leases == [
        {
            "ip": "198.51.100.150",
            "mac": "52:54:00:00:00:01",
            "hostname": "web1",
            "client_id": None,
            "expires": 4102444800,
        }
    ]
