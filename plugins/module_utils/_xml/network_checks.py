# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be right in a <network>, said before anything is done. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING, Union

from .._errors import DeclarationError
from .network_fields import LEASE_SECONDS

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Address = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
Interface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]

_MAC = re.compile(r"([0-9a-f]{1,2}:){5}[0-9a-f]{1,2}", re.IGNORECASE)
_HOST_MODES = ("bridge", "private", "vepa", "passthrough", "hostdev")
_SMALLEST_MTU, _LARGEST_MTU = 68, 65535  # include/net/ip.h (RFC 791), and libvirt's unsigned short
_SHORTEST_LEASE = 120  # seconds, dnsmasq(8)
_BRIDGE_LENGTH = 15  # IFNAMSIZ of Linux, less the final zero


def check_network(network: Element) -> None:
    """Raises DeclarationError for the first fault that is found."""
    _check_bridge(network)
    for check in (
        _check_mode,
        _check_vlans,
        _check_mtu,
        _check_nat,
        _check_macs,
        _check_addresses,
        _check_leases,
        _check_dns,
        _check_routes,
    ):
        check(network)


def _check_bridge(network: Element) -> None:
    bridge = network.find("bridge")
    name = None if bridge is None else bridge.get("name")
    if name is None:
        return
    if not 0 < len(name.encode()) <= _BRIDGE_LENGTH or re.search(r"[/\s]", name) or name in (".", ".."):
        raise DeclarationError(
            f"The bridge is named {name!r} ({len(name.encode())} characters), but Linux takes 1 to {_BRIDGE_LENGTH} "
            "characters without slashes and spaces. Choose another name for the bridge."
        )


def _mode(network: Element) -> str | None:
    forward = network.find("forward")
    return None if forward is None else forward.get("mode", "nat")


def _check_mode(network: Element) -> None:
    mode = _mode(network)
    if mode in ("nat", "route") and network.find("ip") is None:
        raise DeclarationError(
            f"The network forwards by {mode!r}, but has no address to route from. Give it one, such as 198.51.100.1/24."
        )
    if mode in _HOST_MODES and network.find("ip") is not None:
        raise DeclarationError(
            f"The network forwards by {mode!r}, so that the host's own network gives the addresses. Take its "
            f"addresses out."
        )


def _check_vlans(network: Element) -> None:
    """libvirt tags only what Open vSwitch or an SR-IOV card carries."""
    if _mode(network) in ("passthrough", "hostdev"):
        return
    for holder in (network, *network.findall("portgroup")):
        ports = [item for item in (holder.find("virtualport"), network.find("virtualport")) if item is not None]
        if holder.find("vlan") is not None and not any(port.get("type") == "openvswitch" for port in ports):
            raise DeclarationError(
                "A VLAN is declared, but libvirt can tag only on an Open vSwitch bridge or an SR-IOV card. Use such a "
                "network, or a bridge of the host that lies on a VLAN interface, and leave the VLAN out here."
            )


def _check_mtu(network: Element) -> None:
    mtu = network.find("mtu")
    size = "" if mtu is None else mtu.get("size", "")
    if size.isdigit() and not _SMALLEST_MTU <= int(size) <= _LARGEST_MTU:
        raise DeclarationError(
            f"The MTU is {size} bytes, but a bridge takes {_SMALLEST_MTU} to {_LARGEST_MTU}. Correct it."
        )


def _check_nat(network: Element) -> None:
    nat = network.find("forward/nat")
    if nat is None:
        return
    mode = _mode(network)
    if mode != "nat":
        raise DeclarationError(
            f"<nat> is declared, but the network forwards by {mode!r}, which translates nothing. Use nat, or leave it "
            f"out."
        )
    port = nat.find("port")
    if port is not None and _number(port, "start") > _number(port, "end"):
        raise DeclarationError(
            f"The NAT ports {port.get('start')} to {port.get('end')} end before they start. Swap them."
        )
    address = nat.find("address")
    if address is not None:
        _range(address, "The NAT address range")


