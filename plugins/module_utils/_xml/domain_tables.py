# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine knows about <domain> (https://libvirt.org/formatdomain.html). Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import domain_rewrites as rewrites
from .tables import Discriminator, ListRow, SizeRow, Tables
from .values import (
    same_address,
    same_caseless,
    same_cpuset,
    same_integer,
    same_mac,
    same_machine,
    same_number,
    same_octal,
    same_uuid,
    same_video_memory,
)

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


def _is_ps2(element: Element) -> bool:
    """x86 machines have a PS/2 mouse and keyboard whether or not somebody wrote them down."""
    return element.get("bus") in ("ps2", "xen")


def _always(_element: Element) -> bool:
    """libvirt adds entries of this kind as other devices need them."""
    return True


def _no_text(element: Element) -> bool:
    """An element whose attributes say nothing without its text."""
    return not element.text


def _nothing_in_it(element: Element) -> bool:
    """An element of which the running domain's parts were all there was."""
    return not element.attrib and not len(element)


def _like_the_other_channels(channel: Element) -> bool:
    """A SPICE channel of which is said what holds for all of them."""
    graphics = channel.getparent()
    return graphics is not None and channel.get("mode") == graphics.get("defaultMode", "any")


def _is_raw(protocol: Element) -> bool:
    """Bytes as they come, which libvirt writes down for TCP only."""
    return protocol.get("type") == "raw"


def _is_off(element: Element) -> bool:
    """A feature that is off whether said or not."""
    return element.get("state") == "off"


def _is_unlimited(limit: Element) -> bool:
    """libvirt's number for "no limit" (VIR_DOMAIN_MEMORY_PARAM_UNLIMITED), in KiB."""
    return (limit.text or "").isdigit() and int(limit.text or "0") >= 9007199254740991


def _is_itco(element: Element) -> bool:
    """q35 has this watchdog built in; newer libvirt writes it down (since 9.1)."""
    return element.get("model") == "itco"


# elements that say nothing when they are empty, and that libvirt then leaves out
_ONLY_CONTAINERS = (
    "metadata",
    "memtune",
    "blkiotune",
    "cputune",
    "numatune",
    "memoryBacking",
    "resource",
    "vcpus",
    "iothreadids",
    "pm",
    "perf",
    "sysinfo/*",
    "os/acpi",
    "os/firmware",
    "features",
    "features/hyperv",
    "features/kvm",
    "features/tcg",
    "devices/disk/iotune",
    "devices/disk/driver/metadata_cache",
    "devices/disk/source/slices",
    "devices/disk/source/cookies",
    "devices/*/source/initiator",
    "devices/memory/target/label",
    "devices/interface/target",
    "devices/interface/bandwidth",
    "devices/interface/tune",
    "devices/interface/coalesce",
    "devices/redirfilter",
    "ns:commandline",
    "ns:capabilities",
    "ns:override",
)

