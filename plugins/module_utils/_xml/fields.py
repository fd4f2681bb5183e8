# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that say which option is which part of the XML, for specs, writing and reading. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Callable, Union

from .._deps import etree
from .compare import join
from .document import ensure, remove
from .tables import Tables

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Spec = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Field:
    """One value: an attribute (`bridge/@name`) or the text of an element (`description`)."""

    option: str
    path: str
    type: str = "str"  # str, int, bool
    words: tuple[str, str] = ("yes", "no")  # how the XML writes a bool
    spec: Mapping[str, Any] = field(default_factory=dict)  # choices, required …


@dataclass(frozen=True)
class Custom:
    """A value that is not written as it is given, or in more than one place."""

    option: str
    write: Callable[[Element, Any], None]
    read: Callable[[Element], Any]
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Texts:
    """A list of texts, one element each: `hostname` or `interface/@dev`."""

    option: str
    path: str
    spec: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Group:
    """A dictionary: the options of one element."""

    option: str
    path: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Items:
    """A list of dictionaries, one element each; `identity` is the attribute by which an entry is found again."""

    option: str
    path: str
    rows: tuple[Row, ...]
    identity: str = ""


Row = Union[Field, Custom, Texts, Group, Items]


@dataclass(frozen=True)
class Emptied:
    """A list that is declared as empty: `path` below the root, or below the entry of `holder` that `identity` names."""

    path: str
    holder: str = ""
    attribute: str = ""
    identity: str = ""


def argument_options(rows: Sequence[Row]) -> Spec:
    """The argument spec of `rows`."""
    spec: Spec = {}
    for row in rows:
        if isinstance(row, Group):
            spec[row.option] = {"type": "dict", "options": argument_options(row.rows)}
        elif isinstance(row, Items):
            spec[row.option] = {"type": "list", "elements": "dict", "options": argument_options(row.rows)}
        elif isinstance(row, Texts):
            spec[row.option] = {"type": "list", "elements": "str", **row.spec}
        else:
            spec[row.option] = {"type": row.type if isinstance(row, Field) else "str", **row.spec}
    return spec


def write(parent: Element, values: Mapping[str, Any], rows: Sequence[Row]) -> list[Emptied]:
    """Writes the options that are not None below `parent`; returns the lists that are declared as empty."""
    return _write(parent, values, rows, "")


def read(parent: Element, rows: Sequence[Row]) -> dict[str, Any]:
    """The options that `parent` stands for; what it does not have is None, or an empty list."""
    return {row.option: _read_row(parent, row) for row in rows}


def take_out(tree: Element, emptied: Sequence[Emptied], tables: Tables) -> None:
    """Removes the entries of the lists that are declared as empty."""
    for item in emptied:
        for parent in _holders(tree, item, tables):
            for entry in parent.findall(item.path):
                remove(entry)


def _holders(tree: Element, item: Emptied, tables: Tables) -> list[Element]:
    if not item.holder:
        return [tree]
    path = f"{item.holder}/@{item.attribute}"
    found = tree.findall(item.holder)
    return [entry for entry in found if tables.same(path, entry.get(item.attribute, ""), item.identity)]


def _write(parent: Element, values: Mapping[str, Any], rows: Sequence[Row], path: str) -> list[Emptied]:
    emptied: list[Emptied] = []
    for row in rows:
        value = values.get(row.option)
        if value is None:
            continue
        if isinstance(row, Group):
            emptied += _write(ensure(parent, row.path), value, row.rows, join(path, row.path))
        elif isinstance(row, (Items, Texts)):
            here = join(path, _split(row.path)[0])
            emptied += [] if value else [Emptied(here)]
            for entry in value:
                emptied += _write_entry(parent, entry, row, here)
        elif isinstance(row, Custom):
            row.write(parent, value)
        else:
            _put(parent, row.path, _as_text(value, row))
    return emptied


def _write_entry(parent: Element, value: Any, row: Items | Texts, path: str) -> list[Emptied]:
    element_path, attribute = _split(row.path)
    holder_path, _slash, tag = element_path.rpartition("/")
    made = etree.SubElement(ensure(parent, holder_path) if holder_path else parent, tag)
    if isinstance(row, Items):
        emptied = _write(made, value, row.rows, "")
        return [Emptied(item.path, path, row.identity, made.get(row.identity, "")) for item in emptied]
    _put(made, f"@{attribute}" if attribute else "", str(value))
    return []


def _put(parent: Element, path: str, text: str) -> None:
    """Sets the attribute or the text that `path` names, from `parent` on."""
    element_path, attribute = _split(path)
    holder = ensure(parent, element_path) if element_path else parent
    if attribute:
        holder.set(attribute, text)
    else:
        holder.text = text


def _split(path: str) -> tuple[str, str]:
    """The elements of a path and its attribute: bridge/@name is bridge and name, hostname is hostname and nothing."""
    elements, _at, attribute = path.partition("@")
    return elements.rstrip("/"), attribute


def _as_text(value: Any, row: Field) -> str:
    return row.words[0 if value else 1] if row.type == "bool" else str(value)


def _read_row(parent: Element, row: Row) -> Any:
    if isinstance(row, Group):
        holder = parent.find(row.path)
        return None if holder is None else read(holder, row.rows)
    if isinstance(row, Items):
        return [read(entry, row.rows) for entry in parent.findall(row.path)]
    if isinstance(row, Texts):
        path, attribute = _split(row.path)
        return [entry.get(attribute) if attribute else entry.text for entry in parent.findall(path)]
    if isinstance(row, Custom):
        return row.read(parent)
    path, attribute = _split(row.path)
    holder = parent.find(path) if path else parent
    text = None if holder is None else holder.get(attribute) if attribute else holder.text
    return _from_text(text, row)


def _from_text(text: str | None, row: Field) -> Any:
    if text is None:
        return None
    if row.type == "bool":
        return text in ("yes", "on")
    return int(text) if row.type == "int" else text
