# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no row of a table can say of a domain: spellings, values that follow others. Private to this collection."""

from __future__ import annotations

import re
from copy import deepcopy
from typing import TYPE_CHECKING

from .._units import unit_factor
from .document import remove
from .values import cpuset

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_CHARACTER_DEVICES = ("serial", "parallel", "console", "channel", "redirdev", "smartcard")
# a serial port of these kinds is none that a console stands for
_NO_CONSOLE_OF_ITS_OWN = ("pci-serial", "usb-serial", "isa-debug")


# -- other spellings of the same, applied to every tree ------------------------------------------------------


def one_listen_spelling(tree: Element) -> None:
    """`<graphics listen='A'>` and `socket='S'` are short for a child <listen>, and libvirt writes both."""
    for graphics in tree.iterfind("devices/graphics"):
        address, socket = graphics.attrib.pop("listen", None), graphics.attrib.pop("socket", None)
        if graphics.find("listen") is not None:
            continue
        if socket is not None:
            graphics.append(graphics.makeelement("listen", {"type": "socket", "socket": socket}))
        elif address is not None:
            graphics.append(graphics.makeelement("listen", {"type": "address", "address": address}))


def automatic_ports(tree: Element) -> None:
    """With autoport the numbers are the running domain's; port='-1' also asks for it; a socket has no port at all."""
    for graphics in tree.iterfind("devices/graphics"):
        if graphics.get("port") == "-1" and graphics.get("autoport") is None:
            graphics.set("autoport", "yes")
        names: tuple[str, ...] = ("port", "tlsPort") if graphics.get("autoport") == "yes" else ()
        listen = graphics.find("listen")
        if listen is not None and listen.get("type") in ("none", "socket"):
            names = ("port", "tlsPort", "autoport")
        for name in names:
            graphics.attrib.pop(name, None)


def own_aliases_only(tree: Element) -> None:
    """libvirt names devices anew at each start; only names that begin with ua- are the user's."""
    for alias in tree.findall("devices/*/alias"):
        if not alias.get("name", "").startswith("ua-"):
            remove(alias)


def console_is_serial(tree: Element) -> None:
    """The first console of type serial is the first serial port seen once more; libvirt makes each from the other."""
    console, serial = tree.find("devices/console"), tree.find("devices/serial")
    if console is None or _target_type(console) not in (None, "serial"):
        return
    if serial is None:
        console.tag = "serial"
        console.attrib.pop("tty", None)
        target = console.find("target")
        if target is not None:
            target.attrib.pop("type", None)
    elif _target_type(serial) not in _NO_CONSOLE_OF_ITS_OWN:
        remove(console)


def numbers_of_consoles(tree: Element) -> None:
    """libvirt counts the consoles anew, whatever number was written."""
    for target in tree.iterfind("devices/console/target"):
        if target.get("type") not in (None, "serial"):
            target.attrib.pop("port", None)


def sources_of_a_run(tree: Element) -> None:
    """The terminal of a pty and the socket that libvirt chose for a channel are the running domain's."""
    for tag in _CHARACTER_DEVICES:
        for device in tree.iterfind(f"devices/{tag}"):
            source = device.find("source")
            if source is not None and (device.get("type") == "pty" or _is_chosen_socket(device, source)):
                remove(source)
    for source in tree.iterfind("devices/interface[@type='network']/source"):
        source.attrib.pop("bridge", None)


def targets_with_a_name(tree: Element) -> None:
    """A device name that only the run had leaves an element behind that libvirt's schema refuses."""
    for target in tree.findall("devices/interface/target"):
        if not target.attrib:
            remove(target)


def empty_drives(tree: Element) -> None:
    """An empty drive can be written with an empty file name, or without a source, and then it is one for files."""
    for disk in tree.iterfind("devices/disk"):
        source = disk.find("source")
        if source is not None and not len(source) and not any(source.attrib.values()):
            remove(source)
        if disk.find("source") is None and disk.get("type") in ("network", "volume"):
            disk.set("type", "file")


