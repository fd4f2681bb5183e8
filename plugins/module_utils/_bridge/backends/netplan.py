# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""netplan: a YAML file of ours; a port loses its addresses where it is defined.

Private to this collection.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..._deps import yaml
from ..._errors import ConflictError, SystemFailure, UnsupportedError
from ..commands import Command, find
from ..kernel import Kernel
from ..model import MACVLAN, PLAIN, Declaration, Layer3, Port
from ..target import PortConfiguration, Target
from ._backend import HEADER, MARK, Activation, Backend, Change, Changes, Files, bytes_of, text_of
from .networkd import leave_bridge
from .nm_settings import modification, up

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
_NETWORKD, _NETWORK_MANAGER = "networkd", "NetworkManager"
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
    renderer: str | None = None  # of the link, or of its section


@dataclass(frozen=True)
class Netplan(Backend):
    """netplan, whatever renders its files."""

    name: str = field(default="netplan", init=False)
    remakes: bool = field(default=False, init=False)

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
        renderer = self._renderer(wanted, kernel, files)
        changes: Changes = {}
        texts = {path: text_of(content) for path, content in files.items()}
        ids: dict[str, tuple[str, str]] = {}  # port: kind and key of its definition
        for port in (port for port in wanted.port_list() if port.kind == PLAIN):
            places = self._places(port.name, kernel, files)
            link = kernel.links.get(port.name)
            if not places and link is not None and not link.is_card:
                raise UnsupportedError(
                    f"The port {port.name} is a {link.kind} that netplan does not know, so it would be gone after a "
                    "reboot. Define it first, or say persist: none."
                )
            ids[port.name] = (places[0].kind, places[0].key) if places else ("ethernets", port.name)
            for place in reversed(places):
                left = {key: value for key, value in place.data.items() if key not in _LAYER3}
                texts[place.path] = _replaced(texts[place.path], place.path, place, {**left, **_NO_ADDRESSES})
        ids.update(self._lower_links(wanted, kernel, files))
        for place in self._places(wanted.name, kernel, {path: bytes_of(text) for path, text in texts.items()}):
            texts[place.path] = _emptied(texts[place.path], place)
        changes.update({path: bytes_of(text) for path, text in texts.items() if bytes_of(text) != files[path]})
        changes[_own_path(wanted.name)] = bytes_of(
            HEADER.format(name=wanted.name) + _block({"network": _network(wanted, ids, renderer)}, 0)
        )
        return changes

    def _lower_links(self, wanted: Declaration, kernel: Kernel, files: Files) -> Iterator[tuple[str, tuple[str, str]]]:
        """netplan takes no tunnel over a link that is in none of its files."""
        for device in (port.vxlan.device for port in wanted.port_list() if port.vxlan and port.vxlan.device):
            places = self._places(device, kernel, files)
            if places:
                yield device, ("", places[0].key)
                continue
            if not kernel.links[device].is_card or kernel.addresses_of(device):
                raise UnsupportedError(
                    f"A tunnel was to lie on {device}, which netplan does not know and which would lose what it has. "
                    "Define it first, or say persist: none."
                )
            yield device, ("ethernets", device)

    def activate(self, change: Change) -> Activation:
        """netplan checks all files first. What renders it is told by itself: `netplan apply` sets up all links anew."""
        remove: tuple[Command, ...] = () if change.present else (("ip", "link", "del", "dev", change.name),)
        links = change.released if not change.present else (*change.ports, *change.released)
        if self._is_network_manager(change, links):
            tell, may_fail = self._tell_network_manager(change)
            return Activation(after=(("netplan", "generate"), *tell), may_fail=may_fail)
        again = tuple(("networkctl", "reconfigure", link) for link in links)
        leave = leave_bridge(change)
        tell = (("networkctl", "reload"), *again, *leave)
        return Activation(after=(("netplan", "generate"), *remove, *tell), may_fail=(*remove, *leave))

    def restore_commands(self, change: Change, ports: Iterable[str]) -> list[Command]:
        """What renders the links takes what netplan made of the old files."""
        if self._is_network_manager(change, (*ports, change.name)):
            again = [*(up(*self._profile(port, change)) for port in ports), up(*_profile_of(change.name))]
            return [("netplan", "generate"), ("nmcli", "connection", "reload"), *again]
        again = [("networkctl", "reconfigure", link) for link in (change.name, *ports)]
        return [("netplan", "generate"), ("networkctl", "reload"), *again]

    def mode(self, path: str) -> int:  # noqa: ARG002
        """netplan warns of files that others can read."""
        return 0o600

    def _renderer(self, wanted: Declaration, kernel: Kernel, files: Files) -> str | None:
        """What renders the ports, if that has to be said of the bridge too; raises where they differ."""
        general = _general_renderer(files)
        found = {
            port.name: place.renderer or general
            for port in wanted.port_list()
            for place in self._places(port.name, kernel, files)
        }
        if len(set(found.values())) > 1:
            told = ", ".join(f"{port} by {renderer}" for port, renderer in found.items())
            raise ConflictError(
                f"The bridge {wanted.name} was to have ports that netplan renders differently ({told}). Give them the "
                "same renderer first."
            )
        renderer = next(iter(found.values()), general)
        return None if renderer == general == _NETWORKD else renderer

    def _is_network_manager(self, change: Change, links: Iterable[str]) -> bool:
        """Whether NetworkManager renders a bridge and its ports, by the files as they are now."""
        files = self.read()
        own = [place for place in _own_definitions(change.name, files) if place.kind == "bridges"]
        places = own or [place for link in links for place in self._places(link, change.kernel, files)]
        renderer = next((place.renderer for place in places if place.renderer), None)
        return (renderer or _general_renderer(files)) == _NETWORK_MANAGER

    def _tell_network_manager(self, change: Change) -> tuple[tuple[Command, ...], tuple[Command, ...]]:
        """The commands, and those of them that may fail."""
        at_once = ("nmcli", "--wait", "0", "connection", "up")
        whole = change.present and (change.created or change.lost_lease)
        hard: list[Command] = [("nmcli", "connection", "reload")]
        hard += [(*at_once, *_profile_of(change.name))] if whole else []
        soft = [modification(change.written, ours=False)] if change.written and not whole else []
        soft += [(*at_once, *self._profile(port, change)) for port in (change.ports if whole else change.joined)]
        soft += [up(*self._profile(port, change)) for port in change.released]
        return (*hard, *soft), tuple(soft)

    def _profile(self, link: str, change: Change) -> tuple[str, ...]:
        """What names a link's profile: by the link alone NetworkManager might take its own automatic one."""
        files = self.read()
        own = [place for place in _own_definitions(change.name, files) if place.key == link]
        places = [*self._places(link, change.kernel, files), *own]
        return _profile_of(places[0].key) if places else ("ifname", link)

    def _places(self, name: str, kernel: Kernel, files: Files) -> list[Place]:
        """The definitions of a link, in the order in which netplan reads the files."""
        link = kernel.links.get(name)
        mac = link.card_mac if link else None
        ordered = sorted((path.rpartition("/")[2], path) for path in files if f"-{MARK}-" not in path)
        return [
            place
            for _base, path in ordered
            for place in _definitions(path, text_of(files[path]))
            if _is_for(place, name, mac)
        ]


