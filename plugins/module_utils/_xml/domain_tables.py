# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine knows about <domain> (https://libvirt.org/formatdomain.html). Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .tables import Discriminator, ListRow, SizeRow, Tables
from .values import same_caseless, same_cpuset, same_integer, same_machine, same_uuid

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


def _is_ps2(element: Element) -> bool:
    """x86 machines have a PS/2 mouse and keyboard whether or not somebody wrote them down."""
    return element.get("bus") in ("ps2", "xen")


def _always(_element: Element) -> bool:
    """libvirt adds entries of this kind as other devices need them."""
    return True


def _is_itco(element: Element) -> bool:
    """q35 has this watchdog built in; newer libvirt writes it down (since 9.1)."""
    return element.get("model") == "itco"


def _one_listen_spelling(tree: Element) -> None:
    """`<graphics listen='A'>` is short for a child `<listen type='address' address='A'/>`, and libvirt writes both."""
    for graphics in tree.iterfind("devices/graphics"):
        address = graphics.attrib.pop("listen", "")
        if address and graphics.find("listen") is None:
            graphics.append(graphics.makeelement("listen", {"type": "address", "address": address}))


def _automatic_ports(tree: Element) -> None:
    """With autoport the numbers are the running domain's, and port='-1' is another way to ask for it."""
    for graphics in tree.iterfind("devices/graphics"):
        if graphics.get("port") == "-1" and graphics.get("autoport") is None:
            graphics.set("autoport", "yes")
        if graphics.get("autoport") == "yes":
            for name in ("port", "tlsPort"):
                graphics.attrib.pop(name, "")


def _current_memory_follows(current: Element, declared: Element, merged: Element) -> None:
    """A domain that had all of its memory has all of its new memory too, unless the declaration says otherwise."""
    if declared.find("currentMemory") is not None or declared.find("memory") is None:
        return
    memory, balloon = current.find("memory"), current.find("currentMemory")
    target, wanted = merged.find("currentMemory"), merged.find("memory")
    if target is None or wanted is None or memory is None or balloon is None:
        return
    if (memory.text, memory.get("unit")) == (balloon.text, balloon.get("unit")):
        target.text = wanted.text
        target.attrib.clear()
        target.attrib.update(dict(wanted.attrib))


def _current_vcpus_fit(_current: Element, declared: Element, merged: Element) -> None:
    """A smaller maximum takes the number of active vCPUs with it."""
    wanted, vcpu = declared.find("vcpu"), merged.find("vcpu")
    if wanted is None or vcpu is None or wanted.get("current") is not None or vcpu.get("current") is None:
        return
    if int(vcpu.get("current", "0")) >= int(vcpu.text or "0"):
        del vcpu.attrib["current"]


