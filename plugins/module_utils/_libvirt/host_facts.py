# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the options of a domain need to know about the host, from libvirt's capabilities. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from .._deps import libvirt
from .._xml.document import parse
from .errors import is_code

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

    from .connection import Connection

# the machine that a new domain gets, where the host has it
_PREFERRED_MACHINES = {
    "x86_64": ("q35",),
    "i686": ("q35",),
    "aarch64": ("virt",),
    "riscv64": ("virt",),
    "armv7l": ("virt",),
}

# the domain type of each driver that knows only one; qemu has two, and the capabilities say which
_TYPES = {"lxc": "lxc", "test": "test", "esx": "vmware", "vmware": "vmware", "xen": "xen", "bhyve": "bhyve", "vz": "vz"}
_OS_TYPES = {"lxc": "exe"}

# image formats by file name, where nobody has looked into the file
_FORMATS = {
    ".qcow2": "qcow2",
    ".qcow": "qcow",
    ".vmdk": "vmdk",
    ".vdi": "vdi",
    ".vhdx": "vhdx",
    ".raw": "raw",
    ".img": "raw",
    ".iso": "raw",
}


def _unknown_format(_pool: str, _volume: str) -> str | None:
    return None


@dataclass(frozen=True)
class HostFacts:
    """The host as the options see it; plain data, so that everything that uses it is a pure function."""

    driver: str = "qemu"
    libvirt_version: int = 9000000  # of the daemon: major * 1,000,000 + minor * 1,000 + release
    arch: str = "x86_64"
    kvm_arches: frozenset[str] = frozenset()
    machines: Mapping[str, str] = field(
        default_factory=lambda: {"x86_64": "q35"}
    )  # arch to the machine of a new domain
    known_machines: Mapping[str, frozenset[str]] = field(default_factory=dict)  # arch to all that its emulator has
    cpu_vendor: str | None = None  # Intel, AMD …
    volume_format: Callable[[str, str], str | None] = _unknown_format  # of a pool's volume

    @property
    def kvm_usable(self) -> bool:
        """Whether domains of the host's own architecture can have hardware virtualisation."""
        return self.arch in self.kvm_arches

    @property
    def os_type(self) -> str:
        """What domains of this driver run."""
        return _OS_TYPES.get(self.driver, "hvm")

    def best_type(self, arch: str | None = None) -> str:
        """The type of a new domain that names none: kvm when usable, else qemu; other drivers have their own."""
        if self.driver != "qemu":
            return _TYPES.get(self.driver, self.driver)
        return "kvm" if (arch or self.arch) in self.kvm_arches else "qemu"

    def with_machine_of(self, domain: Element | None) -> HostFacts:
        """The same host with architecture and machine of an existing domain, which decide about its buses."""
        kind = domain.find("os/type") if domain is not None else None
        if kind is None:
            return self
        arch = kind.get("arch") or self.arch
        machine = kind.get("machine")
        return replace(self, arch=arch, machines={**self.machines, arch: machine} if machine else self.machines)

    def format_of(self, pool: str | None, volume: str | None, path: str | None) -> str | None:
        """The format of a disk's image, as far as it is known: the volume's own, or by the file's name."""
        if pool and volume:
            return self.volume_format(pool, volume) or _format_of_name(volume)
        return _format_of_name(path or "")


def _format_of_name(name: str) -> str | None:
    return next((found for ending, found in _FORMATS.items() if name.lower().endswith(ending)), None)


def read_host_facts(connection: Connection) -> HostFacts:
    """One call for the capabilities, and a look at each volume whose format somebody asks for."""
    handle = connection.handle
    try:
        capabilities = parse(handle.getCapabilities())
    except libvirt.libvirtError as error:
        if not is_code(error, "VIR_ERR_NO_SUPPORT"):
            raise
        capabilities = None
    facts = HostFacts(
        driver=connection.driver,
        libvirt_version=handle.getLibVersion(),
        machines={},
        volume_format=lambda pool, volume: _read_volume_format(handle, pool, volume),
    )
    return facts if capabilities is None else _with_capabilities(facts, capabilities)


def _with_capabilities(facts: HostFacts, capabilities: Element) -> HostFacts:
    arch = capabilities.findtext("host/cpu/arch") or facts.arch
    guests = {item.get("name", ""): item for item in capabilities.iterfind("guest[os_type='hvm']/arch")}
    kvm = {name for name, item in guests.items() if item.find("domain[@type='kvm']") is not None}
    machines = {name: _machine(name, item) for name, item in guests.items()}
    known = {name: frozenset(m.text or "" for m in item.iterfind("machine")) for name, item in guests.items()}
    return replace(
        facts,
        arch=arch,
        kvm_arches=frozenset(kvm),
        machines={name: machine for name, machine in machines.items() if machine},
        known_machines={name: names for name, names in known.items() if names},
        cpu_vendor=capabilities.findtext("host/cpu/vendor"),
    )


def _machine(arch: str, guest: Element) -> str | None:
    """The preferred machine where the emulator has it, else the first that libvirt lists, which is its own default."""
    names = [item.text or "" for item in guest.iterfind("machine")]
    preferred = [name for name in _PREFERRED_MACHINES.get(arch, ()) if name in names]
    return next(iter(preferred or names), None)


def _read_volume_format(handle: Any, pool: str, volume: str) -> str | None:
    """None when it does not exist yet, or has no format; defining the domain then says what is missing."""
    try:
        found = handle.storagePoolLookupByName(pool).storageVolLookupByName(volume)
        target = parse(found.XMLDesc()).find("target/format")
    except libvirt.libvirtError:
        return None
    return target.get("type") if target is not None else None
