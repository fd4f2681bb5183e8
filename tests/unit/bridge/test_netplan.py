# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What renders netplan's bridge, and what is told of it: renderers.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends import BACKENDS, Change
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import parse
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.target import PortConfiguration, resolve
from ansible_collections.nestbox.virt.plugins.module_utils._errors import ConflictError

from .help import kernel, params

_CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("renderers.yml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", _CASES, ids=lambda case: " ".join(case["files"].values()))
def test_the_bridge_is_rendered_as_its_ports_are(case: dict[str, Any], tmp_path: Path) -> None:
    directory = tmp_path / "etc" / "netplan"
    directory.mkdir(parents=True)
    for name, text in case["files"].items():
        (directory / name).write_text(text, encoding="utf-8")
    backend = BACKENDS["netplan"](root=str(tmp_path))
    declaration = parse(params({"ports": [{"name": "eth0"}, {"name": "eth1"}], "addresses": []}))
    target = resolve(declaration, kernel(), None, None, PortConfiguration())
    if "refused" in case:
        with pytest.raises(ConflictError, match=case["refused"]):
            backend.render(target, kernel(), backend.read())
        return
    for path, content in backend.render(target, kernel(), backend.read()).items():
        (tmp_path / path.lstrip("/")).write_bytes(content or b"")
    own = yaml.safe_load((directory / "90-nestbox-br0.yaml").read_text(encoding="utf-8"))
    assert own["network"]["bridges"]["br0"].get("renderer") == case["renderer"]
    change = Change("br0", True, ("eth0", "eth1"), (), {}, created=True)
    told = {command[0] for command in backend.activate(change).after}
    assert told == {"netplan", "nmcli" if case["renderer"] == "NetworkManager" else "networkctl"}


def test_a_port_loses_its_addresses_wherever_it_has_some() -> None:
    files = {
        "/etc/netplan/1.yaml": b"network: {ethernets: {eth1: {addresses: [203.0.113.5/24]}}}",
        "/etc/netplan/2.yaml": b"network:\n  ethernets:\n    eth1:\n      dhcp4: true\n",
    }
    declaration = parse(params({"ports": [{"name": "eth1"}], "addresses": []}))
    target = resolve(declaration, kernel(), None, None, PortConfiguration())
    changed = BACKENDS["netplan"](root="/nonexistent").render(target, kernel(), files)
    for path in files:
        definition = yaml.safe_load(changed[path] or b"")["network"]["ethernets"]["eth1"]
        assert definition == {"dhcp4": False, "dhcp6": False, "accept-ra": False, "link-local": []}, path
