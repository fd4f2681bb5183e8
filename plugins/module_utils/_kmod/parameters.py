# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of module parameters: what may be written, how, and what is the same. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Callable

from .._errors import DeclarationError, NotFoundError
from .words import parameter_name

# include/linux/moduleparam.h; the sizes are those of a 64-bit kernel
_RANGES = {
    "byte": (0, 2**8 - 1),
    "short": (-(2**15), 2**15 - 1),
    "ushort": (0, 2**16 - 1),
    "int": (-(2**31), 2**31 - 1),
    "uint": (0, 2**32 - 1),
    "hexint": (0, 2**32 - 1),
    "long": (-(2**63), 2**63 - 1),
    "ulong": (0, 2**64 - 1),
    "ullong": (0, 2**64 - 1),
    "bint": (0, 1),
}
_TRUTH = ("bool", "invbool", "bool_enable_only", "bint")
_ARRAY = "array of "
# what the loader itself takes for any module (kernel/module/main.c, unknown_module_param_cb)
OF_ANY_MODULE = {"async_probe": "bool", "dyndbg": "charp"}
# words that people write; the kernel looks at no more than the first letters (kstrtobool)
_WORDS = {"1": True, "y": True, "yes": True, "true": True, "on": True, "t": True}
_WORDS.update({"0": False, "n": False, "no": False, "false": False, "off": False, "f": False})


@dataclass(frozen=True)
class Parameter:
    """A parameter that a module has; `kind` is None where the module does not say it."""

    name: str
    kind: str | None = None

    def text(self, value: Any) -> str:
        """A declared value as it is written; raises DeclarationError for one of the wrong kind."""
        if self.kind is not None and self.kind.startswith(_ARRAY):
            parts = value if isinstance(value, list) else str(value).split(",")
            return ",".join(self._element(self.kind[len(_ARRAY) :], part) for part in parts)
        if isinstance(value, list) and self.kind is None:
            return ",".join(self._element(None, part) for part in value)
        return self._element(self.kind, value)

    def same(self, one: str | None, other: str | None) -> bool:
        """Whether two texts, from a file, the kernel or a declaration, set the same value; None is a bare name."""
        if one == other:
            return True
        if self.kind is not None and self.kind.startswith(_ARRAY):
            return _same_list(self.kind[len(_ARRAY) :], one, other)
        return _same(self.kind, one, other)

    def _element(self, kind: str | None, value: Any) -> str:
        if isinstance(value, (dict, list)) or value is None:
            raise self._wrong(value, kind, "")
        written = _write(kind, value)
        if written is None:
            raise self._wrong(value, kind, _HINTS.get(kind or "", ""))
        if any(character in written for character in '\t\n\0"') or any(ord(character) > 255 for character in written):
            raise DeclarationError(
                f"options: {self.name} was given as {value!r}. A file of modprobe.d can't hold quotes, tabs, line "
                f"breaks or characters beyond Latin-1 in a value. Take them out."
            )
        return written

    def _wrong(self, value: Any, kind: str | None, hint: str) -> DeclarationError:
        least, most = _RANGES.get(kind or "", (None, None))
        between = f", from {least} to {most}" if least is not None and kind != "bint" else ""
        return DeclarationError(
            f"options: {self.name} was given as {value!r}, but this parameter is of the kind "
            f"{self.kind or 'unknown'}{between}.{hint}",
            details={"parameter": self.name, "kind": self.kind},
        )


_HINTS = dict.fromkeys(_TRUTH, " Give true or false.")
_HINTS.update({kind: " Give a number." for kind in _RANGES if kind != "bint"})


def _write(kind: str | None, value: Any) -> str | None:
    if isinstance(value, bool):
        return None if kind in ("charp", "string") else str(int(value))
    text = str(value).strip() if not isinstance(value, str) else value
    if kind in _TRUTH:
        truth = _WORDS.get(text.lower())
        return None if truth is None else str(int(truth))
    if kind in _RANGES:
        number = _number(text)
        least, most = _RANGES[kind]
        return text.strip() if number is not None and least <= number <= most else None
    return text


def _same_list(kind: str, one: str | None, other: str | None) -> bool:
    """The kernel shows elements that were not set, too, where the module does not count them."""
    if one is None or other is None:
        return False
    left, right = one.split(","), other.split(",")
    if len(left) > len(right):
        left, right = right, left
    rest = right[len(left) :]
    return all(_same(kind, a, b) for a, b in zip(left, right)) and all(part in ("0", "N", "(null)") for part in rest)


def _same(kind: str | None, one: str | None, other: str | None) -> bool:
    readings: tuple[Callable[[str | None], Any], ...] = _READINGS.get(kind or "", ())
    if kind is None:
        readings = (_truth, _number_or_none)
    for reading in readings:
        left = reading(one)
        if left is not None and left == reading(other):
            return True
    return (one or "") == (other or "") if kind in ("charp", "string") else one == other


def _truth(text: str | None) -> bool | None:
    """kstrtobool(): the first letter decides, after `o` the second; a bare name is true."""
    if text is None:
        return True
    start = text[:1].lower()
    if start == "o":
        return {"n": True, "f": False}.get(text[1:2].lower())
    return {"y": True, "t": True, "1": True, "n": False, "f": False, "0": False}.get(start)


def _number(text: str) -> int | None:
    """kstrtoint() with base 0: decimal, 0x…, and with a leading zero octal."""
    found = re.fullmatch(r"([+-]?)(0[xX][0-9a-fA-F]+|[0-9]+)", text.strip())
    if found is None:
        return None
    digits = found[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits.startswith("0") and len(digits) > 1 else 10
    try:
        number = int(digits, base)
    except ValueError:  # 08
        return None
    return -number if found[1] == "-" else number


def _number_or_none(text: str | None) -> int | None:
    return None if text is None else _number(text)


_READINGS: dict[str, tuple[Callable[[str | None], Any], ...]] = dict.fromkeys(_TRUTH, (_truth,))
_READINGS.update({kind: (_number_or_none,) for kind in _RANGES if kind != "bint"})
_READINGS["bint"] = (_number_or_none, _truth)


def find(known: Mapping[str, Parameter], module: str, name: str) -> Parameter:
    """The module's parameter of this name; raises NotFoundError with the names that there are."""
    canonical = parameter_name(name)
    if canonical in known:
        return known[canonical]
    if canonical in OF_ANY_MODULE:
        return Parameter(canonical, OF_ANY_MODULE[canonical])
    names = ", ".join(sorted(known))
    there = f"It has: {names}." if names else "It has none."
    raise NotFoundError(
        f"options: the module {module} of this kernel has no parameter {name}. {there} The kernel would load the "
        f"module without a word about it. Correct the name, or set it to null to remove it from the files.",
        details={"parameter": name, "known": sorted(known)},
    )
