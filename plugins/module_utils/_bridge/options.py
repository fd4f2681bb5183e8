# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of the module as a declaration, and all that can be wrong about them by themselves.

Private to this collection.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Any

from .._argspec import ArgumentSpec
from .._errors import DeclarationError
from .model import (
    DEFAULT_VXLAN_PORT,
    MACVLAN,
    PLAIN,
    VXLAN,
    Declaration,
    Layer3,
    Macvlan,
    Port,
    Route,
    Settings,
    Vlan,
    Vxlan,
    check_name,
    parse_address,
    parse_ip,
    parse_network,
)

MANAGERS = ("networkd", "networkmanager", "ifupdown", "netplan")

_VLAN_OPTIONS: dict[str, Any] = {
    "pvid": {"type": "int"},
    "untagged": {"type": "list", "elements": "str"},
    "tagged": {"type": "list", "elements": "str"},
}
SPEC = ArgumentSpec(
    options={
        "name": {"type": "str", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "ports": {
            "type": "list",
            "elements": "dict",
            "options": {
                "name": {"type": "str", "required": True},
                "kind": {"type": "str", "choices": [PLAIN, MACVLAN, VXLAN], "default": PLAIN},
                "device": {"type": "str"},
                "mode": {"type": "str", "choices": ["passthru", "bridge", "vepa", "private"]},
                "id": {"type": "int"},
                "remotes": {"type": "list", "elements": "str"},
                "group": {"type": "str"},
                "local": {"type": "str"},
                "port": {"type": "int"},
                **_VLAN_OPTIONS,
            },
        },
        "inherit": {"type": "bool", "default": False},
        "addresses": {"type": "list", "elements": "str"},
        "dhcp4": {"type": "bool"},
        "dhcp6": {"type": "bool"},
        "accept_ra": {"type": "bool"},
        "gateway4": {"type": "str"},
        "gateway6": {"type": "str"},
        "routes": {
            "type": "list",
            "elements": "dict",
            "options": {
                "to": {"type": "str", "required": True},
                "via": {"type": "str"},
                "metric": {"type": "int"},
                "table": {"type": "int"},
            },
        },
        "dns_servers": {"type": "list", "elements": "str"},
        "dns_search": {"type": "list", "elements": "str"},
        "mac": {"type": "str"},
        "stp": {"type": "bool"},
        "forward_delay": {"type": "int"},
        "priority": {"type": "int"},
        "ageing": {"type": "int"},
        "mtu": {"type": "int"},
        "vlan_filtering": {"type": "bool"},
        "vlans": {"type": "dict", "options": _VLAN_OPTIONS},
        "multicast_snooping": {"type": "bool"},
        "persist": {"type": "str", "choices": ["auto", *MANAGERS, "none"], "default": "auto"},
        "timeout": {"type": "int", "default": 30},
        "confirm_timeout": {"type": "int", "default": 60},
    }
)

# option: least, greatest, what the numbers are
_RANGES = {
    "forward_delay": (0, 30, "seconds"),
    # steps of 4096 are what IEEE 802.1t asks for; kernel and managers take the numbers between, and bridges have them
    "priority": (0, 65535, "the lowest becomes the root"),
    "ageing": (0, 1_000_000, "seconds"),
    "mtu": (68, 65535, "bytes"),
    "timeout": (0, 3600, "seconds"),
    "confirm_timeout": (0, 3600, "seconds"),
}
_LOCAL_TABLE = 255
_KIND_OPTIONS = {
    PLAIN: (),
    MACVLAN: ("device", "mode"),
    VXLAN: ("device", "id", "remotes", "group", "local", "port"),
}


def parse(params: dict[str, Any]) -> Declaration:
    """The declaration; raises DeclarationError."""
    for option, (least, greatest, unit) in _RANGES.items():
        _check_range(option, params.get(option), least, greatest, unit)
    name = check_name(params["name"], "name")
    ports = None if params["ports"] is None else tuple(_port(port, name) for port in params["ports"])
    declaration = Declaration(
        name=name,
        present=params["state"] == "present",
        ports=ports,
        inherit=params["inherit"],
        settings=_settings(params),
        layer3=_layer3(params),
        vlans=_vlans(params["vlans"], "vlans") if params["vlans"] is not None else None,
        persist=params["persist"],
    )
    if declaration.present:
        _check_together(declaration)
    return declaration


def _settings(params: dict[str, Any]) -> Settings:
    mac = params["mac"]
    if mac is not None:
        well_formed = re.fullmatch(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", mac)
        if not well_formed or int(mac[:2], 16) & 1 or not mac.strip("0:"):
            raise DeclarationError(f"mac was given as {mac!r}. Give a unicast address such as 52:54:00:12:34:56.")
        mac = mac.lower()
    names = ("stp", "forward_delay", "priority", "ageing", "mtu", "vlan_filtering", "multicast_snooping")
    return Settings(mac=mac, **{option: params[option] for option in names})


def _layer3(params: dict[str, Any]) -> Layer3:
    addresses = None if params["addresses"] is None else tuple(parse_address(text) for text in params["addresses"])
    hosts = [address.partition("/")[0] for address in addresses or ()]
    twice = next((host for host in hosts if hosts.count(host) > 1), None)
    if twice:
        raise DeclarationError(f"addresses has {twice} twice. Take one of them out.")
    servers = params["dns_servers"]
    search = params["dns_search"]
    return Layer3(
        addresses=addresses,
        dhcp4=params["dhcp4"],
        dhcp6=params["dhcp6"],
        accept_ra=params["accept_ra"],
        routes=_routes(params),
        dns_servers=None if servers is None else tuple(parse_ip(text, "dns_servers") for text in servers),
        dns_search=None if search is None else tuple(_domain(text) for text in search),
    )


def _domain(text: str) -> str:
    if not re.fullmatch(
        r"~?[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?(\.[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9])?)*\.?", text
    ):
        raise DeclarationError(f"dns_search has {text!r}, which is no domain. Give one such as example.org.")
    return text


def _routes(params: dict[str, Any]) -> tuple[Route, ...] | None:
    found = [_route(route) for route in params["routes"] or []]
    for option, to, version in (("gateway4", "0.0.0.0/0", 4), ("gateway6", "::/0", 6)):
        if params[option] is None:
            continue
        gateway = parse_ip(params[option], option)
        if ipaddress.ip_address(gateway).version != version:
            raise DeclarationError(f"{option} was given as {gateway}, which is no IPv{version} address. Give one.")
        if any(route.default and route.version == version and route.metric is None for route in found):
            raise DeclarationError(f"{option} and a route to {to} were both given. Leave one of them out.")
        found.append(Route(to, gateway))
    routes = tuple(dict.fromkeys(found))
    keys = [(route.to, route.metric, route.table) for route in routes]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice:
        raise DeclarationError(f"routes has {twice[0]} twice. Take one of them out, or give them different metrics.")
    return None if params["routes"] is None and not found else routes


def _route(options: dict[str, Any]) -> Route:
    to = parse_network(options["to"])
    via = None if options["via"] is None else parse_ip(options["via"], "via")
    if via is not None and ipaddress.ip_address(via).version != ipaddress.ip_network(to).version:
        raise DeclarationError(
            f"The route to {to} has via: {via}, which is of the other IP version. Give a router of its."
        )
    _check_range("metric", options["metric"], 0, 2**32 - 1, "the route's metric")
    _check_range("table", options["table"], 1, 2**32 - 1, "the number of a routing table")
    if options["table"] == _LOCAL_TABLE:
        raise DeclarationError(
            f"The route to {to} has table: {_LOCAL_TABLE}, which is the kernel's own. Give another one."
        )
    return Route(to, via, options["metric"] or None, None if options["table"] == 254 else options["table"])


def _port(options: dict[str, Any], bridge: str) -> Port:
    name = check_name(options["name"], "ports.name")
    kind = options["kind"]
    if name == bridge:
        raise DeclarationError(f"The bridge {bridge} was given as a port of itself. Give the name of another link.")
    for option in sorted({option for options_of in _KIND_OPTIONS.values() for option in options_of}):
        if options[option] is not None and option not in _KIND_OPTIONS[kind]:
            kinds = " or ".join(kind for kind, options_of in _KIND_OPTIONS.items() if option in options_of)
            raise DeclarationError(f"The port {name} is of kind {kind} and has {option}, which belongs to {kinds}.")
    said = any(options[option] is not None for option in _VLAN_OPTIONS)
    return Port(
        name=name,
        vxlan=_vxlan(name, options, bridge) if kind == VXLAN else None,
        macvlan=_macvlan(name, options, bridge) if kind == MACVLAN else None,
        vlans=_vlans(options, f"The port {name}") if said else None,
    )


def _macvlan(name: str, options: dict[str, Any], bridge: str) -> Macvlan:
    if options["device"] is None:
        raise DeclarationError(f"The port {name} is of kind macvlan. Name in device the link on which it is to lie.")
    device = check_name(options["device"], "ports.device")
    if device in (name, bridge):
        raise DeclarationError(
            f"The port {name} was to lie on {device}. A link can't lie on itself or on its own bridge."
        )
    return Macvlan(device, options["mode"] or "passthru")


def _vxlan(name: str, options: dict[str, Any], bridge: str) -> Vxlan:
    if options["id"] is None:
        raise DeclarationError(f"The port {name} is of kind vxlan. Give its id, which is the same on all hosts.")
    _check_range("id", options["id"], 0, 2**24 - 1, "the VXLAN network identifier")
    _check_range("port", options["port"], 1, 65535, "a UDP port")
    remotes = tuple(parse_ip(text, "remotes") for text in options["remotes"] or [])
    group = None if options["group"] is None else parse_ip(options["group"], "group", group=True)
    local = None if options["local"] is None else parse_ip(options["local"], "local")
    device = None if options["device"] is None else check_name(options["device"], "ports.device")
    if bool(remotes) == bool(group):
        raise DeclarationError(f"The port {name} is of kind vxlan. Give either remotes (the other hosts) or group.")
    if group and device is None:
        raise DeclarationError(f"The port {name} has the group {group}. Give device with it, the link to send over.")
    if local in remotes:
        raise DeclarationError(f"The port {name} has {local} as local and in remotes. Take it out of the latter.")
    if len({ipaddress.ip_address(ip).version for ip in (*remotes, group, local) if ip}) > 1:
        raise DeclarationError(f"The port {name} mixes IPv4 and IPv6. A tunnel has one of them.")
    if device in (name, bridge):
        raise DeclarationError(
            f"The port {name} was to lie on {device}. A tunnel can't lie on itself or on its own bridge."
        )
    return Vxlan(
        options["id"], tuple(sorted(set(remotes))), group, local, options["port"] or DEFAULT_VXLAN_PORT, device
    )


def _vlans(options: dict[str, Any], what: str) -> tuple[Vlan, ...]:
    """All VLANs of a port by number; pvid alone leaves without a tag too."""
    pvid = options["pvid"]
    _check_range("pvid", pvid, 1, 4094, f"the VLAN of untagged frames of {what}")
    tagged = _numbers(options["tagged"] or [], what)
    untagged = _numbers(options["untagged"] or [], what)
    if options["untagged"] is None and pvid is not None and pvid not in tagged:
        untagged = {pvid}
    both = sorted(tagged & untagged)
    if both:
        raise DeclarationError(f"{what} has the VLAN {both[0]} both tagged and untagged. Take it out of one list.")
    numbers = tagged | untagged | ({pvid} if pvid is not None else set())
    return tuple(Vlan(number, number == pvid, number in untagged) for number in sorted(numbers))


def _numbers(texts: list[str], what: str) -> set[int]:
    found: set[int] = set()
    for text in texts:
        match = re.fullmatch(r"(\d{1,4})(?:-(\d{1,4}))?", text.strip())
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= 4094:
            raise DeclarationError(
                f"{what} has the VLAN {text!r}. Give a number from 1 to 4094, or a range such as 100-120."
            )
        found.update(range(first, last + 1))
    return found


def _check_range(option: str, value: int | None, least: int, greatest: int, unit: str) -> None:
    if value is not None and not least <= value <= greatest:
        raise DeclarationError(f"{option} was given as {value}. Give a number from {least} to {greatest} ({unit}).")


def _check_together(declaration: Declaration) -> None:
    """What excludes each other across options."""
    names = [port.name for port in declaration.port_list()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DeclarationError(f"ports has {twice[0]} twice. Give every port once.")
    said = declaration.layer3
    if declaration.inherit and not any(port.kind == PLAIN for port in declaration.port_list()):
        raise DeclarationError("inherit was given without a port of kind plain, so there is nothing to inherit from.")
    if declaration.inherit and not (said.silent and said.routes is None):
        raise DeclarationError(
            "inherit takes over what the port has, so addresses, dhcp4, dhcp6, accept_ra, gateways and routes can't be "
            "given beside it. Leave out one or the other."
        )
    vlans = [declaration.vlans, *(port.vlans for port in declaration.port_list())]
    if declaration.settings.vlan_filtering is False and any(vlans):
        raise DeclarationError("VLANs were given with vlan_filtering: false, where they have no effect. Turn it on.")
