# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine knows about <network> (https://libvirt.org/formatnetwork.html). Private to this collection."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from .._deps import etree
from .document import remove
from .network_fields import LEASE_SECONDS, class_prefix
from .tables import Discriminator, ListRow, Tables
from .values import same_address, same_caseless, same_integer, same_uuid

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

# the collection's own element below <metadata>, see network_record.py
RECORD = "{https://nestbox.virt/xmlns/network/1}network"

# libvirt makes the bridge of these itself; in all others guests use what the host has
_VIRTUAL_MODES = (None, "nat", "route", "open")
DEFAULT_PORTS = ("1024", "65535")  # src/network/network_driver.c
# the order in which libvirt writes the children of an element; what is not named comes last
_ORDER: dict[str, tuple[str, ...]] = {
    ".": (
        *("name", "uuid", "metadata", "forward", "bridge", "mtu", "mac", "domain", "dns", "vlan", "bandwidth"),
        *("ip", "route", "virtualport", "port", "portgroup"),
    ),
    "forward": ("driver", "pf", "nat", "interface", "address"),
    "forward/nat": ("address", "port"),
    "dns": ("forwarder", "txt", "srv", "host"),
    "ip": ("tftp", "dhcp"),
    "ip/dhcp": ("range", "host", "bootp"),
    "portgroup": ("vlan", "bandwidth", "virtualport"),
}
_MAY_BE_EMPTY = ("metadata", "dns", "ip/dhcp", "forward/nat", "portgroup/vlan")


def is_virtual(network: Element) -> bool:
    """Whether libvirt makes the bridge of this network, and runs a dnsmasq on it."""
    forward = network.find("forward")
    return (None if forward is None else forward.get("mode", "nat")) in _VIRTUAL_MODES


def _without_record(tree: Element) -> None:
    """What this collection remembers is no part of the network."""
    for item in tree.findall(f"metadata/{RECORD}"):
        remove(item)


def _one_prefix_spelling(tree: Element) -> None:
    """A netmask is an IPv4 prefix in other words."""
    for item in (*tree.findall("ip"), *tree.findall("route")):
        netmask = item.get("netmask")
        if netmask is None or item.get("prefix") is not None:
            continue
        try:
            prefix = ipaddress.IPv4Network(f"0.0.0.0/{netmask}").prefixlen
        except ValueError:  # libvirt says what is wrong with it
            continue
        del item.attrib["netmask"]
        item.set("prefix", str(prefix))


