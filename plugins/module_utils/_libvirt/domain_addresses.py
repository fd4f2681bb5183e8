# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Addresses of running domains: leases, guest agent, ARP. Private to this collection."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from .._deps import libvirt
from .connection import Connection
from .domain_summary import networks_of
from .errors import is_code

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

LEASE, AGENT, ARP = "lease", "agent", "arp"

# a source that a driver, a network or a guest does not have is left out
_NO_ANSWER = (
    "VIR_ERR_NO_SUPPORT",
    "VIR_ERR_ARGUMENT_UNSUPPORTED",
    "VIR_ERR_OPERATION_UNSUPPORTED",
    "VIR_ERR_OPERATION_INVALID",
    "VIR_ERR_AGENT_UNRESPONSIVE",
    "VIR_ERR_AGENT_UNSYNCED",
    "VIR_ERR_AGENT_COMMAND_TIMEOUT",
    "VIR_ERR_AGENT_COMMAND_FAILED",
    "VIR_ERR_ACCESS_DENIED",
    "VIR_ERR_NO_NETWORK",
    "VIR_ERR_NO_DOMAIN",
)

_NEIGHBOURS = Path("/proc/net/arp")
_COMPLETE = 0x2  # ATF_COM, linux/if_arp.h: the neighbour has answered

Found = dict[str, list[dict[str, Any]]]  # by MAC address in lower case


class Addresses:
    """Looks addresses up; each network's leases are read once.

    Calls: two for each network in use; one for each domain whose agent is connected; one for each domain that has an
    interface without an address after that (ARP).
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._leases: dict[str, Found] = {}

    def add(self, domain: Any, live: Element, described: dict[str, Any]) -> None:
        """Adds the addresses to the interfaces of a described, running domain."""
        interfaces = [item for item in described["interfaces"] if item["mac"]]
        for network in sorted(networks_of(live)):
            if network not in self._leases:
                self._leases[network] = self._read_leases(network)
            _merge(interfaces, self._leases[network])
        if described["agent"] == "connected":
            _merge(interfaces, self._ask_agent(domain))
        if any(not item["addresses"] for item in interfaces):
            _merge(interfaces, self._ask_host(domain))

    def _read_leases(self, network: str) -> Found:
        try:
            leases = self._connection.handle.networkLookupByName(network).DHCPLeases()
        except libvirt.libvirtError as error:
            return _nothing(error)
        found: Found = {}
        # a guest that was made anew with the same MAC address has the lease that ends last
        for lease in sorted(leases, key=lambda lease: lease["expirytime"], reverse=True):
            entry = {"address": lease["ipaddr"], "prefix": lease["prefix"], "source": LEASE}
            found.setdefault((lease["mac"] or "").lower(), []).append(entry)
        return found

    def _ask_agent(self, domain: Any) -> Found:
        handle = self._connection.agent_handle()
        if handle is None:
            return {}
        try:
            asked = handle.lookupByUUID(domain.UUID())
        except libvirt.libvirtError as error:
            return _nothing(error)
        return _from_libvirt(asked, "VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT", AGENT)

    def _ask_host(self, domain: Any) -> Found:
        """libvirt's view of the ARP table, or the table itself: libvirt 9.0 can't read it from current kernels.

        There NLMSG_DONE comes together with the neighbours, and libvirt says "internal error: wrong nlmsg len".
        """
        try:
            return _from_libvirt(domain, "VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP", ARP)
        except libvirt.libvirtError as error:
            if not is_code(error, "VIR_ERR_INTERNAL_ERROR"):
                raise
        is_local = urlsplit(self._connection.uri).hostname is None
        return neighbours(_NEIGHBOURS.read_text()) if is_local and _NEIGHBOURS.exists() else {}


def neighbours(table: str) -> Found:
    """The complete entries of a /proc/net/arp."""
    found: Found = {}
    for line in table.splitlines()[1:]:
        address, _type, flags, mac, _mask, _device = line.split()
        if int(flags, 16) & _COMPLETE:
            found.setdefault(mac.lower(), []).append({"address": address, "prefix": None, "source": ARP})
    return found


def _from_libvirt(domain: Any, constant: str, source: str) -> Found:
    kind = getattr(libvirt, constant, None)
    if kind is None:  # the source is newer than this binding
        return {}
    try:
        answer = domain.interfaceAddresses(kind)
    except libvirt.libvirtError as error:
        return _nothing(error)
    found: Found = {}
    for interface in (answer or {}).values():
        for entry in interface["addrs"] or []:
            address = {"address": entry["addr"], "prefix": entry["prefix"] or None, "source": source}
            found.setdefault((interface["hwaddr"] or "").lower(), []).append(address)
    return found


def _merge(interfaces: list[dict[str, Any]], found: Found) -> None:
    """Adds what an earlier source has not said already."""
    for interface in interfaces:
        known = {entry["address"] for entry in interface["addresses"]}
        for entry in found.get(interface["mac"].lower(), []):
            if entry["address"] not in known:
                known.add(entry["address"])
                interface["addresses"].append(entry)


def _nothing(error: Any) -> Found:
    if any(is_code(error, name) for name in _NO_ANSWER):
        return {}
    raise error