def _check_macs(network: Element) -> None:
    for item, where in [(item, "mac") for item in network.findall("mac")] + [
        (item, "host") for item in network.iterfind("ip/dhcp/host")
    ]:
        mac = item.get("address" if where == "mac" else "mac")
        if mac is None:
            continue
        if not _MAC.fullmatch(mac):
            raise DeclarationError(f"{mac!r} is not a MAC address. Write six numbers such as 52:54:00:12:34:56.")
        if int(mac.partition(":")[0], 16) & 1:
            raise DeclarationError(
                f"The MAC address {mac} is a multicast address, which no interface can have. Choose one with an even "
                f"first number."
            )


def _check_addresses(network: Element) -> None:
    seen: dict[str, str] = {}
    addresses: dict[Address, str] = {}
    for item in network.findall("ip"):
        interface = _interface(item)
        if interface.ip in addresses:
            raise DeclarationError(f"The address {interface.ip} is declared twice. Keep one of the two.")
        addresses[interface.ip] = "the network itself"
        _check_ranges(item, interface)
        for host in item.iterfind("dhcp/host"):
            _check_host(host, interface, seen, addresses)


def _interface(item: Element) -> Interface:
    text, prefix = item.get("address", ""), item.get("prefix")
    address = _address(text, "The network's address")
    if address.version == 6 and item.get("family", "ipv4") != "ipv6":
        raise DeclarationError(f"The address {text} is IPv6, but its element has no family='ipv6'. Add it.")
    if prefix is None:
        return ipaddress.ip_interface(text)  # libvirt takes the prefix of the address class; ranges are its to check
    try:
        interface = ipaddress.ip_interface(f"{text}/{prefix}")
    except ValueError as error:
        raise DeclarationError(f"The network's address is {text}/{prefix}, but {error}. Correct the prefix.") from error
    ends = (interface.network.network_address, interface.network.broadcast_address)
    if interface.version == 4 and interface.network.prefixlen < 31 and interface.ip in ends:
        raise DeclarationError(
            f"{interface} is the network's own or its broadcast address, so no host can have it. Choose an address "
            f"inside {interface.network}."
        )
    return interface


def _check_ranges(item: Element, interface: Interface) -> None:
    known: list[tuple[Address, Address]] = []
    for entry in item.iterfind("dhcp/range"):
        start, end = _range(entry, "The DHCP range")
        for address in (start, end):
            if _is_outside(address, item, interface):
                raise DeclarationError(
                    f"The DHCP range {start} to {end} is not inside its network {interface.network}. Give addresses "
                    f"of that network.",
                    details={"start": str(start), "end": str(end), "network": str(interface.network)},
                )
        for low, high in known:
            if start <= high and low <= end:  # type: ignore[operator]
                raise DeclarationError(
                    f"The DHCP ranges {low} to {high} and {start} to {end} overlap. Keep them apart, or join them."
                )
        known.append((start, end))


def _check_host(host: Element, interface: Interface, seen: dict[str, str], addresses: dict[Address, str]) -> None:
    who = host.get("name") or host.get("mac") or host.get("id") or "without a name"
    address = _address(host.get("ip", ""), f"The address of the DHCP host {who}")
    keys = [value.lower() for value in (host.get("mac"), host.get("id")) if value]
    if not keys and not host.get("name"):
        raise DeclarationError(
            f"The DHCP host at {address} has neither mac, id nor name. Give the one by which it is recognised."
        )
    if interface.version == 4 and not host.get("mac"):
        raise DeclarationError(f"The DHCP host {who} has an IPv4 address, but no mac. Give its MAC address.")
    holder = item if (item := host.getparent()) is not None else host
    if _is_outside(address, holder.getparent(), interface):
        raise DeclarationError(
            f"The DHCP host {who} has the address {address}, which is not inside its network {interface.network}. "
            f"Give an address of that network.",
            details={"host": who, "address": str(address), "network": str(interface.network)},
        )
    for key in keys:
        if key in seen:
            raise DeclarationError(
                f"The DHCP hosts at {seen[key]} and {address} have the same identity {key}. Keep one of them, or "
                f"correct it."
            )
        seen[key] = str(address)
    if address in addresses:
        raise DeclarationError(
            f"The address {address} is declared for {addresses[address]} and for the DHCP host {who}. Give each its "
            f"own."
        )
    addresses[address] = f"the DHCP host {who}"


