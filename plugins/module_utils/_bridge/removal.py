# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge that is to go, and what its ports get back; pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from .commands import Command
from .kernel import Address, Kernel, Link
from .live import Difference, address_words, route_command, same_route
from .model import MACVLAN, PLAIN, VXLAN, Layer3, Route
from .record import Record
from .target import is_guest


@dataclass(frozen=True)
class Return:
    """What one port gets back. `lease`: a manager asks for one, which nobody knows beforehand."""

    port: str
    addresses: tuple[Address, ...] = ()
    routes: tuple[Route, ...] = ()
    lease: bool = False


def plain_ports(name: str, kernel: Kernel, record: Record | None) -> list[str]:
    """The links under the bridge that were there before it, in the order of the record."""
    known = [port.name for port in (record.written.port_list() if record else ()) if port.kind == PLAIN]
    made = [link for link, kind in (record.ours if record else {}).items() if kind == MACVLAN]
    found = [link.name for link in kernel.ports_of(name) if not is_guest(link) and link.kind != VXLAN]
    return [port for port in known if port in kernel.links] + [
        port for port in found if port not in known and port not in made
    ]


def cut_off(name: str, kernel: Kernel, record: Record | None, guests: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """A warning of the guests that a bridge takes with it. `guests`: the guest of each tap, where libvirt knows it."""
    ours = record.ours if record else {}
    links = sorted(link.name for link in kernel.ports_of(name) if is_guest(link) and link.name not in ours)
    if links:
        named = ", ".join(f"{guests[link]['name']} ({link})" if link in guests else link for link in links)
        yield (
            f"The removal of the bridge {name} cuts off the guests whose links are under it: {named}. Nobody reaches "
            "them until these links are under another bridge."
        )


def returns(name: str, kernel: Kernel, record: Record | None, held: Collection[str] = ()) -> list[Return]:
    """Each port gets what it had when it came under the bridge. `held`: ports that a manager sets up by its files.

    Where somebody else made the bridge, nobody knows what that was: its only port gets what the bridge has.
    """
    if record is not None and (record.taken or not record.adopted):
        given = [
            _of_before(port, said, kernel, name, managed=port in held)
            for port, said in record.taken.items()
            if _waits(port, name, kernel)
        ]
        return [one for one in given if one.addresses or one.lease]
    ports = plain_ports(name, kernel, record)
    addresses = kernel.addresses_of(name)
    if len(ports) != 1 or not addresses:
        return []
    return [Return(ports[0], addresses, tuple(row.route for row in kernel.routes_of(name)))]


def removal(name: str, kernel: Kernel, record: Record | None, given: Iterable[Return]) -> list[Difference]:
    """The steps that take a bridge away, in order; where it is gone, what its ports still wait for."""
    link = kernel.links.get(name)
    return [*([] if link is None else _steps(link, kernel, record)), *missing(given, kernel)]


def missing(given: Iterable[Return], kernel: Kernel) -> Iterator[Difference]:
    """What ports are to get and don't have."""
    for one in given:
        port = one.port
        has = kernel.addresses_of(port)
        known = {address.address for address in has}
        for address in (address for address in one.addresses if address.address not in known):
            what = f"port {port} address {address.address}"
            yield Difference(what, "add", None, address.address, (_give(port, address),))
        if one.lease and not any(address.version == 4 for address in has):
            yield Difference(f"port {port} lease", "obtain", None, "an IPv4 address by DHCP", ())
        routes = [row.route for row in kernel.routes_of(port)]
        for route in sorted(one.routes, key=lambda route: route.default):
            if not any(same_route(route, other) for other in routes):
                command = route_command("replace", route, port)
                yield Difference(f"port {port} route {route.to}", "add", None, vars(route), (command,))


def _steps(link: Link, kernel: Kernel, record: Record | None) -> Iterator[Difference]:
    name = link.name
    command: Command
    for other in kernel.links.values():
        if record and record.ours.get(other.name) in (VXLAN, MACVLAN) and record.ours[other.name] == other.kind:
            command = ("ip", "link", "del", "dev", other.name)
            yield Difference(f"port {other.name}", "remove", {"kind": other.kind}, None, (command,))
    yield Difference(f"bridge {name}", "remove", _outline(name, kernel), None, (("ip", "link", "del", "dev", name),))
    for former, mtu in (record.mtus if record else {}).items():
        if former in kernel.links and kernel.links[former].mtu != mtu:
            command = ("ip", "link", "set", "dev", former, "mtu", str(mtu))
            yield Difference(f"link {former}", "mtu", kernel.links[former].mtu, mtu, (command,))


def _waits(port: str, bridge: str, kernel: Kernel) -> bool:
    """Whether a port is still as the bridge left it: one that is elsewhere now, or has addresses, needs nothing."""
    link = kernel.links.get(port)
    if link is None or link.master not in (None, bridge):
        return False
    return link.master == bridge or not kernel.addresses_of(port)


def _of_before(port: str, said: Layer3, kernel: Kernel, bridge: str, *, managed: bool) -> Return:
    """A lease is given back as the bridge has it now, for it may have been renewed since."""
    renewed = {4: said.dhcp4, 6: said.dhcp6 or said.accept_ra}
    leased = [one for one in kernel.addresses_of(bridge) if one.dynamic and renewed[one.version]]
    static = [Address(text) for text in said.addresses or ()]
    routes = list(said.routes or ())
    if any(one.version == 4 for one in leased):  # its router stands in the kernel as if somebody had set it
        of_bridge = (row.route for row in kernel.routes_of(bridge))
        routes += [route for route in of_bridge if route.default and route.version == 4 and route not in routes]
    obtains = managed and bool(said.dhcp4) and not any(one.version == 4 for one in leased)
    return Return(port, (*static, *leased), tuple(routes), obtains)


def _give(port: str, address: Address) -> Command:
    return ("ip", "addr", "replace", address.address, *address_words(address.address, address), "dev", port)


def _outline(name: str, kernel: Kernel) -> dict[str, object]:
    return {
        "ports": sorted(link.name for link in kernel.ports_of(name)),
        "addresses": [address.address for address in kernel.addresses_of(name)],
        "routes": [row.route.to for row in kernel.routes_of(name)],
    }
