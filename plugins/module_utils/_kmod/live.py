# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The running kernel's part of a plan: values written, modules loaded and unloaded. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial

from .._errors import ConflictError, RefusedError, SystemFailure, VirtError
from .._plan import Plan, Step
from .control import Control, arguments_of
from .declaration import Declaration
from .effective import Effective
from .files import Host
from .guests import Guest, Running, Stopper, running_guests
from .kernel import Loaded
from .parameters import Parameter
from .undo import GUESTS, LOAD, UNLOAD, Undo
from .users import KVM_MODULES, Process, interfaces_up, kvm_processes

Wanted = Mapping[str, "tuple[Parameter, str]"]


@dataclass
class LivePlan:
    """Adds steps to a plan; raises where the kernel can't be brought to the declaration safely."""

    declared: Declaration
    host: Host
    control: Control
    undo: Undo
    modules: Mapping[str, Loaded]  # the module, and all that need it, by name
    wanted: Wanted
    after: Effective
    # options that the files had otherwise before; of some the kernel shows no value
    changed: frozenset[str] = frozenset()
    stopper: Stopper = field(init=False)

    def __post_init__(self) -> None:
        self.stopper = Stopper(self.declared.uri, self.declared.timeout_s)

    @property
    def target(self) -> Loaded:
        """The module of the task."""
        return self.modules[self.declared.name]

    def add_to(self, plan: Plan) -> None:
        """The steps, after those that write files."""
        if not self.declared.present:
            if self.target.loaded:
                self._add_removal(plan)
        elif not self.target.loaded:
            self._require_loadable(plan)
            plan.add(self._load_step(self.declared.name, last=True))
        else:
            self._add_values(plan)

    # -- values -----------------------------------------------------------------------------------------------

    def _add_values(self, plan: Plan) -> None:
        live = self.target.parameters
        differing = [
            name
            for name, (parameter, text) in self.wanted.items()
            if name in live and live[name].value is not None and not parameter.same(live[name].value, text)
        ]
        hidden = [name for name in sorted(self.changed) if not self._shown_as_wanted(name) and name not in differing]
        by_reload = [name for name in differing if not live[name].writable] + hidden
        if by_reload and self.declared.reload != "never":
            self._require_loadable(plan)
            self._add_reload(plan, by_reload)
            return
        for name in differing:
            if live[name].writable:
                plan.add(self.write_step(name))
        plan.reboot_reasons = [*(plan.reboot_reasons or []), *map(self._reason, by_reload)]

    def _shown_as_wanted(self, name: str) -> bool:
        """Whether the kernel shows the declared value; of an option that is to go it can't be told."""
        live = self.target.parameters.get(name)
        if name not in self.wanted or live is None or live.value is None:
            return False
        parameter, text = self.wanted[name]
        return parameter.same(live.value, text)

    def _reason(self, name: str) -> str:
        live = self.target.parameters.get(name)
        shown = live.value if live is not None and live.value is not None else "not shown by the kernel"
        wanted = self.wanted[name][1] if name in self.wanted else "the module's default"
        return (
            f"{self.declared.name}.{name} is {shown}, and becomes {wanted} when the module is loaded the next time "
            f"(reload: never)"
        )

    def write_step(self, name: str) -> Step:
        """Writes a parameter that is writable at run time."""
        module, (parameter, text) = self.declared.name, self.wanted[name]
        old = self.target.parameters[name].value or ""

        def apply() -> None:
            self.undo.add(LOAD, f"{module}.{name}={old}", partial(self.control.write, module, name, old))
            self.control.write(module, name, text)
            self._verify(name, parameter, text)

        return Step(f"module {module}", "write", apply, {name: old}, {name: text})

    def _verify(self, name: str, parameter: Parameter, text: str) -> None:
        """/sys/module is the only proof."""
        live = self.control.read(self.declared.name).parameters.get(name)
        if live is not None and live.value is not None and not parameter.same(live.value, text):
            raise SystemFailure(
                f"{self.declared.name}.{name} was to be {text}, but the kernel shows {live.value}. This machine may "
                f"not support the value, the module may round it, or another option may exclude it.",
                details={"parameter": name, "wanted": text, "found": live.value},
            )

    # -- loading ----------------------------------------------------------------------------------------------

    def _require_loadable(self, plan: Plan) -> None:
        """An alias line takes the name away; an install line may leave the options out."""
        name = self.declared.name
        if self.after.alias is not None:
            raise ConflictError(
                f"{name} was to be loaded, but {self.after.alias.origin} makes {self.after.alias.rest} of that name "
                f"for modprobe. Remove that alias line.",
                details={"file": self.after.alias.origin.path, "line": self.after.alias.origin.line},
            )
        if self.after.install is not None:
            plan.warnings.append(
                f"{self.after.install.origin} has an install line for {name}: modprobe runs that command instead "
                f"of loading the module, and options apply only as far as the command does it by modprobe "
                f"--ignore-install."
            )

    def _load_step(self, name: str, *, last: bool) -> Step:
        before = self.modules[name]
        own = name == self.declared.name
        new = {key: text for key, (_parameter, text) in self.wanted.items()} if own else {}
        old = {key: before.values.get(key) for key in new} if before.loaded else None

        def apply() -> None:
            if self.control.read(name).loaded is False:
                self.control.load(name)
                self.undo.add(UNLOAD, f"{name} unloaded", partial(self._unload, name))
            if own:
                for key, (parameter, text) in self.wanted.items():
                    self._verify(key, parameter, text)
            if last:
                self._keep_values()
                self.undo.forget()

        return Step(f"module {name}", "load", apply, old, {"loaded": True, **new} if not before.loaded else new)

    def _keep_values(self) -> None:
        """Once all are loaded again: one may set another's parameters when it is loaded."""
        for before in self.modules.values():
            if before.loaded:
                self.control.keep_values(before, self._declared_names(before.name == self.declared.name))

    def _declared_names(self, own: bool) -> frozenset[str] | None:
        if not own:
            return frozenset()
        return None if self.declared.exclusive else frozenset(self.declared.options or {})

    def _unload_step(self, name: str) -> Step:
        before = self.modules[name]

        def apply() -> None:
            self._unload(name)
            self.undo.add(LOAD, f"{name} with its old options", partial(self._load_as_before, before))

        return Step(f"module {name}", "unload", apply, {"loaded": True}, {"loaded": False})

    def _unload(self, name: str) -> None:
        if self.control.read(name).loaded:
            self.control.unload(name, by_modprobe=self.after.remove is not None and name == self.declared.name)

    def _load_as_before(self, before: Loaded) -> None:
        """By the old files, and with the old values of what this task declares, wherever these came from."""
        own = before.name == self.declared.name
        names = set(self.declared.options or {}) if own else set()
        old = arguments_of({key: value for key, value in before.values.items() if key in names})
        if not self.control.read(before.name).loaded:
            try:
                self.control.load(before.name, old)
            except VirtError:
                # the files held something before this task already that the module refuses: it was loaded without
                names |= set(self.after.options) if own else set()
                old = arguments_of({key: value for key, value in before.values.items() if key in names})
                self.control.load(before.name, old, without_files=True)
        self.control.keep_values(before, frozenset())

    # -- unloading --------------------------------------------------------------------------------------------

    def _add_removal(self, plan: Plan) -> None:
        target = self.target
        if target.holders:
            raise RefusedError(
                f"{target.name} was to be unloaded, but is needed by {', '.join(target.holders)}. Unload these first.",
                details={"needed_by": list(target.holders)},
            )
        self._require_free(self._users([target.name]), may_stop=False)
        plan.add(self._unload_step(target.name))

    def _add_reload(self, plan: Plan, why: list[str]) -> None:
        order = self._unload_order(self.declared.name)
        users = self._users(order)
        guests = self._require_free(users, may_stop=self.declared.reload == "stop_guests", why=why)
        for guest in guests:
            plan.add(self._stop_step(guest))
        for name in order:
            plan.add(self._unload_step(name))
        for name in reversed(order):
            plan.add(self._load_step(name, last=name == order[0]))
        if guests:
            names = ", ".join(guest.name for guest in guests)
            plan.add(Step(f"domain {names}", "start again", self.stopper.start, "shut off\n", "running\n"))

    def _unload_order(self, name: str) -> list[str]:
        """What needs the module first."""
        order: list[str] = []
        for holder in self.modules[name].holders:
            order += [other for other in self._unload_order(holder) if other not in order]
        return [*order, name]

    def _stop_step(self, guest: Guest) -> Step:
        def apply() -> None:
            self.undo.add(GUESTS, f"guest {guest.name}", partial(self.stopper.start, guest.name))
            self.stopper.stop(guest)

        return Step(f"domain {guest.name}", "shut down", apply, "running\n", "shut off\n")

    # -- uses -------------------------------------------------------------------------------------------------

    def _users(self, order: list[str]) -> _Users:
        uses = {name: self.modules[name].uses for name in order if self.modules[name].uses}
        interfaces = [interface for name in order for interface in interfaces_up(self.host, name)]
        if not set(order) & set(KVM_MODULES):
            return _Users(uses, interfaces)
        return _Users(uses, interfaces, running_guests(self.declared.uri), kvm_processes(self.host) if uses else [])

    def _require_free(self, users: _Users, *, may_stop: bool, why: list[str] | None = None) -> list[Guest]:
        """The guests that have to be shut down; raises RefusedError when something else, or they, must not be."""
        if users.interfaces:
            raise RefusedError(
                f"{self._asked(why)}, but its network interfaces are up: {', '.join(users.interfaces)}. Set them down "
                f"first, or use reload: never and reboot when it suits.",
                details={"interfaces": users.interfaces},
            )
        if not users.uses and not users.running.guests:
            return []
        if not may_stop or not users.running.guests or users.others:
            raise RefusedError(f"{self._asked(why)}, but {users.text()}", details=users.details())
        return list(users.running.guests)

    def _asked(self, why: list[str] | None) -> str:
        if why is None:
            return f"{self.declared.name} was to be unloaded"
        return f"{self.declared.name} has to be loaded again for {', '.join(why)}"


