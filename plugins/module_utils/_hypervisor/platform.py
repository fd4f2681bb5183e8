# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IOMMU, memory encryption, cgroups and drivers, by /proc and /sys. Private to this collection."""

from __future__ import annotations

import re
from typing import Any

from .._kmod.files import Host
from .cpu import Cpu
from .files import names, switch, text

_IOMMU_WORD = re.compile(r"\b((?:intel_|amd_)?iommu(?:\.\w+)?=\S+)")
# what a CPU can, its flag, and the module's parameter that says whether it is on
_ENCRYPTION = {
    "sev": ("sev", "kvm_amd", "sev"),
    "sev_es": ("sev_es", "kvm_amd", "sev_es"),
    "sev_snp": ("sev_snp", "kvm_amd", "sev_snp"),
    "tdx": ("tdx_host_platform", "kvm_intel", "tdx"),
}
_DRIVER = re.compile(r"libvirt_driver_(\w+)\.so")


def read_iommu(host: Host) -> dict[str, Any]:
    """On when the kernel has made groups of devices."""
    directory = host.path("sys/kernel/iommu_groups")
    groups = [
        {"id": int(name), "devices": names(directory / name / "devices")} for name in names(directory) if name.isdigit()
    ]
    return {
        "enabled": bool(groups),
        "units": names(host.path("sys/class/iommu")),
        "kernel_options": _IOMMU_WORD.findall(text(host.path("proc/cmdline")) or ""),
        "groups": groups,
    }


def read_encryption(host: Host, cpu: Cpu) -> dict[str, Any]:
    """For each kind whether the CPU can, and whether KVM has it on (null: the kernel does not say)."""
    return {
        name: {
            "supported": flag in cpu.flags,
            "enabled": switch(host.path(f"sys/module/{module}/parameters/{parameter}")),
        }
        for name, (flag, module, parameter) in _ENCRYPTION.items()
    }


def read_cgroup_version(host: Host) -> int | None:
    """2 where the one hierarchy is mounted at /sys/fs/cgroup; 1 where controllers have their own, also beside it."""
    lines = (text(host.path("proc/self/mounts")) or text(host.path("proc/mounts")) or "").splitlines()
    mounts = {fields[1]: fields[2] for line in lines if len(fields := line.split()) > 2}
    if mounts.get("/sys/fs/cgroup") == "cgroup2":
        return 2
    return 1 if "cgroup" in mounts.values() else None


def read_drivers(host: Host) -> list[str]:
    """The drivers of libvirt's daemon that are installed."""
    places = ("usr/lib", "usr/lib64")
    patterns = ("libvirt/connection-driver/libvirt_driver_*.so", "*/libvirt/connection-driver/libvirt_driver_*.so")
    files = [path for place in places for pattern in patterns for path in host.path(place).glob(pattern)]
    return sorted({found[1] for path in files if (found := _DRIVER.fullmatch(path.name))})
