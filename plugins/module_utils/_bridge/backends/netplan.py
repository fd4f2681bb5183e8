# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""netplan: a YAML file of ours; a port loses its addresses where it is defined.

Private to this collection.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..._deps import yaml
from ..._errors import SystemFailure, UnsupportedError
from ..commands import Command, find
from ..kernel import Kernel
from ..model import MACVLAN, PLAIN, Declaration, Layer3, Port
from ..target import PortConfiguration, Target
from ._backend import HEADER, MARK, Activation, Backend, Change, Changes, Files, bytes_of, text_of

_ETC = "/etc/netplan"
_DIRECTORIES = (_ETC, "/run/netplan", "/lib/netplan")
_KINDS = ("ethernets", "bonds", "vlans", "tunnels", "bridges", "wifis", "modems", "vrfs", "dummy-devices")
# what belongs to addresses; the rest (match, MTU, bonding parameters …) is the link's own
_LAYER3 = (
    "addresses",
    "dhcp4",
    "dhcp6",
    "accept-ra",
    "gateway4",
    "gateway6",
    "nameservers",
    "routes",
    "routing-policy",
    "dhcp4-overrides",
    "dhcp6-overrides",
    "dhcp-identifier",
    "ipv6-privacy",
    "ipv6-address-generation",
    "optional-addresses",
    "link-local",
)
_NETWORK_MANAGER = re.compile(r"^\s*renderer:\s*['\"]?NetworkManager", re.MULTILINE)
_NO_ADDRESSES = {"dhcp4": False, "dhcp6": False, "accept-ra": False, "link-local": []}


@dataclass(frozen=True)
class Place:
    """The definition of one link in one file: from `start` to `end` of its text."""

    path: str
    kind: str
    key: str
    start: int
    end: int
    data: Mapping[str, Any]