DOMAIN = Tables(
    root="domain",
    lists={
        "devices/disk": ListRow(keys=("target/@dev", "alias/@name")),
        "devices/controller": ListRow(keys=("@type,@index", "alias/@name"), generated=_always),
        "devices/interface": ListRow(keys=("mac/@address", "alias/@name")),
        "devices/filesystem": ListRow(keys=("target/@dir", "alias/@name")),
        "devices/graphics": ListRow(keys=("@type",)),
        "devices/graphics/listen": ListRow(keys=("@type",)),
        "devices/graphics/channel": ListRow(keys=("@name",)),
        "devices/input": ListRow(keys=("@type,@bus",), generated=_is_ps2),
        "devices/serial": ListRow(keys=("target/@port", "alias/@name")),
        "devices/parallel": ListRow(keys=("target/@port", "alias/@name")),
        # the first serial port has a console of its own
        "devices/console": ListRow(keys=("target/@type,target/@port", "alias/@name"), generated=_always),
        "devices/channel": ListRow(keys=("target/@name", "target/@address,target/@port", "alias/@name")),
        "devices/video": ListRow(keys=("alias/@name",)),
        "devices/sound": ListRow(keys=("alias/@name",)),
        "devices/audio": ListRow(keys=("@id",), generated=_always),
        "devices/hostdev": ListRow(keys=("alias/@name",)),
        "devices/redirdev": ListRow(keys=("alias/@name",)),
        "devices/smartcard": ListRow(),
        "devices/hub": ListRow(),
        "devices/rng": ListRow(keys=("alias/@name",)),
        "devices/tpm": ListRow(),
        "devices/watchdog": ListRow(keys=("@model",), generated=_is_itco),
        "devices/memory": ListRow(keys=("alias/@name",)),
        "devices/shmem": ListRow(keys=("@name",)),
        "devices/panic": ListRow(keys=("@model",)),
        "devices/*/source/host": ListRow(keys=("@name,@port",)),
        "devices/interface/ip": ListRow(keys=("@address",)),
        "devices/interface/route": ListRow(keys=("@address,@prefix",)),
        "devices/interface/filterref/parameter": ListRow(keys=("@name",)),
        "devices/interface/vlan/tag": ListRow(keys=("@id",)),
        "cpu/feature": ListRow(keys=("@name",)),
        "cpu/numa/cell": ListRow(keys=("@id",)),
        "cpu/numa/cell/distances/sibling": ListRow(keys=("@id",)),
        "clock/timer": ListRow(keys=("@name",)),
        "cputune/vcpupin": ListRow(keys=("@vcpu",)),
        "cputune/iothreadpin": ListRow(keys=("@iothread",)),
        "vcpus/vcpu": ListRow(keys=("@id",), whole=False),
        "iothreadids/iothread": ListRow(keys=("@id",)),
        "numatune/memnode": ListRow(keys=("@cellid",)),
        "memoryBacking/hugepages/page": ListRow(keys=("@nodeset",)),
        "os/boot": ListRow(ordered=True),
        "os/firmware/feature": ListRow(keys=("@name",), whole=False),
        "os/initarg": ListRow(ordered=True),
        "os/initenv": ListRow(keys=("@name",)),
        "sysinfo": ListRow(keys=("@type",)),
        "sysinfo/*/entry": ListRow(keys=("@name",), whole=False),
        "sysinfo/entry": ListRow(keys=("@name",)),
        "sysinfo/oemStrings/entry": ListRow(ordered=True),
        "seclabel": ListRow(keys=("@model",), whole=False),
        "ns:commandline/ns:arg": ListRow(ordered=True),
        "ns:commandline/ns:env": ListRow(keys=("@name",)),
    },
    values={
        "uuid": same_uuid,
        "os/type/@machine": same_machine,
        "devices/interface/mac/@address": same_caseless,
        "devices/disk/wwn": same_caseless,
        "**/address/@*": same_integer,
        "devices/controller/target/@*": same_integer,
        "devices/*/source/vendor/@id": same_integer,
        "devices/*/source/product/@id": same_integer,
        "vcpu/@cpuset": same_cpuset,
        "cputune/*/@cpuset": same_cpuset,
        "numatune/*/@nodeset": same_cpuset,
        "cpu/numa/cell/@cpus": same_cpuset,
        "memoryBacking/hugepages/page/@nodeset": same_cpuset,
        "devices/memory/source/nodemask": same_cpuset,
    },
    sizes={
        "memory": SizeRow(),
        "currentMemory": SizeRow(),
        "maxMemory": SizeRow(),
        "memtune/*": SizeRow(),
        "cpu/numa/cell/@memory": SizeRow(),
        "memoryBacking/hugepages/page/@size": SizeRow(),
        "devices/memory/target/size": SizeRow(),
        "devices/memory/target/requested": SizeRow(),
        "devices/memory/target/block": SizeRow(),
        "devices/memory/target/label/size": SizeRow(),
        "devices/memory/source/pagesize": SizeRow(),
        "devices/shmem/size": SizeRow(unit="MiB"),
    },
    volatile=(
        "@id",
        # what a running domain has for the time of its run
        ("devices/interface/target/@dev", r"(vnet|vif|macvtap|macvlan)\d+(\.\d+)?"),
        "devices/interface/source/@portid",
        "devices/*/@tty",
        "devices/*/source/@index",
        "devices/disk/backingStore/@index",
        "devices/disk/mirror",
        "devices/channel/target/@state",
        "seclabel/label",
        "seclabel/imagelabel",
        "**/privateData",
    ),
    discriminators={
        "cpu": Discriminator("mode", keep=("topology", "numa")),
        "devices/disk": Discriminator("type", keep=("alias", "address")),
        "devices/interface": Discriminator("type", keep=("mac", "alias", "address")),
        "devices/filesystem": Discriminator("type", keep=("alias", "address")),
        "devices/hostdev": Discriminator("type", keep=("alias",)),
        "devices/serial": Discriminator("type", keep=("target", "alias", "address")),
        "devices/console": Discriminator("type", keep=("target", "alias", "address")),
        "devices/parallel": Discriminator("type", keep=("target", "alias", "address")),
        "devices/channel": Discriminator("type", keep=("target", "alias", "address")),
        "devices/video/model": Discriminator("type"),
        "devices/tpm/backend": Discriminator("type"),
        "devices/rng/backend": Discriminator("model"),
        "devices/graphics/listen": Discriminator("type"),
        "clock": Discriminator("offset", keep=("timer",)),
    },
    containers=("devices", "os", "features", "metadata"),
    kept=("uuid", "name", "devices/interface/mac", "devices/*/address", "devices/*/alias", "devices/emulator"),
    opaque=("metadata/*",),
    noise=("devices/*/address", "devices/*/alias"),
    rewrites=(_one_listen_spelling, _automatic_ports),
    adjust=(_current_memory_follows, _current_vcpus_fit),
)
