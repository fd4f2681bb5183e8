# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host as data, and the module's options with their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.kernel import Address, Kernel, KernelRoute, Link
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.model import Route
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import SPEC

DATA: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("cases.yml").read_text(encoding="utf-8"))
HOST = DATA["host"]


def params(options: dict[str, Any]) -> dict[str, Any]:
    """The parameters as Ansible would give them to the module."""
    return _filled(SPEC.options, {"name": "br0", **options})


def written_out(options: dict[str, Any]) -> dict[str, Any]:
    """The options of a case that is refused, with what `port` and `vxlan` stand for."""
    options = dict(options)
    tunnel = options.pop("vxlan", None)
    port = options.pop("port", None)
    if tunnel is not None:
        port = {"name": "vx9", "kind": "vxlan", "id": 9, "remotes": ["203.0.113.8"], **tunnel}
    if port is not None:
        options = {"ports": [port], "addresses": [], **options}
    return options


def _filled(spec: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    found = {}
    for name, option in spec.items():
        value = given.get(name, option.get("default"))
        if "options" in option and isinstance(value, list):
            value = [_filled(option["options"], entry) for entry in value]
        elif "options" in option and isinstance(value, dict):
            value = _filled(option["options"], value)
        elif option.get("elements") == "str" and value is not None:
            value = [str(entry) for entry in value]
        found[name] = value
    return found


def kernel(case: dict[str, Any] | None = None) -> Kernel:
    """The host's kernel, as a case changes it."""
    case = case or {}
    kinds = case.get("kinds", {})
    links = {
        name: Link(name, index=number, mac=HOST["macs"][name], up=True, kind=kinds.get(name))
        for number, name in enumerate(HOST["links"], 2)
    }
    addresses = {
        name: tuple(Address(text, dynamic=text in case.get("dynamic", ())) for text in texts)
        for name, texts in HOST["addresses"].items()
    }
    routes = tuple(KernelRoute(Route(**row), "eth0") for row in HOST["routes"])
    return Kernel(links=links, addresses=addresses, routes=routes, has_vlan_filtering=True)


def host(case: dict[str, Any]) -> Kernel:
    """The kernel that a case writes out: links by name, addresses (`dynamic` ones, with seconds or none), routes."""
    dynamic = dict.fromkeys(case.get("dynamic", ()))
    dynamic.update(case["dynamic"] if isinstance(case.get("dynamic"), dict) else {})
    addresses = {
        name: tuple(Address(text, dynamic=text in dynamic, seconds=dynamic.get(text)) for text in texts)
        for name, texts in case.get("addresses", {}).items()
    }
    rows = [dict(row) for row in case.get("routes", ())]
    return Kernel(
        links={name: Link(name, **values) for name, values in case.get("links", {}).items()},
        addresses=addresses,
        routes=tuple(KernelRoute(device=row.pop("device"), route=Route(**row)) for row in rows),
        remotes={name: tuple(peers) for name, peers in case.get("remotes", {}).items()},
        has_vlan_filtering=True,
    )
