# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From a kernel to a declaration: differences.yml; and what is left alone on the way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.live import Known, commands_of, differences
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import parse
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.target import (
    PortConfiguration,
    Target,
    check_silence,
    resolve,
)
from ansible_collections.nestbox.virt.plugins.module_utils._errors import RefusedError

from .help import host, params

_CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("differences.yml").read_text(encoding="utf-8"))
_BRIDGE = {"kind": "bridge", "up": True, "mac": "52:54:00:00:00:0b"}


def _target(case: dict[str, Any]) -> Target:
    return resolve(parse(params(case["options"])), host(case), None, None, PortConfiguration())


@pytest.mark.parametrize("name", _CASES)
def test_commands(name: str) -> None:
    case = _CASES[name]
    known = Known(case.get("ours", {}), tuple(case.get("statics", ())), case.get("managed", False))
    found = differences(_target(case), host(case), known)
    assert [" ".join(command) for command in commands_of(found)] == case["commands"]


def test_a_bridge_of_somebody_else_keeps_what_is_not_declared_but_its_mac() -> None:
    routes = [
        {"device": "br0", "to": "0.0.0.0/0", "via": "198.51.100.1"},
        {"device": "br0", "to": "::/0", "via": "fe80::1"},
    ]
    case = {
        "links": {"br0": {**_BRIDGE, "info": {"stp_state": 1, "priority": 100}}},
        "addresses": {"br0": ["198.51.100.2/24", "2001:db8::7/64"]},
        "dynamic": ["2001:db8::7/64"],
        "routes": routes,
    }
    kept = _target({**case, "options": {"ageing": 60}}).written
    assert (kept.settings.stp, kept.settings.priority, kept.settings.ageing, kept.settings.mac) == (True, 100, 60, None)
    assert (kept.layer3.addresses, kept.layer3.accept_ra) == (("198.51.100.2/24",), True)
    leased = _target({**case, "options": {"dhcp4": True}}).written
    assert [route.to for route in leased.layer3.routes or ()] == ["::/0"], "the router of IPv4 comes with the lease"


def test_nothing_is_inherited_of_a_port_without_addresses_by_a_bridge_that_is_there() -> None:
    case = {"links": {"eth0": {"mac": "52:54:00:00:00:01"}}, "options": {"ports": [{"name": "eth0"}], "inherit": True}}
    assert _target(case).enforced.settings.mac == "52:54:00:00:00:01", "of a new one it is the MAC"
    case["links"]["br0"] = _BRIDGE
    assert (_target(case).giver, _target(case).enforced.settings.mac) == (None, None)


@pytest.mark.parametrize(("address", "refused"), [("198.51.100.2/24", True), ("169.254.3.4/16", False), (None, False)])
def test_a_port_loses_its_addresses_only_when_that_was_said(address: str | None, refused: bool) -> None:
    addresses = {"eth0": [address]} if address else {}
    case = {"links": {"eth0": {}}, "addresses": addresses, "options": {"ports": [{"name": "eth0"}]}}
    if not refused:
        check_silence(_target(case), host(case))
        return
    with pytest.raises(RefusedError, match="Say inherit: true"):
        check_silence(_target(case), host(case))
