# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a bridge is to be in the end: the declaration, what it inherits, and what it leaves alone.

Private to this collection.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from .._errors import ConflictError, RefusedError
from .kernel import Kernel, Link, macvlan_of, vxlan_of
from .model import PLAIN, Declaration, Layer3, Macvlan, Port, Route, Settings, Vlan, Vxlan

Piece = TypeVar("Piece", Settings, Layer3)

# Every manager has a default of its own; this is the kernel's, and lets a port forward at once.
_OF_A_NEW_BRIDGE = Settings(stp=False)
# links that come and go with guests: nobody declares them, so a list of ports says nothing about them
_GUEST_KINDS = ("tun", "veth", "vif")
_GUEST_NAMES = ("vnet", "vif", "tap", "macvtap")


@dataclass(frozen=True)
class PortConfiguration:
    """What a manager's files say of a port before it goes under a bridge, as far as the kernel can't say it."""

    dhcp4: bool = False
    dhcp6: bool = False
    accept_ra: bool | None = None
    dns_servers: tuple[str, ...] | None = None
    dns_search: tuple[str, ...] | None = None
    client: str | None = None


@dataclass(frozen=True)
class Target:
    """`enforced` is compared with the kernel, `written` (enforced, and what is left alone) is what files say."""

    enforced: Declaration
    written: Declaration
    giver: str | None = None  # the port whose addresses, routes and MAC the bridge has


def resolve(
    declaration: Declaration,
    kernel: Kernel,
    recorded: Declaration | None,
    giver: str | None,
    configured: PortConfiguration,
) -> Target:
    """`recorded`: what was written last; `giver`: the port that was inherited from then; `configured`: the giver's."""
    enforced = _complete(declaration)
    if declaration.inherit:
        found = giver_of(declaration, kernel) or giver
        enforced = _inherited(enforced, kernel, found, recorded, configured)
        giver = found
    written = overlay(enforced, recorded or of_kernel(kernel, declaration.name))
    if enforced.layer3.dhcp4 and enforced.layer3.routes is None:  # the router comes with the lease
        kept = tuple(route for route in written.layer3.routes or () if not (route.default and route.version == 4))
        written = replace(written, layer3=replace(written.layer3, routes=kept))
    return Target(enforced, written, giver)


def giver_of(declaration: Declaration, kernel: Kernel) -> str | None:
    """The plain port that has addresses now; None when there is none; raises when there are several."""
    plain = [port.name for port in declaration.port_list() if port.kind == PLAIN]
    having = [name for name in plain if kernel.addresses_of(name)]
    if len(having) > 1:
        raise ConflictError(
            f"The bridge {declaration.name} was to inherit the addresses of its port, and {' and '.join(having)} both "
            "have some. Take the addresses off all but one, or give addresses and gateways instead of inherit."
        )
    if having or declaration.name in kernel.links:
        return having[0] if having else None
    return plain[0]  # without addresses there is still its MAC


def overlay(upper: Declaration, lower: Declaration) -> Declaration:
    """`upper`, and where it says nothing, `lower`."""
    return replace(
        upper,
        ports=_overlay_ports(upper.ports, lower.ports),
        settings=_overlay_piece(upper.settings, lower.settings),
        layer3=_overlay_piece(upper.layer3, lower.layer3),
        vlans=lower.vlans if upper.vlans is None else upper.vlans,
    )


def of_kernel(kernel: Kernel, name: str) -> Declaration:
    """A bridge that somebody else made, as a declaration; for a new one what it starts with."""
    link = kernel.links.get(name)
    if link is None or link.kind != "bridge":
        return Declaration(name, settings=_OF_A_NEW_BRIDGE)
    filtering = link.settings.vlan_filtering
    ports = [_port(port, kernel, filtering) for port in kernel.ports_of(name) if not is_guest(port)]
    return Declaration(
        name,
        ports=tuple(sorted(ports, key=lambda port: port.name)),
        settings=replace(link.settings, mac=None),
        layer3=layer3_of(kernel, name),
        vlans=kernel.vlans.get(name) if filtering else None,
    )


def layer3_of(kernel: Kernel, name: str, configured: PortConfiguration | None = None) -> Layer3:
    """What the host is known by on a link. A lease shows as a dynamic address, and the files may say more."""
    configured = configured or PortConfiguration()
    addresses = kernel.addresses_of(name)
    dynamic = {address.version for address in addresses if address.dynamic}
    dhcp4 = configured.dhcp4 or 4 in dynamic
    static = tuple(address.address for address in addresses if not address.dynamic)
    routes = [found.route for found in kernel.routes_of(name)]
    return Layer3(
        addresses=static,
        dhcp4=dhcp4,
        dhcp6=configured.dhcp6,
        accept_ra=True if 6 in dynamic and not configured.dhcp6 else configured.accept_ra,
        # dhclient sets the router of a lease as if it had been set by hand
        routes=tuple(route for route in routes if not (dhcp4 and route.default and route.version == 4)),
        dns_servers=configured.dns_servers,
        dns_search=configured.dns_search,
        client=configured.client,
    )


def is_guest(link: Link) -> bool:
    """Whether a link under a bridge belongs to a guest, by its kind and its name."""
    return not link.physical and (link.kind in _GUEST_KINDS or link.name.startswith(_GUEST_NAMES))


