# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a good domain out of few options, laid under new ones only. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..._xml.document import element, ensure, parse
from ..host_facts import HostFacts
from ._rows import Params
from .devices import AGENT
from .disks import bus_of_target

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

X86 = ("x86_64", "i686")
_QEMU = ("qemu",)
_MEMORY_KIB = 1048576

# where a machine has no PCI Express of libvirt's kind, or nothing to plug in
_PCIE_MACHINES = ("q35", "virt")
_ROOT_PORTS = 14


@dataclass(frozen=True)
class Default:
    """One default. It holds when `unless`, a path, is not in the tree and `when` says so; `make` writes it."""

    unless: str
    make: Callable[[Element, HostFacts], None]
    reason: str
    drivers: tuple[str, ...] = ()  # none: every driver
    when: Callable[[Element, HostFacts], bool] = lambda _tree, _host: True
    option: str = ""  # an option that was named, even as false or empty, is left alone

    def lay(self, tree: Element, params: Params, host: HostFacts) -> None:
        """Writes the default where it holds."""
        if self.drivers and host.driver not in self.drivers:
            return
        if (self.option and params.get(self.option) is not None) or (self.unless and _present(tree, self.unless)):
            return
        if self.when(tree, host):
            self.make(tree, host)


def _present(tree: Element, path: str) -> bool:
    head, _slash, last = path.rpartition("/")
    if not last.startswith("@"):
        return tree.find(path) is not None
    holder = tree.find(head) if head else tree
    return holder is not None and holder.get(last[1:]) is not None


def _fixed(parent: str, *texts: str) -> Callable[[Element, HostFacts], None]:
    """A default that is always the same XML below `parent`."""

    def make(tree: Element, _host: HostFacts) -> None:
        ensure(tree, parent).extend(parse(text) for text in texts)

    return make


def _type(tree: Element, host: HostFacts) -> None:
    arch = tree.find("os/type")
    tree.set("type", host.best_type(arch.get("arch") if arch is not None else None))


def _os_type(tree: Element, host: HostFacts) -> None:
    ensure(tree, "os/type").text = host.os_type


def _arch(tree: Element, host: HostFacts) -> None:
    ensure(tree, "os/type").set("arch", host.arch)


def _machine(tree: Element, host: HostFacts) -> None:
    kind = ensure(tree, "os/type")
    kind.set("machine", host.machines[kind.get("arch", "")])


def _memory(tree: Element, _host: HostFacts) -> None:
    tree.append(element("memory", {"unit": "KiB"}, text=_MEMORY_KIB))


def _cpu(tree: Element, _host: HostFacts) -> None:
    cpu = ensure(tree, "cpu")
    if tree.get("type") == "kvm":
        cpu.set("mode", "host-passthrough")
        cpu.set("migratable", "on")
    else:
        cpu.set("mode", "maximum")


def _boot(tree: Element, _host: HostFacts) -> None:
    has = {disk.get("device", "disk") for disk in tree.iterfind("devices/disk")}
    order = [name for name, device in (("hd", "disk"), ("cdrom", "cdrom")) if device in has]
    if "disk" not in has and tree.find("devices/interface") is not None:
        order.append("network")
    ensure(tree, "os").extend(element("boot", {"dev": name}) for name in order)


def _video(tree: Element, _host: HostFacts) -> None:
    model = "vga" if _arch_of(tree) in X86 else "virtio"
    ensure(tree, "devices").append(element("video", None, element("model", {"type": model})))


def _root_ports(tree: Element, _host: HostFacts) -> None:
    # index 0 must be said, or libvirt gives it to the first port
    root = element("controller", {"type": "pci", "index": 0, "model": "pcie-root"})
    ports = [element("controller", {"type": "pci", "model": "pcie-root-port"}) for _port in range(_ROOT_PORTS)]
    ensure(tree, "devices").extend([root, *ports])


def _arch_of(tree: Element) -> str:
    kind = tree.find("os/type")
    return kind.get("arch", "") if kind is not None else ""


def _on_x86(tree: Element, _host: HostFacts) -> bool:
    return _arch_of(tree) in X86


def _has_acpi(tree: Element, _host: HostFacts) -> bool:
    return _arch_of(tree) in (*X86, "aarch64")


def _knows_machine(tree: Element, host: HostFacts) -> bool:
    return _arch_of(tree) in host.machines


def _has_pcie(tree: Element, _host: HostFacts) -> bool:
    kind = tree.find("os/type")
    return kind is not None and any(name in kind.get("machine", "") for name in _PCIE_MACHINES)


def _best_cpu_known(tree: Element, host: HostFacts) -> bool:
    return tree.get("type") == "kvm" or host.libvirt_version >= 7001000  # mode maximum


def _has_graphics(tree: Element, _host: HostFacts) -> bool:
    return tree.find("devices/graphics") is not None


def _has_display(tree: Element, host: HostFacts) -> bool:
    return _has_graphics(tree, host) and _arch_of(tree) != "s390x"


def _has_no_device_order(tree: Element, _host: HostFacts) -> bool:
    return tree.find("devices/*/boot") is None and tree.find("os/kernel") is None


def _boots_directly_or_not(tree: Element, host: HostFacts) -> bool:
    return host.driver in ("qemu", "xen") and _has_no_device_order(tree, host)


