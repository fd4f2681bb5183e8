# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables, the options and the live changes of networks, without a daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from ansible_collections.nestbox.virt.plugins.doc_fragments.network_options import ModuleDocFragment
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.network_live import (
    SECTIONS,
    after_updates,
    restart_reasons,
    updates,
)
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.network_options import declaration, options_spec
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.network_record import recorded, with_record
from ansible_collections.nestbox.virt.plugins.module_utils._xml.compare import differences, equal
from ansible_collections.nestbox.virt.plugins.module_utils._xml.document import parse, to_text
from ansible_collections.nestbox.virt.plugins.module_utils._xml.fields import read, take_out, write
from ansible_collections.nestbox.virt.plugins.module_utils._xml.merge import merge, normalise
from ansible_collections.nestbox.virt.plugins.module_utils._xml.network_fields import NETWORK_FIELDS
from ansible_collections.nestbox.virt.plugins.module_utils._xml.network_tables import NETWORK

CASES: list[dict[str, str]] = yaml.safe_load((Path(__file__).parent / "networks" / "merge.yml").read_text())
FILES = sorted((Path(__file__).parents[1] / "integration" / "networks").glob("*.xml"))
NOTHING = dict.fromkeys([*options_spec(), "name", "uuid", "xml"])


@pytest.mark.parametrize("case", CASES, ids=[case["case"] for case in CASES])
def test_merge(case: dict[str, str]) -> None:
    current = parse(case["current"])
    last = parse(case["last"]) if "last" in case else None
    merged = merge(current, parse(case["declared"]), NETWORK, last_applied=last)
    expected = case["current"] if case["merged"] == "unchanged" else case["merged"]
    assert to_text(merged) == to_text(normalise(parse(expected), NETWORK))
    again = merge(merged, parse(case["declared"]), NETWORK, last_applied=parse(case["declared"]))
    assert equal(again, merged)


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_what_is_read_as_options_can_be_written(file: Path) -> None:
    """The dictionary of network_info, given back as options, changes nothing."""
    tree = normalise(parse(file.read_text()), NETWORK)
    typed = etree.Element("network")
    write(typed, read(tree, NETWORK_FIELDS), NETWORK_FIELDS)
    assert not differences(tree, merge(tree, typed, NETWORK), NETWORK)


