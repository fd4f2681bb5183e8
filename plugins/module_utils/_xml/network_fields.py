# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which option of nestbox.virt.network is which part of <network>. Private to this collection."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any, Callable

from .._deps import etree
from .._errors import DeclarationError
from .fields import Custom, Field, Group, Items, Row, Texts

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

LEASE_SECONDS = {"seconds": 1, "minutes": 60, "hours": 3600}
_ON_OFF = ("on", "off")
_REQUIRED = {"required": True}


def write_cidr(item: Element, value: str, *, option: str, whole_network: bool) -> None:
    """address, prefix and family of `value`; a route has a network's address, a host any address in it."""
    address, _slash, prefix = value.partition("/")
    try:
        network = ipaddress.ip_network(value, strict=whole_network)
        if not prefix.isdigit():
            raise ValueError("it has no prefix length such as /24")
    except ValueError as error:
        raise DeclarationError(
            f"{option} was given as {value!r}, but {error}. Write an address with its prefix length, such as "
            f"{'203.0.113.0/24 or 2001:db8::/64' if whole_network else '198.51.100.1/24 or 2001:db8::1/64'}.",
            details={"option": option, "value": value},
        ) from error
    if network.version == 6:
        item.set("family", "ipv6")
    item.set("address", str(ipaddress.ip_address(address)))
    item.set("prefix", prefix)


def read_cidr(item: Element) -> str | None:
    """The address with its prefix; a prefix that is missing is the address class's, as libvirt takes it."""
    address = item.get("address")
    if address is None:
        return None
    return f"{address}/{item.get('prefix') or item.get('netmask') or class_prefix(address)}"


