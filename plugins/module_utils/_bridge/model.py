# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task declares of a bridge, as data that is checked: no file and no kernel here. Private to this collection."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass, field
from typing import Union

from .._errors import DeclarationError

PLAIN, MACVLAN, VXLAN = "plain", "macvlan", "vxlan"
MAX_NAME = 15  # IFNAMSIZ of the kernel, less its final zero
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
    wrong = not name or name in (".", "..") or any(sign in name for sign in "/: \t\n%") or not name.isprintable()
    if wrong:
        raise DeclarationError(
            f"{option} was given as {name!r}, which is no name of a network link. Use letters, digits, dashes and dots."
        )
    if len(name.encode()) > MAX_NAME:
        raise DeclarationError(
            f"{option} was given as {name!r}, which has {len(name.encode())} characters. Linux takes at most "
            f"{MAX_NAME}: choose a shorter name."
        )
    return name


def parse_address(text: str) -> str:
    """An address with its prefix length, in its plain spelling."""
    try:
        if "/" not in text:
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
    return str(address)


def parse_ip(text: str, option: str) -> str:
    """An address without a prefix length."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise DeclarationError(f"{option} was given as {text!r}, which is no IPv4 or IPv6 address.") from None


def parse_network(text: str) -> str:
    """The target of a route."""
    try:
        return str(ipaddress.ip_network(text, strict=True))
    except ValueError as error:
        raise DeclarationError(
            f"routes has to: {text!r}, which is no network ({error}). Give one such as 203.0.113.0/24."
        ) from None


def check_gateway(gateway: str, option: str, addresses: tuple[str, ...] | None) -> None:
    """A gateway has to lie in a network of one of the addresses; link-local ones always can be reached."""
    ip = ipaddress.ip_address(gateway)
    if addresses is None or ip.is_link_local:
        return
    own = [ipaddress.ip_interface(address) for address in addresses]
    if any(ip == address.ip for address in own):
        raise DeclarationError(
            f"{option} was given as {gateway}, which is the bridge's own address. Give the router's."
        )
    if not any(ip in address.network for address in own):
        networks = ", ".join(str(address.network) for address in own if address.version == ip.version) or "none"
        raise DeclarationError(
            f"{option} was given as {gateway}, which lies in no network of addresses (of IPv{ip.version}: "
            f"{networks}). The "
            f"host could not reach it. Correct one of them."
        )
