# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option interfaces. Private to this collection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ..._errors import DeclarationError
from ..._xml.document import element, ensure
from ..host_facts import HostFacts
from ._rows import Params, Row, fill

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_ROWS = (
    Row("direct_mode", "source/@mode"),
    Row("portgroup", "source/@portgroup"),
    Row("mac", "mac/@address", str.lower),
    Row("model", "model/@type"),
    Row("queues", "driver/@queues"),
    Row("virtualport", "virtualport/@type"),
    Row("target", "target/@dev"),
    Row("mtu", "mtu/@size"),
    Row("link", "link/@state"),
    Row("boot_order", "boot/@order"),
    Row("alias", "alias/@name"),
)

# which option gives the source, the type it makes, and the attribute of <source>
_SOURCES = (
    ("network", "network", "network"),
    ("bridge", "bridge", "bridge"),
    ("direct", "direct", "dev"),
    ("user", "user", None),
)

# options that only go with one kind of source
_ONLY_WITH = (("direct_mode", "direct"), ("portgroup", "network"))
_MAC = re.compile(r"^[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}$")
_MTU = range(68, 65536)
_VLAN = range(4096)


def add(domain: Element, params: Params, _host: HostFacts) -> set[str]:
    """Lays the options over `domain`; the paths of lists that were declared as empty."""
    interfaces = params.get("interfaces")
    if interfaces is None:
        return set()
    devices = ensure(domain, "devices")
    macs: dict[str, int] = {}
    for number, interface in enumerate(interfaces):
        _check(f"interfaces[{number}]", interface)
        mac = (interface.get("mac") or "").lower()
        if mac and mac in macs:
            raise DeclarationError(
                f"interfaces[{macs[mac]}] and interfaces[{number}] both have the MAC address {mac}. Give each its own."
            )
        macs[mac] = number
        devices.append(_interface(interface))
    return set() if interfaces else {"devices/interface"}


def _check(where: str, interface: Params) -> None:
    given = [name for name, _kind, _attribute in _SOURCES if interface.get(name)]
    if len(given) != 1:
        found = f"{' and '.join(given)} are given" if given else "there is no source"
        raise DeclarationError(f"{where}: {found}. Give exactly one of network, bridge, direct and user.")
    for option, source in _ONLY_WITH:
        if interface.get(option) and source not in given:
            raise DeclarationError(
                f"{where}: {option} only goes with {source}, but the source is {given[0]}. Leave it out."
            )
    mac = interface.get("mac")
    if mac is not None:
        check_mac(mac, where)
    mtu = interface.get("mtu")
    if mtu is not None and mtu not in _MTU:
        raise DeclarationError(f"{where}: mtu is {mtu}, but it goes from {_MTU[0]} to {_MTU[-1]} bytes.")
    outside = [tag for tag in interface.get("vlan") or [] if tag not in _VLAN]
    if outside:
        raise DeclarationError(f"{where}: vlan has {outside[0]}, but a VLAN tag goes from {_VLAN[0]} to {_VLAN[-1]}.")
    alias = interface.get("alias")
    if alias and not alias.startswith("ua-"):
        raise DeclarationError(f"{where}: alias is {alias!r}, but libvirt only keeps aliases that begin with ua-.")


def check_mac(mac: str, where: str) -> None:
    """Raises DeclarationError unless `mac` is the address of one interface."""
    if not _MAC.match(mac):
        raise DeclarationError(
            f"{where}: mac is {mac!r}, which is not a MAC address. Write six pairs of digits, such as "
            "52:54:00:12:34:56."
        )
    if int(mac[:2], 16) & 1:
        raise DeclarationError(
            f"{where}: mac is {mac}, a multicast address, which no interface can have. Its first pair must be "
            "even: 52:54:00 is QEMU's own."
        )
    if mac == "00:00:00:00:00:00":
        raise DeclarationError(f"{where}: mac is all zeros. Leave it out, and libvirt chooses one.")


def _interface(interface: Params) -> Element:
    option, kind, attribute = next(row for row in _SOURCES if interface.get(row[0]))
    made = element("interface", {"type": kind})
    if attribute is not None:
        made.append(element("source", {attribute: interface[option]}))
    fill(made, interface, _ROWS)
    if interface.get("vlan"):
        tags = [element("tag", {"id": tag}) for tag in interface["vlan"]]
        made.append(element("vlan", {"trunk": True if len(tags) > 1 else None}, *tags))
    return made
