# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task declares of a bridge, as data that is checked: no file and no kernel here. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Union

from .._errors import DeclarationError

PLAIN, MACVLAN, VXLAN = "plain", "macvlan", "vxlan"
MAX_NAME = 15  # IFNAMSIZ of the kernel, less its final zero
# the kernel takes more, but names stand in commands and in files of several formats
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+-]*")
_NOT_NAMES = ("all", "default")  # the kernel's directories of settings for every link
DEFAULT_VXLAN_PORT = 4789  # IANA; the kernel's own default (8472) is older than the RFC

Interface = Union[ipaddress.IPv4Interface, ipaddress.IPv6Interface]
IpAddress = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]
IpNetwork = Union[ipaddress.IPv4Network, ipaddress.IPv6Network]


@dataclass(frozen=True)
class Vlan:
    """One VLAN of a port: what comes in untagged gets `pvid`, what goes out loses its tag with `untagged`."""

    number: int
    pvid: bool = False
    untagged: bool = False


DEFAULT_VLAN = Vlan(1, pvid=True, untagged=True)  # what the kernel gives every link under a bridge at first


@dataclass(frozen=True)
class Vxlan:
    """A tunnel: a list of peers, or a multicast group on `device`."""

    vni: int
    remotes: tuple[str, ...] = ()
    group: str | None = None
    local: str | None = None
    port: int = DEFAULT_VXLAN_PORT
    device: str | None = None


@dataclass(frozen=True)
class Macvlan:
    """A second, own face of another device."""

    device: str
    mode: str = "passthru"


@dataclass(frozen=True)
class Port:
    """A link under the bridge. `vlans` is None where nothing is said about them."""

    name: str
    vxlan: Vxlan | None = None
    macvlan: Macvlan | None = None
    vlans: tuple[Vlan, ...] | None = None

    @property
    def kind(self) -> str:
        """PLAIN for a link that exists already."""
        return VXLAN if self.vxlan else MACVLAN if self.macvlan else PLAIN


@dataclass(frozen=True)
class Route:
    """`to` is a network in its plain spelling; 0.0.0.0/0 and ::/0 are the gateways."""

    to: str
    via: str | None = None
    metric: int | None = None
    table: int | None = None

    @property
    def version(self) -> int:
        """4 or 6."""
        return ipaddress.ip_network(self.to).version

    @property
    def default(self) -> bool:
        """Whether it is a default route of the main table."""
        return ipaddress.ip_network(self.to).prefixlen == 0 and self.table is None


@dataclass(frozen=True)
class Settings:
    """The bridge device itself; None says nothing. Times are seconds."""

    stp: bool | None = None
    forward_delay: int | None = None
    priority: int | None = None
    ageing: int | None = None
    mtu: int | None = None
    mac: str | None = None
    vlan_filtering: bool | None = None
    multicast_snooping: bool | None = None


@dataclass(frozen=True)
class Layer3:
    """What the host is known by on the bridge; None says nothing, an empty tuple says none."""

    addresses: tuple[str, ...] | None = None  # with prefix lengths, in their plain spelling
    dhcp4: bool | None = None
    dhcp6: bool | None = None
    accept_ra: bool | None = None
    routes: tuple[Route, ...] | None = None  # gateways included
    dns_servers: tuple[str, ...] | None = None
    dns_search: tuple[str, ...] | None = None
    client: str | None = None  # by what a DHCP server knows the host: "mac", or the number of networkd's IAID

    @property
    def silent(self) -> bool:
        """Whether nothing is said about addresses."""
        return self.addresses is None and self.dhcp4 is None and self.dhcp6 is None and self.accept_ra is None


@dataclass(frozen=True)
class Declaration:
    """A bridge as a task declares it. `ports` is None where nothing is said about them."""

    name: str
    present: bool = True
    ports: tuple[Port, ...] | None = None
    inherit: bool = False
    settings: Settings = field(default_factory=Settings)
    layer3: Layer3 = field(default_factory=Layer3)
    vlans: tuple[Vlan, ...] | None = None  # of the bridge itself
    persist: str = "auto"

    def port_list(self) -> tuple[Port, ...]:
        """The ports, or none."""
        return self.ports or ()

    @property
    def default_vlan(self) -> Vlan | None:
        """The VLAN of links of which none is declared, such as guests' taps: VLAN 1, unless a declared list lacks it.

        networkd takes no VLAN from a link, so VLAN 1 would be in every list after a reboot; thus one rule for all.
        """
        lists = [self.vlans, *(port.vlans for port in self.port_list())]
        numbers = [{vlan.number for vlan in vlans} for vlans in lists if vlans is not None]
        return DEFAULT_VLAN if all(DEFAULT_VLAN.number in found for found in numbers) else None

    def vlans_to_write(self, vlans: tuple[Vlan, ...] | None) -> tuple[Vlan, ...] | None:
        """The list of one link for a file: a declared link that starts in no VLAN has to be put into its first one."""
        return (DEFAULT_VLAN,) if vlans is None and self.default_vlan is None else vlans