def _words(spec: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """An argument spec as documentation writes it."""
    told: dict[str, Any] = {}
    for name, option in spec.items():
        told[name] = {key: option[key] for key in ("type", "elements", "choices", "required") if key in option}
        inner = option.get("options", option.get("suboptions"))
        if inner is not None:
            told[name]["options"] = _words(inner)
    return told


def test_every_typed_option_is_documented() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    assert _words(documented) == _words(options_spec())


# -- live changes ------------------------------------------------------------------------------------------------------

HOST = st.builds(
    lambda number, ip, name: f"<host mac='52:54:00:00:00:{number:02x}' {name}ip='198.51.100.{ip}'/>",
    st.integers(0, 5),
    st.integers(2, 9),
    st.sampled_from(["", "name='a' ", "name='b' "]),
)
RECORD = st.builds(
    lambda name, value: f"<txt name='{name}' value='{value}'/>", st.sampled_from("abc"), st.sampled_from("xyz")
)


def _network(hosts: list[str], records: list[str]) -> Any:
    """A network in which no MAC address, IP address or record is there twice."""
    by_mac = {host.split()[1]: host for host in hosts}
    hosts = list({host.split()[-1]: host for host in by_mac.values()}.values())
    records = list({record.split()[1]: record for record in records}.values())
    return normalise(
        parse(
            f"<network><dns>{''.join(records)}</dns><ip address='203.0.113.1' prefix='24'/>"
            f"<ip address='198.51.100.1' prefix='24'><dhcp>{''.join(hosts)}</dhcp></ip></network>"
        ),
        NETWORK,
    )


def _apply(tree: Any, made: list[Any]) -> Any:
    """What virNetworkUpdate does to a network, refusing what it refuses."""
    for update in made:
        holder_path = {"ip/dhcp/host": "dhcp", "dns/txt": "dns"}[update.path]
        top = tree if update.ip_index < 0 else tree.findall("ip")[update.ip_index]
        holder = top.find(holder_path)
        holder = etree.SubElement(top, holder_path) if holder is None else holder
        entry = etree.fromstring(update.xml)
        present = [item for item in holder if dict(item.attrib) == dict(entry.attrib)]
        if update.delete:
            assert len(present) == 1
            holder.remove(present[0])
        else:
            keys = ("mac", "ip") if entry.tag == "host" else ("name",)
            assert not any(item.get(key) == entry.get(key) for item in holder for key in keys), "taken already"
            holder.append(entry)
    return normalise(tree, NETWORK)


@given(st.lists(HOST), st.lists(RECORD), st.lists(HOST), st.lists(RECORD))
def test_updates_lead_from_one_network_to_the_other(
    hosts: list[str], records: list[str], new_hosts: list[str], new_records: list[str]
) -> None:
    """Each call is one that libvirt takes at that moment, and all of them together give what was wanted."""
    before, after = _network(hosts, records), _network(new_hosts, new_records)
    paths = frozenset(SECTIONS)
    foreseen = after_updates(before, after, paths)
    assert not differences(foreseen, after, NETWORK)
    assert not restart_reasons(foreseen, after)
    reached = _apply(before, updates(before, after, paths))
    assert not updates(reached, after, paths)


def test_what_needs_a_restart_is_named() -> None:
    live = normalise(parse("<network><mtu size='1500'/><ip address='198.51.100.1' prefix='24'/></network>"), NETWORK)
    defined = normalise(
        parse(
            "<network><metadata><a:b xmlns:a='urn:a'/></metadata><mtu size='9000'/><domain name='lab.example'/>"
            "<ip address='198.51.100.1' prefix='25'/></network>"
        ),
        NETWORK,
    )
    assert restart_reasons(live, defined) == [
        "mtu: the running network has size=1500, defined is size=9000",
        "ip: the running network has address=198.51.100.1, prefix=24, defined is address=198.51.100.1, prefix=25",
        'domain: <domain name="lab.example"/> is defined, but not in the running network',
    ]
    assert not restart_reasons(live, live)


def test_what_a_running_network_has_by_itself_is_no_reason_for_a_restart() -> None:
    running = (
        "<network connections='2'><forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward></network>"
    )
    defined = "<network><forward mode='nat'/></network>"
    assert not restart_reasons(normalise(parse(running), NETWORK), normalise(parse(defined), NETWORK))


def test_a_section_that_is_not_asked_for_is_left_alone() -> None:
    before, after = _network(["<host mac='52:54:00:00:00:01' ip='198.51.100.5'/>"], []), _network([], [])
    assert not updates(before, after, frozenset({"dns/txt"}))
    assert len(updates(before, after, frozenset({"ip/dhcp/host"}))) == 1


# -- options, and what is remembered
# --------------------------------------------------------------------------------------


def test_an_empty_list_empties_only_its_own_address() -> None:
    addresses = [
        {"address": "198.51.100.1/24", "dhcp": {"hosts": []}},
        {"address": "203.0.113.1/24", "dhcp": {"hosts": [{"mac": "52:54:00:00:00:01", "ip": "203.0.113.5"}]}},
    ]
    told = declaration({**NOTHING, "name": "a", "addresses": addresses})
    tree = parse(
        "<network><ip address='198.51.100.1' prefix='24'><dhcp><host mac='52:54:00:00:00:09' "
        "ip='198.51.100.9'/></dhcp></ip>"
        "<ip address='203.0.113.1' prefix='24'><dhcp><host mac='52:54:00:00:00:01' "
        "ip='203.0.113.5'/></dhcp></ip></network>"
    )
    take_out(tree, told.emptied, NETWORK)
    assert [host.get("ip") for host in tree.iter("host")] == ["203.0.113.5"]


def test_options_are_laid_over_the_xml() -> None:
    xml = "<network><name>a</name><forward/><mtu size='1500'/><ip address='198.51.100.1' prefix='24'/></network>"
    told = declaration({**NOTHING, "xml": xml, "mtu": 9000, "mode": "isolated"})
    assert to_text(told.tree) == (
        '<network>\n  <name>a</name>\n  <mtu size="9000"/>\n  <ip address="198.51.100.1" prefix="24"/>\n</network>\n'
    )


def test_the_raw_xml_is_remembered() -> None:
    xml = normalise(parse("<network><name>a</name><mtu size='1500'/></network>"), NETWORK)
    defined = with_record(xml, xml, None)
    remembered = recorded(defined)
    assert remembered is not None
    assert equal(remembered, xml)
    assert equal(normalise(defined, NETWORK), xml)
    again = recorded(with_record(xml, None, defined))
    assert again is not None, "a task without XML keeps what is remembered"
    assert equal(again, xml)
    assert recorded(xml) is None