def no_snapshot_of_read_only(tree: Element) -> None:
    """What is read-only takes no part in snapshots, said or not."""
    for disk in tree.iterfind("devices/disk[@snapshot='no']"):
        if disk.get("device") == "cdrom" or disk.find("readonly") is not None:
            del disk.attrib["snapshot"]


def no_timeout_without_menu(tree: Element) -> None:
    """libvirt drops the time to wait in a boot menu that there is not."""
    for menu in tree.iterfind("os/bootmenu"):
        if menu.get("enable") in (None, "no"):
            menu.attrib.pop("timeout", None)


def off_without_details(tree: Element) -> None:
    """libvirt forgets how something would be, if it is off."""
    for feature in (*tree.iterfind("features/hyperv/*"), *tree.iterfind("features/kvm/*")):
        if feature.get("state") == "off":
            feature.attrib.clear()
            feature.set("state", "off")
            for child in list(feature):
                remove(child)
    for reconnect in tree.iterfind("devices//reconnect[@enabled='no']"):
        reconnect.attrib.pop("timeout", None)


def iscsi_unit(tree: Element) -> None:
    """The first unit of an iSCSI target is meant where none is written."""
    for source in tree.iterfind("devices/*/source[@protocol='iscsi']"):
        name = source.get("name")
        if name and "/" not in name:
            source.set("name", f"{name}/0")


def label_only_if_static(tree: Element) -> None:
    """A dynamic label is made for each run."""
    for label in tree.iterfind("seclabel"):
        if label.get("type", "dynamic") == "dynamic":
            for child in label.findall("label"):
                remove(child)


def one_scheduler_row_each(tree: Element) -> None:
    """libvirt writes one row for each vCPU or I/O thread, however many were named in one."""
    for tag, name in (("vcpusched", "vcpus"), ("iothreadsched", "iothreads")):
        for row in tree.findall(f"cputune/{tag}"):
            numbers = cpuset(row.get(name, ""))
            for number in sorted(numbers or (), reverse=True):
                single = deepcopy(row)
                single.set(name, str(number))
                row.addnext(single)
            if numbers:
                remove(row)


def smbios_uuid(tree: Element) -> None:
    """A UUID has no letter case; the other entries have one."""
    for entry in tree.iterfind("sysinfo/system/entry[@name='uuid']"):
        entry.text = (entry.text or "").lower() or None


def numa_cell_numbers(tree: Element) -> None:
    """Cells without an id are counted in their order."""
    for number, cell in enumerate(tree.iterfind("cpu/numa/cell")):
        if cell.get("id") is None:
            cell.set("id", str(number))


# -- values that follow others, after a merge -----------------------------------------------------------------


def memory_is_the_sum(_current: Element, _declared: Element, merged: Element) -> None:
    """With NUMA cells libvirt ignores <memory>: it is what the cells and the memory modules add up to."""
    memory = merged.find("memory")
    cells = [(cell.get("memory"), cell.get("unit")) for cell in merged.iterfind("cpu/numa/cell")]
    modules = [(size.text, size.get("unit")) for size in merged.iterfind("devices/memory/target/size")]
    sizes = [_kib(text, unit) for text, unit in cells + modules]
    if memory is not None and cells and None not in sizes:
        memory.text = str(sum(size for size in sizes if size is not None))
        memory.set("unit", "KiB")


def current_memory_follows(current: Element, declared: Element, merged: Element) -> None:
    """A domain that had all of its memory has all of its new memory too, unless the declaration says otherwise."""
    if declared.find("currentMemory") is not None:
        return
    memory, balloon = current.find("memory"), current.find("currentMemory")
    target, wanted = merged.find("currentMemory"), merged.find("memory")
    if target is None or wanted is None or memory is None or balloon is None:
        return
    if _kib(memory.text, memory.get("unit")) == _kib(wanted.text, wanted.get("unit")):
        return
    if _kib(memory.text, memory.get("unit")) == _kib(balloon.text, balloon.get("unit")):
        target.text = wanted.text
        target.attrib.clear()
        target.attrib.update(dict(wanted.attrib))


