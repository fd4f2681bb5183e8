# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The raw XML that was applied last, remembered in the network's own metadata. Private to this collection."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from .._deps import etree
from .._errors import DeclarationError
from .._xml.document import ensure, parse
from .._xml.network_tables import RECORD

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


def recorded(tree: Element) -> Element | None:
    """The raw XML of the last change, or None."""
    text = tree.findtext(f"metadata/{RECORD}/declaration")
    if not text:
        return None
    try:
        return parse(text, root="network")
    except DeclarationError:  # somebody edited it by hand: nothing is remembered then
        return None


def with_record(merged: Element, xml: Element | None, before: Element | None) -> Element:
    """`merged` as it is defined: with `xml` remembered, or with what `before` remembers when the task has no XML."""
    made = deepcopy(merged)
    if xml is None:
        old = None if before is None else before.find(f"metadata/{RECORD}")
        if old is not None:
            ensure(made, "metadata").append(deepcopy(old))
        return made
    namespace = str(etree.QName(RECORD).namespace)
    holder = etree.SubElement(ensure(made, "metadata"), RECORD, nsmap={"nestbox": namespace})
    etree.SubElement(holder, "declaration").text = etree.tostring(xml, encoding="unicode")
    return made
