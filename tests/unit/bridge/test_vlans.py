# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""VLANs of a bridge in the kernel, and its default VLAN: vlans.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.kernel import Kernel, Link
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.live import commands_of, differences
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.model import Vlan
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import parse
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.target import PortConfiguration, resolve

from .help import params

_CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("vlans.yml").read_text(encoding="utf-8"))


def _kernel(case: dict[str, Any]) -> Kernel:
    rows = case.get("vlans", {})
    links = {name: Link(name, up=True) for name in ("eth0", "eth1")}
    links.update({name: Link(name, up=True, master="br0") for name in rows if name != "br0"})
    if rows:
        info = {"vlan_default_pvid": case["default"], "vlan_filtering": 1}
        links["br0"] = Link("br0", up=True, kind="bridge", info=info)
    vlans = {
        name: tuple(Vlan(number, "p" in flags, "u" in flags) for number, flags in found) for name, found in rows.items()
    }
    return Kernel(links=links, vlans=vlans, has_vlan_filtering=True)


@pytest.mark.parametrize("name", _CASES)
def test_vlans(name: str) -> None:
    case = _CASES[name]
    kernel = _kernel(case)
    recorded = parse(params(case["recorded"])) if "recorded" in case else None
    target = resolve(parse(params(case["options"])), kernel, recorded, None, PortConfiguration())
    assert [" ".join(command) for command in commands_of(differences(target, kernel))] == case["commands"]
