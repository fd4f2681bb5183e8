# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's running guests that use KVM: shut down, and started again. Private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from .._deps import libvirt
from .._errors import ConnectionFailed, MissingDependency, StepFailed, VirtError
from .._libvirt.connection import Connection
from .._libvirt.domain_lookup import find_domain
from .._libvirt.errors import libvirt_errors

# libvirt writes its own XML in one way
_DOMAIN_TYPE = re.compile(r"^<domain type='kvm'[ >]", re.MULTILINE)


@dataclass(frozen=True)
class Guest:
    """A running domain of the type kvm."""

    name: str
    paused: bool
    persistent: bool


@dataclass(frozen=True)
class Running:
    """The guests that libvirt knows; `unknown` says why it could not be asked."""

    guests: tuple[Guest, ...] = ()
    unknown: str = ""


def running_guests(uri: str) -> Running:
    """Asks libvirt over a read-only connection; where there is no libvirt, it runs no guests."""
    if libvirt is None:
        return Running(unknown="this host's Python has no libvirt binding")
    try:
        with Connection(uri, read_only=True) as connection:
            domains = connection.handle.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            return Running(tuple(sorted(filter(None, map(_guest, domains)), key=lambda guest: guest.name)))
    except (ConnectionFailed, MissingDependency) as error:
        return Running(unknown=error.message)


def _guest(domain: Any) -> Guest | None:
    try:
        uses_kvm = _DOMAIN_TYPE.search(domain.XMLDesc()) is not None
        paused = domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED
        return Guest(domain.name(), paused, bool(domain.isPersistent())) if uses_kvm else None
    except libvirt.libvirtError:  # it ended meanwhile
        return None


@dataclass
class Stopper:
    """Shuts guests down, and remembers what is needed to start them again."""

    uri: str
    timeout_s: int
    _stopped: dict[str, tuple[Guest, str]] = field(default_factory=dict)

    def stop(self, guest: Guest) -> None:
        """Presses the power button and waits; raises WaitTimeout when it does not go down."""
        with Connection(self.uri, read_only=False) as connection, libvirt_errors(f"domain {guest.name}"):
            domain = find_domain(connection, guest.name)
            if domain is None:
                return
            from .._libvirt.domain_power import Power  # its imports cost more than all the rest of this module

            xml = "" if guest.persistent else domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE)
            Power(connection, guest.name, {"timeout": self.timeout_s, "force": False}).shut_down()
            self._stopped[guest.name] = (guest, xml)

    def start(self, only: str | None = None) -> None:
        """Starts what was stopped, each although another fails; raises StepFailed with those that did not."""
        failed = {}
        for name, (guest, xml) in list(self._stopped.items()):
            if only not in (None, name):
                continue
            try:
                self._start(guest, xml)
                del self._stopped[name]
            except VirtError as error:
                failed[name] = error.message
        if failed:
            said = "; ".join(f"{name}: {text}" for name, text in failed.items())
            raise StepFailed(f"These guests were shut down and do not start again: {said}", details={"guests": failed})

    def _start(self, guest: Guest, xml: str) -> None:
        flags = libvirt.VIR_DOMAIN_START_PAUSED if guest.paused else 0
        with Connection(self.uri, read_only=False) as connection, libvirt_errors(f"domain {guest.name}"):
            domain = find_domain(connection, guest.name)
            if domain is None:
                connection.handle.createXML(xml, flags)
            elif not domain.isActive():
                domain.createWithFlags(flags)
