# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The steps of the kernel: from what it has to what is enforced, as commands of ip and bridge; pure.

Private to this collection.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Callable

from .commands import Command
from .kernel import NO_MAC, Address, Kernel, Link, macvlan_of, vxlan_of
from .model import DEFAULT_VLAN, MACVLAN, PLAIN, VXLAN, Declaration, Layer3, Port, Route, Vlan, Vxlan
from .target import Target, is_guest

# option of Settings: the words of `ip link set NAME type bridge`, and how a value is written there
_SETTINGS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "stp": ("stp_state", lambda value: str(int(value))),
    "forward_delay": ("forward_delay", lambda value: str(value * 100)),
    "priority": ("priority", str),
    "ageing": ("ageing_time", lambda value: str(value * 100)),
    "multicast_snooping": ("mcast_snooping", lambda value: str(int(value))),
}


@dataclass(frozen=True)
class Difference:
    """One difference between the kernel and the declaration, and what makes it go away."""

    target: str
    verb: str
    before: Any
    after: Any
    commands: tuple[Command, ...]


@dataclass(frozen=True)
class Known:
    """What the kernel can't say: `ours` are links that earlier runs put there, `statics` addresses that they gave.

    `managed`: a manager renews leases.
    """

    ours: Mapping[str, str] = field(default_factory=dict)
    statics: tuple[str, ...] = ()
    managed: bool = False


def differences(target: Target, kernel: Kernel, known: Known | None = None) -> list[Difference]:
    """In the order in which they are to go away."""
    known = known or Known()
    wanted = target.enforced
    link = kernel.links.get(wanted.name)
    addresses = list(_addresses(wanted, kernel, known))
    own = f"bridge {wanted.name} address "
    removed = [str(row.before) for row in addresses if row.verb == "remove" and row.target.startswith(own)]
    ports = [port for port in wanted.port_list() if port.kind != PLAIN]
    found = [
        *_bridge(wanted, target.written, link),
        *_default_vlan(wanted, target.written, kernel),
        *_removed_ports(wanted, kernel, known.ours),  # one of them may be what a new port lies on
        *(difference for port in ports for difference in _own_port(port, kernel)),
        *_enslaved(wanted, kernel),
        *_mtu(wanted, kernel),
        *_removed_routes(wanted, kernel),
        *addresses,
        *_routes(wanted, kernel, removed),
        *_vlans(wanted, target.written, kernel),
        *(difference for port in ports for difference in _remotes(port, kernel)),
    ]
    filtering = wanted.settings.vlan_filtering
    if filtering is not None and filtering != bool(link and link.settings.vlan_filtering):
        # the last, when every port has its VLANs: before, it would cut off what is on them
        command = ("ip", "link", "set", "dev", wanted.name, "type", "bridge", "vlan_filtering", str(int(filtering)))
        found.append(Difference(f"bridge {wanted.name}", "vlan_filtering", not filtering, filtering, (command,)))
    return found


def commands_of(found: Iterable[Difference]) -> list[Command]:
    """All commands in order, each once."""
    return list(dict.fromkeys(command for difference in found for command in difference.commands))


def _bridge(wanted: Declaration, written: Declaration, link: Link | None) -> Iterator[Difference]:
    name = wanted.name
    what = f"bridge {name}"
    if link is None:
        words: list[str] = []
        for option, (word, text) in _SETTINGS.items():
            value = getattr(written.settings, option)
            words += [] if value is None else [word, text(value)]
        words += [] if written.default_vlan else ["vlan_default_pvid", "0"]
        address = ["address", wanted.settings.mac] if wanted.settings.mac else []
        create = ("ip", "link", "add", "name", name, *address, "type", "bridge", *words)
        after = {option: value for option, value in vars(wanted.settings).items() if value is not None}
        yield Difference(what, "create", None, after, (create, ("ip", "link", "set", "dev", name, "up")))
        return
    for option, (word, text) in _SETTINGS.items():
        before, after = getattr(link.settings, option), getattr(wanted.settings, option)
        if after is not None and before != after:
            command = ("ip", "link", "set", "dev", name, "type", "bridge", word, text(after))
            yield Difference(what, option, before, after, (command,))
    mac = wanted.settings.mac
    if mac and mac != link.mac:
        yield Difference(what, "mac", link.mac, mac, (("ip", "link", "set", "dev", name, "address", mac),))
    if not link.up:
        yield Difference(what, "up", False, True, (("ip", "link", "set", "dev", name, "up"),))


