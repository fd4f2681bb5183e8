# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a network changes without a restart, and how (virNetworkUpdate). Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._deps import etree, libvirt
from .._xml.compare import ADD, REMOVE, Difference, differences
from .._xml.document import ensure, remove
from .._xml.merge import normalise
from .._xml.network_tables import NETWORK, is_virtual, with_default_ports

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

# https://libvirt.org/html/libvirt-libvirt-network.html#virNetworkUpdateSection, and src/conf/network_conf.c for what
# it really
# takes: modify is there only for some, and finds an entry by any one of its values; so a change is a delete and an add
SECTIONS: dict[str, str] = {
    "ip/dhcp/host": "VIR_NETWORK_SECTION_IP_DHCP_HOST",
    "ip/dhcp/range": "VIR_NETWORK_SECTION_IP_DHCP_RANGE",
    "dns/host": "VIR_NETWORK_SECTION_DNS_HOST",
    "dns/txt": "VIR_NETWORK_SECTION_DNS_TXT",
    "dns/srv": "VIR_NETWORK_SECTION_DNS_SRV",
    "portgroup": "VIR_NETWORK_SECTION_PORTGROUP",
    "forward/interface": "VIR_NETWORK_SECTION_FORWARD_INTERFACE",
}


@dataclass(frozen=True)
class Update:
    """One entry that is added to, or deleted from, a section."""

    path: str
    delete: bool
    ip_index: int  # which <ip> it belongs to; -1 where there is none
    xml: str

    def call(self, network: Any, *, live: bool, config: bool) -> None:
        """virNetworkUpdate, on the running network, the definition, or both at once."""
        command = (
            libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE if self.delete else libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST
        )
        flags = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE if live else 0
        flags |= libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG if config else 0
        network.update(command, getattr(libvirt, SECTIONS[self.path]), self.ip_index, self.xml, flags)


def updates(before: Element, after: Element, paths: frozenset[str]) -> list[Update]:
    """The calls that turn the entries at `paths` of `before` into those of `after`: all deletes come first."""
    found = [
        update
        for path in SECTIONS
        if path in paths and _can_update(path, after)
        for update in _of_section(before, after, path)
    ]
    return sorted(found, key=lambda update: not update.delete)


def after_updates(before: Element, after: Element, paths: frozenset[str]) -> Element:
    """`before` as it is once the updates at `paths` have been made."""
    made = deepcopy(before)
    for path in SECTIONS:
        if path not in paths or not _can_update(path, after):
            continue
        for target, source, _index in _holders(made, after, path):
            _take_over(target, source, path)
    return normalise(made, NETWORK)


def restart_reasons(live: Element, defined: Element) -> list[str]:
    """Why the running network is not what is defined: what only a restart brings into effect."""
    running, wanted = deepcopy(live), deepcopy(defined)
    for tree in (running, wanted):
        with_default_ports(tree)
    return [_reason(item) for item in _details(running, wanted, "") if not item.path.startswith("metadata")]


def _details(before: Element, after: Element, path: str) -> Iterator[Difference]:
    """The differences, with those inside an entry of a list one by one."""
    for item in differences(before, after, NETWORK, path):
        inside = item.before is not None and item.after is not None and item.before is not before
        if inside and item.before is not None and item.after is not None:
            yield from _details(item.before, item.after, item.path)
        else:
            yield item


def _can_update(path: str, after: Element) -> bool:
    # a network with a bridge of its own has one way out, and rules of the firewall for it
    return path != "forward/interface" or not is_virtual(after)


def _of_section(before: Element, after: Element, path: str) -> Iterator[Update]:
    tag = path.rpartition("/")[2]
    for target, source, index in _holders(before, after, path):
        prefix = path.rpartition("/")[0]
        old, new = _bare(target, prefix, tag), _bare(source, prefix, tag)
        for item in differences(old, new, NETWORK, prefix):
            if item.before is not None:
                yield Update(path, True, index, _text(item.before))
            if item.after is not None:
                yield Update(path, False, index, _text(item.after))


def _holders(before: Element, after: Element, path: str) -> list[tuple[Element, Element, int]]:
    """Pairs of roots or <ip> elements that hold the section on both sides, with the index of the first one's <ip>."""
    if not path.startswith("ip/"):
        return [(before, after, -1)]
    pairs = []
    new = after.findall("ip")
    for index, target in enumerate(before.findall("ip")):
        source = next((item for item in new if _same_subnet(item, target)), None)
        if source is not None:
            pairs.append((target, source, index))
    return pairs


def _same_subnet(first: Element, second: Element) -> bool:
    return first.get("prefix") == second.get("prefix") and NETWORK.same(
        "ip/@address", first.get("address", ""), second.get("address", "")
    )


def _bare(holder: Element, prefix: str, tag: str) -> Element:
    """The entries of one section alone, in an element that has nothing else."""
    made = etree.Element("section")
    made.extend(deepcopy(item) for item in _entries(holder, prefix, tag))
    return made


def _entries(holder: Element, prefix: str, tag: str) -> list[Element]:
    inner = "/".join(part for part in prefix.split("/") if part and part != "ip")
    return list(holder.findall(f"{inner}/{tag}" if inner else tag))


def _take_over(target: Element, source: Element, path: str) -> None:
    """Makes the entries of `target` those of `source`, in the order that the two share, so that equal stays equal."""
    prefix, _slash, tag = path.rpartition("/")
    inner = "/".join(part for part in prefix.split("/") if part and part != "ip")
    for item in _entries(target, prefix, tag):
        remove(item)
    new = _entries(source, prefix, tag)
    if new:
        holder = ensure(target, inner) if inner else target
        holder.extend(deepcopy(item) for item in new)


def _text(item: Element) -> str:
    return str(etree.tostring(item, encoding="unicode", with_tail=False))


def _reason(item: Difference) -> str:
    if item.verb == ADD and item.after is not None:
        return f"{item.path}: {_text(item.after)} is defined, but not in the running network"
    if item.verb == REMOVE and item.before is not None:
        return f"{item.path}: {_text(item.before)} is in the running network, but no longer defined"
    return f"{item.path or 'network'}: the running network has {_facts(item.before)}, defined is {_facts(item.after)}"


def _facts(item: Element | None) -> str:
    """The attributes, or the text, of one element."""
    if item is None:
        return "nothing"
    values = [f"{name}={item.get(name)}" for name in sorted(map(str, item.attrib))]
    return ", ".join(values) or (item.text or "").strip() or "nothing"