@dataclass(frozen=True)
class Netplan(Backend):
    """netplan, whatever renders its files."""

    name: str = field(default="netplan", init=False)

    def available(self) -> bool:
        """Whether it is installed and has files."""
        return find("netplan") is not None and bool(self.read())

    def claims(self, port: str, kernel: Kernel, files: Files) -> str | None:
        """The file that has the link."""
        return next((place.path for place in self._places(port, kernel, files)), None)

    def read(self) -> Files:
        """The YAML files."""
        return self.read_directory(*_DIRECTORIES, suffixes=(".yaml",))

    def port_configuration(self, port: str, kernel: Kernel, files: Files) -> PortConfiguration:
        """DHCP, router advertisements and name servers of all its definitions."""
        said: dict[str, Any] = {}
        for place in self._places(port, kernel, files):
            said.update(place.data)
        servers = said.get("nameservers") or {}
        return PortConfiguration(
            dhcp4=bool(said.get("dhcp4")),
            dhcp6=bool(said.get("dhcp6")),
            accept_ra=said.get("accept-ra"),
            dns_servers=tuple(servers.get("addresses") or ()) or None,
            dns_search=tuple(servers.get("search") or ()) or None,
        )

    def defines(self, bridge: str, files: Files) -> str | None:
        """The file that has it among its bridges."""
        places = self._places(bridge, Kernel(), files)
        return next((place.path for place in places if place.kind == "bridges"), None)

    def gives(self, port: str, kernel: Kernel, files: Files) -> bool:
        """Addresses or DHCP in one of its definitions."""
        words = ("addresses", "dhcp4", "dhcp6")
        return any(place.data.get(word) for place in self._places(port, kernel, files) for word in words)

    def render(self, target: Target, kernel: Kernel, files: Files) -> Changes:
        """A file of ours; whatever defines the bridge elsewhere, or addresses of a port, goes."""
        wanted = target.written
        _check(wanted)
        changes: Changes = {}
        texts = {path: text_of(content) for path, content in files.items()}
        ids: dict[str, tuple[str, str]] = {}  # port: kind and key of its definition
        for port in (port for port in wanted.port_list() if port.kind == PLAIN):
            places = self._places(port.name, kernel, files)
            link = kernel.links.get(port.name)
            if not places and link is not None and link.kind not in (None, "veth"):
                raise UnsupportedError(
                    f"The port {port.name} is a {link.kind} that netplan does not know, so it would be gone after a "
                    "reboot. "
                    "Define it first, or say persist: none."
                )
            ids[port.name] = (places[0].kind, places[0].key) if places else ("ethernets", port.name)
            for place in reversed(places):
                left = {key: value for key, value in place.data.items() if key not in _LAYER3}
                texts[place.path] = _replaced(texts[place.path], place.path, place, {**left, **_NO_ADDRESSES})
        for place in self._places(wanted.name, kernel, {path: bytes_of(text) for path, text in texts.items()}):
            texts[place.path] = _emptied(texts[place.path], place)
        changes.update({path: bytes_of(text) for path, text in texts.items() if bytes_of(text) != files[path]})
        changes[f"{_ETC}/90-{MARK}-{wanted.name}.yaml"] = bytes_of(
            HEADER.format(name=wanted.name) + _block({"network": _network(wanted, ids)}, 0)
        )
        return changes

    def activate(self, change: Change) -> Activation:
        """netplan checks all files first. networkd is told by itself: `netplan apply` sets up all links anew."""
        remove: tuple[Command, ...] = () if change.present else (("ip", "link", "del", "dev", change.name),)
        tell: tuple[Command, ...] = (("netplan", "apply"),)
        if not any(_NETWORK_MANAGER.search(text_of(content)) for content in self.read().values()):
            links = change.released if not change.present else (*change.ports, *change.released)
            again = tuple(("networkctl", "reconfigure", link) for link in links)
            tell = (("networkctl", "reload"), *again)
        return Activation(after=(("netplan", "generate"), *remove, *tell), may_fail=remove)

    def restore_commands(self, name: str, ports: Iterable[str]) -> list[Command]:
        """networkd takes what netplan made of the old files; the last one is for NetworkManager."""
        again = [("networkctl", "reconfigure", link) for link in (name, *ports)]
        return [("netplan", "generate"), ("networkctl", "reload"), *again, ("nmcli", "connection", "reload")]

    def mode(self, path: str) -> int:  # noqa: ARG002
        """netplan warns of files that others can read."""
        return 0o600

    def _places(self, name: str, kernel: Kernel, files: Files) -> list[Place]:
        """The definitions of a link, in the order in which netplan reads the files."""
        link = kernel.links.get(name)
        macs = {one.lower() for one in (link.mac, link.permanent_mac) if one} if link else set()
        ordered = sorted((path.rpartition("/")[2], path) for path in files if f"-{MARK}-" not in path)
        return [
            place
            for _base, path in ordered
            for place in _definitions(path, text_of(files[path]))
            if _is_for(place, name, macs)
        ]


def _is_for(place: Place, name: str, macs: set[str]) -> bool:
    match = place.data.get("match") or {}
    by_name = match.get("name", place.key) == name or place.data.get("set-name") == name
    return by_name or str(match.get("macaddress", "")).lower() in macs


def _definitions(path: str, text: str) -> Iterator[Place]:
    """Every link that a file defines, with its place in the text."""
    loader = yaml().SafeLoader(text)
    try:
        tree = loader.get_single_node()
        network = _child(tree, "network") if tree is not None else None
        for kind in _KINDS:
            section = _child(network, kind) if network is not None else None
            for key, node in getattr(section, "value", None) or ():
                data = loader.construct_object(node, deep=True)
                said = data if isinstance(data, dict) else {}
                yield Place(path, kind, str(key.value), node.start_mark.index, _end(node), said)
    except yaml().YAMLError as error:
        raise SystemFailure(f"{path} is no YAML that can be read: {error}. Correct it first.") from error


def _end(node: Any) -> int:
    """Where the text of a node ends; a block's own mark is only where the next thing begins."""
    if node.id == "mapping" and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if node.id == "sequence" and not node.flow_style and node.value:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _child(node: Any, name: str) -> Any:
    pairs = node.value if isinstance(node.value, list) else []
    return next((value for key, value in pairs if key.value == name), None)


def _replaced(text: str, path: str, place: Place, data: Mapping[str, Any]) -> str:
    """The text with another definition at this place; its neighbours and their comments stay."""
    now = next(one for one in _definitions(path, text) if (one.kind, one.key) == (place.kind, place.key))
    # a block that begins on a line of its own gives way to the same data in braces
    before = text[: now.start]
    head = before.rstrip() + " " if before.rstrip().endswith(":") else before
    return head + json.dumps(data) + text[now.end :]


