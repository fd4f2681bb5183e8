# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt writes into a domain's XML for the time of a run. Private to this collection."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from .document import remove

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

# a policy as a user writes it, and what is left of it in a run; an optional feature may be there or not
_IN_A_RUN = {"force": "require", "forbid": "disable"}


def is_cpu_of_a_run(seen: Element | None, defined: Element | None) -> bool:
    """Whether the CPU `seen` in a running domain is what libvirt makes of the one that is `defined`."""
    if seen is None or defined is None or seen.get("check") != "full":
        return False
    mode = defined.get("mode", "custom")
    if mode != "custom":
        return mode == "host-model"
    if seen.findtext("model") != defined.findtext("model"):
        return False
    policies = _policies(seen)
    return all(
        policies.get(name) == _IN_A_RUN.get(policy, policy)
        for name, policy in _policies(defined).items()
        if policy != "optional"
    )


def without_details_of_a_run(cpu: Element) -> None:
    """Leaves of a CPU only what a definition says too."""
    cpu.attrib.pop("check", "")
    cpu.attrib.pop("match", "")
    for child in (*cpu.findall("feature"), *cpu.findall("vendor"), *cpu.findall("model")):
        remove(child)


def as_defined(dump: Element, defined: Element) -> Element:
    """A copy of a running domain's dump in which what only the run has is as in the definition that it runs from."""
    copy = deepcopy(dump)
    cpu, old = copy.find("cpu"), defined.find("cpu")
    if cpu is not None and old is not None and is_cpu_of_a_run(cpu, old):
        copy.replace(cpu, deepcopy(old))
    for label in copy.findall("seclabel[@type='dynamic']"):
        if defined.find(f"seclabel[@model='{label.get('model')}']") is None:
            remove(label)
    for disk in copy.iterfind("devices/disk"):
        target, chain = disk.find("target"), disk.find("backingStore")
        if target is None or chain is None:
            continue
        partner = defined.find(f"devices/disk/target[@dev='{target.get('dev')}']/../backingStore")
        if partner is None:
            remove(chain)
    return copy


def _policies(cpu: Element) -> dict[str, str]:
    return {item.get("name", ""): item.get("policy", "require") for item in cpu.iterfind("feature")}