@dataclass(frozen=True)
class _Users:
    """Who uses the modules that have to go."""

    uses: Mapping[str, int]
    interfaces: list[str]
    running: Running = field(default_factory=Running)
    processes: list[Process] = field(default_factory=list)

    @property
    def others(self) -> list[Process]:
        """Processes that are no guests of this libvirt."""
        names = {guest.name for guest in self.running.guests}
        return [process for process in self.processes if process.guest not in names]

    def text(self) -> str:
        """Who it is, and what to do."""
        counts = ", ".join(f"{name} (use count {count})" for name, count in self.uses.items()) or "KVM"
        guests = [f"guest {guest.name}" for guest in self.running.guests]
        who = ", ".join(guests + [str(process) for process in self.others]) or "something that /proc does not show"
        if self.others or not guests:
            unknown = f" ({self.running.unknown})" if self.running.unknown and self.processes else ""
            remedy = f"End what uses it{unknown}, or use reload: never and reboot when it suits."
        else:
            remedy = "Shut the guests down, use reload: stop_guests, or reload: never and reboot when it suits."
        return f"{counts} is in use by {who}. Nothing was changed. {remedy}"

    def details(self) -> dict[str, object]:
        """The same as data."""
        return {
            "use_count": dict(self.uses),
            "guests": [guest.name for guest in self.running.guests],
            "processes": [
                {"pid": process.pid, "name": process.name, "guest": process.guest} for process in self.processes
            ],
        }
