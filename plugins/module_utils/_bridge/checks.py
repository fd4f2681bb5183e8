# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a declaration on this host: said before anything is touched. Private to this collection."""

from __future__ import annotations

from collections.abc import Sequence

from .._errors import ConflictError, NotFoundError, RefusedError, SystemFailure, UnsupportedError, VirtError
from .kernel import Kernel, Link
from .managers import Managers
from .model import PLAIN, Declaration, Port
from .record import Record
from .removal import Return, plain_ports

# a kind of link that can't be a port, and why
_UNFIT_KINDS = {
    "bridge": "is a bridge itself, and a bridge can't be a port of another one",
    "ipvlan": "is an ipvlan link, which has no MAC of its own",
}


def check(declaration: Declaration, kernel: Kernel) -> None:
    """Raises the first thing that can't be."""
    link = kernel.links.get(declaration.name)
    if link is not None and link.kind != "bridge":
        kind = link.kind or "network card"
        raise ConflictError(
            f"The bridge {declaration.name} was asked for, and this host has a link of that name that is no bridge "
            f"({kind}). Choose another name, or remove that link yourself."
        )
    if not declaration.present:
        return
    for port in declaration.port_list():
        _check_port(port, declaration, kernel)
    _check_filtering(declaration, kernel)


def check_unmanaged(declaration: Declaration) -> None:
    """Raises for what only a manager can do, in a bridge that has none."""
    said = declaration.layer3
    asked = (
        ("a DHCP client (dhcp4, dhcp6)", said.dhcp4 or said.dhcp6),
        ("router advertisements set (accept_ra)", said.accept_ra is not None),
        ("name servers (dns_servers, dns_search)", said.dns_servers or said.dns_search),
    )
    for what, wanted in asked:
        if wanted and not declaration.inherit:
            raise UnsupportedError(
                f"The bridge {declaration.name} was to have {what} with persist: none, which changes the kernel only. "
                "Say persist: auto, or leave it out."
            )


def check_removal(
    declaration: Declaration, kernel: Kernel, record: Record | None, given: Sequence[Return], managers: Managers
) -> None:
    """Raises where a bridge would come back by itself, or take the host's way in with it."""
    name = declaration.name
    for manager, (backend, files) in managers.items():
        place = backend.defines(name, files)
        if place and (record is not None or declaration.persist != "none"):
            kernel_only = "" if record else " Or say persist: none, which removes it from the running kernel only."
            raise RefusedError(
                f"The bridge {name} was to be removed, and {place} defines it, so {manager} would bring it back. Take "
                f"it out of there first, and give its ports there what they need.{kernel_only}",
                details={"path": place},
            )
    addresses = ", ".join(address.address for address in kernel.addresses_of(name))
    if name not in kernel.links or not addresses or given:
        return
    ports = plain_ports(name, kernel, record)
    if len(ports) > 1 and (record is None or (record.adopted and not record.taken)):
        raise RefusedError(
            f"The bridge {name} was to be removed. It has {addresses}, and somebody else made it, so this module can't "
            f"tell which of its ports ({', '.join(ports)}) that belongs to. Declare ports with that one alone first; "
            "or addresses: [], if the host may lose them."
        )
    gets = any(backend.gives(port, kernel, files) for backend, files in managers.values() for port in ports)
    lost = None if gets else _way_in(name, kernel)
    if lost:
        raise RefusedError(
            f"The bridge {name} was to be removed. It has {addresses}, {lost}, and no port of it had any before that "
            "it could get back. Give a port its addresses in the network manager's files first; or declare "
            "addresses: [] first, if the host may lose them."
        )


def _way_in(name: str, kernel: Kernel) -> str | None:
    """What the host is reached by that only this bridge has."""
    others = [
        link
        for link in kernel.links.values()
        if link.name not in (name, "lo") and kernel.addresses_of(link.name) and not _for_guests_only(link, kernel)
    ]
    if not others:
        return "the host's only addresses"
    for version in (4, 6):
        defaults = {row.device for row in kernel.routes if row.route.default and row.route.version == version}
        if defaults == {name}:
            return f"over which the host's only default route of IPv{version} goes"
    return None


def _for_guests_only(link: Link, kernel: Kernel) -> bool:
    return link.kind == "bridge" and not plain_ports(link.name, kernel, None)