def _check_leases(network: Element) -> None:
    for lease in network.iterfind("ip/dhcp/*/lease"):
        expiry, unit = lease.get("expiry", ""), lease.get("unit", "minutes")
        if expiry.isdigit() and 0 < int(expiry) * LEASE_SECONDS.get(unit, 60) < _SHORTEST_LEASE:
            raise DeclarationError(
                f"A DHCP lease of {expiry} {unit} is too short for dnsmasq. Give at least {_SHORTEST_LEASE} seconds, "
                f"or 0 for a lease that never ends."
            )


def _check_dns(network: Element) -> None:
    seen: set[Address] = set()
    for host in network.iterfind("dns/host"):
        address = _address(host.get("ip", ""), "The address of a DNS host")
        if address in seen:
            raise DeclarationError(
                f"Two DNS hosts have the address {address}. Put all names of one address into one entry."
            )
        seen.add(address)
        if not len(host):
            raise DeclarationError(f"The DNS host at {address} has no host name. Give at least one.")
    for srv in network.iterfind("dns/srv"):
        if srv.get("target") is None and any(srv.get(name) is not None for name in ("port", "priority", "weight")):
            raise DeclarationError(
                f"The SRV record of {srv.get('service')} has a port, priority or weight, but no target. Give the host "
                f"that offers the service."
            )
    for forwarder in network.iterfind("dns/forwarder"):
        if forwarder.get("addr") is None and forwarder.get("domain") is None:
            raise DeclarationError("A DNS forwarder has neither an address nor a domain. Give one of them, or both.")
        if forwarder.get("addr") is not None:
            _address(forwarder.get("addr", ""), "The address of a DNS forwarder")


def _check_routes(network: Element) -> None:
    interfaces = [_interface(item) for item in network.findall("ip")]
    for route in network.findall("route"):
        destination = f"{route.get('address')}/{route.get('prefix')}"
        gateway = _address(route.get("gateway", ""), f"The gateway of the route to {destination}")
        if not any(gateway in interface.network for interface in interfaces):
            known = ", ".join(str(interface.network) for interface in interfaces) or "none"
            raise DeclarationError(
                f"The route to {destination} goes through {gateway}, which is in none of the network's own subnets "
                f"({known}). Give a gateway that this network reaches.",
                details={"gateway": str(gateway), "networks": [str(interface.network) for interface in interfaces]},
            )


def _is_outside(address: Address, item: Element | None, interface: Interface) -> bool:
    """Whether `address` is not in the subnet, as far as the declaration says how large that is."""
    if address.version != interface.version:
        return True
    return item is not None and item.get("prefix") is not None and address not in interface.network


def _range(entry: Element, what: str) -> tuple[Address, Address]:
    start, end = (_address(entry.get(name, ""), f"{what}'s {name}") for name in ("start", "end"))
    if start.version != end.version or start > end:  # type: ignore[operator]
        raise DeclarationError(f"{what} {start} to {end} ends before it starts. Swap the two, or correct them.")
    return start, end


def _address(text: str, what: str) -> Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError as error:
        raise DeclarationError(
            f"{what} was given as {text!r}, which is not an IP address. Write one such as 198.51.100.10 or "
            f"2001:db8::10."
        ) from error


def _number(item: Element, name: str) -> int:
    try:
        return int(item.get(name, ""))
    except ValueError as error:
        raise DeclarationError(
            f"The NAT port {name} is {item.get(name)!r}, which is not a number. Write one from 1 to 65535."
        ) from error