def _is_for(place: Place, name: str, mac: str | None) -> bool:
    match = place.data.get("match") or {}
    by_name = match.get("name", place.key) == name or place.data.get("set-name") == name
    return by_name or str(match.get("macaddress", "")).lower() == mac


def _profile_of(key: str) -> tuple[str, ...]:
    """What names the profile that netplan makes of a definition."""
    return "id", f"netplan-{key}"


def _own_path(name: str) -> str:
    return f"{_ETC}/90-{MARK}-{name}.yaml"


def _own_definitions(name: str, files: Files) -> list[Place]:
    """What our file of a bridge defines."""
    path = _own_path(name)
    return list(_definitions(path, text_of(files[path]))) if path in files else []


def _general_renderer(files: Files) -> str:
    """The renderer of all links of which none is said: the last file that names one counts."""
    renderer = _NETWORKD
    for path in sorted(files, key=lambda path: path.rpartition("/")[2]):
        tree = _tree(path, yaml().SafeLoader(text_of(files[path])))
        said = _child(_child(tree, "network"), "renderer")
        renderer = str(said.value) if said is not None else renderer
    return renderer


def _tree(path: str, loader: Any) -> Any:
    try:
        return loader.get_single_node()
    except yaml().YAMLError as error:
        raise SystemFailure(f"{path} is no YAML that can be read: {error}. Correct it first.") from error


def _definitions(path: str, text: str) -> Iterator[Place]:
    """Every link that a file defines, with its place in the text."""
    loader = yaml().SafeLoader(text)
    network = _child(_tree(path, loader), "network")
    for kind in _KINDS:
        section = _child(network, kind)
        general = _child(section, "renderer")
        for key, node in getattr(section, "value", None) or ():
            data = loader.construct_object(node, deep=True)
            said = data if isinstance(data, dict) else {}
            renderer = said.get("renderer") or (general.value if general is not None else None)
            if node is not general:
                yield Place(path, kind, str(key.value), node.start_mark.index, _end(node), said, renderer)


def _end(node: Any) -> int:
    """Where the text of a node ends; a block's own mark is only where the next thing begins."""
    if node.id == "mapping" and not node.flow_style and node.value:
        return _end(node.value[-1][1])
    if node.id == "sequence" and not node.flow_style and node.value:
        return _end(node.value[-1])
    return int(node.end_mark.index)


def _child(node: Any, name: str) -> Any:
    pairs = node.value if node is not None and node.id == "mapping" else []
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
    alone = bool(wanted.layer3.dhcp6) and wanted.layer3.accept_ra is False
    without = [
        ("dhcp6 with accept_ra: false, where networkd waits for an advertisement for ever", alone),
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


def _network(wanted: Declaration, ids: Mapping[str, tuple[str, str]], renderer: str | None) -> dict[str, Any]:
    said = {"renderer": renderer} if renderer else {}
    network: dict[str, Any] = {"version": 2}
    for kind, key in ids.values():
        if kind == "ethernets":  # a link has to be there before it can be named; what it has elsewhere is merged
            network.setdefault(kind, {})[key] = dict(_NO_ADDRESSES)
            if wanted.settings.mtu:
                network[kind][key]["mtu"] = wanted.settings.mtu
    for port in wanted.port_list():
        if port.vxlan:
            network.setdefault("tunnels", {})[port.name] = {**said, **_tunnel(port, wanted, ids)}
    names = [ids[port.name][1] if port.name in ids else port.name for port in wanted.port_list()]
    network["bridges"] = {wanted.name: {**said, "interfaces": names, **_bridge(wanted)}}
    return network


def _tunnel(port: Port, wanted: Declaration, ids: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    tunnel = port.vxlan
    rows = {
        "mode": "vxlan",
        "id": tunnel.vni if tunnel else 0,
        "local": tunnel.local if tunnel else None,
        "remote": tunnel.group or next(iter(tunnel.remotes), None) if tunnel else None,
        "port": tunnel.port if tunnel else None,
        "link": ids[tunnel.device][1] if tunnel and tunnel.device else None,
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
