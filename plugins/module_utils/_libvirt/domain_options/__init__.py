# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The typed options of a domain as XML, by tables: one file for each group of options. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from ..._errors import DeclarationError
from ..._xml.document import element, ensure
from ..host_facts import HostFacts
from . import identity
from ._rows import Params
from .spec import BOOTABLE, COMPUTE, DEVICES, DISKS, DOMAIN_OPTIONS, INTERFACES, MACHINE

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

    from ..._argspec import ArgumentSpec

    Group = Callable[[Element, Params, HostFacts], set[str]]

__all__ = ["DOMAIN_OPTIONS", "declared"]


def declared(params: Params, host: HostFacts, current: Element | None = None) -> tuple[Element, frozenset[str]]:
    """What the user named, as a <domain>, and the paths of the lists that were named as empty; None means not named.

    `current` is an existing domain's XML: its machine decides about buses where the options name none. Raises
    DeclarationError.
    """
    domain = element("domain")
    seen = host.with_machine_of(current)
    emptied: set[str] = set()
    for add in _groups(params):
        emptied |= add(domain, params, seen)
    _check_boot(params)
    for path in emptied:
        if "/" in path:
            ensure(domain, path.rpartition("/")[0])  # the merge only looks into elements that are declared
    return domain, frozenset(emptied)


def _groups(params: Params) -> Iterator[Group]:
    """The groups of which an option was named: importing another would cost a task more than all that it does.

    The order matters: later groups look at what earlier ones wrote (the machine decides the buses).
    """
    yield identity.add  # the name is always there
    if _names_one_of(MACHINE, params):
        from . import machine

        yield machine.add
    if _names_one_of(COMPUTE, params):
        from . import compute

        yield compute.add
    if _names_one_of(DISKS, params):
        from . import disks

        yield disks.add
    if _names_one_of(INTERFACES, params):
        from . import interfaces

        yield interfaces.add
    if _names_one_of(DEVICES, params):
        from . import devices

        yield devices.add


def _names_one_of(group: ArgumentSpec, params: Params) -> bool:
    return any(params.get(option) is not None for option in group.options)


def _check_boot(params: Params) -> None:
    """libvirt has two ways to order devices, and allows one of them; each place is taken once."""
    places: dict[int, str] = {}
    for option in BOOTABLE:
        for number, entry in enumerate(params.get(option) or []):
            place, where = entry.get("boot_order"), f"{option}[{number}]"
            if place is None:
                continue
            if place < 1:
                raise DeclarationError(f"{where}: boot_order is {place}. The first device has 1.")
            if place in places:
                raise DeclarationError(
                    f"{places[place]} and {where} both have boot_order {place}. Give each its own place."
                )
            places[place] = where
    if places and params.get("boot_order"):
        raise DeclarationError(
            f"boot_order is given for the domain and for {', '.join(places.values())}, and libvirt allows one of "
            "the two ways. Keep one."
        )
