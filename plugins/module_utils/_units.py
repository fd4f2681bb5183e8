# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sizes as people write them, and as libvirt counts them. Private to this collection."""

from __future__ import annotations

import re

from ._errors import DeclarationError

KIB = 1024

# libvirt's scaled integers (https://libvirt.org/formatdomain.html#memory-allocation, https://libvirt.org/formatstorage.html):
# K and KiB are 1024, KB is 1000; a bare letter is the power of 1024
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5, "e": 6}
_SIZE = re.compile(r"^\s*(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[a-zA-Z]*)\s*$")
_UNIT = re.compile(r"^(?P<letter>[kmgtpe]?)(?P<suffix>ib|b|)$")


def unit_factor(unit: str) -> int | None:
    """Bytes in one `unit` ("KiB", "kB", "G", "b", "bytes"); None when there is no such unit."""
    word = unit.lower()
    if word in ("b", "byte", "bytes"):
        return 1
    match = _UNIT.match(word)
    if match is None or (match["suffix"] == "ib" and not match["letter"]):
        return None
    base = 1000 if match["suffix"] == "b" else 1024
    return int(base ** _POWERS[match["letter"]])


def parse_size(value: str | int, *, option: str, default_unit: str = "b") -> int:
    """Bytes of "8 GiB", "40G" or a bare number of `default_unit`; raises DeclarationError naming `option`."""
    match = _SIZE.match(str(value))
    factor = unit_factor(match["unit"] or default_unit) if match else None
    if match is None or factor is None:
        raise DeclarationError(
            f"{option} was given as {value!r}, which is not a size. Write a number and a unit, such as 8 GiB, 512 MiB, "
            f"40G or 1048576 KiB.",
            details={"option": option, "value": str(value)},
        )
    return _exact_product(match["number"], factor)


def parse_size_kib(value: str | int, *, option: str, default_unit: str = "MiB") -> int:
    """KiB of a size, rounded up as libvirt does."""
    return -(-parse_size(value, option=option, default_unit=default_unit) // KIB)


def format_size(size_bytes: int) -> str:
    """The largest unit in which `size_bytes` is a whole number: 1073741824 is "1 GiB"."""
    for unit, power in (("EiB", 6), ("PiB", 5), ("TiB", 4), ("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if size_bytes and size_bytes % KIB**power == 0:
            return f"{size_bytes // KIB**power} {unit}"
    return f"{size_bytes} B"


def _exact_product(number: str, factor: int) -> int:
    """`number` times `factor`, rounded up, in whole numbers: a float would lose bytes above 2**53."""
    whole, _point, fraction = number.partition(".")
    scale = int(10 ** len(fraction))
    return -(-(int(whole + fraction) * factor) // scale)
