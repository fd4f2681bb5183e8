# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The option disks: sources, buses, and targets by position. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import count
from typing import TYPE_CHECKING

from ..._errors import DeclarationError
from ..._xml.document import element, ensure
from ..host_facts import HostFacts
from ._rows import Params, Row, fill

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_ROWS = (
    Row("device", "@device"),
    Row("format", "driver/@type"),
    Row("cache", "driver/@cache"),
    Row("io", "driver/@io"),
    Row("discard", "driver/@discard"),
    Row("detect_zeroes", "driver/@detect_zeroes"),
    Row("target", "target/@dev"),
    Row("bus", "target/@bus"),
    Row("serial", "serial"),
    Row("readonly", "readonly/"),
    Row("shareable", "shareable/"),
    Row("boot_order", "boot/@order"),
    Row("alias", "alias/@name"),
)
_NETWORK_ROWS = (Row("protocol", "@protocol"), Row("name", "@name"))
_HOST_ROWS = (Row("transport", "@transport"), Row("name", "@name"), Row("port", "@port"), Row("socket", "@socket"))

# which option gives the source, the type it makes, and the attribute of <source>
_SOURCES = (
    ("file", "file", "file"),
    ("block", "block", "dev"),
    ("volume", "volume", "volume"),
    ("network", "network", None),
)

# how the guest's kernel would name a disk on a bus, which is also how libvirt guesses a bus from a name
_PREFIX = {"virtio": "vd", "scsi": "sd", "sata": "sd", "usb": "sd", "ide": "hd", "fdc": "fd", "xen": "xvd", "sd": "sd"}

# the widest serial number that a bus can carry (VIRTIO_BLK_ID_BYTES; ATA; SCSI in QEMU)
_SERIAL_LENGTH = {"virtio": 20, "ide": 20, "sata": 20, "scsi": 36}
_TARGET = re.compile(r"^(vd|sd|hd|fd|xvd|ubd)[a-z]+$")
_NEVER_EMPTY = ("disk", "lun")


def add(domain: Element, params: Params, host: HostFacts) -> set[str]:
    """Lays the options over `domain`; the paths of lists that were declared as empty."""
    disks = params.get("disks")
    if disks is None:
        return set()
    devices = ensure(domain, "devices")
    for number, (disk, (target, bus)) in enumerate(zip(disks, targets(disks, host, domain))):
        _check(number, disk, target, bus)
        devices.append(_disk({**disk, "target": target, "bus": bus}))
    return set() if disks else {"devices/disk"}


def targets(disks: list[Params], host: HostFacts, domain: Element) -> list[tuple[str, str | None]]:
    """Target and bus of each disk; one without a target gets the next free name of its bus, in the list's order."""
    taken: dict[str, int] = {}
    for number, disk in enumerate(disks):
        target = disk.get("target")
        if target in taken:
            raise DeclarationError(
                f"disks[{taken[target]}] and disks[{number}] both have the target {target}. Give each its own, or "
                "leave it out.",
                details={"option": "disks", "target": target},
            )
        if target:
            taken[target] = number
    free: dict[str, Iterator[str]] = {}
    result: list[tuple[str, str | None]] = []
    for disk in disks:
        if disk.get("target"):
            result.append((disk["target"], disk.get("bus")))
            continue
        bus = disk.get("bus") or default_bus(disk["device"], host, domain)
        names = free.setdefault(_PREFIX[bus], (f"{_PREFIX[bus]}{_letters(at)}" for at in count()))
        result.append((next(name for name in names if name not in taken), bus))
    return result


def default_bus(device: str, host: HostFacts, domain: Element) -> str:
    """The fastest bus that the machine has for this kind of device."""
    kind = domain.find("os/type")
    arch = (kind.get("arch") if kind is not None else None) or host.arch
    machine = (kind.get("machine") if kind is not None else None) or host.machines.get(arch, "")
    if device == "floppy":
        return "fdc"
    if host.driver == "xen":
        return "xen"
    if device == "disk":
        return "virtio"
    if device == "lun" or arch not in ("x86_64", "i686"):
        return "scsi"
    return "sata" if "q35" in machine else "ide"


def bus_of_target(target: str) -> str:
    """The bus for a target whose disk names none: as libvirt guesses it, but SATA before an old SCSI adapter."""
    return {"vd": "virtio", "sd": "sata", "hd": "ide", "fd": "fdc", "xv": "xen"}.get(target[:2], "virtio")


def _letters(number: int) -> str:
    """0 is a, 25 is z, 26 is aa."""
    text = ""
    number += 1
    while number:
        number, rest = divmod(number - 1, 26)
        text = chr(ord("a") + rest) + text
    return text


def _check(number: int, disk: Params, target: str, bus: str | None) -> None:
    where = f"disks[{number}] ({target})"
    if not _TARGET.match(target):
        raise DeclarationError(f"{where}: {target!r} is not a target. Write a name such as vda, sda, hda or fda.")
    given = [name for name, _kind, _attribute in _SOURCES if disk.get(name)]
    if len(given) > 1:
        raise DeclarationError(
            f"{where}: {' and '.join(given)} are given, but a disk has one source. Keep one of them."
        )
    if bool(disk.get("pool")) != bool(disk.get("volume")):
        raise DeclarationError(f"{where}: a volume needs both pool and volume. Add the other one.")
    if not given and disk["device"] in _NEVER_EMPTY:
        raise DeclarationError(
            f"{where}: there is no source. Add pool and volume, file, block or network; only a cdrom or floppy "
            "may be empty."
        )
    if disk["device"] == "lun" and not (disk.get("block") or disk.get("network") or disk.get("volume")):
        raise DeclarationError(f"{where}: device lun needs a block device, a volume or a network source, not a file.")
    longest = _SERIAL_LENGTH.get(bus or bus_of_target(target))
    serial = disk.get("serial") or ""
    if longest and len(serial) > longest:
        raise DeclarationError(
            f"{where}: the serial {serial!r} has {len(serial)} characters, but the bus "
            f"{bus or bus_of_target(target)} carries {longest}. Shorten it."
        )
    for name in ("file", "block"):
        if disk.get(name) and not disk[name].startswith("/"):
            raise DeclarationError(f"{where}: {name} is {disk[name]!r}. Write the absolute path on the hypervisor.")


def _disk(disk: Params) -> Element:
    option, kind, attribute = next((row for row in _SOURCES if disk.get(row[0])), ("", "file", None))
    made = element("disk", {"type": kind})
    if option == "network":
        made.append(_network_source(disk["network"]))
    elif option:
        made.append(element("source", {"pool": disk.get("pool"), str(attribute): disk[option]}))
    if disk.get("format") or any(disk.get(row.option) for row in _ROWS if row.path.startswith("driver/")):
        ensure(made, "driver").set("name", "qemu")
    fill(made, disk, _ROWS)
    return made


def _network_source(network: Params) -> Element:
    source = element("source")
    fill(source, network, _NETWORK_ROWS)
    for host in network.get("hosts") or []:
        made = element("host")
        fill(made, host, _HOST_ROWS)
        source.append(made)
    return source