def check_silence(target: Target, kernel: Kernel) -> None:
    """A port that has addresses loses them under a bridge, which nobody may do without a word."""
    declaration = target.enforced
    if not declaration.layer3.silent:
        return
    for port in declaration.port_list():
        found = kernel.addresses_of(port.name)
        if port.kind == PLAIN and found and not ipaddress.ip_interface(found[0].address).is_link_local:
            has = ", ".join(address.address for address in found)
            raise RefusedError(
                f"The port {port.name} has {has}, which a port of a bridge can't keep. Say inherit: true to give it to "
                f"the bridge {declaration.name}, or declare addresses ([] for none)."
            )


def as_data(declaration: Declaration) -> dict[str, Any]:
    """A declaration as JSON can hold it."""
    return {
        "ports": None if declaration.ports is None else [_port_data(port) for port in declaration.ports],
        "settings": vars(declaration.settings),
        "layer3": layer3_as_data(declaration.layer3),
        "vlans": None if declaration.vlans is None else [vars(vlan) for vlan in declaration.vlans],
    }


def from_data(name: str, data: dict[str, Any]) -> Declaration:
    """The declaration of which `as_data` made `data`."""
    return Declaration(
        name,
        ports=None if data["ports"] is None else tuple(_port_from_data(port) for port in data["ports"]),
        settings=Settings(**data["settings"]),
        layer3=layer3_from_data(data["layer3"]),
        vlans=_vlans_from_data(data["vlans"]),
    )


def layer3_as_data(said: Layer3) -> dict[str, Any]:
    """Addresses and routes as JSON can hold them."""
    return {**vars(said), "routes": None if said.routes is None else [vars(route) for route in said.routes]}


def layer3_from_data(data: dict[str, Any]) -> Layer3:
    """What `layer3_as_data` made `data` of."""
    said: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    if said["routes"] is not None:
        said["routes"] = tuple(Route(**route) for route in said["routes"])
    return Layer3(**said)


def _port_data(port: Port) -> dict[str, Any]:
    return {
        "name": port.name,
        "vxlan": vars(port.vxlan) if port.vxlan else None,
        "macvlan": vars(port.macvlan) if port.macvlan else None,
        "vlans": None if port.vlans is None else [vars(vlan) for vlan in port.vlans],
    }


def _port_from_data(data: dict[str, Any]) -> Port:
    vxlan = data["vxlan"]
    return Port(
        data["name"],
        vxlan=Vxlan(**{**vxlan, "remotes": tuple(vxlan["remotes"])}) if vxlan else None,
        macvlan=Macvlan(**data["macvlan"]) if data["macvlan"] else None,
        vlans=_vlans_from_data(data["vlans"]),
    )


def _vlans_from_data(data: list[dict[str, Any]] | None) -> tuple[Vlan, ...] | None:
    return None if data is None else tuple(Vlan(**vlan) for vlan in data)


def _complete(declaration: Declaration) -> Declaration:
    """Addresses, DHCP for IPv4 and for IPv6 are said together: who says one of them means none of the others."""
    said = declaration.layer3
    if said.silent:
        return declaration
    return replace(
        declaration,
        layer3=replace(said, addresses=said.addresses or (), dhcp4=bool(said.dhcp4), dhcp6=bool(said.dhcp6)),
    )


def _inherited(
    declaration: Declaration,
    kernel: Kernel,
    giver: str | None,
    recorded: Declaration | None,
    configured: PortConfiguration,
) -> Declaration:
    """The declaration with what the giver has now, or else had when it went under the bridge."""
    if giver is not None and giver in kernel.links and kernel.links[giver].master != declaration.name:
        mac = declaration.settings.mac or kernel.links[giver].mac
        layer3 = layer3_of(kernel, giver, configured)
    elif recorded is not None:
        mac, layer3 = declaration.settings.mac or recorded.settings.mac or "", recorded.layer3
    else:
        return declaration
    said = declaration.layer3  # of it only name servers may be said beside inherit
    servers = {key: value for key in ("dns_servers", "dns_search") if (value := getattr(said, key)) is not None}
    return replace(
        declaration, settings=replace(declaration.settings, mac=mac or None), layer3=replace(layer3, **servers)
    )


def _overlay_ports(upper: tuple[Port, ...] | None, lower: tuple[Port, ...] | None) -> tuple[Port, ...] | None:
    if upper is None:
        return lower
    known = {port.name: port for port in lower or ()}
    return tuple(
        replace(port, vlans=known[port.name].vlans) if port.vlans is None and port.name in known else port
        for port in upper
    )


def _overlay_piece(upper: Piece, lower: Piece) -> Piece:
    said = {row.name: getattr(upper, row.name) for row in fields(upper) if getattr(upper, row.name) is not None}
    return replace(lower, **said)


def _port(link: Link, kernel: Kernel, filtering: bool | None) -> Port:
    return Port(
        link.name,
        vxlan=vxlan_of(link, kernel) if link.kind == "vxlan" else None,
        macvlan=macvlan_of(link) if link.kind == "macvlan" else None,
        vlans=kernel.vlans.get(link.name) if filtering else None,
    )
