# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Guests on a network: who they are, and how they keep their cable while it restarts. Private to this collection.

A network that stops takes its bridge away, and libvirt does not plug running guests in again: an update of an interface
with the same bridge name is a no-op. So they wait on a bridge of their own, a transient network without addresses, and
come back from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from .._deps import etree, libvirt
from .._plan import Step
from .._xml.document import element, parse, to_text
from .errors import is_code

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


@dataclass(frozen=True)
class Guest:
    """An interface of a running domain that is plugged into a network."""

    domain: str
    uuid: str
    mac: str
    plug: str  # network, bridge, direct, hostdev-pci: how libvirt made the connection

    def describe(self) -> dict[str, str]:
        """What the result says of it."""
        return {"domain": self.domain, "uuid": self.uuid, "mac": self.mac}


def guests_of(network: Any) -> list[Guest]:
    """The guests on an active network; drivers without ports (test, ESX) know none."""
    try:
        ports = network.listAllPorts()
        return sorted((_guest(parse(port.XMLDesc())) for port in ports), key=lambda guest: (guest.domain, guest.mac))
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_SUPPORT") or is_code(error, "VIR_ERR_NO_NETWORK_PORT"):
            return []
        raise


def waiting_name(uuid: str) -> str:
    """The name of the network on which the guests of network `uuid` wait."""
    return f"nestbox-waiting-{uuid.replace('-', '')[:12].lower()}"


def restart_steps(
    handle: Any, network: Any, guests: Iterable[Guest], reasons: list[str]
) -> tuple[list[Step], list[str]]:
    """The steps that stop and start an active network with its guests held meanwhile, and warnings for who can't be."""
    name, waiting = network.name(), waiting_name(network.UUIDString())
    label = f"network {name}"
    plugged = [guest for guest in guests if guest.plug == "network"]
    movable = [guest for guest in plugged if _can_be_moved(handle, guest)]
    warnings = [
        f"{guest.domain} is on {label}, but this connection does not manage it: restart it to plug it in again."
        for guest in plugged
        if guest not in movable
    ]
    steps = [
        Step(label, "stop", lambda: handle.networkLookupByName(name).destroy(), before="\n".join(reasons)),
        Step(label, "start", lambda: handle.networkLookupByName(name).create(), after="active"),
    ]
    if movable:
        told = [guest.describe() for guest in movable]
        steps.insert(0, Step(label, "hold guests", lambda: _hold(handle, name, waiting, movable), after=told))
        steps += return_steps(handle, name, waiting, movable)
    return steps, warnings


def return_steps(handle: Any, name: str, waiting: str, guests: Iterable[Guest]) -> list[Step]:
    """The steps that bring the guests back from where they wait."""
    steps = [
        Step(
            target=f"domain {guest.domain} interface {guest.mac}",
            verb="reconnect",
            apply=partial(_move, handle, guest, waiting, name),
            after=f"network {name}",
        )
        for guest in guests
    ]
    return [*steps, Step(f"network {name}", "let guests go", lambda: _remove_waiting(handle, waiting), before=waiting)]


def _hold(handle: Any, name: str, waiting: str, guests: list[Guest]) -> None:
    if not any(network.name() == waiting for network in handle.listAllNetworks()):
        _make_waiting(handle, waiting, guests)
    for guest in guests:
        _move(handle, guest, name, waiting)


def _make_waiting(handle: Any, name: str, guests: Iterable[Guest]) -> None:
    """Starts the network on which guests wait; it has every port group that their interfaces name."""
    groups = set()
    for guest in guests:
        for interface in _interfaces(_domain(handle, guest), guest.mac):
            source = interface.find("source")
            groups.add(None if source is None else source.get("portgroup"))
    handle.networkCreateXML(
        to_text(
            element(
                "network",
                None,
                element("name", text=name),
                *(element("portgroup", {"name": group}) for group in sorted(group for group in groups if group)),
            )
        )
    )


def _move(handle: Any, guest: Guest, origin: str, target: str) -> None:
    """Plugs an interface from network `origin` into `target`, without the guest seeing more than a lost carrier."""
    domain = _domain(handle, guest)
    for interface in _interfaces(domain, guest.mac):
        source = interface.find("source")
        if source is None or source.get("network") != origin:
            continue
        source.set("network", target)
        for name in ("portid", "bridge"):
            source.attrib.pop(name, "")
        text = str(etree.tostring(interface, encoding="unicode", with_tail=False))
        domain.updateDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_LIVE)


def _can_be_moved(handle: Any, guest: Guest) -> bool:
    """Whether this connection sees the domain, as a running one."""
    try:
        return bool(_domain(handle, guest).isActive())
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_DOMAIN"):
            return False
        raise


def _remove_waiting(handle: Any, name: str) -> None:
    """Removes the network on which guests waited, once nobody waits there any more."""
    found = [network for network in handle.listAllNetworks() if network.name() == name]
    for network in found:
        if not guests_of(network):
            network.destroy()


def _guest(port: Element) -> Guest:
    mac, plug = port.find("mac"), port.find("plug")
    return Guest(
        domain=port.findtext("owner/name") or "",
        uuid=port.findtext("owner/uuid") or "",
        mac="" if mac is None else mac.get("address", ""),
        plug="network" if plug is None else plug.get("type", "network"),
    )


def _domain(handle: Any, guest: Guest) -> Any:
    return handle.lookupByUUIDString(guest.uuid)


def _interfaces(domain: Any, mac: str) -> list[Element]:
    tree = parse(domain.XMLDesc())
    found = tree.findall("devices/interface")
    return [item for item in found if (holder := item.find("mac")) is not None and holder.get("address") == mac]