def _own_port(port: Port, kernel: Kernel) -> Iterator[Difference]:
    """A tunnel or macvlan link that is not there, or is another one: it is made anew, for most of it can't change."""
    link = kernel.links.get(port.name)
    after: dict[str, Any] = {**vars(port.vxlan or port.macvlan)}
    after.pop("remotes", None)
    create = ("ip", "link", "add", "name", port.name, *words_of(port))
    if link is None:
        yield Difference(f"port {port.name}", "create", None, after, (create,))
        return
    before = {**vars(vxlan_of(link, kernel) if port.vxlan else macvlan_of(link))}
    before.pop("remotes", None)
    if before != after:
        remove = ("ip", "link", "del", "dev", port.name)
        yield Difference(f"port {port.name}", "replace", before, after, (remove, create))


def words_of(port: Port) -> tuple[str, ...]:
    """The words of `ip link add` that make a port of its own kind."""
    if port.macvlan:
        return ("link", port.macvlan.device, "type", MACVLAN, "mode", port.macvlan.mode)
    tunnel = port.vxlan or Vxlan(0)
    words = ["type", VXLAN, "id", str(tunnel.vni), "dstport", str(tunnel.port)]
    for word, value in (("group", tunnel.group), ("local", tunnel.local), ("dev", tunnel.device)):
        words += [word, value] if value else []
    return tuple(words)


def _remotes(port: Port, kernel: Kernel) -> Iterator[Difference]:
    if port.vxlan is None or port.vxlan.group:
        return
    after = port.vxlan.remotes
    # one that is made anew has none of those that it had
    before = kernel.remotes.get(port.name, ()) if not list(_own_port(port, kernel)) else ()
    if set(before) == set(after):
        return
    flood = ("bridge", "fdb")
    commands = [(*flood, "append", NO_MAC, "dev", port.name, "dst", ip) for ip in after if ip not in before]
    commands += [(*flood, "del", NO_MAC, "dev", port.name, "dst", ip) for ip in before if ip not in after]
    yield Difference(f"port {port.name}", "remotes", list(before), list(after), tuple(commands))


def _removed_ports(wanted: Declaration, kernel: Kernel, ours: Mapping[str, str]) -> Iterator[Difference]:
    if wanted.ports is None:
        return
    names = {port.name for port in wanted.ports}
    for link in sorted(kernel.links.values(), key=lambda link: link.lower is None):  # what lies on another goes first
        under = link.master == wanted.name
        made = ours.get(link.name) in (VXLAN, MACVLAN) and ours[link.name] == link.kind
        if link.name in names or not (under or made) or (is_guest(link) and link.name not in ours):
            continue
        command = ("ip", "link", "del") if made else ("ip", "link", "set")
        words = ("dev", link.name) if made else ("dev", link.name, "nomaster")
        yield Difference(
            f"bridge {wanted.name} port {link.name}", "remove", {"port": link.name}, None, ((*command, *words),)
        )


def _enslaved(wanted: Declaration, kernel: Kernel) -> Iterator[Difference]:
    for port in wanted.port_list():
        link = kernel.links.get(port.name)
        what = f"bridge {wanted.name} port {port.name}"
        up = ("ip", "link", "set", "dev", port.name, "up")
        replaced = port.kind != PLAIN and any(row.verb == "replace" for row in _own_port(port, kernel))
        if link is None or link.master != wanted.name or replaced:
            before = None if link is None else {"master": link.master}
            master = ("ip", "link", "set", "dev", port.name, "master", wanted.name)
            yield Difference(what, "add", before, {"master": wanted.name}, (master, up))
        elif not link.up:
            yield Difference(what, "up", False, True, (up,))


def _mtu(wanted: Declaration, kernel: Kernel) -> Iterator[Difference]:
    """Ports first: a bridge takes no frames larger than its smallest port does."""
    mtu = wanted.settings.mtu
    if mtu is None:
        return
    for name in [*(port.name for port in wanted.port_list()), wanted.name]:
        link = kernel.links.get(name)
        if link is None or link.mtu != mtu:
            command = ("ip", "link", "set", "dev", name, "mtu", str(mtu))
            yield Difference(f"link {name}", "mtu", link.mtu if link else None, mtu, (command,))


