# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processors, memory, NUMA nodes and huge pages, by /proc and /sys. Private to this collection."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._kmod.files import Host
from .files import names, number, text

# as the CPUs call themselves, and the word that people know
_VENDORS = {"GenuineIntel": "Intel", "AuthenticAMD": "AMD", "HygonGenuine": "Hygon", "CentaurHauls": "Centaur"}
# the flag that says that the CPU can virtualise, and the module of KVM that uses it
KVM_MODULES = {"svm": "kvm_amd", "vmx": "kvm_intel"}


@dataclass(frozen=True)
class Cpu:
    """The first processor of /proc/cpuinfo; all of a machine are alike."""

    vendor: str | None
    model: str | None
    flags: frozenset[str]
    facts: Mapping[str, Any]

    @property
    def virtualization(self) -> str | None:
        """svm or vmx."""
        return next((flag for flag in KVM_MODULES if flag in self.flags), None)

    @property
    def kvm_module(self) -> str | None:
        """The module of KVM for this CPU, or None when it has none."""
        return KVM_MODULES.get(self.virtualization or "")


def read_cpu(host: Host, machine: str | None = None) -> Cpu:
    """The processors; `machine` is the architecture as uname tells it."""
    blocks = (text(host.path("proc/cpuinfo")) or "").split("\n\n")
    processors = [_fields(block) for block in blocks if "processor" in _fields(block)]
    first = processors[0] if processors else {}
    raw_vendor = first.get("vendor_id")
    vendor = _VENDORS.get(raw_vendor or "", raw_vendor)
    model, flags = first.get("model name"), frozenset((first.get("flags") or first.get("Features") or "").split())
    cpu = Cpu(vendor, model, flags, {})
    packages = {fields.get("physical id") for fields in processors} - {None}
    cores = {(fields.get("physical id"), fields.get("core id")) for fields in processors if "core id" in fields}
    facts = {
        "architecture": machine or os.uname().machine,
        "vendor": vendor,
        "model": model,
        "virtualization": cpu.virtualization,
        "sockets": len(packages) or None,
        "cores": len(cores) or None,
        "threads": len(processors),
        "numa_nodes": _nodes(host),
    }
    return Cpu(vendor, model, flags, facts)


def read_memory(host: Host) -> dict[str, Any]:
    """Memory and huge pages, in KiB and pages."""
    fields = _fields(text(host.path("proc/meminfo")) or "")
    return {
        "total_kib": _kib(fields.get("MemTotal")),
        "available_kib": _kib(fields.get("MemAvailable")),
        "hugepage_default_kib": _kib(fields.get("Hugepagesize")),
        "hugepages": _hugepages(host),
    }


def _hugepages(host: Host) -> list[dict[str, Any]]:
    directory = host.path("sys/kernel/mm/hugepages")
    found = []
    for name in names(directory):
        size = re.fullmatch(r"hugepages-(\d+)kB", name)
        if size:
            pages = {
                key: number(directory / name / f"{key if key != 'total' else 'nr'}_hugepages")
                for key in ("total", "free", "surplus")
            }
            found.append({"size_kib": int(size[1]), **pages, "reserved": number(directory / name / "resv_hugepages")})
    return sorted(found, key=lambda entry: int(entry["size_kib"] or 0))


def _nodes(host: Host) -> list[dict[str, Any]]:
    directory = host.path("sys/devices/system/node")
    return [
        {
            "id": int(name[4:]),
            "cpus": text(directory / name / "cpulist") or "",
            "memory_kib": _node_memory_kib(text(directory / name / "meminfo") or ""),
        }
        for name in names(directory)
        if re.fullmatch(r"node\d+", name)
    ]


def _node_memory_kib(content: str) -> int | None:
    found = re.search(r"MemTotal:\s+(\d+) kB", content)
    return int(found[1]) if found else None


def _fields(block: str) -> dict[str, str]:
    """Lines of `name : value`."""
    pairs = (line.partition(":") for line in block.splitlines())
    return {name.strip(): value.strip() for name, colon, value in pairs if colon}


def _kib(value: str | None) -> int | None:
    found = re.match(r"(\d+) kB", value or "")
    return int(found[1]) if found else None
