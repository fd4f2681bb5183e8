# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hand-written domains are unchanged once virsh has defined them, and each small edit is seen, applied and kept."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path
from typing import Any

import libvirt
import pytest
import yaml
from lxml import etree

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, DECLARATION
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.connection import Connection
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain import DomainResource
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_options.spec import DOMAIN_OPTIONS
from ansible_collections.nestbox.virt.plugins.module_utils._xml.compare import Difference, differences, equal
from ansible_collections.nestbox.virt.plugins.module_utils._xml.document import parse, to_text
from ansible_collections.nestbox.virt.plugins.module_utils._xml.domain_tables import DOMAIN
from ansible_collections.nestbox.virt.plugins.module_utils._xml.merge import merge, normalise
from ansible_collections.nestbox.virt.plugins.modules.domain import LIFE
from tests.bench.daemon import Daemon
from tests.conftest import BoundModule

_HERE = Path(__file__).parent
FILES = sorted((_HERE / "domains").glob("*.xml"))
HIDDEN: list[dict[str, Any]] = yaml.safe_load((_HERE / "domain_hidden.yml").read_text())
EDITS: list[dict[str, Any]] = yaml.safe_load((_HERE / "domain_edits.yml").read_text())
_DEFAULTS = {
    name: option.get("default") for name, option in (CONNECTION + DECLARATION + DOMAIN_OPTIONS + LIFE).options.items()
}
# with cookies and passwords, which libvirt else keeps to itself
_READ = libvirt.VIR_DOMAIN_XML_INACTIVE | libvirt.VIR_DOMAIN_XML_SECURE
_NAMESPACES = {"qemu": "http://libvirt.org/schemas/domain/qemu/1.0"}


def described(found: list[Difference]) -> str:
    """The differences, one a line."""
    return "\n".join(f"{one.verb} {one.path}: {_shown(one.before)} -> {_shown(one.after)}" for one in found)


def _shown(element: Any) -> str:
    return "nothing" if element is None else to_text(element)


def edited(text: str, edit: dict[str, Any]) -> str:
    """The text with one thing changed."""
    tree = etree.fromstring(text.encode())
    for one in (edit, edit.get("also")):
        if one is not None:
            _change(tree, one)
    return etree.tostring(tree, encoding="unicode")


def _change(tree: Any, edit: dict[str, Any]) -> None:
    places = tree.xpath(edit["at"], namespaces=_NAMESPACES)
    assert len(places) == 1, f"{edit['at']} is there {len(places)} times"
    place = places[0]
    for name, value in edit.get("set", {}).items():
        place.attrib.pop(name) if value is None else place.set(name, str(value))
    if "text" in edit:
        place.text = str(edit["text"])
    if "add" in edit:
        place.append(etree.fromstring(edit["add"]))
    if edit.get("remove"):
        place.getparent().remove(place)


def all_edits(tree: Any) -> Iterator[tuple[str, Any]]:
    """Every single edit of a tree: another value, another text, an element left out; with its path."""
    for number, item in enumerate(tree.iter()):
        where = "/".join([*(str(above.tag) for above in reversed(list(item.iterancestors()))), str(item.tag)][1:])
        for edit in [*(f"@{name}" for name in item.attrib), "text()" if item.text and not len(item) else "", ""]:
            copy = deepcopy(tree)
            place = next(islice(copy.iter(), number, None), copy)
            if edit.startswith("@"):
                place.set(edit[1:], _another(place.get(edit[1:])))
            elif edit:
                place.text = _another(place.text)
            elif place is not copy:
                place.getparent().remove(place)
            else:
                continue
            yield "/".join(filter(None, (where, edit))), copy


def _another(value: str) -> str:
    opposite = {"yes": "no", "no": "yes", "on": "off", "off": "on"}
    if value.startswith("0x"):
        return hex(int(value, 16) + 1)
    return str(int(value) + 1) if value.isdigit() else opposite.get(value, f"{value}x")


def _last(what: str, declared: Any) -> Any:
    """Another value is seen in an adopted domain too; what is left out, only where it is remembered."""
    return None if what.endswith("text()") or "@" in what else declared


def may_hide(what: str, file: str) -> bool:
    """Whether domain_hidden.yml has a reason why this edit of this file is no change."""
    return any(
        fnmatchcase(what, pattern) and what.count("/") == pattern.count("/") and file in row.get("files", [file])
        for row in HIDDEN
        for pattern in row["what"]
    )


def identities(tree: Any) -> list[str]:
    """What must stay when something else changes: the UUID and the MAC addresses."""
    return [str(value) for value in tree.xpath("uuid/text() | descendant::interface/mac/@address")]


def identities_of(device: Any) -> list[str]:
    """The MAC address of an interface that is gone."""
    return [str(value) for value in device.xpath("self::interface/mac/@address")]


