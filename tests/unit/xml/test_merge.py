# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The merge, the comparison and the parser: cases from merge.yml, the corpus of domains, and properties."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError
from ansible_collections.nestbox.virt.plugins.module_utils._xml.compare import differences, equal
from ansible_collections.nestbox.virt.plugins.module_utils._xml.document import element, parse, to_text
from ansible_collections.nestbox.virt.plugins.module_utils._xml.domain_tables import DOMAIN
from ansible_collections.nestbox.virt.plugins.module_utils._xml.merge import merge, normalise

CASES = yaml.safe_load(Path(__file__).with_name("merge.yml").read_text(encoding="utf-8"))
CORPUS = sorted((Path(__file__).parents[2] / "integration" / "domains").glob("*.xml"))


@pytest.mark.parametrize("case", CASES, ids=[case["name"].replace(" ", "-") for case in CASES])
def test_merge(case: dict[str, Any]) -> None:
    current = parse(case["current"])
    last = parse(case["last"]) if "last" in case else None
    emptied = frozenset(case.get("emptied", ()))
    merged = merge(current, parse(case["declared"]), DOMAIN, last_applied=last, emptied=emptied)
    wanted = case["current"] if case["merged"] == "unchanged" else case["merged"]
    assert to_text(merged) == to_text(normalise(parse(wanted), DOMAIN))
    again = merge(merged, parse(case["declared"]), DOMAIN, emptied=emptied)
    assert equal(again, merged), "a second merge changes nothing"
    assert bool(differences(normalise(current, DOMAIN), merged, DOMAIN)) == (case["merged"] != "unchanged")


def test_merge_does_not_touch_what_it_is_given() -> None:
    current, declared = parse("<domain><vcpu>1</vcpu></domain>"), parse("<domain id='1'><vcpu>2</vcpu></domain>")
    texts = to_text(current), to_text(declared)
    merge(current, declared, DOMAIN)
    assert (to_text(current), to_text(declared)) == texts


@pytest.mark.parametrize("path", CORPUS, ids=[path.stem for path in CORPUS])
def test_a_document_laid_over_itself_is_stable(path: Path) -> None:
    tree = parse(path.read_text(encoding="utf-8"), root="domain")
    before = merge(tree, tree, DOMAIN)  # values that follow from others are filled in
    assert equal(merge(before, tree, DOMAIN), before)
    assert equal(merge(before, tree, DOMAIN, last_applied=tree), before)
    assert equal(normalise(before, DOMAIN), before), "normalising twice is normalising once"
    assert equal(normalise(parse(to_text(before)), DOMAIN), before), "printing and parsing loses nothing"


@pytest.mark.parametrize("path", CORPUS, ids=[path.stem for path in CORPUS])
def test_every_part_of_a_document_is_already_in_it(path: Path) -> None:
    tree = parse(path.read_text(encoding="utf-8"), root="domain")
    before = merge(tree, tree, DOMAIN)
    for child in before:
        part = element("domain", None, deepcopy(child))
        assert equal(merge(before, part, DOMAIN), before), child.tag


# -- properties over generated documents ------------------------------------------------------------------------------

_targets = st.lists(st.sampled_from(["vda", "vdb", "vdc", "sda"]), unique=True, max_size=4)
_files = st.sampled_from(["/a", "/b", "/c"])
_macs = st.none() | st.integers(0, 5).map(lambda number: f"52:54:00:00:00:{number:02x}")


@st.composite
def domains(draw: st.DrawFn) -> Any:
    """A small domain with disks, interfaces and some single elements."""
    children = [
        element(tag, text=draw(st.integers(1, 9))) for tag in ("vcpu", "iothreads", "title") if draw(st.booleans())
    ]
    if draw(st.booleans()):
        unit = draw(st.sampled_from(["KiB", "MiB", "GiB"]))
        children.append(element("memory", {"unit": unit}, text=draw(st.integers(1, 4))))
    devices = element("devices")
    for target in draw(_targets):
        source = element("source", {"file": draw(_files)})
        devices.append(element("disk", {"type": "file"}, source, element("target", {"dev": target})))
    used: set[str] = set()
    for mac in draw(st.lists(_macs, max_size=3)):
        if mac not in used:
            used |= {mac} if mac else set()
            address = element("mac", {"address": mac}) if mac else None
            kind = draw(st.sampled_from(["network", "user"]))
            devices.append(element("interface", {"type": kind}, address))
    return element("domain", None, *children, devices)


@given(domains(), domains())
def test_merging_twice_is_merging_once(current: Any, declared: Any) -> None:
    once = merge(current, declared, DOMAIN)
    assert equal(merge(once, declared, DOMAIN), once)


@given(domains(), domains(), domains())
def test_what_was_applied_last_is_gone_or_declared(current: Any, declared: Any, last: Any) -> None:
    merged = merge(merge(current, last, DOMAIN), declared, DOMAIN, last_applied=last)
    dropped = {child.tag for child in last} - {child.tag for child in declared} - {"devices"}
    assert not dropped & {child.tag for child in merged}


@given(domains(), domains())
def test_declared_disks_are_the_whole_list(current: Any, declared: Any) -> None:
    wanted = {item.get("dev") for item in declared.iterfind("devices/disk/target")}
    merged = merge(current, declared, DOMAIN)
    found = {item.get("dev") for item in merged.iterfind("devices/disk/target")}
    before = {item.get("dev") for item in current.iterfind("devices/disk/target")}
    assert found == (wanted or before)


@given(domains(), domains())
def test_differences_are_empty_only_for_equal_documents(first: Any, second: Any) -> None:
    one, two = normalise(first, DOMAIN), normalise(second, DOMAIN)
    assert differences(one, one, DOMAIN) == []
    merged = merge(one, two, DOMAIN)
    assert bool(differences(one, merged, DOMAIN)) != equal(one, merged)


@given(st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40))
def test_any_text_survives_printing_and_parsing(text: str) -> None:
    tree = element("domain", {"a": text}, element("title", text=text))
    copy = parse(to_text(tree))
    assert copy.get("a") == text
    assert (copy.findtext("title") or "") == text


# -- the parser -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "can't be parsed"),
        ("<domain>", "line 1"),
        ("<domain></network>", "line 1"),
        ("<domain>&unknown;</domain>", "can't be parsed"),
        ("<network/>", "<domain>"),
        ("<!DOCTYPE domain><domain/>", "document type"),
        ("<!DOCTYPE d [<!ENTITY a 'aaaa'>]><domain>&a;</domain>", "document type"),
    ],
)
def test_bad_xml_is_refused_with_the_place(text: str, part: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse(text, root="domain")
    assert part in caught.value.message


def test_a_file_entity_is_never_read(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hidden", encoding="utf-8")
    text = f"<!DOCTYPE d [<!ENTITY e SYSTEM 'file://{secret}'>]><domain><title>&e;</title></domain>"
    with pytest.raises(DeclarationError):
        parse(text)


def test_an_encoding_declaration_in_text_is_no_obstacle() -> None:
    tree = parse("<?xml version='1.0' encoding='ISO-8859-1'?><domain><title>ä</title></domain>")
    assert etree.tostring(tree.find("title"), encoding="unicode") == "<title>ä</title>"
