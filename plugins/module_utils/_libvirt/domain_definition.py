# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the declaration to a definition, and the record that goes with it. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Callable

from .._deps import etree, libvirt
from .._plan import Plan, Step
from .._xml.compare import differences, equal
from .._xml.document import parse, to_text
from .._xml.domain_run import as_defined
from .._xml.domain_tables import DOMAIN
from .._xml.merge import merge, normalise, without_noise
from .._xml.namespace import NAMESPACE, PREFIX
from .connection import Connection
from .domain_declaration import DomainDeclaration, with_passwords
from .domain_record import Record, digest, password_digest, put_record, take_record
from .domain_state import DomainState, take_passwords, without_cookies
from .errors import is_code
from .host_facts import HostFacts

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Passwords = Mapping[str, "str | None"]

# bytes of a definition with its record. libvirt passes on at most 4 MiB, and writes more than it was given
_LARGEST_TEXT = 3 * 1024 * 1024


class Definition:
    """What one task makes of a domain's definition."""

    def __init__(
        self, connection: Connection, declaration: DomainDeclaration, params: Mapping[str, Any], host: HostFacts
    ) -> None:
        self._connection = connection
        self._declaration = declaration
        self._params = params
        self._host = host
        self.not_kept: list[str] = []  # paths that libvirt took without a word and did not keep

    @property
    def says_something(self) -> bool:
        """Whether anything is declared beside the domain's name and power."""
        return self._declaration.says_something

    def laid_over(self, tree: Element, record: Record | None) -> Element:
        """An existing domain's XML with the declaration laid over it."""
        last = record.last_tree if record is not None and self._declaration.raw is not None else None
        declared = self._declaration.tree
        if self._declaration.of_a_run:
            declared = as_defined(declared, tree)
        if self._connection.read_only:
            declared, last = without_cookies(declared), None if last is None else without_cookies(last)
        merged = merge(tree, declared, DOMAIN, last_applied=last, emptied=self._declaration.emptied)
        return self._completed(merged, normalise(tree, DOMAIN))

    def new(self) -> Element:
        """The XML of a domain that does not exist yet."""
        return self._completed(normalise(self._declaration.tree, DOMAIN))

    def _completed(self, tree: Element, current: Element | None = None) -> Element:
        from .domain_options.completion import completed  # a domain that is skipped by its fingerprint needs no import

        return completed(tree, self._params, self._host, current)

    def new_text(self) -> str:
        """What libvirt gets to start a transient domain."""
        return with_passwords(self.new(), self._declaration.passwords)

    def text_over(self, state: DomainState) -> str:
        """What libvirt gets to start a transient domain anew, with what the declaration says of it."""
        tree = self.laid_over(state.live, state.record) if state.live is not None else self.new()
        return with_passwords(tree, {**state.known_passwords, **self._declaration.passwords})

    def check(self, tree: Element, plan: Plan) -> None:
        """Raises where `tree` is to be validated and is not valid; passwords are not in it, so in no error either."""
        if not self._params.get("validate"):
            return
        from .domain_schema import check_schema

        unknown = check_schema(self._connection, self._declaration.name, to_text(tree))
        if unknown is not None and self._connection.read_only:
            plan.warnings.append(unknown)

    def step(self, state: DomainState, plan: Plan) -> Step | None:
        """The step that defines, or None when the definition is as declared."""
        if state.inactive is None:
            after = self.new() if state.live is None else self.laid_over(state.live, state.record)
            passwords = {**state.known_passwords, **self._declaration.passwords}
            return self._step(plan, "define", None, after, passwords, None)
        record = state.record
        before = normalise(state.inactive, DOMAIN)
        after = before if self._is_known(record, before) else self.laid_over(state.inactive, record)
        passwords = {**state.known_passwords, **self._declaration.passwords}
        kinds = self._changed_passwords(state, plan)
        if kinds or not equal(before, after):
            return self._step(plan, "redefine", before, after, passwords, record, kinds)
        if self._params.get("adopt") and record is None:
            return self._step(plan, "adopt", before, after, passwords, None)
        return None

    def asks_for_other_memory(self, state: DomainState) -> bool:
        """Whether the definition does not say yet how much memory the guest is to use."""
        if state.inactive is None:
            return True
        before = normalise(state.inactive, DOMAIN)
        found = differences(before, self.laid_over(state.inactive, state.record), DOMAIN)
        return any(row.path == "currentMemory" for row in found)

    def stale_passwords(self, state: DomainState) -> dict[str, str]:
        """Declared passwords, by kind, that differ from the running domain's; in check mode, as far as can be told."""
        changing = self._changed_passwords(state, Plan()) if self._connection.read_only else []
        stale = {}
        for kind, password in self._declaration.passwords.items():
            if password is None or state.live is None or state.live.find(f"devices/graphics[@type='{kind}']") is None:
                continue
            seen = kind not in changing if self._connection.read_only else state.live_passwords.get(kind) == password
            if not seen:
                stale[kind] = password
        return stale

    def _is_known(self, record: Record | None, before: Element) -> bool:
        """Whether this declaration was applied last, and the definition is still what it gave."""
        return (
            record is not None
            and bool(record.definition)
            and record.declaration == self._declaration.fingerprint
            and record.definition == digest(before)
        )

    def _changed_passwords(self, state: DomainState, plan: Plan) -> list[str]:
        """The kinds of graphics whose password changes."""
        changed = []
        record = state.record or Record()
        for kind, password in self._declaration.passwords.items():
            present = state.passwords.get(kind)
            if password is None or password == present or (present is None and record.knows_password(kind, password)):
                continue
            if present is None and self._connection.read_only and kind not in record.passwords:
                plan.warnings.append(
                    f"Whether the {kind} password changes can't be told in check mode: it was not set by this "
                    "collection, and a read-only connection is not shown it."
                )
                continue
            changed.append(kind)
        return changed

    def _step(
        self,
        plan: Plan,
        verb: str,
        before: Element | None,
        after: Element,
        passwords: Passwords,
        record: Record | None,
        kinds: list[str] | None = None,
    ) -> Step:
        note = "".join(f"<!-- another {kind} password -->\n" for kind in kinds or [])
        note += "<!-- remembered as declared by this collection -->\n" if verb == "adopt" else ""
        last = self._last_applied(record, after, plan)
        self.check(after, plan)
        return Step(
            target=f"domain {self._declaration.name}",
            verb=verb,
            apply=self._applier(after, passwords, record, last),
            before=None if before is None else to_text(without_noise(before, DOMAIN)),
            after=to_text(without_noise(after, DOMAIN)) + note,
        )

    def _applier(
        self, after: Element, passwords: Passwords, old: Record | None, last: str | None
    ) -> Callable[[], None]:
        def apply() -> None:
            record = self._new_record(old, last)
            tree = deepcopy(after)
            put_record(tree, record)
            flags = libvirt.VIR_DOMAIN_DEFINE_VALIDATE if self._params.get("validate") else 0
            text = with_passwords(tree, passwords)
            # a driver without defineXMLFlags still has defineXML
            define = self._connection.handle.defineXMLFlags
            self._remember(define(text, flags) if flags else self._connection.handle.defineXML(text), record)

        return apply

    def _last_applied(self, old: Record | None, after: Element, plan: Plan) -> str | None:
        """The xml to remember; a task without xml leaves what was applied last as it is, and too much is left out."""
        last = self._declaration.raw_text if self._declaration.raw is not None else (old or Record()).last_applied
        with_record = deepcopy(after)
        put_record(with_record, Record(last_applied=last))
        if last is None or len(to_text(with_record).encode()) <= _LARGEST_TEXT:
            return last
        plan.warnings.append(
            f"The xml of domain {self._declaration.name} is too large to be remembered beside the definition: an "
            "element that is taken out of it later stays in the domain, until it is removed by virsh edit or by an "
            "option."
        )
        return None

    def _new_record(self, old: Record | None, last: str | None) -> Record:
        """The record for this declaration."""
        declaration = self._declaration
        before = old or Record()
        digests = {kind: password_digest(text) for kind, text in declaration.passwords.items() if text is not None}
        return Record(declaration.fingerprint, "", last, {**before.passwords, **digests})

    def _remember(self, domain: Any, record: Record) -> None:
        """Adds the digest of what libvirt made of the definition, which nobody knows before."""
        given = parse(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))
        take_record(given)
        take_passwords(given)
        before = normalise(given, DOMAIN)
        self.not_kept = list(
            dict.fromkeys(row.path for row in differences(before, self.laid_over(given, None), DOMAIN))
        )
        ours = put_record(given, replace(record, definition=digest(before)))
        flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG
        try:
            domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, _bare(ours), PREFIX, NAMESPACE, flags)
        except libvirt.libvirtError as error:
            if not is_code(error, "VIR_ERR_NO_SUPPORT"):  # without it, unchanged domains are compared the long way
                raise


def _bare(item: Element) -> str:
    """The text of an element without its namespace, which libvirt adds by itself."""
    copy = deepcopy(item)
    for part in copy.iter():
        part.tag = etree.QName(part).localname
    etree.cleanup_namespaces(copy)
    return str(etree.tostring(copy, encoding="unicode"))