DOMAIN = Tables(
    root="domain",
    lists={
        "devices/disk": ListRow(keys=("target/@dev", "alias/@name")),
        # the model tells the companions of a USB 2 controller apart, which share its index
        "devices/controller": ListRow(keys=("@type,@index,@model", "@type,@index", "alias/@name"), generated=_always),
        "devices/interface": ListRow(keys=("mac/@address", "alias/@name")),
        "devices/filesystem": ListRow(keys=("target/@dir", "alias/@name")),
        "devices/graphics": ListRow(keys=("@type",)),
        "devices/graphics/listen": ListRow(keys=("@type",)),
        "devices/graphics/channel": ListRow(keys=("@name",)),
        "devices/input": ListRow(keys=("@type,@bus",), generated=_is_ps2),
        "devices/serial": ListRow(keys=("target/@port", "alias/@name")),
        "devices/parallel": ListRow(keys=("target/@port", "alias/@name")),
        "devices/console": ListRow(keys=("alias/@name",)),
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
        # libvirt completes the matrix: each cell's distance to itself, and the way back
        "cpu/numa/cell/distances/sibling": ListRow(keys=("@id",), generated=_always),
        "clock/timer": ListRow(keys=("@name",)),
        "cputune/vcpupin": ListRow(keys=("@vcpu",)),
        "cputune/iothreadpin": ListRow(keys=("@iothread",)),
        "vcpus/vcpu": ListRow(keys=("@id",), whole=False),
        # libvirt names the rest of those that <iothreads> counts
        "iothreadids/iothread": ListRow(keys=("@id",), generated=_always),
        "cputune/vcpusched": ListRow(keys=("@vcpus",)),
        "cputune/iothreadsched": ListRow(keys=("@iothreads",)),
        "devices/redirfilter/usbdev": ListRow(ordered=True),
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
        "genid": same_uuid,
        "**/secret/@uuid": same_uuid,
        "**/encryption/@secret": same_uuid,
        "devices/hostdev/source/address/@uuid": same_uuid,
        "devices/memory/uuid": same_uuid,
        "**/virtualport/parameters/@interfaceid": same_uuid,
        "**/virtualport/parameters/@instanceid": same_uuid,
        "os/type/@machine": same_machine,
        "devices/interface/mac/@address": same_mac,
        "devices/interface/ip/@address": same_address,
        "devices/interface/source/ip/@address": same_address,
        "devices/*/route/@address": same_address,
        "devices/*/route/@gateway": same_address,
        "devices/interface/model/@type": same_caseless,
        "devices/filesystem/@fmode": same_octal,
        "devices/filesystem/@dmode": same_octal,
        "devices/video/model/@ram": same_video_memory,
        "devices/video/model/@vram": same_video_memory,
        "devices/video/model/@vram64": same_video_memory,
        "devices/redirfilter/usbdev/@version": same_number,
        "devices/redirfilter/usbdev/@*": same_integer,
        "devices/disk/wwn": same_caseless,
        "**/address/@*": same_integer,
        "devices/controller/target/@*": same_integer,
        "devices/*/source/vendor/@id": same_integer,
        "devices/*/source/product/@id": same_integer,
        "vcpu/@cpuset": same_cpuset,
        "cputune/*/@vcpus": same_cpuset,
        "cputune/cachetune/monitor/@vcpus": same_cpuset,
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
        "devices/memory/source/alignsize": SizeRow(),
        "devices/shmem/size": SizeRow(unit="bytes", granularity=1),
        "**/metadata_cache/max_size": SizeRow(unit="bytes", granularity=1),
        "devices/controller/pcihole64": SizeRow(),
        "features/smm/tseg": SizeRow(unit="MiB", granularity=1),
        "features/tcg/tb-cache": SizeRow(),
        "cputune/cachetune/cache/@size": SizeRow(),
    },
    volatile=(
        "@id",
        # what a running domain has for the time of its run
        ("devices/interface/target/@dev", r"(vnet|macvtap|macvlan).*|vif\d+\.\d+(-emu)?"),
        "devices/interface/source/@portid",
        "devices/*/@tty",
        "**/source/@index",
        "**/backingStore/@index",
        "devices/disk/mirror",
        "devices/channel/target/@state",
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
    defaults={
        # libvirt reads these and does not write them
        "devices/*/source/host/@transport": "tcp",
        "devices/disk/transient/@shareBacking": "no",
        "devices/disk/target/@tray": "closed",
        "devices/disk/iotune/*": "0",
        "devices/graphics/@defaultMode": "any",
        "devices/graphics/@fullscreen": "no",
        "devices/graphics/@p2p": "no",
        "devices/interface/@managed": "no",
        "devices/tpm/backend/@persistent_state": "no",
        "features/hyperv/stimer/direct": _is_off,
        "devices/graphics/channel": _like_the_other_channels,
        "devices/redirfilter/usbdev/@*": "-1",
        "devices/*/protocol": _is_raw,
        "devices/*/backend/protocol": _is_raw,
        "devices/video/model/@primary": "no",
        "memtune/*": _is_unlimited,
        **dict.fromkeys(_ONLY_CONTAINERS, _nothing_in_it),
        "cpu/model": _no_text,
    },
    containers=("devices", "os", "features", "metadata"),
    kept=("uuid", "name", "devices/interface/mac", "devices/*/address", "devices/emulator"),
    opaque=("metadata/*",),
    noise=("devices/*/address",),
    rewrites=(
        rewrites.one_listen_spelling,
        rewrites.automatic_ports,
        rewrites.own_aliases_only,
        rewrites.sources_of_a_run,
        rewrites.console_is_serial,
        rewrites.numbers_of_consoles,
        rewrites.empty_drives,
        rewrites.targets_with_a_name,
        rewrites.no_snapshot_of_read_only,
        rewrites.no_timeout_without_menu,
        rewrites.off_without_details,
        rewrites.iscsi_unit,
        rewrites.label_only_if_static,
        rewrites.one_scheduler_row_each,
        rewrites.smbios_uuid,
        rewrites.numa_cell_numbers,
    ),
    adjust=(
        rewrites.memory_is_the_sum,
        rewrites.current_memory_follows,
        rewrites.current_memory_fits,
        rewrites.current_vcpus_fit,
        rewrites.all_vcpus_at_work,
        rewrites.vcpus_have_a_cell,
        rewrites.iothreads_fit,
    ),
)
