# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Parse and print XML safely, and build it. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Union

from .._deps import etree
from .._errors import DeclarationError

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

AttributeValue = Union[str, int, bool, None]


def parse(text: str, *, root: str | None = None) -> Element:
    """The root element of `text`; raises DeclarationError where it is malformed, has a DTD or another root."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, remove_comments=True, remove_pis=True, encoding="utf-8"
    )
    try:
        tree = etree.fromstring(text.encode("utf-8"), parser)
    except etree.XMLSyntaxError as error:
        line, column = error.position
        raise DeclarationError(
            f"The XML can't be parsed: {error.msg}. Correct line {line}, column {column}.",
            details={"line": line, "column": column},
        ) from error
    if tree.getroottree().docinfo.doctype:
        raise DeclarationError("The XML has a document type declaration, which libvirt never needs. Take it out.")
    if root is not None and tree.tag != root:
        raise DeclarationError(f"The XML was to have the root element <{root}>, but it has <{tree.tag!s}>.")
    return tree


def to_text(element: Element) -> str:
    """`element` with two spaces of indentation, as libvirt prints it."""
    printed = deepcopy(element)
    printed.tail = None
    etree.indent(printed, "  ")
    return etree.tostring(printed, encoding="unicode") + "\n"


def element(
    tag: str, attributes: Mapping[str, AttributeValue] | None = None, *children: Element | None, text: object = None
) -> Element:
    """A new element; attributes and children that are None are left out, booleans become yes and no."""
    made: Element = etree.Element(tag)
    for name, value in (attributes or {}).items():
        if value is not None:
            made.set(name, _attribute_text(value))
    made.extend(item for item in children if item is not None)
    if text is not None:
        made.text = str(text)
    return made


def ensure(parent: Element, path: str) -> Element:
    """The element at `path` (plain tags, `os/loader`) below `parent`, made where it is missing."""
    for tag in path.split("/"):
        found = parent.find(tag)
        parent = etree.SubElement(parent, tag) if found is None else found
    return parent


def remove(child: Element) -> None:
    """Takes `child` out of its parent."""
    parent = child.getparent()
    if parent is not None:
        parent.remove(child)


def strip_whitespace(tree: Element) -> None:
    """Takes out the white space between elements, and around the text of leaves."""
    for item in tree.iter():
        item.tail = None
        text = (item.text or "").strip()
        item.text = text or None


def attributes(item: Element) -> dict[str, str]:
    """The attributes, as a dictionary of their own."""
    return {str(name): str(value) for name, value in item.attrib.items()}


def segment(item: Element) -> str:
    """The path segment of an element: its tag, or ns:name when it is in a namespace."""
    name = etree.QName(item)
    return f"ns:{name.localname}" if name.namespace else name.localname


def _attribute_text(value: str | int | bool) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