DEFAULTS_FOR_NEW: tuple[Default, ...] = (
    Default(
        "",
        _os_type,
        "fully virtual machines, or a container's init",
        when=lambda tree, _host: not tree.findtext("os/type"),
    ),
    Default("@type", _type, "hardware virtualisation is ten times as fast as emulation, where the host can do it"),
    Default(
        "os/type/@arch", _arch, "the host's own architecture is the one that it runs fast", drivers=("qemu", "test")
    ),
    Default(
        "os/type/@machine",
        _machine,
        "q35 has PCI Express, and Secure Boot; libvirt would take i440fx",
        _QEMU,
        _knows_machine,
    ),
    Default("memory", _memory, "libvirt has no default: 1 GiB boots every current server distribution"),
    Default("vcpu", _fixed(".", "<vcpu>1</vcpu>"), "as libvirt, but said"),
    Default(
        "os/boot",
        _boot,
        "disk first, then the installer's CD-ROM; a machine without disks boots from the network",
        when=_boots_directly_or_not,
    ),
    Default(
        "features/acpi",
        _fixed("features", "<acpi/>"),
        "a graceful shutdown is an ACPI event, and UEFI needs it",
        _QEMU,
        _has_acpi,
    ),
    Default("features/apic", _fixed("features", "<apic/>"), "more than one vCPU needs it", _QEMU, _on_x86),
    Default(
        "features/vmport",
        _fixed("features", "<vmport state='off'/>"),
        "emulates VMware's backdoor, which confuses the mouse of X",
        _QEMU,
        _on_x86,
    ),
    Default(
        "cpu/@mode",
        _cpu,
        "libvirt's qemu64 lacks x86-64-v2, which current distributions need: as much as there is, "
        "and migratable between equal hosts",
        _QEMU,
        _best_cpu_known,
    ),
    Default(
        "clock",
        _fixed(
            ".",
            "<clock offset='utc'><timer name='rtc' tickpolicy='catchup'/><timer name='pit' tickpolicy='delay'/>"
            "<timer name='hpet' present='no'/></clock>",
        ),
        "ticks that a busy host lost are made up for; HPET costs CPU time and gives nothing",
        _QEMU,
        _on_x86,
    ),
    Default(
        "devices/controller[@model='pcie-root-port']",
        _root_ports,
        "libvirt makes as many ports as there are devices at the start; a device that is plugged in later needs a free "
        "one",
        _QEMU,
        _has_pcie,
    ),
    Default(
        "devices/serial",
        _fixed("devices", "<serial type='pty'><target port='0'/></serial>"),
        "virsh console and the boot messages need one",
        _QEMU,
        option="console",
    ),
    Default(
        f"devices/channel/target[@name='{AGENT}']",
        _fixed("devices", f"<channel type='unix'><target type='virtio' name='{AGENT}'/></channel>"),
        "addresses, graceful shutdown and frozen file systems; costs nothing where no agent runs",
        _QEMU,
        option="agent",
    ),
    Default(
        "devices/rng",
        _fixed("devices", "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>"),
        "a fresh guest has no entropy, and its ssh would wait for some",
        _QEMU,
        option="rng",
    ),
    Default(
        "devices/memballoon",
        _fixed("devices", "<memballoon model='virtio'><stats period='10'/></memballoon>"),
        "statistics of the guest's own view of its memory",
        _QEMU,
    ),
    Default(
        "devices/graphics",
        _fixed(
            "devices", "<graphics type='vnc' autoport='yes'><listen type='address' address='127.0.0.1'/></graphics>"
        ),
        "a screen to look at when the network fails; only the host itself can reach it",
        _QEMU,
        _on_x86,
        option="graphics",
    ),
    Default(
        "devices/video",
        _video,
        "every firmware and kernel has a driver for it; libvirt would take Cirrus on some machines",
        _QEMU,
        _has_display,
        option="video",
    ),
    Default(
        "devices/input",
        _fixed("devices", "<input type='tablet' bus='usb'/>"),
        "absolute pointer positions: the mouse over VNC keeps in step",
        _QEMU,
        _has_graphics,
    ),
)


def new_disk(disk: Element, host: HostFacts) -> None:
    """What a disk that the domain does not have yet gets, unless it says otherwise."""
    target = disk.find("target")
    if host.driver not in ("qemu", "xen") or target is None:
        return
    if target.get("bus") is None:
        target.set("bus", bus_of_target(target.get("dev", "")))
    if host.driver == "qemu" and disk.get("device", "disk") in ("disk", "cdrom"):
        _format(disk, host)
    if host.driver == "qemu" and disk.get("device", "disk") == "disk" and disk.find("readonly") is None:
        driver = ensure(disk, "driver")
        driver.set("name", "qemu")
        if driver.get("discard") is None:
            driver.set("discard", "unmap")  # what the guest trims is free again on the host


def _format(disk: Element, host: HostFacts) -> None:
    """The image's own format: libvirt does not look, and takes raw, which shows the guest a qcow2 file's header."""
    source = disk.find("source")
    if source is None or (disk.find("driver") is not None and disk.find("driver").get("type")):  # type: ignore[union-attr]
        return
    found = host.format_of(source.get("pool"), source.get("volume"), source.get("file"))
    if found is None and (
        disk.get("type") in ("block", "network") or (disk.get("type") == "file" and disk.get("device") == "cdrom")
    ):
        found = "raw"
    if found is not None:
        ensure(disk, "driver").attrib.update({"name": "qemu", "type": found})


def new_interface(interface: Element, host: HostFacts) -> None:
    """What an interface that the domain does not have yet gets, unless it says otherwise."""
    if host.driver == "qemu" and interface.find("model") is None:
        ensure(interface, "model").set("type", "virtio")  # libvirt would take a card of the nineties
    source = interface.find("source")
    if interface.get("type") == "direct" and source is not None and source.get("mode") is None:
        source.set("mode", "bridge")  # guests of one host reach each other; libvirt's vepa needs a special switch
