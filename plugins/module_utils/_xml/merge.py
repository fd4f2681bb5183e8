# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A declaration laid over what there is: a three-way merge by tables. Private to this collection."""

from __future__ import annotations

from collections.abc import Set
from copy import deepcopy
from typing import TYPE_CHECKING, cast

from .._deps import etree
from .._units import unit_factor
from .compare import equal, join
from .document import attributes, remove, segment, strip_whitespace
from .matching import UNKNOWN_LIST, Matcher
from .tables import ListRow, SizeRow, Tables

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


def normalise(tree: Element, tables: Tables) -> Element:
    """A copy without white space, comments and what only live XML has, in one spelling."""
    copy = deepcopy(tree)
    etree.strip_tags(copy, etree.Comment, etree.ProcessingInstruction)
    strip_whitespace(copy)
    _drop_volatile(copy, tables, "")
    for rewrite in tables.rewrites:
        rewrite(copy)
    return copy


def merge(
    current: Element,
    declared: Element,
    tables: Tables,
    *,
    last_applied: Element | None = None,
    emptied: Set[str] = frozenset(),
) -> Element:
    """`current` with `declared` laid over it, in current's own words where the two mean the same.

    What `last_applied` names and `declared` no longer does is removed. `emptied` are lists declared as empty.
    Nothing to change means: equal(merged, normalise(current, tables)).
    """
    before = normalise(current, tables)
    wanted = normalise(declared, tables)
    last = etree.Element(wanted.tag) if last_applied is None else normalise(last_applied, tables)
    merged = deepcopy(before)
    _Merge(tables, emptied).lay(merged, wanted, last, "")
    for adjust in tables.adjust:
        adjust(before, wanted, merged)
    return merged


def overlay(xml: Element | None, typed: Element, tables: Tables, *, emptied: Set[str] = frozenset()) -> Element:
    """Typed options laid over raw XML: both are the user's words."""
    return normalise(typed, tables) if xml is None else merge(xml, typed, tables, emptied=emptied)


def without_noise(tree: Element, tables: Tables) -> Element:
    """A copy for a diff, without what libvirt chose by itself."""
    copy = normalise(tree, tables)
    _drop_noise(copy, tables, "")
    return copy


