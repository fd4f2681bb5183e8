# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows that say where an option's value stands in the XML. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from ..._deps import etree
from ..._xml.document import ensure

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Params = Mapping[str, Any]


def plain(value: Any) -> str:
    """As it is; booleans as yes and no."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def on_off(value: bool) -> str:
    """Booleans as on and off."""
    return "on" if value else "off"


@dataclass(frozen=True)
class Row:
    """One option and its place: `driver/@cache` an attribute, `serial` a text, `readonly/` an empty element."""

    option: str
    path: str
    write: Callable[[Any], str] = plain


def fill(parent: Element, params: Params, rows: Iterable[Row]) -> None:
    """Writes every option that was named; an empty element stands for true, and false leaves it out."""
    for row in rows:
        value = params.get(row.option)
        if value is not None:
            put(parent, row.path, value if row.path.endswith("/") else row.write(value))


def put(parent: Element, path: str, value: Any) -> None:
    """Writes one value at `path` below `parent`, making the elements on the way."""
    if path.endswith("/"):
        if value:
            ensure(parent, path[:-1])
        return
    head, _slash, last = path.rpartition("/")
    if last.startswith("@"):
        (ensure(parent, head) if head else parent).set(last[1:], value)
    else:
        ensure(parent, path).text = value


def new(tag: str, **attributes: str | None) -> Element:
    """A new element with the attributes that are not None."""
    made: Element = etree.Element(tag)
    for name, value in attributes.items():
        if value is not None:
            made.set(name, value)
    return made
