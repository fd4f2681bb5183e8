# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When two values of an attribute or a text mean the same. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from typing import Callable

Same = Callable[[str, str], bool]

_TRUE = {"yes", "on"}
_FALSE = {"no", "off"}

# the short names that QEMU resolves to its newest machine of a family (qemu-system-x86_64 -machine help)
_MACHINE_ALIASES: tuple[tuple[str, str], ...] = (
    ("q35", r"pc-q35-[\w.]+"),
    ("pc", r"pc-i440fx-[\w.]+"),
    ("ubuntu", r"pc-i440fx-[\w.-]+"),
    ("virt", r"virt-[\w.]+"),
    ("pseries", r"pseries-[\w.-]+"),
    ("s390-ccw-virtio", r"s390-ccw-virtio-[\w.]+"),
)


# more than any host has; what names more is no set of CPUs, and would take all of the memory
_MOST_CPUS = 1 << 16


def same_text(first: str, second: str) -> bool:
    """Equal, or the same boolean in libvirt's two spellings."""
    if first == second:
        return True
    pair = {first, second}
    return pair <= _TRUE or pair <= _FALSE


def same_caseless(first: str, second: str) -> bool:
    """Equal without regard to letter case."""
    return first.lower() == second.lower()


def same_mac(first: str, second: str) -> bool:
    """The same MAC address, without regard to letter case and leading zeros."""
    left, right = ([part.zfill(2) for part in mac.lower().split(":")] for mac in (first, second))
    return left == right


def same_octal(first: str, second: str) -> bool:
    """The same file mode: 755 is 0755."""
    return first.lstrip("0") == second.lstrip("0")


def same_video_memory(first: str, second: str) -> bool:
    """The same number of KiB, which libvirt rounds up to a power of two."""
    if not (first.isdigit() and second.isdigit()):
        return first == second
    return (int(first) - 1).bit_length() == (int(second) - 1).bit_length()


def same_uuid(first: str, second: str) -> bool:
    """Equal without regard to letter case and dashes."""
    return first.replace("-", "").lower() == second.replace("-", "").lower()


def same_integer(first: str, second: str) -> bool:
    """The same whole number, in decimal, hexadecimal or with leading zeros."""
    left, right = _integer(first), _integer(second)
    return first == second if left is None or right is None else left == right


def same_number(first: str, second: str) -> bool:
    """The same decimal number."""
    try:
        return float(first) == float(second)
    except ValueError:
        return first == second


def same_cpuset(first: str, second: str) -> bool:
    """The same set of CPUs or nodes: 0-3 is 0,1,2,3 and 0-3,^2 is 0,1,3."""
    left, right = cpuset(first), cpuset(second)
    return first == second if left is None or right is None else left == right


def same_address(first: str, second: str) -> bool:
    """The same IP address."""
    try:
        return ipaddress.ip_address(first) == ipaddress.ip_address(second)
    except ValueError:
        return first == second


def same_machine(first: str, second: str) -> bool:
    """Equal, or one is the alias of the other's family: q35 is pc-q35-7.2."""
    if first == second:
        return True
    return any(
        (first == alias and re.fullmatch(family, second)) or (second == alias and re.fullmatch(family, first))
        for alias, family in _MACHINE_ALIASES
    )


def cpuset(text: str) -> set[int] | None:
    """The numbers in libvirt's notation 0-3,^2; None when it is none."""
    cpus: set[int] = set()
    for part in text.replace(" ", "").split(","):
        match = re.fullmatch(r"(\^?)(\d+)(?:-(\d+))?", part)
        if match is None:
            return None
        numbers = range(int(match[2]), int(match[3] or match[2]) + 1)
        if numbers.stop > _MOST_CPUS:
            return None
        cpus = cpus - set(numbers) if match[1] else cpus | set(numbers)
    return cpus


def _integer(text: str) -> int | None:
    try:
        return int(text, 16) if text.lower().startswith("0x") else int(text, 10)
    except ValueError:
        return None
