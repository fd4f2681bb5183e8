# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A kernel module as a task declares it: its files, and the running kernel. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .._errors import UnsupportedError
from .._plan import AT_RESTART, Plan, Step
from .._resource import Resource
from .autoload import Autoload, read_autoload
from .control import Control
from .declaration import declaration
from .draft import Draft, draft_options
from .effective import Effective, effective
from .files import COMMAND_LINE, Configuration, Host, read_configuration
from .initramfs import find_initramfs
from .kernel import Loaded, describe_module, read_builtin, read_loaded, require_module_support
from .live import LivePlan, Wanted
from .parameters import Parameter, find
from .store import file_step
from .undo import Undo
from .users import KVM_MODULES, kvm_processes

# what the CPU must have, by /proc/cpuinfo, for a module to find anything to drive
_CPU_FLAGS = {"kvm_amd": ("svm", "AMD-V (svm)"), "kvm_intel": ("vmx", "VT-x (vmx)")}


@dataclass(frozen=True)
class State:
    """Everything that is read of the host."""

    configuration: Configuration
    autoload: Autoload
    modules: Mapping[str, Loaded]  # the module, and all that need it
    builtin: frozenset[str]


class KernelModuleResource(Resource[State]):
    """The module `name`."""

    def __init__(self, params: Mapping[str, Any], host: Host | None = None) -> None:
        self.declared = declaration(params)
        self.host = host or Host()
        self._known: dict[str, Parameter] | None = None

    def read(self) -> State:
        """The files, and what the kernel has loaded; raises where modules can't be loaded at all."""
        require_module_support(self.host)
        builtin = read_builtin(self.host)
        modules: dict[str, Loaded] = {}
        names = [self.declared.name]
        while names:
            name = names.pop()
            if name not in modules:
                modules[name] = read_loaded(self.host, name, builtin)
                names += modules[name].holders
        return State(read_configuration(self.host), read_autoload(self.host), modules, builtin)

    def plan(self, current: State) -> Plan:
        """Files first, then the kernel, then the initramfs. Every refusal comes before the first step."""
        target = current.modules[self.declared.name]
        wanted = self._wanted(target)
        plan = Plan(reboot_reasons=[])
        undo = Undo()
        plan.put_back = undo.run
        draft = Draft(self.declared, current.configuration, warnings=plan.warnings)
        if not target.builtin:
            draft_options(draft, wanted)
        self._draft_rest(draft)
        for path, after in sorted({**draft.changes, **self._autoload_changes(current)}.items()):
            plan.add(file_step(self.host, undo, path, self._before(current, path), after))
        control = Control(self.host, current.builtin, plan.warnings)
        if target.builtin:
            self._plan_builtin(plan, current, wanted, control, undo)
        else:
            before, after_files = effective(current.configuration, self.declared.name), draft.effective
            changed = frozenset(
                name for name in self._declared_names(before) if not _as_before(name, before, after_files)
            )
            LivePlan(
                self.declared, self.host, control, undo, current.modules, wanted, after_files, changed
            ).add_to(plan)  # fmt: skip
        self._plan_initramfs(plan, draft, undo)
        return plan

    def describe(self, current: State) -> dict[str, Any]:
        """The module as it is."""
        target, name = current.modules[self.declared.name], self.declared.name
        found = effective(current.configuration, name)
        return {
            "name": name,
            "loaded": target.loaded,
            "builtin": target.builtin,
            "parameters": target.values,
            "options": {
                key: {"value": item.value, "file": item.origin.path, "line": item.origin.line or None}
                for key, item in sorted(found.options.items())
            },
            "declared": None if self.declared.options is None else dict(self.declared.options),
            "blacklisted": found.blacklisted is not None,
            "softdep": None if found.softdep is None else " ".join(found.softdep.rest.split()),
            "install": None if found.install is None else found.install.rest.strip(),
            "persistent": bool(current.autoload.names(name)),
            "in_use_by": self._in_use_by(target),
        }

    # -- parts of the plan ------------------------------------------------------------------------------------

    def _wanted(self, target: Loaded) -> Wanted:
        """The declared values as text, checked against what the module says of itself."""
        options = self.declared.wanted
        if not options and (not self.declared.present or target.loaded):
            return {}
        known = self._known = self._known or describe_module(self.host, target).parameters
        if self.declared.present and not target.loaded:
            self._require_hardware()
        found = {}
        for name, value in options.items():
            parameter = find(known, self.declared.name, self.declared.spellings[name])
            found[name] = (parameter, parameter.text(value))
        return found

    def _require_hardware(self) -> None:
        if self.declared.name not in _CPU_FLAGS:
            return
        flag, feature = _CPU_FLAGS[self.declared.name]
        try:
            text = self.host.path("proc/cpuinfo").read_text(encoding="ascii", errors="replace")
        except OSError:
            return
        if not re.search(rf"^flags\s*:.*\b{flag}\b", text, re.MULTILINE):
            raise UnsupportedError(
                f"{self.declared.name} was to be loaded, but this machine's CPU does not show {feature}. Switch it on "
                f"in the firmware, give the virtual machine that this is a CPU that has it, or use the module of this "
                f"CPU's vendor.",
                details={"missing_cpu_flag": flag},
            )

    def _declared_names(self, before: Effective) -> set[str]:
        return set(self.declared.options or {}) | (set(before.options) if self.declared.exclusive else set())

    def _draft_rest(self, draft: Draft) -> None:
        if self.declared.blacklisted is not None:
            draft.set_blacklisted(self.declared.blacklisted)
        if self.declared.softdep is not None:
            draft.set_softdep(self.declared.softdep)
        blacklisted = draft.effective.blacklisted
        if self.declared.autoload and blacklisted is not None:
            draft.warnings.append(
                f"{self.declared.name} is to be loaded at the boot, but {blacklisted} blacklists it, and what loads "
                f"modules at the boot leaves out blacklisted ones. Use blacklisted: false."
            )

    def _autoload_changes(self, current: State) -> dict[str, bytes | None]:
        if self.declared.persistent is None or (not self.declared.present and not self.declared.persistent):
            return {}
        return current.autoload.changes(self.declared.name, bool(self.declared.autoload))

    def _before(self, current: State, path: str) -> bytes | None:
        files = {file.path: file.data for file in current.configuration.files}
        files.update(dict(current.autoload.files.values()))
        return files.get(path)

    def _plan_builtin(self, plan: Plan, current: State, wanted: Wanted, control: Control, undo: Undo) -> None:
        """What is built in is always there, and only the kernel's command line sets its parameters at the boot."""
        name, target = self.declared.name, current.modules[self.declared.name]
        if not self.declared.present:
            raise UnsupportedError(f"{name} was to be unloaded, but it is built into the running kernel.")
        booted = effective(Configuration((), current.configuration.command_line), name).options
        for key, (parameter, text) in wanted.items():
            live = target.parameters.get(key)
            if live is not None and live.value is not None and parameter.same(live.value, text):
                continue
            at_boot = key in booted and parameter.same(booted[key].value, text)
            if not at_boot or live is None or live.value is None or not live.writable:
                shown = "" if live is None or live.value is None else f" (now {live.value})"
                raise UnsupportedError(
                    f"{name}.{key} is declared to be {text}{shown}, but {name} is built into the running kernel, so "
                    f"that no file of modprobe.d has a say. Add {name}.{key}={text} to the kernel's command line in "
                    f"the boot loader's configuration, and reboot.",
                    details={"command_line": f"{name}.{key}={text}"},
                )
            plan.add(LivePlan(
                self.declared, self.host, control, undo, current.modules, wanted, effective(current.configuration, name)
            ).write_step(key))  # fmt: skip

    def _plan_initramfs(self, plan: Plan, draft: Draft, undo: Undo) -> None:
        """The image holds a copy of modprobe.d, which the modules in it are loaded by."""
        if self.declared.initramfs == "never":
            return
        found = find_initramfs(self.host)
        if found is None or not found.exists:
            if self.declared.initramfs == "always":
                raise UnsupportedError(
                    "initramfs: always was asked for, but this host has no initramfs of its kernel that "
                    "update-initramfs, dracut or mkinitcpio would build. Use initramfs: auto."
                )
            return
        stale = bool(draft.changes) or self._newest_file_s(draft.configuration) > found.modified_s
        if not stale or (self.declared.initramfs == "auto" and not found.holds(self.declared.name)):
            return

        def apply() -> None:
            undo.forget()  # what was done before is right, whatever becomes of this
            found.rebuild()

        before, after = "older than modprobe.d\n", "built anew\n"
        plan.add(Step(f"initramfs {found.image}", "rebuild", apply, before, after, effect=AT_RESTART))

    def _newest_file_s(self, configuration: Configuration) -> float:
        """When the newest file of /etc that names the module was changed."""
        paths = {entry.origin.path for entry in configuration.entries() if entry.name == self.declared.name}
        ours = [self.host.path(path.lstrip("/")) for path in paths if path.startswith("/etc/") and path != COMMAND_LINE]
        return max((path.stat().st_mtime for path in ours if path.exists()), default=0.0)

    def _in_use_by(self, target: Loaded) -> dict[str, Any]:
        busy = target.uses and target.name in KVM_MODULES
        processes = kvm_processes(self.host) if busy else []
        return {
            "use_count": target.references,
            "modules": list(target.holders),
            "guests": sorted({process.guest for process in processes if process.guest}),
            "processes": [{"pid": process.pid, "name": process.name} for process in processes],
        }


def _as_before(name: str, before: Effective, after: Effective) -> bool:
    """Whether the files give a parameter the same text as they did."""
    old, new = before.options.get(name), after.options.get(name)
    return (old is None) == (new is None) and (old is None or new is None or old.value == new.value)