def _addresses(wanted: Declaration, kernel: Kernel, known: Known) -> Iterator[Difference]:
    said = wanted.layer3
    moved: dict[str, Address] = {}
    command: Command
    for port in wanted.port_list():
        for address in kernel.addresses_of(port.name):
            moved[address.address] = address
            command = ("ip", "addr", "del", address.address, "dev", port.name)
            yield Difference(f"port {port.name} address {address.address}", "remove", address.address, None, (command,))
    if said.addresses is None:
        return
    has = {address.address: address for address in kernel.addresses_of(wanted.name)}
    extra = [text for text, one in has.items() if text not in said.addresses]
    gone = [text for text in extra if not _comes_by_itself(has[text], said, known.statics)]
    for text in gone:  # before the others: with the first address of a network, the kernel drops the later ones
        command = ("ip", "addr", "del", text, "dev", wanted.name)
        yield Difference(f"bridge {wanted.name} address {text}", "remove", text, None, (command,))
    for text in [*said.addresses, *(() if known.managed else _leased(said, moved))]:
        if text not in has or _fell(text, has, gone):
            command = ("ip", "addr", "replace", text, *address_words(text, moved.get(text)), "dev", wanted.name)
            before, verb = (text, "keep") if text in has else (None, "add")
            yield Difference(f"bridge {wanted.name} address {text}", verb, before, text, (command,))


def _fell(text: str, has: Mapping[str, Address], gone: list[str]) -> bool:
    """Whether the kernel drops an address together with one that is removed, of whose network it is."""
    network = ipaddress.ip_interface(text).network
    return text in has and network.version == 4 and any(ipaddress.ip_interface(one).network == network for one in gone)


def _leased(said: Layer3, moved: dict[str, Address]) -> list[str]:
    """Leased addresses of a port move with it, until the bridge's own lease is there."""
    return [text for text, address in moved.items() if address.dynamic and address.version == 4 and said.dhcp4]


def address_words(text: str, moved: Address | None) -> tuple[str, ...]:
    """The words of ip that go with an address; `moved`: as it was on another link a moment ago."""
    address = ipaddress.ip_interface(text)
    broadcast = ("broadcast", "+") if address.version == 4 and address.network.prefixlen < 31 else ()
    # an address that this host had a moment ago needs no search for a second owner, which would take a second
    known = ("nodad",) if moved and address.version == 6 else ()
    left = ("valid_lft", str(moved.seconds), "preferred_lft", str(moved.seconds)) if moved and moved.seconds else ()
    return (*broadcast, *left, *known)


def _comes_by_itself(address: Address, said: Layer3, statics: tuple[str, ...]) -> bool:
    if address.address in statics and not address.dynamic:
        return False
    if address.version == 4:
        return bool(said.dhcp4)
    return bool(said.dhcp6 or said.accept_ra or (address.dynamic and said.accept_ra is None))


def _removed_routes(wanted: Declaration, kernel: Kernel) -> Iterator[Difference]:
    """Before the addresses: with an address, the kernel drops its routes by itself."""
    if wanted.layer3.routes is None:
        return
    for route in (found.route for found in kernel.routes_of(wanted.name)):
        lease = wanted.layer3.dhcp4 and route.default and route.version == 4
        if not any(same_route(route, other) for other in wanted.layer3.routes) and not lease:
            command = route_command("del", route, wanted.name)
            yield Difference(f"bridge {wanted.name} route {route.to}", "remove", vars(route), None, (command,))


def _routes(wanted: Declaration, kernel: Kernel, removed: list[str]) -> Iterator[Difference]:
    """`removed`: addresses that go, and with them the routes through their networks."""
    has = [found.route for found in kernel.routes_of(wanted.name)]
    said = wanted.layer3.routes
    # networks first: a gateway lies in one
    for route in sorted(has if said is None else said, key=lambda route: route.default):
        there = any(same_route(route, other) for other in has)
        if not there or (_lies_in(route, removed) and _lies_in(route, wanted.layer3.addresses or ())):
            command = route_command("replace", route, wanted.name)
            before = vars(route) if there else None
            verb = "keep" if there else "add"
            yield Difference(f"bridge {wanted.name} route {route.to}", verb, before, vars(route), (command,))


def _lies_in(route: Route, addresses: Iterable[str]) -> bool:
    """Whether the router of an IPv4 route lies in a network of one of the addresses."""
    if route.via is None or route.version == 6:
        return False
    return any(ipaddress.ip_address(route.via) in ipaddress.ip_interface(address).network for address in addresses)