def _one_lease_spelling(tree: Element) -> None:
    """60 minutes are 1 hour, and a bare number counts minutes."""
    for lease in tree.iterfind("ip/dhcp/*/lease"):
        expiry, unit = lease.get("expiry", ""), lease.get("unit", "minutes")
        if not expiry.isdigit() or unit not in LEASE_SECONDS:
            continue
        seconds = int(expiry) * LEASE_SECONDS[unit]
        unit = next(name for name in ("hours", "minutes", "seconds") if seconds % LEASE_SECONDS[name] == 0)
        lease.set("expiry", str(seconds // LEASE_SECONDS[unit]))
        if seconds:
            lease.set("unit", unit)
        else:  # libvirt writes no unit for a lease that never ends
            lease.attrib.pop("unit", "")


def _one_forward_spelling(tree: Element) -> None:
    """`dev` is the first interface, and a physical function's pool is there only while the network is active."""
    forward = tree.find("forward")
    if forward is None:
        return
    device = forward.attrib.pop("dev", "")
    if forward.find("pf") is not None:
        for item in (*forward.findall("interface"), *forward.findall("address")):
            remove(item)
    elif device and forward.find("interface") is None:
        etree.SubElement(forward, "interface").set("dev", device)


def _one_order(tree: Element) -> None:
    """The order of different elements means nothing."""
    for path, tags in _ORDER.items():
        rank = {tag: number for number, tag in enumerate(tags)}
        for item in tree.findall(path):
            item[:] = sorted(item, key=lambda child: rank.get(str(child.tag), len(rank)))


def with_default_ports(tree: Element) -> None:
    """A running network has the ports that libvirt takes when none are defined."""
    forward = tree.find("forward")
    if forward is not None and forward.get("mode", "nat") == "nat" and forward.find("nat/port") is None:
        nat = forward.find("nat")
        nat = etree.SubElement(forward, "nat") if nat is None else nat
        etree.SubElement(nat, "port", dict(zip(("start", "end"), DEFAULT_PORTS)))
        _one_order(tree)


def without_empty_elements(tree: Element) -> None:
    """An element that only holds others says nothing when it is empty."""
    for path in _MAY_BE_EMPTY:
        for item in tree.findall(path):
            if len(item) == 0 and not item.attrib:
                remove(item)


def _follow_the_mode(current: Element, declared: Element, merged: Element) -> None:
    """What only a network with a bridge of its own can have goes when the mode changes, and the other way round."""
    was_virtual, virtual = is_virtual(current), is_virtual(merged)
    if was_virtual == virtual:
        return
    gone = ("bridge", "virtualport", "vlan") if virtual else ("bridge", "mac", "mtu", "ip", "dns", "domain", "route")
    for tag in gone:
        if declared.find(tag) is None:
            for item in merged.findall(tag):
                merged.remove(item)
    bridge, wanted = merged.find("bridge"), declared.find("bridge")
    if bridge is not None and wanted is not None:
        for name in set(bridge.attrib) - set(wanted.attrib):
            del bridge.attrib[name]


def _class_prefix_stays(current: Element, _declared: Element, merged: Element) -> None:
    """A prefix that is the address class's own need not be written."""
    bare = {item.get("address") for item in current.findall("ip") if item.get("prefix") is None}
    for item in merged.findall("ip"):
        address = item.get("address")
        if address is not None and address in bare and item.get("prefix") == str(class_prefix(address)):
            del item.attrib["prefix"]


def _tidy(_current: Element, _declared: Element, merged: Element) -> None:
    without_empty_elements(merged)
    _one_order(merged)


NETWORK = Tables(
    root="network",
    lists={
        "ip": ListRow(keys=("@address",)),
        "ip/dhcp/range": ListRow(keys=("@start,@end",)),
        # IPv6 hosts have an id (DUID) or only a name, never a MAC
        "ip/dhcp/host": ListRow(keys=("@mac", "@id", "@ip", "@name")),
        "dns/host": ListRow(keys=("@ip",)),
        "dns/host/hostname": ListRow(keys=(".",)),
        "dns/txt": ListRow(keys=("@name",)),
        "dns/srv": ListRow(keys=("@service,@protocol,@domain,@target", "@service,@protocol,@domain")),
        # dnsmasq runs with strict-order: the first forwarder is asked first
        "dns/forwarder": ListRow(ordered=True),
        "forward/interface": ListRow(keys=("@dev",)),
        "forward/address": ListRow(keys=("@domain,@bus,@slot,@function",)),
        "portgroup": ListRow(keys=("@name",)),
        "route": ListRow(keys=("@address,@prefix",)),
        "vlan/tag": ListRow(keys=("@id",)),
        "portgroup/vlan/tag": ListRow(keys=("@id",)),
        "ns:options/ns:option": ListRow(ordered=True),
    },
    values={
        "uuid": same_uuid,
        "mac/@address": same_caseless,
        "ip/@address": same_address,
        "ip/dhcp/*/@start": same_address,
        "ip/dhcp/*/@end": same_address,
        "ip/dhcp/host/@ip": same_address,
        "ip/dhcp/host/@mac": same_caseless,
        "ip/dhcp/host/@id": same_caseless,
        "dns/host/@ip": same_address,
        "dns/forwarder/@addr": same_address,
        "route/@address": same_address,
        "route/@gateway": same_address,
        "forward/nat/address/@*": same_address,
        "forward/address/@*": same_integer,
        "**/@port": same_integer,
        "mtu/@size": same_integer,
        "**/parameters/@interfaceid": same_uuid,
        "**/parameters/@instanceid": same_uuid,
    },
    # how many guests use a network, an interface or a class of traffic right now
    volatile=("@connections", "forward/*/@connections", "**/bandwidth/@classID"),
    defaults={
        "@ipv6": "no",
        "@trustGuestRxFilters": "no",
        "bridge/@macTableManager": "kernel",
        "forward/nat/@ipv6": "no",
        "forward/nat/port": lambda port: (port.get("start"), port.get("end")) == DEFAULT_PORTS,
        "forward/@managed": "no",
        "domain/@localOnly": "no",
        "dns/@enable": "yes",
        "dns/@forwardPlainNames": "yes",
        "dns/srv/@priority": "0",
        "dns/srv/@weight": "0",
        "dns/srv/@port": "0",
        "ip/@family": "ipv4",
        "ip/@localPtr": "no",
        "route/@family": "ipv4",
        "portgroup/@default": "no",
        "portgroup/@trustGuestRxFilters": "no",
        "port": lambda port: port.get("isolated", "no") == "no",
        "port/@isolated": "no",
    },
    discriminators={"forward": Discriminator("mode"), "virtualport": Discriminator("type")},
    containers=("metadata",),
    kept=("name", "uuid", "mac", "bridge", "bridge/@name", "bridge/@stp", "bridge/@delay"),
    opaque=("metadata/*",),
    noise=("uuid", "mac"),
    rewrites=(
        _without_record,
        _one_prefix_spelling,
        _one_lease_spelling,
        _one_forward_spelling,
        without_empty_elements,
        _one_order,
    ),
    adjust=(_follow_the_mode, _class_prefix_stays, _tidy),
)