def address_of(device: Any) -> str | None:
    """A device's place in the machine."""
    address = device.find("address")
    return None if address is None else etree.tostring(address, encoding="unicode")


def test_the_corpus_is_large_enough() -> None:
    assert len(FILES) >= 140
    assert len(EDITS) >= 60


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_what_virsh_defined_is_unchanged(clean_libvirtd: Daemon, path: Path) -> None:
    with clean_libvirtd.connect() as connection:
        text = connection.defineXML(path.read_text()).XMLDesc(_READ)
    current = normalise(parse(text, root="domain"), DOMAIN)
    merged = merge(current, parse(path.read_text(), root="domain"), DOMAIN)
    assert equal(merged, current), described(differences(current, merged, DOMAIN))


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: f"{edit['file']}: {edit['name']}")
def test_an_edit_is_seen_applied_and_kept(clean_libvirtd: Daemon, edit: dict[str, Any]) -> None:
    original = (_HERE / "domains" / f"{edit['file']}.xml").read_text()
    first, wanted = parse(original, root="domain"), parse(edited(original, edit), root="domain")
    with clean_libvirtd.connect() as connection:
        before = parse(connection.defineXML(original).XMLDesc(_READ))
        merged = merge(before, wanted, DOMAIN, last_applied=first)
        assert not equal(merged, normalise(before, DOMAIN)), "the edit was not seen"
        after = parse(connection.defineXML(to_text(merged)).XMLDesc(_READ))
    again = merge(after, wanted, DOMAIN, last_applied=wanted)
    left = differences(normalise(after, DOMAIN), again, DOMAIN)
    assert not left, f"the edit was not applied:\n{described(left)}"
    found = differences(normalise(before, DOMAIN), normalise(after, DOMAIN), DOMAIN)
    assert {f"{one.verb} {one.path}" for one in found} == set(edit["changes"]), described(found)
    removed = [mac for one in found if one.verb == "remove" for mac in identities_of(one.before)]
    assert set(identities(before)) - set(removed) <= set(identities(after))
    for one in found:
        if one.before is not None and one.after is not None and not edit.get("moves"):
            assert address_of(one.before) == address_of(one.after), described([one])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_no_edit_is_hidden(clean_libvirtd: Daemon, path: Path) -> None:
    """Another value and an element left out are changes, each, unless domain_hidden.yml says why not."""
    declared = parse(path.read_text(), root="domain")
    with clean_libvirtd.connect() as connection:
        current = parse(connection.defineXML(path.read_text()).XMLDesc(_READ))
    normal = normalise(current, DOMAIN)
    unseen = {
        what
        for what, tree in all_edits(declared)
        if equal(merge(current, tree, DOMAIN, last_applied=_last(what, declared)), normal)
        and not may_hide(what, path.stem)
    }
    assert not unseen


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.stem))
def test_the_module_plans_nothing(clean_libvirtd: Daemon, path: Path) -> None:
    with clean_libvirtd.connect() as connection:
        connection.defineXML(path.read_text())
    params = {**_DEFAULTS, "uri": clean_libvirtd.uri, "xml": path.read_text()}
    for read_only in (True, False):  # as in check mode, and for real
        with Connection(clean_libvirtd.uri, read_only=read_only) as connection:
            resource = DomainResource(connection, params)
            plan = resource.plan(resource.read())
        assert not plan.steps, f"{plan.steps[0].before}\n->\n{plan.steps[0].after}"


@pytest.mark.parametrize("path", FILES[::2], ids=lambda path: str(path.stem))
def test_the_module_leaves_it_as_it_is(module: BoundModule, path: Path) -> None:
    text = path.read_text()
    with module.daemon.connect() as connection:
        before = connection.defineXML(text).XMLDesc(_READ)
        for check in (True, False):
            result = module("domain", {"xml": text}, check=check)
            assert not result["failed"], result
            assert not result["changed"], result["diff"]
        assert connection.lookupByName(parse(before).findtext("name")).XMLDesc(_READ) == before


@pytest.mark.parametrize("edit", EDITS[::12], ids=lambda edit: f"{edit['file']}: {edit['name']}")
def test_the_module_applies_an_edit(module: BoundModule, edit: dict[str, Any]) -> None:
    original = (_HERE / "domains" / f"{edit['file']}.xml").read_text()
    first = module("domain", {"xml": original})
    assert not first["failed"], first
    module.four_steps("domain", {"xml": edited(original, edit)})


def test_a_disk_without_a_target_never_reaches_libvirt(module: BoundModule) -> None:
    original = (_HERE / "domains" / "disk-file-all-options.xml").read_text()
    without = edited(original, {"at": "devices/disk[1]/target", "remove": True})
    result = module("domain", {"xml": without})
    assert result["failed"]
    assert "without a target" in result["msg"]