def class_prefix(address: str) -> int:
    """The prefix that libvirt takes where none is written: the address class's, or 64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError as error:
        raise DeclarationError(
            f"The network's address was given as '{address}', which is not an IP address. Write one such as "
            "198.51.100.1."
        ) from error
    if parsed.version == 6:
        return 64
    first = parsed.packed[0]
    return 8 if first < 128 else 16 if first < 192 else 24


def _cidr_writer(option: str, whole_network: bool) -> Callable[[Element, Any], None]:
    return lambda item, value: write_cidr(item, value, option=option, whole_network=whole_network)


def _write_lease(item: Element, seconds: int) -> None:
    lease = etree.SubElement(item, "lease")
    lease.set("expiry", str(seconds))
    if seconds:
        lease.set("unit", "seconds")


def _read_lease(item: Element) -> int | None:
    lease = item.find("lease")
    if lease is None or not lease.get("expiry", "").isdigit():
        return None
    return int(lease.get("expiry", "0")) * LEASE_SECONDS.get(lease.get("unit", "minutes"), 60)


_LEASE = Custom("lease_time", _write_lease, _read_lease, {"type": "int"})

_RATES: tuple[Row, ...] = (
    Field("average", "@average", "int"),
    Field("peak", "@peak", "int"),
    Field("burst", "@burst", "int"),
)

_BANDWIDTH = Group(
    "bandwidth", "bandwidth", (Group("inbound", "inbound", _RATES), Group("outbound", "outbound", _RATES))
)

_VLAN = Group(
    "vlan",
    "vlan",
    (
        Field("trunk", "@trunk", "bool"),
        Items(
            "tags",
            "tag",
            (
                Field("id", "@id", "int", spec=_REQUIRED),
                Field("native_mode", "@nativeMode", spec={"choices": ["tagged", "untagged"]}),
            ),
            identity="id",
        ),
    ),
)

_VIRTUAL_PORT = Group(
    "virtual_port",
    "virtualport",
    (
        Field("type", "@type", spec={"choices": ["802.1Qbg", "802.1Qbh", "openvswitch", "midonet"]}),
        Field("profile_id", "parameters/@profileid"),
        Field("interface_id", "parameters/@interfaceid"),
        Field("manager_id", "parameters/@managerid", "int"),
        Field("type_id", "parameters/@typeid", "int"),
        Field("type_id_version", "parameters/@typeidversion", "int"),
        Field("instance_id", "parameters/@instanceid"),
    ),
)

_ADDRESSES = Items(
    "addresses",
    "ip",
    (
        Custom("address", _cidr_writer("addresses.address", False), read_cidr, _REQUIRED),
        Field("local_ptr", "@localPtr", "bool"),
        Field("tftp_root", "tftp/@root", spec={"type": "path"}),
        Group(
            "dhcp",
            "dhcp",
            (
                Items(
                    "ranges",
                    "range",
                    (Field("start", "@start", spec=_REQUIRED), Field("end", "@end", spec=_REQUIRED), _LEASE),
                ),
                Items(
                    "hosts",
                    "host",
                    (
                        Field("mac", "@mac"),
                        Field("id", "@id"),
                        Field("name", "@name"),
                        Field("ip", "@ip", spec=_REQUIRED),
                        _LEASE,
                    ),
                ),
                Field("boot_file", "bootp/@file"),
                Field("boot_server", "bootp/@server"),
            ),
        ),
    ),
    identity="address",
)

_DNS = Group(
    "dns",
    "dns",
    (
        Field("enabled", "@enable", "bool"),
        Field("forward_plain_names", "@forwardPlainNames", "bool"),
        Items("forwarders", "forwarder", (Field("address", "@addr"), Field("domain", "@domain"))),
        Items(
            "hosts",
            "host",
            (
                Field("ip", "@ip", spec=_REQUIRED),
                Texts("hostnames", "hostname", _REQUIRED),
            ),
            identity="ip",
        ),
        Items("txt", "txt", (Field("name", "@name", spec=_REQUIRED), Field("value", "@value", spec=_REQUIRED))),
        Items(
            "srv",
            "srv",
            (
                Field("service", "@service", spec=_REQUIRED),
                Field("protocol", "@protocol", spec={"required": True, "choices": ["tcp", "udp"]}),
                Field("domain", "@domain"),
                Field("target", "@target"),
                Field("port", "@port", "int"),
                Field("priority", "@priority", "int"),
                Field("weight", "@weight", "int"),
            ),
        ),
    ),
)

# every option but `mode`, which depends on several elements: see _libvirt/network_options.py
NETWORK_FIELDS: tuple[Row, ...] = (
    Field("bridge", "bridge/@name"),
    Field("stp", "bridge/@stp", "bool", _ON_OFF),
    Field("stp_delay", "bridge/@delay", "int"),
    Field("mac_table_manager", "bridge/@macTableManager", spec={"choices": ["kernel", "libvirt"]}),
    Field("zone", "bridge/@zone"),
    Field("mac", "mac/@address"),
    Field("mtu", "mtu/@size", "int"),
    Texts("interfaces", "forward/interface/@dev"),
    Group(
        "nat",
        "forward/nat",
        (
            Field("ipv6", "@ipv6", "bool"),
            Group(
                "addresses", "address", (Field("start", "@start", spec=_REQUIRED), Field("end", "@end", spec=_REQUIRED))
            ),
            Group(
                "ports",
                "port",
                (Field("start", "@start", "int", spec=_REQUIRED), Field("end", "@end", "int", spec=_REQUIRED)),
            ),
        ),
    ),
    Group(
        "domain",
        "domain",
        (Field("name", "@name", spec=_REQUIRED), Field("local_only", "@localOnly", "bool")),
    ),
    _DNS,
    _ADDRESSES,
    Items(
        "routes",
        "route",
        (
            Custom("destination", _cidr_writer("routes.destination", True), read_cidr, _REQUIRED),
            Field("gateway", "@gateway", spec=_REQUIRED),
            Field("metric", "@metric", "int"),
        ),
    ),
    Field("isolated_ports", "port/@isolated", "bool"),
    Field("guest_ipv6", "@ipv6", "bool"),
    Field("trust_guest_rx_filters", "@trustGuestRxFilters", "bool"),
    _VLAN,
    _VIRTUAL_PORT,
    _BANDWIDTH,
    Items(
        "port_groups",
        "portgroup",
        (
            Field("name", "@name", spec=_REQUIRED),
            Field("default", "@default", "bool"),
            Field("trust_guest_rx_filters", "@trustGuestRxFilters", "bool"),
            _VLAN,
            _VIRTUAL_PORT,
            _BANDWIDTH,
        ),
        identity="name",
    ),
)