class _Merge:
    """One merge: the tables, and the lists that are declared as empty."""

    def __init__(self, tables: Tables, emptied: Set[str]) -> None:
        self._tables = tables
        self._emptied = emptied

    def lay(self, target: Element, wanted: Element, last: Element, path: str) -> None:
        """Lays `wanted` over `target` in place, and takes out what `last` had and `wanted` has not."""
        self._attributes(target, wanted, last, path)
        self._text(target, wanted, path)
        tags = dict.fromkeys(str(child.tag) for parent in (wanted, last) for child in parent)
        for tag in tags:
            self._children(target, wanted.findall(tag), last.findall(tag), path)
        for list_path in self._emptied:
            if list_path.rpartition("/")[0] == path:
                self._empty(target, list_path)

    def _attributes(self, target: Element, wanted: Element, last: Element, path: str) -> None:
        for name, value in attributes(wanted).items():
            here = join(path, f"@{name}")
            if self._is_unit(path, name) or self._same_attribute(target, name, value, here, wanted):
                continue
            target.set(name, value)
            size = self._tables.size_rows.get(here)
            if size is not None:
                _copy_unit(target, wanted, size)
        for name in attributes(last):
            if name not in wanted.attrib and name in target.attrib and not self._stays(join(path, f"@{name}")):
                del target.attrib[name]

    def _same_attribute(self, target: Element, name: str, value: str, path: str, wanted: Element) -> bool:
        present = target.get(name)
        if present is None:
            return self._tables.default_rows.get(path) == value
        return self._same_value(path, present, target, value, wanted)

    def _same_value(self, path: str, present: str, target: Element, value: str, wanted: Element) -> bool:
        size = self._tables.size_rows.get(path)
        if size is not None:
            first, second = _size(present, target, size), _size(value, wanted, size)
            return first is not None and first == second
        return self._tables.same(path, present, value)

    def _is_unit(self, path: str, name: str) -> bool:
        """Whether the attribute only says in what a size is counted; it is compared with the size."""
        rows = self._tables.size_rows
        text_row = rows.get(path)
        if text_row is not None and text_row.unit_attribute == name:
            return True
        return name == "unit" and any(rows.get(join(path, f"@{other}")) for other in ("memory", "size", "value"))

    def _text(self, target: Element, wanted: Element, path: str) -> None:
        if not wanted.text or self._same_value(path, target.text or "", target, wanted.text, wanted):
            return
        target.text = wanted.text
        size = self._tables.size_rows.get(path)
        if size is not None:
            _copy_unit(target, wanted, size)

    def _stays(self, path: str) -> bool:
        return self._tables.has("kept", path) or self._tables.has("containers", path)

    def _children(self, target: Element, wanted: list[Element], last: list[Element], parent: str) -> None:
        tag = str((wanted or last)[0].tag)
        path = join(parent, segment((wanted or last)[0]))
        present = target.findall(tag)
        row = self._tables.list_rows.get(path)
        if row is not None or max(len(wanted), len(last), len(present)) > 1:
            self._list(target, present, wanted, last, row or UNKNOWN_LIST, path)
        elif wanted:
            self._single(target, present[0] if present else None, wanted[0], last[0] if last else None, path)
        elif present:
            self._dropped(present[0], last[0], path)

    def _single(
        self, target: Element, present: Element | None, wanted: Element, last: Element | None, path: str
    ) -> None:
        if present is not None:
            self._over(present, wanted, last, path)
        elif not self._is_default(wanted, path):
            self._insert(target, wanted, path)

    def _over(self, present: Element, wanted: Element, last: Element | None, path: str) -> None:
        """Lays one element over its partner, or replaces it where it is another thing."""
        if self._tables.has("opaque", path):
            if not equal(present, wanted):
                _replace(present, deepcopy(wanted))
            return
        discriminator = self._tables.discriminator_rows.get(path)
        if discriminator is not None:
            name = discriminator.attribute
            old, new = present.get(name), wanted.get(name)
            if new is not None and old is not None and not self._tables.same(join(path, f"@{name}"), old, new):
                _replace(present, _grafted(wanted, present, discriminator.keep))
                return
        self.lay(present, wanted, etree.Element(wanted.tag) if last is None else last, path)

    def _dropped(self, present: Element, last: Element, path: str) -> None:
        """An element that the last declaration had and this one has not."""
        if self._tables.has("containers", path):
            self.lay(present, etree.Element(present.tag), last, path)
        elif not self._tables.has("kept", path):
            remove(present)

    def _list(
        self,
        target: Element,
        present: list[Element],
        wanted: list[Element],
        last: list[Element],
        row: ListRow,
        path: str,
    ) -> None:
        if row.ordered:
            self._ordered(target, present, wanted, path)
            return
        matcher = Matcher(row, self._tables, path)
        covers = self._covering(path)
        last_of = {item: old for item, old in matcher.pair(wanted, last, covers)[0] if old is not None}
        pairs, left = matcher.pair(wanted, present, covers)
        for item, partner in pairs:
            if partner is not None:
                self._over(partner, item, last_of.get(item), path)
            elif not self._is_default(item, path):
                self._insert(target, item, path)
        dropped = [old for old in last if old not in last_of.values()]
        gone = (
            [partner for _old, partner in matcher.pair(dropped, left, covers)[0] if partner is not None]
            if dropped
            else []
        )
        for item in left:
            if item in gone or (wanted and row.whole and not row.generated(item)):
                remove(item)

    def _ordered(self, target: Element, present: list[Element], wanted: list[Element], path: str) -> None:
        covers = self._covering(path)
        if len(present) == len(wanted) and all(covers(old, new) for old, new in zip(present, wanted)):
            return
        for item in present:
            remove(item)
        for item in wanted:
            self._insert(target, item, path)

    def _covering(self, path: str):  # type: ignore[no-untyped-def]
        """A function that tells whether laying `wanted` over `present` would change nothing."""

        def covers(present: Element, wanted: Element) -> bool:
            holder = etree.Element("holder")
            trial = deepcopy(present)
            holder.append(trial)
            self._over(trial, wanted, None, path)
            return equal(holder[0], present)

        return covers

    def _empty(self, target: Element, path: str) -> None:
        row = self._tables.list_rows.get(path) or UNKNOWN_LIST
        for item in target.findall(path.rpartition("/")[2]):
            if not row.generated(item):
                remove(item)

    def _is_default(self, wanted: Element, path: str) -> bool:
        """Whether libvirt leaves this element out when it writes."""
        row = self._tables.default_rows.get(path)
        if row is None:
            return False
        return row(wanted) if callable(row) else (wanted.text or "") == row

    def _insert(self, target: Element, wanted: Element, path: str) -> None:
        """Adds a copy behind its like, without what libvirt would leave out."""
        made = etree.Element(wanted.tag, nsmap=cast("dict[str, str]", wanted.nsmap))
        siblings = target.findall(str(wanted.tag))
        if siblings:
            siblings[-1].addnext(made)
        else:
            target.append(made)
        if self._tables.has("opaque", path):
            _replace(made, deepcopy(wanted))
        else:
            self.lay(made, wanted, etree.Element(wanted.tag), path)


def _drop_volatile(item: Element, tables: Tables, path: str) -> None:
    for name, value in attributes(item).items():
        if tables.is_volatile(join(path, f"@{name}"), value):
            del item.attrib[name]
    for child in list(item):
        here = join(path, segment(child))
        if tables.is_volatile(here, child.text or ""):
            item.remove(child)
        elif not tables.has("opaque", here):
            _drop_volatile(child, tables, here)


def _drop_noise(item: Element, tables: Tables, path: str) -> None:
    for name in attributes(item):
        if tables.has("noise", join(path, f"@{name}")):
            del item.attrib[name]
    for child in list(item):
        here = join(path, segment(child))
        if tables.has("noise", here):
            item.remove(child)
        else:
            _drop_noise(child, tables, here)


def _grafted(wanted: Element, old: Element, keep: tuple[str, ...]) -> Element:
    made = deepcopy(wanted)
    for tag in keep:
        child = old.find(tag)
        if child is not None and made.find(tag) is None:
            made.append(deepcopy(child))
    return made


def _replace(old: Element, new: Element) -> None:
    """Only for an element that is inside another one."""
    cast("Element", old.getparent()).replace(old, new)


def _size(text: str, holder: Element, row: SizeRow) -> int | None:
    """Bytes, rounded up as libvirt does; None when it is not a size, which libvirt then says better than we could."""
    factor = unit_factor(holder.get(row.unit_attribute) or row.unit)
    if factor is None or not text.strip().isdigit():
        return None
    return -(-int(text) * factor // row.granularity) * row.granularity


def _copy_unit(target: Element, wanted: Element, row: SizeRow) -> None:
    unit = wanted.get(row.unit_attribute)
    if unit is not None:
        target.set(row.unit_attribute, unit)
    else:
        target.attrib.pop(row.unit_attribute, "")
