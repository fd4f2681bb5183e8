# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resource network: from what the host has to what the task declares. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from .._deps import etree, require
from .._errors import ConflictError, DeclarationError, NotFoundError, RefusedError
from .._plan import AT_RESTART, NOW, Plan, Step
from .._resource import Resource
from .._xml.compare import differences
from .._xml.document import to_text
from .._xml.fields import take_out
from .._xml.merge import merge, without_noise
from .._xml.network_checks import check_network
from .._xml.network_tables import NETWORK, is_virtual, without_empty_elements
from .._xml.values import same_uuid
from .connection import Connection
from .network_live import SECTIONS, Update, after_updates, restart_reasons, updates
from .network_options import MODES, Declaration, declaration
from .network_record import recorded, with_record
from .network_restart import Guest, guests_of, restart_steps, return_steps, waiting_name
from .network_state import NetworkState, bridge_name, describe_network, find_network, read_network

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


@dataclass(frozen=True)
class Found:
    """What the host has: the network, and guests that an interrupted restart left waiting for it."""

    state: NetworkState | None
    waiting: tuple[Guest, ...] = ()
    waiting_network: str | None = None


class NetworkResource(Resource[Found]):
    """A network as a task declares it."""

    def __init__(self, connection: Connection, params: dict[str, Any]) -> None:
        require("lxml")
        self._connection = connection
        self._params = params
        self._declared: Declaration = declaration(params)
        self._label = f"network {self._declared.name}"

    @property
    def _handle(self) -> Any:
        return self._connection.handle

    # -- read -------------------------------------------------------------------------------------------------

    def read(self) -> Found:
        """The network of the declared name, and whether the declared UUID belongs to another one."""
        declared = self._declared
        network = find_network(self._handle.networkLookupByName, declared.name)
        if network is None:
            self._refuse_other_name()
            return Found(None)
        state = read_network(network)
        if declared.uuid and not same_uuid(declared.uuid, state.uuid):
            raise ConflictError(
                f"{self._label} was declared with the UUID {declared.uuid}, but a network of this name has the UUID "
                f"{state.uuid}. Leave the UUID out, give that one, use another name, or remove the other network "
                "first.",
                details={"name": state.name, "uuid": state.uuid},
            )
        name = waiting_name(state.uuid)
        waiting = find_network(self._handle.networkLookupByName, name)
        if waiting is None:
            return Found(state)
        return Found(state, tuple(guests_of(waiting)), name)

    def _refuse_other_name(self) -> None:
        uuid = self._declared.uuid
        other = find_network(self._handle.networkLookupByUUIDString, uuid) if uuid else None
        if other is not None and self._params["state"] != "absent":
            raise ConflictError(
                f"{self._label} was declared with the UUID {uuid}, which the network {other.name()} has. libvirt can't "
                "rename a network: leave the UUID out, or remove the other network first.",
                details={"name": other.name(), "uuid": uuid},
            )

    # -- plan -------------------------------------------------------------------------------------------------

    def plan(self, current: Found) -> Plan:
        """The steps; a network is defined before it is started, and updated live before its definition follows."""
        plan = Plan()
        if self._params["state"] == "absent":
            self._plan_absent(current, plan)
        elif current.state is None:
            self._plan_new(plan)
        else:
            self._plan_existing(current.state, current, plan)
        return plan

    def _plan_absent(self, current: Found, plan: Plan) -> None:
        state = current.state
        if state is None:
            return
        self._refuse_cutting_off(current, "removed")
        if state.active:
            plan.add(self._step("stop", lambda: self._network().destroy(), before="active"))
        waiting = current.waiting_network
        if waiting is not None:  # force: true, or nobody waits there
            gone = self._handle.networkLookupByName
            plan.add(self._step("let guests go", lambda: gone(waiting).destroy(), before=waiting))
        if state.persistent:
            plan.add(self._step("undefine", lambda: self._network().undefine(), before=to_text(state.defined)))

    def _plan_new(self, plan: Plan) -> None:
        declared, wanted = self._declared, self._params["state"]
        if not declared.says_something:
            if wanted == "inactive" and not self._params["autostart"]:
                return
            raise NotFoundError(
                f"{self._label} does not exist, and the task does not say what it should be. Check the name, or "
                "declare it: mode (isolated is the least), addresses, or xml."
            )
        needed = MODES[declared.mode].needs if declared.mode else ""
        if (
            needed
            and not self._params[needed]
            and declared.tree.find(needed) is None
            and declared.tree.find("forward/interface") is None
        ):
            raise DeclarationError(f"{self._label}: mode: {declared.mode} needs {needed}. Give it.")
        merged = merge(etree.Element("network"), declared.tree, NETWORK)
        check_network(merged)
        self._refuse_taken_bridge(merged, None)
        self._plan_define(plan, merged, None, effect=NOW)
        self._plan_autostart(plan, False)
        if wanted == "active":
            plan.add(self._start())

    def _plan_existing(self, state: NetworkState, current: Found, plan: Plan) -> None:
        wanted = self._params["state"]
        merged = self._merged(state)
        stays_active = state.active and wanted != "inactive"
        if state.active and wanted == "inactive":
            self._refuse_cutting_off(current, "stopped")
        before, reasons, restart = state.defined, [], False
        if stays_active and state.live is not None:
            paths = self._live_paths(state, merged)
            reasons = restart_reasons(after_updates(state.live, merged, paths), merged)
            restart = bool(reasons) and self._params["restart"] == "if_required"
            if not restart:
                self._plan_updates(plan, state, state.live, merged, paths)
                before = after_updates(before, merged, paths) if state.persistent else before
        if plan.changed and self._declared.xml is not None and not self._must_define(state, before, merged):
            self._plan_remember(plan, merged, state)
        elif self._must_define(state, before, merged):
            self._plan_define(plan, merged, state, before=before, effect=AT_RESTART if reasons and not restart else NOW)
        self._plan_autostart(plan, state.autostart)
        if restart:
            steps, warnings = restart_steps(self._handle, state.network, state.guests, reasons)
            plan.steps += steps
            plan.warnings += warnings
        else:
            plan.restart_reasons += reasons
        if state.active and wanted == "inactive":
            plan.add(self._step("stop", lambda: self._network().destroy(), before="active", after="inactive"))
        elif not state.active and wanted == "active":
            plan.add(self._start())
        if (stays_active or wanted == "active") and current.waiting_network:
            plan.steps += return_steps(self._handle, state.name, current.waiting_network, current.waiting)

    def _merged(self, state: NetworkState) -> Element:
        declared = self._declared
        last = recorded(state.raw) if declared.xml is not None else None
        merged = merge(state.raw, declared.tree, NETWORK, last_applied=last)
        take_out(merged, declared.emptied, NETWORK)
        without_empty_elements(merged)
        if differences(state.defined, merged, NETWORK):
            check_network(merged)
            self._refuse_taken_bridge(merged, state)
        return merged

    def _must_define(self, state: NetworkState, before: Element, merged: Element) -> bool:
        """A transient network is defined when the task says something that a transient one can't keep."""
        if not state.persistent:
            return (
                self._params["state"] == "present" or self._declared.says_something or bool(self._params["autostart"])
            )
        return bool(differences(before, merged, NETWORK))

    def _plan_define(
        self, plan: Plan, merged: Element, state: NetworkState | None, *, before: Element | None = None, effect: str
    ) -> None:
        text = to_text(with_record(merged, self._declared.xml, None if state is None else state.raw))
        shown = before if state is not None and state.persistent else None
        plan.add(
            self._step(
                "define",
                lambda: self._handle.networkDefineXML(text),
                before=None if shown is None else to_text(without_noise(shown, NETWORK)),
                after=to_text(without_noise(merged, NETWORK)),
                effect=effect,
            )
        )

    def _plan_remember(self, plan: Plan, merged: Element, state: NetworkState) -> None:
        """Live updates changed the definition too, but not what is remembered of the declaration."""
        text = to_text(with_record(merged, self._declared.xml, state.raw))
        plan.add(self._step("remember", lambda: self._handle.networkDefineXML(text)))

    def _plan_autostart(self, plan: Plan, present: bool) -> None:
        wanted = self._params["autostart"]
        if wanted is None or wanted == present:
            return
        plan.add(
            self._step(
                "autostart",
                lambda: self._network().setAutostart(int(wanted)),
                before={"autostart": present},
                after={"autostart": wanted},
            )
        )

    # -- live changes -----------------------------------------------------------------------------------------

    def _live_paths(self, state: NetworkState, merged: Element) -> frozenset[str]:
        """The sections that the running network takes over now: what is declared, and what this plan changes."""
        declared = {path for path in SECTIONS if self._declared.tree.find(path) is not None}
        declared |= {path for path in SECTIONS for item in self._declared.emptied if path.startswith(item.path)}
        changed = {path for path in SECTIONS if updates(state.defined, merged, frozenset({path}))}
        return frozenset(declared | changed)

    def _plan_updates(
        self, plan: Plan, state: NetworkState, running: Element, merged: Element, paths: frozenset[str]
    ) -> None:
        """One step for each entry; the definition takes it in the same call as the running network."""
        live = updates(running, merged, paths)
        config = updates(state.defined, merged, paths) if state.persistent else []
        both = sorted(dict.fromkeys(live + config), key=lambda update: not update.delete)
        for update in both:
            plan.add(self._update_step(update, live=update in live, config=update in config))

    def _update_step(self, update: Update, *, live: bool, config: bool) -> Step:
        return Step(
            target=f"{self._label} {update.path}",
            verb="delete" if update.delete else "add",
            apply=lambda: update.call(self._network(), live=live, config=config),
            before=update.xml if update.delete else None,
            after=None if update.delete else update.xml,
        )

    # -- refusals ---------------------------------------------------------------------------------------------

    def _refuse_cutting_off(self, current: Found, verb: str) -> None:
        guests = (*(current.state.guests if current.state else ()), *current.waiting)
        if not guests or self._params["force"]:
            return
        names = ", ".join(sorted({guest.domain for guest in guests}))
        raise RefusedError(
            f"{self._label} was to be {verb}, but these running guests are on it and would lose their connection: "
            f"{names}. Stop them or move them first, or set force: true.",
            details={"guests": [guest.describe() for guest in guests]},
        )

    def _refuse_taken_bridge(self, merged: Element, state: NetworkState | None) -> None:
        """libvirt says it too, but not in check mode."""
        name, present = (_bridge(tree) for tree in (merged, None if state is None else state.defined))
        if name is None or name == present or not is_virtual(merged):
            return
        for other in self._handle.listAllNetworks():
            if other.name() != self._declared.name and bridge_name(other) == name:
                raise ConflictError(
                    f"{self._label} was to have the bridge {name}, but the network {other.name()} has it already. "
                    f"Choose another name for the bridge, or leave it out and libvirt chooses one.",
                    details={"bridge": name, "network": other.name()},
                )

    # -- small ones -------------------------------------------------------------------------------------------

    def describe(self, current: Found) -> dict[str, Any] | None:
        """The dictionary of network and network_info."""
        return None if current.state is None else describe_network(current.state)

    def _network(self) -> Any:
        return self._handle.networkLookupByName(self._declared.name)

    def _start(self) -> Step:
        return self._step("start", lambda: self._network().create(), after="active")

    def _step(
        self, verb: str, apply: Callable[[], Any], *, before: Any = None, after: Any = None, effect: str = NOW
    ) -> Step:
        return Step(target=self._label, verb=verb, apply=apply, before=before, after=after, effect=effect)


def _bridge(network: Element | None) -> str | None:
    bridge = None if network is None else network.find("bridge")
    return None if bridge is None else bridge.get("name")
