# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between two normalised trees. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import zip_longest
from typing import TYPE_CHECKING

from .document import attributes, segment
from .matching import UNKNOWN_LIST, Matcher
from .tables import Tables

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

ADD, REMOVE, CHANGE = "add", "remove", "change"


@dataclass(frozen=True)
class Difference:
    """One place that differs; a repeated element is reported as a unit."""

    path: str
    verb: str  # ADD, REMOVE or CHANGE
    before: Element | None
    after: Element | None


def equal(first: Element, second: Element) -> bool:
    """The same tags, attributes, texts and children, in the same order."""
    return (
        first.tag == second.tag
        and (first.text or "") == (second.text or "")
        and attributes(first) == attributes(second)
        and len(first) == len(second)
        and all(equal(left, right) for left, right in zip(first, second))
    )


def differences(before: Element, after: Element, tables: Tables, path: str = "") -> list[Difference]:
    """The places below `path` (and the element itself) where the two differ, in the order of `before`."""
    if equal(before, after):
        return []
    found: list[Difference] = []
    if (before.text or "") != (after.text or "") or attributes(before) != attributes(after):
        found.append(Difference(path, CHANGE, before, after))
    for tag in dict.fromkeys(str(item.tag) for item in [*before, *after]):
        found += _of_children(before.findall(tag), after.findall(tag), tables, path)
    return found


def _of_children(before: list[Element], after: list[Element], tables: Tables, parent: str) -> list[Difference]:
    path = join(parent, segment((before or after)[0]))
    row = tables.list_rows.get(path)
    unit = row is not None or max(len(before), len(after)) > 1
    if row is not None and row.ordered:
        pairs, removed = list(zip_longest(after, before[: len(after)])), before[len(after) :]
    else:
        pairs, removed = Matcher(row or UNKNOWN_LIST, tables, path).pair(after, before, equal)
    found = [Difference(path, REMOVE, item, None) for item in removed]
    for new, old in pairs:
        if old is None:
            found.append(Difference(path, ADD, None, new))
        elif unit:
            found += [] if equal(old, new) else [Difference(path, CHANGE, old, new)]
        else:
            found += differences(old, new, tables, path)
    return found


def join(path: str, name: str) -> str:
    """`path/name`, or `name` at the root."""
    return f"{path}/{name}" if path else name
