# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host has of a network, and the dictionary that tells it. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Callable

from .._deps import libvirt, require
from .._errors import NotFoundError
from .._xml.document import parse
from .._xml.fields import read as read_fields
from .._xml.merge import normalise
from .._xml.network_fields import NETWORK_FIELDS
from .._xml.network_tables import NETWORK, is_virtual
from .connection import Connection
from .errors import is_code
from .network_live import restart_reasons
from .network_restart import Guest, guests_of

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


@dataclass(frozen=True)
class NetworkState:
    """One network, read once."""

    network: Any  # libvirt's own object
    name: str
    uuid: str
    autostart: bool
    live_xml: str | None  # None: it is not active
    inactive_xml: str | None  # None: it is transient
    guests: tuple[Guest, ...]
    leases: tuple[dict[str, Any], ...]

    @property
    def active(self) -> bool:
        """Whether it runs."""
        return self.live_xml is not None

    @property
    def persistent(self) -> bool:
        """Whether it is defined, so that it outlives its end and the host's restart."""
        return self.inactive_xml is not None

    @cached_property
    def raw(self) -> Element:
        """The definition, or what runs of a network that is not defined."""
        return parse(self.inactive_xml or self.live_xml or "<network/>")

    @cached_property
    def defined(self) -> Element:
        """`raw`, normalised."""
        return normalise(self.raw, NETWORK)

    @cached_property
    def live(self) -> Element | None:
        """What runs, normalised."""
        return None if self.live_xml is None else normalise(parse(self.live_xml), NETWORK)

    @property
    def pending(self) -> list[str]:
        """Why a restart is needed for what is defined."""
        return [] if self.live is None or not self.persistent else restart_reasons(self.live, self.defined)


def read_network(network: Any) -> NetworkState:
    """All about one network of libvirt."""
    active, persistent = bool(network.isActive()), bool(network.isPersistent())
    return NetworkState(
        network=network,
        name=network.name(),
        uuid=network.UUIDString(),
        autostart=persistent and bool(network.autostart()),
        live_xml=network.XMLDesc() if active else None,
        inactive_xml=_inactive_xml(network) if persistent else None,
        guests=tuple(guests_of(network)) if active else (),
        leases=tuple(_leases(network)) if active else (),
    )


def _inactive_xml(network: Any) -> str:
    try:
        return str(network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE))
    except libvirt.libvirtError as error:
        if not is_code(error, "VIR_ERR_INVALID_ARG"):
            raise
    return str(network.XMLDesc())  # the test driver has only one definition


def find_network(look_up: Callable[[str], Any], key: str) -> Any:
    """The network that a look-up by name or UUID finds, or None."""
    try:
        return look_up(key)
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_NETWORK"):
            return None
        raise


def bridge_name(network: Any) -> str | None:
    """The bridge of a network of libvirt; None where it has none (macvtap, hostdev)."""
    try:
        return str(network.bridgeName())
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_INTERNAL_ERROR"):
            return None
        raise


def describe_network(state: NetworkState, *, xml: bool = False) -> dict[str, Any]:
    """What the module and its _info sibling return; `xml` adds both XML texts."""
    told = {
        "name": state.name,
        "uuid": state.uuid,
        "active": state.active,
        "persistent": state.persistent,
        "autostart": state.autostart,
        "mode": mode_of(state.defined),
        "forward": _forward(state.defined),
        **read_fields(state.defined, NETWORK_FIELDS),
        "guests": [guest.describe() for guest in state.guests],
        "leases": list(state.leases),
        "restart_required": bool(state.pending),
        "restart_reasons": state.pending,
    }
    if xml:
        told["xml"] = {"inactive": state.inactive_xml, "live": state.live_xml}
    return told


def mode_of(network: Element) -> str:
    """The word of the option `mode`; hostdev, which has none, by libvirt's name."""
    forward = network.find("forward")
    if forward is None:
        return "isolated"
    mode = forward.get("mode", "nat")
    if is_virtual(network) or mode == "hostdev":
        return mode
    port = network.find("virtualport")
    if network.find("bridge") is None:
        return "macvtap"
    return "ovs" if port is not None and port.get("type") == "openvswitch" else "bridge"


def _forward(network: Element) -> str | None:
    forward = network.find("forward")
    return None if forward is None else forward.get("mode", "nat")


def _leases(network: Any) -> list[dict[str, Any]]:
    try:
        found = network.DHCPLeases()
    except libvirt.libvirtError as error:  # networks without a DHCP server of libvirt's, and drivers without leases
        if is_code(error, "VIR_ERR_OPERATION_INVALID") or is_code(error, "VIR_ERR_NO_SUPPORT"):
            return []
        if is_code(error, "VIR_ERR_OPERATION_UNSUPPORTED"):
            return []
        raise
    names = {"ipaddr": "ip", "mac": "mac", "hostname": "hostname", "clientid": "client_id", "expirytime": "expires"}
    return sorted(
        ({new: lease.get(old) for old, new in names.items()} for lease in found), key=lambda lease: str(lease["ip"])
    )


def read_networks(connection: Connection, params: dict[str, Any]) -> dict[str, Any]:
    """The networks that network_info was asked for, from one list."""
    require("lxml")
    by_name = {network.name(): network for network in connection.handle.listAllNetworks()}
    names = params["name"] or sorted(by_name)
    missing = [name for name in names if name not in by_name]
    if missing and not params["ignore_missing"]:
        raise NotFoundError(
            f"{'Networks' if len(missing) > 1 else 'A network'} named {', '.join(missing)} was asked for, but "
            f"{connection.uri} has {', '.join(sorted(by_name)) or 'none'}. Correct the name, or set ignore_missing.",
            details={"missing": missing},
        )
    states = [read_network(by_name[name]) for name in names if name in by_name]
    return {"networks": [describe_network(state, xml=params["xml"]) for state in states]}