def _emptied(text: str, place: Place) -> str:
    """The text with an empty definition, which takes nothing away from ours."""
    return _replaced(text, place.path, place, {})


def _check(wanted: Declaration) -> None:
    """Raises for what netplan has no word for."""
    said = wanted.settings
    without = [
        ("a macvlan port", any(port.kind == MACVLAN for port in wanted.port_list())),
        ("VLANs on a bridge", bool(said.vlan_filtering or wanted.vlans or any(p.vlans for p in wanted.port_list()))),
        ("multicast_snooping: false", said.multicast_snooping is False),
        ("several remotes of a tunnel", any(port.vxlan and len(port.vxlan.remotes) > 1 for port in wanted.port_list())),
    ]
    for what, asked in without:
        if asked:
            raise UnsupportedError(
                f"The bridge {wanted.name} was to have {what}, which netplan has no word for. Say persist: networkd or "
                "persist: none, or leave it out."
            )


def _network(wanted: Declaration, ids: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    network: dict[str, Any] = {"version": 2}
    for kind, key in ids.values():
        if kind == "ethernets":  # a link has to be there before it can be named; what it has elsewhere is merged
            network.setdefault(kind, {})[key] = dict(_NO_ADDRESSES)
            if wanted.settings.mtu:
                network[kind][key]["mtu"] = wanted.settings.mtu
    for port in wanted.port_list():
        if port.vxlan:
            network.setdefault("tunnels", {})[port.name] = _tunnel(port, wanted)
    names = [ids[port.name][1] if port.name in ids else port.name for port in wanted.port_list()]
    network["bridges"] = {wanted.name: {"interfaces": names, **_bridge(wanted)}}
    return network


def _tunnel(port: Port, wanted: Declaration) -> dict[str, Any]:
    tunnel = port.vxlan
    rows = {
        "mode": "vxlan",
        "id": tunnel.vni if tunnel else 0,
        "local": tunnel.local if tunnel else None,
        "remote": tunnel.group or next(iter(tunnel.remotes), None) if tunnel else None,
        "port": tunnel.port if tunnel else None,
        "link": tunnel.device if tunnel else None,
        "mtu": wanted.settings.mtu,
        "link-local": [],
    }
    return {key: value for key, value in rows.items() if value is not None}


def _bridge(wanted: Declaration) -> dict[str, Any]:
    said, device = wanted.layer3, wanted.settings
    parameters = {
        "stp": device.stp,
        "forward-delay": device.forward_delay,
        "priority": device.priority,
        "ageing-time": device.ageing,
    }
    rows: dict[str, Any] = {
        "macaddress": device.mac,
        "mtu": device.mtu,
        **_layer3(said),
        "parameters": {key: value for key, value in parameters.items() if value is not None},
    }
    return {key: value for key, value in rows.items() if value not in (None, {}, [])}


def _layer3(said: Layer3) -> dict[str, Any]:
    routes = [
        {
            "to": "default" if route.default else route.to,
            **({"via": route.via} if route.via else {"scope": "link"}),
            **({"metric": route.metric} if route.metric else {}),
            **({"table": route.table} if route.table else {}),
        }
        for route in said.routes or ()
    ]
    servers = {"addresses": list(said.dns_servers or ()), "search": list(said.dns_search or ())}
    return {
        "addresses": list(said.addresses or ()),
        "dhcp4": bool(said.dhcp4),
        "dhcp6": bool(said.dhcp6),
        "dhcp-identifier": "mac" if said.dhcp4 else None,
        "accept-ra": said.accept_ra,
        "routes": routes,
        "nameservers": {key: value for key, value in servers.items() if value},
    }


def _block(data: Mapping[str, Any], depth: int) -> str:
    """Mappings as blocks, all else as JSON, which is YAML too: this needs no library, and gives the same each time."""
    lines = []
    for key, value in data.items():
        if isinstance(value, dict) and value:
            lines.append(f"{'  ' * depth}{key}:\n{_block(value, depth + 1)}")
        else:
            lines.append(f"{'  ' * depth}{key}: {json.dumps(value)}\n")
    return "".join(lines)