def same_route(one: Route, other: Route) -> bool:
    """Whether two routes are the same; a manager gives a route a metric where none was asked for."""
    same = (one.to, one.via, one.table) == (other.to, other.via, other.table)
    return same and (one.metric == other.metric or None in (one.metric, other.metric))


def route_command(verb: str, route: Route, device: str) -> Command:
    """A command of ip for a route."""
    words = ["ip", "route", verb, route.to]
    for word, value in (("via", route.via), ("metric", route.metric), ("table", route.table)):
        words += [word, str(value)] if value is not None else []
    return (*words, "dev", device)


def _says_vlans(wanted: Declaration) -> bool:
    return any(vlans is not None for vlans in (wanted.vlans, *(port.vlans for port in wanted.port_list())))


def _default_vlan(wanted: Declaration, written: Declaration, kernel: Kernel) -> Iterator[Difference]:
    """The VLAN in which guests' taps start; with it, the kernel moves links that are there, and some have to stay."""
    link = kernel.links.get(wanted.name)
    before = link.default_vlan if link else None
    after = written.default_vlan.number if written.default_vlan else 0
    if link is None or before in (None, after) or not _says_vlans(wanted):
        return
    commands: list[Command] = [
        ("ip", "link", "set", "dev", link.name, "type", "bridge", "vlan_default_pvid", str(after))
    ]
    declared = {port.name: port.vlans for port in wanted.port_list()}
    for one in (link, *kernel.ports_of(link.name)):
        words = ("self",) if one is link else ()
        has = kernel.vlans.get(one.name, ())
        if after:  # every link without VLAN 1 gets it, and as its first one
            moved = [vlan for vlan in has if vlan.pvid] if all(vlan.number != after for vlan in has) else []
            gone = [("bridge", "vlan", "del", "vid", str(after), "dev", one.name, *words)] if moved else []
        else:  # every link loses what it has by itself
            said = wanted.vlans if one is link else declared.get(one.name)
            stays = one is link or one.name in declared or not is_guest(one)
            moved = [DEFAULT_VLAN] if stays and DEFAULT_VLAN in has and (said is None or DEFAULT_VLAN in said) else []
            gone = []
        commands += [*(vlan_command(one.name, vlan, words) for vlan in moved), *gone]
    yield Difference(f"bridge {link.name}", "default_vlan", before or None, after or None, tuple(commands))


def _vlans(wanted: Declaration, written: Declaration, kernel: Kernel) -> Iterator[Difference]:
    rows = [(port.name, port.vlans, ()) for port in wanted.port_list()]
    for name, said, words in [*rows, (wanted.name, wanted.vlans, ("self",))]:
        new = _is_new(name, wanted, kernel)
        after = written.vlans_to_write(_list_of(name, written)) if new else said
        before = kernel.vlans.get(name, ()) if name in kernel.links else ()
        if after is None or set(before) == set(after):
            continue
        commands = [vlan_command(name, vlan, words) for vlan in after if vlan not in before]
        kept = {vlan.number for vlan in after}
        # the VLAN that a new port gets by itself can't be seen before there is the port
        gone = {vlan.number for vlan in before} or ({DEFAULT_VLAN.number} if new else set())
        commands += [
            ("bridge", "vlan", "del", "vid", str(number), "dev", name, *words) for number in sorted(gone - kept)
        ]
        yield Difference(f"link {name}", "vlans", [vars(v) for v in before], [vars(v) for v in after], tuple(commands))


def _list_of(name: str, written: Declaration) -> tuple[Vlan, ...] | None:
    if name == written.name:
        return written.vlans
    return next((port.vlans for port in written.port_list() if port.name == name), None)


def _is_new(name: str, wanted: Declaration, kernel: Kernel) -> bool:
    link = kernel.links.get(name)
    return link is None or (name != wanted.name and link.master != wanted.name)


def vlan_command(name: str, vlan: Vlan, words: tuple[str, ...]) -> Command:
    """A command of bridge for a VLAN of a link."""
    flags = [word for word, wanted in (("pvid", vlan.pvid), ("untagged", vlan.untagged)) if wanted]
    return ("bridge", "vlan", "add", "vid", str(vlan.number), "dev", name, *flags, *words)
