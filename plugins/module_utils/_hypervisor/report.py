# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The whole report on a host; what can't be read is null, with the reason. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from .._errors import VirtError
from .._kmod.files import Host
from .cpu import read_cpu, read_memory
from .kvm import kvm_module, read_kvm
from .libvirt_host import read_libvirt
from .nested import read_nested
from .platform import read_cgroup_version, read_drivers, read_encryption, read_iommu
from .validate import validate

# the drivers that virt-host-validate has checks for
_VALIDATED = ("qemu", "lxc", "bhyve", "ch")


def read_hypervisor(params: Mapping[str, Any], host: Host | None = None) -> dict[str, Any]:
    """The module's result, by its options `uri` and `validate`."""
    reasons: dict[str, str] = {}
    found = _ask(reasons, "libvirt", lambda: read_libvirt(params["uri"]))
    driver = found["driver"] if found else params["uri"].partition(":")[0].partition("+")[0]
    checks = None
    if params["validate"] and driver in _VALIDATED:
        checks = _ask(reasons, "validation", lambda: validate(driver))
    facts = local_facts(host or Host(), kvm_guests(found))
    return {"hypervisor": {**facts, "libvirt": found, "validation": checks, "reasons": reasons}}


def kvm_guests(answer: Mapping[str, Any] | None) -> bool | None:
    """Whether libvirt offers KVM: it has run QEMU as its own user before it says so. None where it says nothing."""
    if answer is None or answer["driver"] != "qemu":
        return None
    return any("kvm" in guest["domain_types"] for guest in answer["guests"])


def local_facts(host: Host, by_libvirt: bool | None = None) -> dict[str, Any]:
    """What the kernel's and the system's files say."""
    cpu = read_cpu(host)
    return {
        "cpu": dict(cpu.facts),
        "memory": read_memory(host),
        "kvm": read_kvm(host, cpu, by_libvirt),
        "nested": read_nested(host, kvm_module(host, cpu)),
        "iommu": read_iommu(host),
        "encryption": read_encryption(host, cpu),
        "cgroup_version": read_cgroup_version(host),
        "drivers": read_drivers(host),
    }


def _ask(reasons: dict[str, str], key: str, question: Callable[[], Any]) -> Any:
    try:
        return question()
    except VirtError as error:
        reasons[key] = error.message
        return None
