# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dictionary of a bridge that the module and its _info sibling return. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .kernel import Kernel, Link, macvlan_of, vxlan_of
from .model import MACVLAN, PLAIN, VXLAN, Vlan
from .record import Record
from .target import is_guest


def describe(
    name: str, kernel: Kernel, record: Record | None, guests: Mapping[str, dict[str, str]] | None = None
) -> dict[str, Any] | None:
    """None for a bridge that is not there. `guests`: the guest of each tap."""
    link = kernel.links.get(name)
    if link is None or link.kind != "bridge":
        return None
    settings = vars(link.settings)
    declared = set(record.ours) if record else set()
    # ifupdown2 calls its gateways the kernel's, which makes none
    found = [one for one in kernel.routes if one.device == name and (one.protocol != "kernel" or one.route.via)]
    routes = [one.route for one in found]
    gateways = {route.version: route.via for route in reversed(routes) if route.default}
    return {
        "name": name,
        "up": link.up,
        **settings,
        "default_vlan": link.default_vlan or None,
        "ports": [
            _port(port, kernel, guests or {}, declared)
            for port in sorted(kernel.ports_of(name), key=lambda port: port.name)
        ],
        "vlans": _vlans(kernel.vlans.get(name, ())),
        "addresses": [address.address for address in kernel.addresses_of(name)],
        "dynamic_addresses": [address.address for address in kernel.addresses_of(name) if address.dynamic],
        "gateway4": gateways.get(4),
        "gateway6": gateways.get(6),
        "routes": sorted((vars(route) for route in routes), key=lambda row: (row["to"], row["table"] or 0)),
        "dns_servers": list(record.written.layer3.dns_servers or ()) if record else [],
        "dns_search": list(record.written.layer3.dns_search or ()) if record else [],
        "fdb_entries": kernel.learned.get(name, 0),
        "persist": record.manager if record else None,
    }


def _port(link: Link, kernel: Kernel, guests: Mapping[str, dict[str, str]], declared: set[str]) -> dict[str, Any]:
    kind = link.kind if link.kind in (VXLAN, MACVLAN) else PLAIN
    port: dict[str, Any] = {
        "name": link.name,
        "kind": kind,
        "link_kind": link.kind,
        "mac": link.mac,
        "mtu": link.mtu,
        "up": link.up,
        **_vlans(kernel.vlans.get(link.name, ())),
        "of_guest": is_guest(link) and link.name not in declared,
        "guest": guests.get(link.name),
    }
    if kind == VXLAN:
        tunnel = {**vars(vxlan_of(link, kernel))}
        port.update(id=tunnel.pop("vni"), **{**tunnel, "remotes": list(tunnel["remotes"])})
    elif kind == MACVLAN:
        port.update(vars(macvlan_of(link)))
    return port


def _vlans(vlans: tuple[Vlan, ...]) -> dict[str, Any]:
    return {
        "pvid": next((vlan.number for vlan in vlans if vlan.pvid), None),
        "untagged": [vlan.number for vlan in vlans if vlan.untagged],
        "tagged": [vlan.number for vlan in vlans if not vlan.untagged],
    }
