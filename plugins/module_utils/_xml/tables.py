# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The kinds of rows that tell the engine what libvirt's XML means. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Callable, Generic, TypeVar

from .values import Same, same_text

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Row = TypeVar("Row")


def never(_element: Element) -> bool:
    """No element of this list is made by libvirt itself."""
    return False


@dataclass(frozen=True)
class ListRow:
    """How the entries of a repeated element are told apart."""

    keys: tuple[str, ...] = ()  # tried in order: "target/@dev"; "@type,@index" needs both; "." is the text
    whole: bool = True  # the declared list is the whole list
    ordered: bool = False  # the order has a meaning: a difference replaces the list
    by_position: bool = True  # entries that no key tells apart are taken in their order
    generated: Callable[[Element], bool] = never  # entries that libvirt adds by itself stay


@dataclass(frozen=True)
class SizeRow:
    """A value with its unit in an attribute beside it."""

    unit: str = "KiB"  # where none is written
    unit_attribute: str = "unit"
    granularity: int = 1024  # libvirt rounds up to this many bytes


@dataclass(frozen=True)
class Discriminator:
    """An attribute (or a child element's tag) of which another value means another thing: the element is replaced."""

    attribute: str
    keep: tuple[str, ...] = ()  # children of the old element that the new one takes over where it names none


class PathTable(Generic[Row]):
    """Rows by path; a pattern has * for one segment and a leading **/ for any number of them."""

    def __init__(self, rows: Mapping[str, Row]) -> None:
        self._found: dict[str, Row | None] = {path: row for path, row in rows.items() if "*" not in path}
        self._patterns = [(_compiled(path), row) for path, row in rows.items() if "*" in path]

    def get(self, path: str) -> Row | None:
        """The row of `path`: the exact one first, then the first pattern that fits."""
        if path not in self._found:
            self._found[path] = next((row for pattern, row in self._patterns if pattern.fullmatch(path)), None)
        return self._found[path]


@dataclass(frozen=True)
class Tables:
    """All that the engine knows about one kind of document."""

    root: str
    lists: Mapping[str, ListRow] = field(default_factory=dict)
    values: Mapping[str, Same] = field(default_factory=dict)
    sizes: Mapping[str, SizeRow] = field(default_factory=dict)
    # what only live XML has, or libvirt ignores; a pair drops only values that match its regular expression
    volatile: tuple[str | tuple[str, str], ...] = ()
    discriminators: Mapping[str, Discriminator] = field(default_factory=dict)
    # values that libvirt leaves out when it writes; for an element, its text, or a function that tells
    defaults: Mapping[str, str | Callable[[Element], bool]] = field(default_factory=dict)
    opaque: tuple[str, ...] = ()  # compared and replaced as a whole
    containers: tuple[str, ...] = ()  # never removed themselves when a declaration drops them
    kept: tuple[str, ...] = ()  # never removed when a declaration drops them
    noise: tuple[str, ...] = ()  # left out of a diff: libvirt's own choices
    rewrites: tuple[Callable[[Element], None], ...] = ()  # other spellings of the same, applied to both sides
    adjust: tuple[
        Callable[[Element, Element, Element], None], ...
    ] = ()  # (current, declared, merged): values that follow others

    @cached_property
    def list_rows(self) -> PathTable[ListRow]:
        """`lists` by path."""
        return PathTable(self.lists)

    @cached_property
    def size_rows(self) -> PathTable[SizeRow]:
        """`sizes` by path."""
        return PathTable(self.sizes)

    @cached_property
    def discriminator_rows(self) -> PathTable[Discriminator]:
        """`discriminators` by path."""
        return PathTable(self.discriminators)

    @cached_property
    def default_rows(self) -> PathTable[str | Callable[[Element], bool]]:
        """`defaults` by path."""
        return PathTable(self.defaults)

    @cached_property
    def _value_rows(self) -> PathTable[Same]:
        return PathTable(self.values)

    @cached_property
    def _volatile_rows(self) -> PathTable[re.Pattern[str]]:
        pairs = ((row, "(?s).*") if isinstance(row, str) else row for row in self.volatile)
        return PathTable({path: re.compile(pattern) for path, pattern in pairs})

    @cached_property
    def _flags(self) -> dict[str, PathTable[bool]]:
        names = ("opaque", "containers", "kept", "noise")
        return {name: PathTable(dict.fromkeys(getattr(self, name), True)) for name in names}

    def same(self, path: str, first: str, second: str) -> bool:
        """Whether two values at `path` mean the same."""
        row = self._value_rows.get(path)
        return same_text(first, second) or (row is not None and row(first, second))

    def is_volatile(self, path: str, value: str) -> bool:
        """Whether the attribute or element at `path` with this value (its text) is left out on both sides."""
        pattern = self._volatile_rows.get(path)
        return pattern is not None and pattern.fullmatch(value) is not None

    def has(self, flag: str, path: str) -> bool:
        """Whether `path` is in the rows called `flag`: opaque, containers, kept or noise."""
        return bool(self._flags[flag].get(path))


def _compiled(pattern: str) -> re.Pattern[str]:
    lead, rest = ("(?:[^/]+/)*", pattern[3:]) if pattern.startswith("**/") else ("", pattern)
    return re.compile(lead + re.escape(rest).replace(r"\*", "[^/]+"))
