# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What this collection remembers of a domain, in the domain's own metadata. Private to this collection."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .._deps import etree
from .._xml.document import attributes, ensure, parse, remove, strip_whitespace
from .._xml.namespace import NAMESPACE, PREFIX

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_OURS = f"{{{NAMESPACE}}}domain"
_RECORD = f"{{{NAMESPACE}}}record"

# work factor of the password digests: about 50 ms, once for each password in a declaration
_SCRYPT = {"n": 2**14, "r": 8, "p": 1}


@dataclass(frozen=True)
class Record:
    """The last applied declaration."""

    declaration: str = ""  # digest of the declaration
    definition: str = ""  # digest of the definition that it gave
    last_applied: str | None = None  # the raw xml, without passwords
    passwords: Mapping[str, str] = field(default_factory=dict)  # salted digests by kind of graphics

    @property
    def last_tree(self) -> Element | None:
        """The last applied xml as a tree."""
        return None if self.last_applied is None else parse(self.last_applied)

    def knows_password(self, kind: str, password: str) -> bool:
        """Whether `password` is the one that was applied last."""
        salt, _dollar, digest = self.passwords.get(kind, "").partition("$")
        return bool(digest) and hmac.compare_digest(_scrypt(password, bytes.fromhex(salt)), digest)


def take_record(domain: Element) -> Record | None:
    """Takes the record out of a domain's XML."""
    ours = domain.find(f"metadata/{_OURS}")
    item = None if ours is None else ours.find(_RECORD)
    if ours is None or item is None:
        return None
    remove(item)
    if len(ours) == 0:
        metadata = ours.getparent()
        remove(ours)
        if metadata is not None and len(metadata) == 0:
            remove(metadata)
    return _from_text(item.text or "")


def put_record(domain: Element, record: Record) -> Element:
    """Writes the record into a domain's XML; gives the element of this collection, with all that is in it."""
    metadata = ensure(domain, "metadata")
    ours = metadata.find(_OURS)
    if ours is None:
        ours = etree.SubElement(metadata, _OURS, nsmap={PREFIX: NAMESPACE})
    for old in ours.findall(_RECORD):
        remove(old)
    etree.SubElement(ours, _RECORD).text = json.dumps(
        {
            "declaration": record.declaration,
            "definition": record.definition,
            "last_applied": record.last_applied,
            "passwords": dict(record.passwords),
        },
        sort_keys=True,
    )
    return ours


def digest(tree: Element) -> str:
    """A digest of a tree that does not depend on its spelling."""
    copy = deepcopy(tree)
    strip_whitespace(copy)
    return hashlib.sha256(json.dumps(_canonical(copy)).encode()).hexdigest()


def _canonical(item: Element) -> list[Any]:
    """libxml2's canonical form refuses namespaces such as "owner", which libvirt takes."""
    return [str(item.tag), sorted(attributes(item).items()), item.text, [_canonical(child) for child in item]]


def password_digest(password: str) -> str:
    """A salted digest, slow enough that a stolen definition does not give the password away."""
    salt = os.urandom(16)
    return f"{salt.hex()}${_scrypt(password, salt)}"


def _scrypt(password: str, salt: bytes) -> str:
    return hashlib.scrypt(password.encode(), salt=salt, **_SCRYPT).hex()


def _from_text(text: str) -> Record | None:
    """A record that can't be read is as good as none: the next change writes a new one."""
    try:
        data: dict[str, Any] = json.loads(text)
        return Record(data["declaration"], data["definition"], data["last_applied"], data["passwords"])
    except (ValueError, KeyError, TypeError):
        return None
