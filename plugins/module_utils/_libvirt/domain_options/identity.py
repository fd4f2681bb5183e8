# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options that name and describe a domain. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._deps import etree
from ..._errors import DeclarationError
from ..._xml.document import ensure
from ..._xml.namespace import NAMESPACE, PREFIX
from ..host_facts import HostFacts
from ._rows import Params, Row, fill

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

ROWS = (Row("name", "name"), Row("uuid", "uuid"), Row("title", "title"), Row("description", "description"))

# libvirt keeps one element of a namespace in <metadata> and drops the others: so all that is ours has one parent
METADATA = f"{{{NAMESPACE}}}domain"
TAGS = f"{{{NAMESPACE}}}tags"
TAG = f"{{{NAMESPACE}}}tag"


def add(domain: Element, params: Params, _host: HostFacts) -> set[str]:
    """Lays the options over `domain`. No tags is an empty <tags>, for the whole of our metadata is one value."""
    if "\n" in (params.get("title") or ""):
        raise DeclarationError(
            "title has a line break, which libvirt does not allow. Use description for longer texts."
        )
    emptied = {name for name in ("title", "description") if params.get(name) == ""}
    fill(domain, {name: value for name, value in params.items() if name not in emptied}, ROWS)
    tags = params.get("tags")
    if tags is not None:
        ours = etree.SubElement(ensure(domain, "metadata"), METADATA, nsmap={PREFIX: NAMESPACE})
        holder = etree.SubElement(ours, TAGS)
        for tag in sorted(set(tags)):
            etree.SubElement(holder, TAG).text = tag
    return emptied


def tags_of(domain: Element) -> list[str]:
    """The tags of a domain's XML."""
    return [item.text or "" for item in domain.iterfind(f"metadata/{METADATA}/{TAGS}/{TAG}")]