def current_memory_fits(_current: Element, _declared: Element, merged: Element) -> None:
    """There can't be more memory in use than there is; libvirt lowers it."""
    memory, balloon = merged.find("memory"), merged.find("currentMemory")
    if memory is None or balloon is None:
        return
    most, used = (_kib(item.text, item.get("unit")) for item in (memory, balloon))
    if most is not None and used is not None and used > most:
        balloon.text = str(most)
        balloon.set("unit", "KiB")


def current_vcpus_fit(_current: Element, declared: Element, merged: Element) -> None:
    """A smaller maximum takes the number of active vCPUs with it."""
    wanted, vcpu = declared.find("vcpu"), merged.find("vcpu")
    if wanted is None or vcpu is None or wanted.get("current") is not None or vcpu.get("current") is None:
        return
    if not (vcpu.get("current", "").isdigit() and (vcpu.text or "").isdigit()):
        return
    if int(vcpu.get("current", "0")) >= int(vcpu.text or "0"):
        del vcpu.attrib["current"]


def all_vcpus_at_work(_current: Element, _declared: Element, merged: Element) -> None:
    """libvirt leaves the number of vCPUs at work out when it is all of them."""
    vcpu = merged.find("vcpu")
    if vcpu is not None and vcpu.get("current") == vcpu.text:
        vcpu.attrib.pop("current", None)


def vcpus_have_a_cell(current: Element, _declared: Element, merged: Element) -> None:
    """libvirt puts the vCPUs that no NUMA cell names into cell 0."""
    path = "cpu/numa/cell[@id='0']"
    first, before = merged.find(path), current.find(path)
    named = [cpuset(cell.get("cpus", "")) for cell in merged.iterfind("cpu/numa/cell[@cpus]")]
    count = merged.findtext("vcpu", "")
    if first is None or None in named or not count.isdigit():
        return
    missing = set(range(int(count))).difference(*(cpus for cpus in named if cpus is not None))
    if not missing:
        return
    wanted = missing | (cpuset(first.get("cpus", "")) or set())
    known = "" if before is None else before.get("cpus", "")
    first.set("cpus", known if cpuset(known) == wanted else ",".join(map(str, sorted(wanted))))


def iothreads_fit(_current: Element, declared: Element, merged: Element) -> None:
    """libvirt makes as many I/O threads as are counted or named, whichever is more; those it named itself go first."""
    count, ids = merged.find("iothreads"), merged.findall("iothreadids/iothread")
    if count is None or not ids or not (count.text or "0").isdigit():
        return
    named = {item.get("id") for item in declared.iterfind("iothreadids/iothread")}
    wanted = max(int(count.text or "0"), len(named))
    for item in [item for item in reversed(ids) if item.get("id") not in named][: max(0, len(ids) - wanted)]:
        remove(item)
    count.text = str(wanted)


def _target_type(device: Element) -> str | None:
    target = device.find("target")
    return None if target is None else target.get("type")


def _is_chosen_socket(device: Element, source: Element) -> bool:
    target, path = device.find("target"), source.get("path")
    name = None if target is None else target.get("name")
    if device.tag != "channel" or device.get("type") != "unix" or name is None:
        return False
    pattern = rf".*/channel/(target/)?([^/]+\.|[^/]+/){re.escape(name)}"
    return source.get("mode", "bind") == "bind" and (path is None or re.fullmatch(pattern, path) is not None)


def _kib(text: str | None, unit: str | None) -> int | None:
    factor = unit_factor(unit or "KiB")
    if text is None or not text.isdigit() or factor is None:
        return None
    return -(-int(text) * factor // 1024)
