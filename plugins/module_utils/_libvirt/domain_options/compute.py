# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Options of memory, vCPUs and the CPU. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..._errors import DeclarationError
from ..._units import format_size, parse_size_kib
from ..._xml.document import element, ensure
from ..host_facts import HostFacts
from ._rows import Params, Row, fill, on_off

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

_CPU_ROWS = (
    Row("mode", "@mode"),
    Row("check", "@check"),
    Row("migratable", "@migratable", on_off),
    Row("model", "model"),
)
_TOPOLOGY_ROWS = tuple(Row(name, f"@{name}") for name in ("sockets", "dies", "cores", "threads"))

# virtualisation inside the guest, by the vendor of the CPU that the guest sees
_NESTED_FEATURES = {"Intel": "vmx", "AMD": "svm"}
_AMD_MODELS = ("epyc", "opteron", "athlon", "phenom", "qemu64", "dhyana")


def add(domain: Element, params: Params, host: HostFacts) -> set[str]:
    """Lays the options over `domain`; the paths of lists that were declared as empty."""
    _add_memory(domain, params)
    _add_vcpus(domain, params)
    return _add_cpu(domain, params, host)


def _add_memory(domain: Element, params: Params) -> None:
    given = {
        name: parse_size_kib(params[name], option=name)
        for name in ("memory", "maximum_memory")
        if params.get(name) is not None
    }
    for name, size_kib in given.items():
        if size_kib < 1:
            raise DeclarationError(f"{name} was given as {params[name]!r}. A domain needs at least 1 KiB of memory.")
    memory = given.get("memory")
    maximum = given.get("maximum_memory", memory)
    if memory is not None and maximum is not None and memory > maximum:
        raise DeclarationError(
            f"memory is {format_size(memory * 1024)}, but maximum_memory only {format_size(maximum * 1024)}. "
            f"Raise maximum_memory, or lower memory.",
            details={"memory_kib": memory, "maximum_memory_kib": maximum},
        )
    for tag, size in (("memory", maximum), ("currentMemory", memory)):
        if size is not None:
            domain.append(element(tag, {"unit": "KiB"}, text=size))


def _add_vcpus(domain: Element, params: Params) -> None:
    vcpus, maximum = params.get("vcpus"), params.get("maximum_vcpus")
    for name, count in (("vcpus", vcpus), ("maximum_vcpus", maximum)):
        if count is not None and count < 1:
            raise DeclarationError(f"{name} was given as {count}. A domain needs at least one vCPU.")
    if maximum is None:
        maximum = vcpus
    if maximum is None:
        return
    if vcpus is not None and vcpus > maximum:
        raise DeclarationError(
            f"vcpus is {vcpus}, but maximum_vcpus only {maximum}. Raise maximum_vcpus, or lower vcpus.",
            details={"vcpus": vcpus, "maximum_vcpus": maximum},
        )
    # libvirt leaves the attribute out where all are active
    domain.append(element("vcpu", {"current": vcpus if vcpus != maximum else None}, text=maximum))


def _add_cpu(domain: Element, params: Params, host: HostFacts) -> set[str]:
    options = params.get("cpu") or {}
    nested = params.get("nested")
    features = options.get("features")
    if not options and nested is None:
        return set()
    _check_cpu(options)
    cpu = ensure(domain, "cpu")
    fill(cpu, options, _CPU_ROWS)
    if options.get("topology"):
        _add_topology(domain, cpu, options["topology"])
    policies = {feature["name"]: feature["policy"] for feature in features or []}
    if nested is not None:
        policies[nested_feature(options.get("model"), host)] = "require" if nested else "disable"
    for name, policy in policies.items():
        cpu.append(element("feature", {"policy": policy, "name": name}))
    return {"cpu/feature"} if features is not None and not policies else set()


def _check_cpu(options: Params) -> None:
    if options.get("model") and options.get("mode") not in (None, "custom"):
        raise DeclarationError(
            f"cpu.model is {options['model']}, but cpu.mode {options['mode']} takes the host's model. Use mode: "
            "custom, or leave the model out."
        )
    if options.get("mode") == "custom" and not options.get("model"):
        raise DeclarationError("cpu.mode is custom, but there is no cpu.model. Add a model, such as EPYC.")
    if options.get("migratable") is not None and options.get("mode") not in ("host-passthrough", "maximum"):
        raise DeclarationError(
            "cpu.migratable only goes with cpu.mode host-passthrough or maximum. Leave it out, or add the mode."
        )
    names = [feature["name"] for feature in options.get("features") or []]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DeclarationError(f"cpu.features names {', '.join(twice)} more than once. Give each feature one policy.")


def _add_topology(domain: Element, cpu: Element, topology: Params) -> None:
    counts = {name: topology.get(name) or 1 for name in ("sockets", "dies", "cores", "threads")}
    total = counts["sockets"] * counts["dies"] * counts["cores"] * counts["threads"]
    maximum = domain.findtext("vcpu")
    if maximum is not None and int(maximum) != total:
        raise DeclarationError(
            f"cpu.topology gives {total} vCPUs (sockets x dies x cores x threads), but the domain is to have at most "
            f"{maximum}. Make the two agree.",
            details={"topology_vcpus": total, "maximum_vcpus": int(maximum)},
        )
    fill(ensure(cpu, "topology"), counts, _TOPOLOGY_ROWS)


def nested_feature(model: str | None, host: HostFacts) -> str:
    """vmx or svm: by the model that the guest sees, else by the host; emulation (TCG) only knows svm."""
    if model is not None:
        return "svm" if model.lower().startswith(_AMD_MODELS) else "vmx"
    return _NESTED_FEATURES.get(host.cpu_vendor or "", "svm")