def check_rights(kernel: Kernel) -> None:
    """Raises when this process can't change the network."""
    if not kernel.privileged:
        raise SystemFailure(
            "The bridge differs from what was declared, and this task has no right to change it (CAP_NET_ADMIN). Run "
            "it with become: true. Nothing was changed."
        )


def _check_port(port: Port, declaration: Declaration, kernel: Kernel) -> None:
    link = kernel.links.get(port.name)
    for device in (port.macvlan.device if port.macvlan else None, port.vxlan.device if port.vxlan else None):
        if device is not None and device not in kernel.links:
            raise _missing(device, f"The port {port.name} was to lie on {device}", kernel)
    lower = kernel.links[port.macvlan.device] if port.macvlan else None
    declared = {other.name for other in declaration.port_list()}
    if lower is not None and (lower.master not in (None, declaration.name) or lower.name in declared):
        raise ConflictError(
            f"The port {port.name} was to lie on {lower.name}, which belongs to the bridge "
            f"{lower.master or declaration.name} and can't have a macvlan beside that. Name another device."
        )
    if link is None:
        if port.kind == PLAIN:
            raise _missing(port.name, f"The bridge {declaration.name} was to have the port {port.name}", kernel)
        return
    if link.kind in _UNFIT_KINDS or not link.ethernet:
        reason = _UNFIT_KINDS.get(link.kind or "", "has no Ethernet frames")
        raise ConflictError(f"The port {port.name} {reason}. Name another link.")
    if link.wireless:
        raise UnsupportedError(
            f"The port {port.name} is a wireless network card. An access point takes frames only from the card's own "
            "MAC, so the guests behind a bridge would reach nobody. Use a routed libvirt network instead."
        )
    if port.kind != PLAIN and link.kind != port.kind:
        raise ConflictError(
            f"The port {port.name} was to be of kind {port.kind}, and this host has another link of that name "
            f"({link.kind or 'network card'}). Choose another name."
        )
    _check_free(link, declaration, kernel)
    _check_loop(link, declaration, kernel)
    mtu = declaration.settings.mtu
    if mtu and link.max_mtu and mtu > link.max_mtu:
        raise UnsupportedError(
            f"The bridge {declaration.name} was to have an mtu of {mtu} bytes with its ports, and {link.name} takes at "
            f"most {link.max_mtu}. Give a smaller mtu."
        )


def _check_free(link: Link, declaration: Declaration, kernel: Kernel) -> None:
    if link.master in (None, declaration.name):
        return
    master = kernel.links.get(link.master or "")
    kind = (master.kind if master else None) or "link"
    better = f" Name {link.master} itself as the port." if kind in ("bond", "team") else ""
    raise ConflictError(
        f"The port {link.name} belongs to the {kind} {link.master} already. Take it out of there first.{better}",
        details={"port": link.name, "master": link.master},
    )


def _check_loop(link: Link, declaration: Declaration, kernel: Kernel) -> None:
    """A VLAN or macvlan link that lies on the bridge can't be under it."""
    seen: list[str] = []
    below: Link | None = link
    while below is not None and below.lower and below.lower not in seen:
        seen.append(below.lower)
        if below.lower == declaration.name:
            raise ConflictError(
                f"The port {link.name} lies on the bridge {declaration.name} itself, which would be under its own "
                "port. Name the network card."
            )
        below = kernel.links.get(below.lower)


def _check_filtering(declaration: Declaration, kernel: Kernel) -> None:
    wanted = declaration.settings.vlan_filtering or declaration.vlans or any(p.vlans for p in declaration.port_list())
    if wanted and kernel.has_vlan_filtering is False:
        raise UnsupportedError(
            f"VLANs were asked for on the bridge {declaration.name}, and this host's kernel has no VLAN filtering "
            "(CONFIG_BRIDGE_VLAN_FILTERING). Run another kernel, or make one bridge for each VLAN."
        )


def _missing(name: str, asked: str, kernel: Kernel) -> VirtError:
    known = ", ".join(sorted(other for other in kernel.links if other != "lo")) or "none"
    also = [link.name for link in kernel.links.values() if name in link.alternative_names]
    if also:
        return NotFoundError(f"{asked}, which is only another name of {also[0]}. Name it {also[0]}.")
    return NotFoundError(f"{asked}, which this host does not have. Its links: {known}.", details={"missing": name})
