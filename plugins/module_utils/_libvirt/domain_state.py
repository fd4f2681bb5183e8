# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is of a domain now. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._deps import libvirt
from .._xml.document import parse
from .connection import Connection
from .domain_record import Record, take_record
from .domain_words import STATE_WORDS
from .errors import is_code

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

ABSENT = "absent"

POWER = dict(enumerate(STATE_WORDS))
ACTIVE = ("running", "idle", "paused", "in shutdown", "pmsuspended")


@dataclass(frozen=True)
class DomainState:
    """A domain as it was read; the trees have neither record nor passwords."""

    power: str = ABSENT
    handle: Any = None
    inactive: Element | None = None  # None when it is transient
    live: Element | None = None  # None when it does not run
    persistent: bool = False
    autostart: bool = False
    managed_save: bool = False
    record: Record | None = None
    # by kind of graphics; None where there may be one that a read-only connection is not shown
    passwords: Mapping[str, str | None] = field(default_factory=dict)
    live_passwords: Mapping[str, str | None] = field(default_factory=dict)  # the same of the run

    @property
    def known_passwords(self) -> dict[str, str | None]:
        """The passwords that were shown."""
        return {kind: text for kind, text in self.passwords.items() if text is not None}

    @property
    def exists(self) -> bool:
        """Whether libvirt knows it."""
        return self.power != ABSENT

    @property
    def active(self) -> bool:
        """Whether a process of it runs, paused or not."""
        return self.power in ACTIVE


def power_of(domain: Any) -> str:
    """The domain's state in virsh's words; absent when it is gone."""
    try:
        return POWER.get(domain.state()[0], "no state")
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_DOMAIN"):
            return ABSENT
        raise


def read_state(connection: Connection, domain: Any) -> DomainState:
    """Reads one domain; `domain` is libvirt's object, or None."""
    if domain is None:
        return DomainState()
    power = power_of(domain)
    if power == ABSENT:
        return DomainState()
    persistent = bool(domain.isPersistent())
    secure = 0 if connection.read_only else libvirt.VIR_DOMAIN_XML_SECURE
    inactive = parse(domain.XMLDesc(secure | libvirt.VIR_DOMAIN_XML_INACTIVE)) if persistent else None
    live = parse(domain.XMLDesc(secure)) if power in ACTIVE else None
    record = None
    for tree in (live, inactive):
        record = (None if tree is None else take_record(tree)) or record
    readable = bool(secure)
    live_passwords = {} if live is None else take_passwords(live, readable=readable)
    passwords = live_passwords if inactive is None else take_passwords(inactive, readable=readable)
    return DomainState(
        power=power,
        handle=domain,
        inactive=inactive,
        live=live,
        persistent=persistent,
        autostart=bool(persistent and _supported(domain.autostart)),
        managed_save=bool(persistent and _supported(domain.hasManagedSaveImage)),
        record=record,
        passwords=passwords,
        live_passwords=live_passwords,
    )


def take_passwords(domain: Element, *, readable: bool = True) -> dict[str, str | None]:
    """Takes the passwords of the graphics out of a domain's XML; None stands for "not shown"."""
    found: dict[str, str | None] = {}
    for graphics in domain.iterfind("devices/graphics"):
        kind = graphics.get("type", "")
        password = graphics.get("passwd")
        if password is not None:
            del graphics.attrib["passwd"]
        if password is not None or not readable:
            found[kind] = password
    return found


def put_passwords(domain: Element, passwords: Mapping[str, str | None]) -> None:
    """Writes passwords into a domain's XML, for libvirt only."""
    for graphics in domain.iterfind("devices/graphics"):
        password = passwords.get(graphics.get("type", ""))
        if password is not None:
            put_password(graphics, password)


def put_password(graphics: Element, password: str) -> None:
    """Writes one password, for libvirt only."""
    graphics.set("passwd", password)


def without_cookies(domain: Element) -> Element:
    """A copy without the cookies of disks: a read-only connection is not shown them, so they can't be compared."""
    copy = deepcopy(domain)
    for source in copy.iterfind("devices/disk/source"):
        for cookies in source.findall("cookies"):
            source.remove(cookies)
    return copy


def _supported(call: Any) -> Any:
    """The call's answer; 0 where the driver has no such thing (LXC has no managed save)."""
    try:
        return call()
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_SUPPORT"):
            return 0
        raise
