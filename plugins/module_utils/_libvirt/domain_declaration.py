# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task says of a domain: raw XML, typed options, or both as one tree. Private to this collection."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .._deps import etree
from .._errors import DeclarationError
from .._xml.document import parse, to_text
from .._xml.domain_tables import DOMAIN
from .._xml.merge import normalise, overlay
from .domain_options import declared
from .domain_record import digest, take_record
from .domain_state import put_passwords, take_passwords
from .host_facts import HostFacts

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


@dataclass(frozen=True)
class DomainDeclaration:
    """The user's words; `tree` has no passwords."""

    name: str
    uuid: str | None
    tree: Element
    raw: Element | None  # what came as xml: only this is compared with the last applied declaration
    emptied: frozenset[str]
    of_a_run: bool = False  # xml is the dump of a running domain, with what only the run has
    passwords: Mapping[str, str | None] = field(default_factory=dict)

    @property
    def says_something(self) -> bool:
        """Whether it names more than the domain itself."""
        return (
            any(child.tag not in ("name", "uuid") for child in self.tree)
            or bool(self.emptied)
            or len(self.tree.attrib) > 0
        )

    @cached_property
    def raw_text(self) -> str | None:
        """The raw xml as it is remembered."""
        return None if self.raw is None else to_text(self.raw)

    @cached_property
    def fingerprint(self) -> str:
        """A digest of all that was declared, without passwords."""
        holder = etree.Element(
            "declaration", {"emptied": " ".join(sorted(self.emptied)), "raw": str(self.raw is not None)}
        )
        holder.append(normalise(self.tree, DOMAIN))
        return digest(holder)


@dataclass(frozen=True)
class DomainNames:
    """Who is meant, before anything is read."""

    name: str
    uuid: str | None
    raw: Element | None


def read_names(params: Mapping[str, Any]) -> DomainNames:
    """Name and UUID from the options and the XML, which must agree."""
    raw = parse(params["xml"], root="domain") if params.get("xml") else None
    name = _agreed("name", params.get("name"), raw)
    if name is None:
        raise DeclarationError(
            "The domain has no name: neither the option name nor <name> in xml was given. Give one of them."
        )
    given = _agreed("uuid", params.get("uuid"), raw)
    if given is not None and re.fullmatch(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}", given) is None:
        raise DeclarationError(
            f"The domain {name} was declared with the UUID '{given}', which is none. Write 32 hexadecimal digits, "
            "or leave it out: libvirt chooses one.",
            details={"uuid": given},
        )
    return DomainNames(name, given, raw)


def read_declaration(
    names: DomainNames, params: Mapping[str, Any], host: HostFacts, current: Element | None
) -> DomainDeclaration:
    """The declaration over a domain's XML (None: a new one); raises DeclarationError where it contradicts itself."""
    raw = deepcopy(names.raw)
    if raw is not None:
        take_record(raw)  # a dump of a domain has it; it is what we remember, and nobody's declaration
    typed, emptied = declared({**params, "name": names.name, "uuid": names.uuid}, host, current)
    passwords = take_passwords(raw) if raw is not None else {}
    passwords.update(take_passwords(typed))
    tree = overlay(raw, typed, DOMAIN, emptied=emptied)
    for part in (raw, tree):
        _check_targets(part)
    of_a_run = raw is not None and raw.get("id") is not None
    known = None if raw is None else normalise(raw, DOMAIN)
    return DomainDeclaration(names.name, names.uuid, tree, known, emptied, of_a_run, passwords)


def with_passwords(tree: Element, passwords: Mapping[str, str | None]) -> str:
    """The text that libvirt gets."""
    copy = normalise(tree, DOMAIN)
    put_passwords(copy, passwords)
    return to_text(copy)


def _agreed(tag: str, option: str | None, raw: Element | None) -> str | None:
    """The name or UUID, which may be said twice but not differently."""
    in_xml = None if raw is None else (raw.findtext(tag) or "").strip() or None
    if option is not None and in_xml is not None and not DOMAIN.same(tag, option, in_xml):
        raise DeclarationError(
            f"The option {tag} is {option}, but <{tag}> in xml is {in_xml}. Make them agree, or leave one of them out.",
            details={"option": option, "xml": in_xml},
        )
    return option or in_xml


def _check_targets(tree: Element | None) -> None:
    if tree is None:
        return
    targets = [target.get("dev") for target in tree.iterfind("devices/disk/target")]
    if len([dev for dev in targets if dev]) < len(tree.findall("devices/disk")):
        # libvirt 9.0 can crash on it: with an iotune group it compares names that are not there
        raise DeclarationError("A disk is declared without a target. Give each disk one, such as <target dev='vda'/>.")
    twice = sorted(dev for dev, count in Counter(targets).items() if dev and count > 1)
    if twice:
        raise DeclarationError(
            f"Two disks are declared on the target {', '.join(twice)}. Give each disk a target of its own.",
            details={"targets": twice},
        )
