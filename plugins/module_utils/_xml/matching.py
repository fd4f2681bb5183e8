# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which entry of one list is which entry of another. Private to this collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Callable

from .tables import ListRow, Tables

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Pairs = list["tuple[Element, Element | None]"]

UNKNOWN_LIST = ListRow(keys=("@name", "@id"))  # a repeated element without a row


class Matcher:
    """Pairs the entries of one list with those of another, each at most once."""

    def __init__(self, row: ListRow, tables: Tables, path: str) -> None:
        self._row = row
        self._tables = tables
        self._path = path

    def pair(
        self, wanted: Sequence[Element], present: Sequence[Element], covers: Callable[[Element, Element], bool]
    ) -> tuple[Pairs, list[Element]]:
        """Each of `wanted` with its partner or None, and who is left; `covers(present, wanted)` says "has it all"."""
        partner: dict[Element, Element] = {}
        free = list(present)
        for key in self._row.keys:
            self._by_key(key, wanted, free, partner)
        for fits in (covers, self._no_conflict) if self._row.by_position else (covers,):
            for item in wanted:
                if item not in partner:
                    found = next(
                        (other for other in free if self._no_conflict(other, item) and fits(other, item)), None
                    )
                    if found is not None:
                        partner[item] = found
                        free.remove(found)
        return [(item, partner.get(item)) for item in wanted], free

    def _by_key(
        self, key: str, wanted: Sequence[Element], free: list[Element], partner: dict[Element, Element]
    ) -> None:
        by_value: dict[tuple[str, ...], Element] = {}
        for other in free:
            value = key_value(other, key)
            if value is not None:
                by_value.setdefault(value, other)
        for item in wanted:
            value = None if item in partner else key_value(item, key)
            if value is None:
                continue
            found = by_value.get(value)
            if found is None:
                found = next((other for seen, other in by_value.items() if self._same_key(key, seen, value)), None)
            if found is not None and found in free:
                partner[item] = found
                free.remove(found)

    def _same_key(self, key: str, first: tuple[str, ...], second: tuple[str, ...]) -> bool:
        parts = key.split(",")
        return all(self._tables.same(f"{self._path}/{part}", a, b) for part, a, b in zip(parts, first, second))

    def _no_conflict(self, first: Element, second: Element) -> bool:
        """Whether no key says that the two are different."""
        for key in self._row.keys:
            left, right = key_value(first, key), key_value(second, key)
            if left is not None and right is not None and not self._same_key(key, left, right):
                return False
        return True


def key_value(item: Element, key: str) -> tuple[str, ...] | None:
    """The values of a key's parts; None when the element lacks one of them."""
    values: list[str] = []
    for part in key.split(","):
        value = _part_value(item, part)
        if value is None:
            return None
        values.append(value)
    return tuple(values)


def _part_value(item: Element, part: str) -> str | None:
    if part == ".":
        return item.text
    path, _at, attribute = part.rpartition("@")
    holder = item.find(path.rstrip("/")) if path else item
    return None if holder is None else holder.get(attribute)