def check_name(name: str, option: str) -> str:
    """A name that the kernel takes for a link."""
    if not _NAME.fullmatch(name) or name in _NOT_NAMES:
        raise DeclarationError(
            f"{option} was given as {name!r}, which is no name of a network link. Use letters and digits, and after "
            "the first one also dashes, dots and underscores."
        )
    if len(name) > MAX_NAME:
        raise DeclarationError(
            f"{option} was given as {name!r}, which has {len(name)} characters. Linux takes at most {MAX_NAME}: choose "
            "a shorter name."
        )
    return name


def parse_address(text: str) -> str:
    """An address with its prefix length, in its plain spelling."""
    try:
        if "/" not in text or "%" in text:
            raise ValueError(text)
        address = ipaddress.ip_interface(text)
    except ValueError:
        raise DeclarationError(
            f"addresses has {text!r}. Give an address with its prefix length, such as 198.51.100.10/24 or "
            "2001:db8::10/64."
        ) from None
    unfit = address.is_multicast or address.is_unspecified or address.is_loopback
    network = address.network
    ends = network.prefixlen < network.max_prefixlen - 1 and network.version == 4
    if unfit or (ends and address.ip in (network.network_address, network.broadcast_address)):
        raise DeclarationError(
            f"addresses has {text!r}, which is no address of a single host in {network}. Give the host's own address."
        )
    if address.version == 6 and address.is_link_local:
        raise DeclarationError(f"addresses has {text!r}, and link-local addresses come by themselves. Take it out.")
    return str(address)


def parse_ip(text: str, option: str, *, group: bool = False) -> str:
    """An address without a prefix length: of a single host, or of a multicast group."""
    try:
        address = ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        address = None
    if address is None:
        raise DeclarationError(
            f"{option} was given as {text!r}, which is no IPv4 or IPv6 address. Give one such as 198.51.100.1, without "
            "a prefix length."
        )
    if address.is_unspecified or address.is_multicast is not group:
        kind = "a multicast group, such as 239.1.1.1" if group else "a single host"
        raise DeclarationError(f"{option} was given as {text!r}. Give the address of {kind}.")
    return str(address)


def parse_network(text: str) -> str:
    """The target of a route."""
    try:
        network = ipaddress.ip_network(text, strict=True)
    except ValueError as error:
        raise DeclarationError(
            f"routes has to: {text!r}, which is no network ({error}). Give one such as 203.0.113.0/24."
        ) from None
    if network.is_link_local or network.is_multicast or network.is_loopback:
        raise DeclarationError(f"routes has to: {text!r}, whose routes the kernel makes by itself. Take it out.")
    return str(network)


def check_gateway(gateway: str, option: str, addresses: tuple[str, ...], near: tuple[str, ...] = ()) -> None:
    """A router has to be within reach: in a network of an address, or one on the link (`near`), or link-local."""
    ip = ipaddress.ip_address(gateway)
    if ip.is_link_local or any(ip in ipaddress.ip_network(network) for network in near):
        return
    own = [ipaddress.ip_interface(address) for address in addresses]
    if any(ip == address.ip for address in own):
        raise DeclarationError(
            f"{option} was given as {gateway}, which is the bridge's own address. Give the router's."
        )
    inside = [address.network for address in own if ip in address.network]
    if not inside:
        networks = ", ".join(str(address.network) for address in own if address.version == ip.version) or "none"
        raise DeclarationError(
            f"{option} was given as {gateway}, which lies in no network of addresses (of IPv{ip.version}: {networks}). "
            "The host could not reach it. Correct one of them."
        )
    ends = [(net.network_address, net.broadcast_address) for net in inside if net.prefixlen < net.max_prefixlen - 1]
    if ip.version == 4 and any(ip in pair for pair in ends):
        raise DeclarationError(
            f"{option} was given as {gateway}, which is no address of a single host in {inside[0]}. Give the router's."
        )
