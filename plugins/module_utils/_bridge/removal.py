# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A bridge that is to go: what it had goes back to the port that gave it; pure. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator

from .commands import Command
from .kernel import Address, Kernel, Link
from .live import Difference, address_words, route_command
from .model import MACVLAN, PLAIN, VXLAN
from .record import Record
from .target import is_guest


def plain_ports(name: str, kernel: Kernel, record: Record | None) -> list[str]:
    """The links under the bridge that were there before it, in the order of the record."""
    known = [port.name for port in (record.written.port_list() if record else ()) if port.kind == PLAIN]
    found = [link.name for link in kernel.ports_of(name) if not is_guest(link) and link.kind not in (VXLAN, MACVLAN)]
    return [port for port in known if port in kernel.links] + [port for port in found if port not in known]


def receiver(name: str, kernel: Kernel, record: Record | None) -> str | None:
    """The port that gets the addresses: the one that gave them, or whose MAC the bridge has, or the first."""
    ports = plain_ports(name, kernel, record)
    if record is not None and record.giver in ports:
        return record.giver
    bridge = kernel.links.get(name)
    same = [port for port in ports if bridge is not None and kernel.links[port].mac == bridge.mac]
    return next(iter(same or ports), None)


def removal(name: str, kernel: Kernel, record: Record | None) -> list[Difference]:
    """The steps that take a bridge away, in order."""
    link = kernel.links.get(name)
    return [] if link is None else list(_steps(link, kernel, record))


def _steps(link: Link, kernel: Kernel, record: Record | None) -> Iterator[Difference]:
    name = link.name
    port = receiver(name, kernel, record)
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
    if port is None:
        return
    for address in kernel.addresses_of(name):
        yield Difference(
            f"port {port} address {address.address}", "add", None, address.address, (_give(port, address),)
        )
    for row in sorted(kernel.routes_of(name), key=lambda row: row.route.default):
        command = route_command("replace", row.route, port)
        yield Difference(f"port {port} route {row.route.to}", "add", None, vars(row.route), (command,))


def _give(port: str, address: Address) -> Command:
    return ("ip", "addr", "replace", address.address, *address_words(address.address, address), "dev", port)


def _outline(name: str, kernel: Kernel) -> dict[str, object]:
    return {
        "ports": sorted(link.name for link in kernel.ports_of(name)),
        "addresses": [address.address for address in kernel.addresses_of(name)],
        "routes": [row.route.to for row in kernel.routes_of(name)],
    }
