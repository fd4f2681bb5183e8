# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options imply for a merged domain, and good defaults for what is new. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import TYPE_CHECKING

from ..._xml.compare import equal
from ..._xml.document import ensure, remove
from ..host_facts import HostFacts
from . import devices, disks, machine
from ._rows import Params
from .defaults import DEFAULTS_FOR_NEW, new_disk, new_interface

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


def completed(merged: Element, params: Params, host: HostFacts, current: Element | None = None) -> Element:
    """A copy of `merged` to define. `current` is the existing domain's normalised XML, None for a new one.

    Takes out what the options rule out, which no list of elements can say, and gives a new domain, or a new disk or
    interface of an existing one, the defaults of this collection. What it adds is not the user's word and has no place
    in the record of the last declaration. Defaults of the domain are only for one that is made from options; raw XML
    is taken as it is.
    """
    tree = deepcopy(merged)
    if current is None and not params.get("xml"):
        for default in DEFAULTS_FOR_NEW:
            default.lay(tree, params, host)
    seen = host.with_machine_of(tree)
    _complete_devices(tree, params, seen, current)
    _rule_out(tree, params)
    _rule_out_of_disks(tree, params, seen)
    if current is not None:
        _free_addresses(tree, current)
        _fit_machine(tree, current)
    if current is not None and not params.get("xml"):
        _keep_others(tree, params, current)
    return tree


def _complete_devices(tree: Element, params: Params, host: HostFacts, current: Element | None) -> None:
    old_targets = (
        {item.get("dev") for item in current.iterfind("devices/disk/target")} if current is not None else set()
    )
    old_macs = (
        {item.get("address") for item in current.iterfind("devices/interface/mac")} if current is not None else set()
    )
    if params.get("disks"):
        for disk in tree.iterfind("devices/disk"):
            target = disk.find("target")
            if target is not None and target.get("dev") not in old_targets:
                new_disk(disk, host)
    if params.get("interfaces"):
        for interface in tree.iterfind("devices/interface"):
            mac = interface.find("mac")
            if mac is None or mac.get("address") not in old_macs:
                new_interface(interface, host)


def _rule_out(tree: Element, params: Params) -> None:
    """Takes out single elements and attributes that the options say are not there."""
    if params.get("firmware") == "bios":
        system = ensure(tree, "os")
        system.attrib.pop("firmware", "")
        _remove_all(system, *machine.FIRMWARE_PARTS)
    if params.get("loader"):
        ensure(tree, "os").attrib.pop("firmware", "")
    if params.get("agent") is False:
        _remove_all(tree, f"devices/channel/target[@name='{devices.AGENT}']/..")
    _one_boot_order(tree, params)
    _all_active(tree, params)


def _one_boot_order(tree: Element, params: Params) -> None:
    """The two ways to order devices exclude each other: the one that was named replaces the other."""
    if machine.orders_devices(params):
        _remove_all(tree, "os/boot")
    elif params.get("boot_order"):
        _remove_all(tree, "devices/*/boot")


def _all_active(tree: Element, params: Params) -> None:
    """vcpus without a maximum is the maximum too, and libvirt leaves out that all are active."""
    count = tree.find("vcpu")
    if params.get("vcpus") is not None and count is not None and count.text == str(params["vcpus"]):
        count.attrib.pop("current", "")


def _rule_out_of_disks(tree: Element, params: Params, host: HostFacts) -> None:
    """A drive that names no source is empty, and a disk that is not read-only can be written to."""
    given = params.get("disks") or []
    for disk, (target, _bus) in zip(given, disks.targets(given, host, tree)):
        here = f"devices/disk/target[@dev='{target}']/.."
        if not any(disk.get(source) for source in ("file", "block", "volume", "network")):
            _remove_all(tree, f"{here}/source")
        for flag in ("readonly", "shareable"):
            if disk.get(flag) is False:
                _remove_all(tree, f"{here}/{flag}")


def _remove_all(tree: Element, *paths: str) -> None:
    for path in paths:
        for item in tree.findall(path):
            remove(item)


def _free_addresses(tree: Element, current: Element) -> None:
    """A disk that goes to another bus leaves its address on the old one, and libvirt chooses another."""
    for disk in tree.iterfind("devices/disk"):
        target = disk.find("target")
        old = None if target is None else current.find(f"devices/disk/target[@dev='{target.get('dev')}']")
        if target is None or old is None or old.get("bus") == target.get("bus"):
            continue
        address, before = disk.find("address"), old.find("../address")
        if address is not None and before is not None and sorted(address.items()) == sorted(before.items()):
            disk.remove(address)


def _fit_machine(tree: Element, current: Element) -> None:
    """Another kind of machine has other buses: what libvirt chose for the old one, it chooses anew."""
    kinds = [machine.kind_of(item.find("os/type")) for item in (tree, current)]
    if None in kinds or kinds[0] == kinds[1]:
        return
    used = {target.get("bus") for target in tree.iterfind("devices/disk/target")}
    old = current.findall("devices/controller")
    for controller in tree.findall("devices/controller"):
        bus = controller.get("type")
        if any(equal(controller, other) for other in old) and (bus == "pci" or (bus == "ide" and bus not in used)):
            remove(controller)
    places = [sorted(place.items()) for place in current.iterfind("devices/*/address[@type='pci']")]
    for device in tree.iterfind("devices/*"):
        place = device.find("address[@type='pci']")
        if place is not None and sorted(place.items()) in places:
            device.remove(place)


def _keep_others(tree: Element, params: Params, current: Element) -> None:
    """agent and nested each name one entry of a list; the list's other entries stay."""
    if params.get("agent") is not None:
        _keep_list(
            tree, current, "devices", "channel", lambda item: item.find(f"target[@name='{devices.AGENT}']") is not None
        )
    if params.get("nested") is not None and (params.get("cpu") or {}).get("features") is None:
        _keep_list(tree, current, "cpu", "feature", lambda item: item.get("name") in ("vmx", "svm"))


def _keep_list(tree: Element, current: Element, parent: str, tag: str, is_ours: Callable[[Element], bool]) -> None:
    """The merged entry of ours among all the others, each where it was."""
    holder = ensure(tree, parent)
    present = holder.findall(tag)
    ours = [item for item in present if is_ours(item)]
    others = [item for item in current.iterfind(f"{parent}/{tag}") if not is_ours(item)]
    if len(present) == len(ours) + len(others):
        return
    place = holder.index(present[0]) if present else len(holder)
    for item in present:
        holder.remove(item)
    kept = []
    for item in current.iterfind(f"{parent}/{tag}"):
        if not is_ours(item):
            kept.append(deepcopy(item))
        elif ours:
            kept.append(ours.pop(0))
    holder[place:place] = [*kept, *ours]
