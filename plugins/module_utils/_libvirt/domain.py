# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The resource domain: read, plan, wait, describe. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from .._deps import libvirt
from .._errors import ConflictError, RefusedError
from .._plan import Plan, Step
from .._resource import Resource
from .._xml.document import to_text
from .._xml.domain_tables import DOMAIN
from .._xml.merge import without_noise
from .connection import Connection
from .domain_declaration import DomainDeclaration, DomainNames, read_declaration, read_names
from .domain_definition import Definition
from .domain_facts import describe_one
from .domain_lookup import find_domain, find_domain_by_uuid
from .domain_state import DomainState, read_state
from .host_facts import HostFacts, read_host_facts

if TYPE_CHECKING:
    from .domain_power import Power

# Some imports below stand where they are used: each is a cost that a task without that use need not have.

# states in which the domain has a process, so that what is declared can take effect now
_UP = ("running", "paused", "restarted")


class DomainResource(Resource[DomainState]):
    """One domain as a task declares it."""

    def __init__(self, connection: Connection, params: Mapping[str, Any]) -> None:
        self._connection = connection
        self._params = params
        self._names: DomainNames = read_names(params)
        self._restarted = False  # state: restarted is reached once it was done in this run
        self._asked_for_memory = False  # a guest that starts is asked by libvirt itself
        self._not_kept: list[str] = []

    def read(self) -> DomainState:
        """The domain, checked to be the one that is meant."""
        names, connection = self._names, self._connection
        domain = find_domain(connection, names.name)
        if names.uuid is not None:
            _check_uuid(names.name, names.uuid, domain, find_domain_by_uuid(connection, names.uuid))
        return read_state(connection, domain)

    def plan(self, current: DomainState) -> Plan:
        """Definition, autostart, live changes, power, in this order."""
        if self._params["state"] == "absent":
            from .domain_removal import Removal

            return Removal(self._connection, self._names.name, self._params).plan(current)
        plan = Plan()
        host = self._host
        declaration = read_declaration(
            self._names, self._params, host, current.live if current.inactive is None else current.inactive
        )
        definition = Definition(self._connection, declaration, self._params, host)
        self._check_there(current, declaration)
        self._check_sources(current, definition, declaration, plan)
        if self._params["transient"]:
            self._plan_transient(current, definition, plan)
        else:
            self._plan_persistent(current, definition, declaration, plan)
        plan.warnings.extend(
            f"libvirt took {path} without an error, but did not keep it: check its spelling, or whether this libvirt "
            "knows it."
            for path in self._not_kept
        )
        return plan

    def settle(self) -> bool:
        """Waits for what wait_for names."""
        if not self._params["wait_for"]:
            return False  # before the import, which a task that does not wait shall not pay for
        from .domain_wait import wait_for

        return wait_for(self._connection, self._names.name, self._params)

    def describe(self, current: DomainState) -> dict[str, Any] | None:
        """The same dictionary as domain_info's."""
        return describe_one(self._connection, current.handle) if current.exists else None

    @cached_property
    def _host(self) -> HostFacts:
        """The host's capabilities, read once: they do not change in a run."""
        return read_host_facts(self._connection)

    @cached_property
    def _power(self) -> Power:
        from .domain_power import Power

        return Power(self._connection, self._names.name, self._params)

    def _check_there(self, current: DomainState, declaration: DomainDeclaration) -> None:
        """A domain that does not exist can only be made from a declaration that says something."""
        gone_by_stopping = self._params["transient"] and self._params["state"] == "stopped"
        if current.exists or declaration.says_something or gone_by_stopping:
            return
        raise RefusedError(
            f"Domain {declaration.name} was to be {self._params['state']}, but {self._connection.uri} has no such "
            "domain, and the task does not declare one. Check the name, or add xml or options such as memory and "
            "disks.",
            details={"name": declaration.name},
        )

    def _check_sources(
        self, current: DomainState, definition: Definition, declaration: DomainDeclaration, plan: Plan
    ) -> None:
        """What is to start must find its networks and volumes; in check mode an earlier task may have to make them."""
        if self._params["state"] not in _UP or current.active:
            return
        tree = definition.new() if current.inactive is None else definition.laid_over(current.inactive, current.record)
        from .domain_checks import missing_sources

        missing = missing_sources(self._connection, tree)
        if missing and not self._connection.read_only:
            raise RefusedError(
                f"Domain {declaration.name} was to be {self._params['state']}, but {'; '.join(missing)}. Make what is "
                "missing first, or correct the declaration; nothing was changed.",
                details={"missing": missing},
            )
        plan.warnings.extend(f"{text}; the domain can't start before it is there." for text in missing)

    def _plan_persistent(
        self, current: DomainState, definition: Definition, declaration: DomainDeclaration, plan: Plan
    ) -> None:
        define = definition.step(current, plan) if declaration.says_something or self._params.get("adopt") else None
        later = self._plan_live(current, definition, plan)
        if define is not None:
            plan.add(self._noting(define, definition))
        autostart = self._params.get("autostart")
        if autostart is not None and autostart != current.autostart:
            if define is None and not current.persistent:
                raise self._no_definition("autostart")
            plan.add(self._autostart(autostart))
        for step in later:
            plan.add(step)
        self._plan_power(current, definition, plan)

    def _noting(self, step: Step, definition: Definition) -> Step:
        """The same step, that also keeps what libvirt silently left out, for the warning of the second plan."""

        def apply() -> None:
            step.apply()
            self._not_kept = definition.not_kept

        return replace(step, apply=apply)

    def _autostart(self, wanted: bool) -> Step:
        def apply() -> None:
            self._connection.handle.lookupByName(self._names.name).setAutostart(int(wanted))

        words = {True: "autostart\n", False: "no autostart\n"}
        return Step(f"domain {self._names.name}", "set autostart", apply, words[not wanted], words[wanted])

    def _plan_live(self, current: DomainState, definition: Definition, plan: Plan) -> list[Step]:
        """Adds the live changes that come before the definition, and gives those that come after it."""
        if current.live is None or self._params["state"] in ("stopped", "saved", "restarted"):
            return []
        if not definition.says_something:
            return []
        from .domain_live import LiveChanges

        live, allowed = current.live, bool(self._params["live"])
        changes = LiveChanges(self._connection, current.handle, self._names.name)
        found = changes.plan(
            live,
            definition.laid_over(live, current.record),
            allowed=allowed,
            asks_for_memory=lambda: not self._asked_for_memory and definition.asks_for_other_memory(current),
        )
        passwords = definition.stale_passwords(current)
        if not allowed:
            found.reasons += [
                f"the {kind} password is another: it takes effect at the next start" for kind in passwords
            ]
        if found.reasons and self._params["restart"] == "if_required":
            return [self._restart(current, definition, "; ".join(found.reasons))]
        for step in found.first:
            plan.add(self._asking(step))
        plan.restart_reasons.extend(found.reasons)
        plan.warnings.extend(() if self._asked_for_memory else found.warnings)
        set_now = [changes.password(live, kind, text) for kind, text in passwords.items()] if allowed else []
        return [*found.steps, *set_now]

    def _asking(self, step: Step) -> Step:
        """The same step, after which the guest is not asked again in this run, however long it takes to follow."""

        def apply() -> None:
            step.apply()
            self._asked_for_memory = True

        return replace(step, apply=apply)

    def _restart(self, current: DomainState, definition: Definition, why: str) -> Step:
        """A paused domain that is to stay so is paused again; a transient one is created anew, or it would be gone."""
        state = self._params["state"]
        paused = state == "paused" or (state == "present" and current.power == "paused")
        create = self._power.start_defined
        if current.inactive is None and self._params["transient"]:
            text = definition.text_over(current)

            def create(flags: int) -> None:
                self._create(text, flags)

        return self._power.restart(current, why, paused=paused, create=create)

    def _no_definition(self, wish: str) -> RefusedError:
        return RefusedError(
            f"Domain {self._names.name} was declared with {wish}, but it is transient: it has no definition to keep "
            f"that. Leave {wish} out, or declare the domain by xml or options without transient: true, so that it is "
            f"defined."
        )

    def _plan_power(self, current: DomainState, definition: Definition, plan: Plan) -> None:
        state = self._params["state"]
        if state == "restarted":
            self._plan_restart(current, definition, plan)
            return
        if state != "present":
            for step in self._power.to(state, current):
                plan.add(step)
        if state == "running" and current.managed_save and any(step.verb == "redefine" for step in plan.steps):
            plan.restart_reasons.append(
                "the domain goes on from its saved memory, with the devices that it had when it was saved"
            )

    def _plan_restart(self, current: DomainState, definition: Definition, plan: Plan) -> None:
        if self._restarted:
            return
        step = self._restart(current, definition, "asked for") if current.active else self._power.start_afresh(current)

        def apply() -> None:
            step.apply()
            self._restarted = True

        plan.add(Step(step.target, step.verb, apply, step.before, step.after))

    def _plan_transient(self, current: DomainState, definition: Definition, plan: Plan) -> None:
        name, state = self._names.name, self._params["state"]
        if current.persistent:
            raise ConflictError(
                f"Domain {name} was declared as transient, but it is defined on {self._connection.uri}. Remove it "
                "first (state: absent), or leave transient out."
            )
        if self._params.get("autostart"):
            raise self._no_definition("autostart")
        if state == "saved":
            raise self._no_definition("state: saved")
        if current.exists:
            for step in self._plan_live(current, definition, plan):
                plan.add(step)
            self._plan_power(current, definition, plan)
        elif state != "stopped":  # a transient domain is there only while it runs
            flags = libvirt.VIR_DOMAIN_START_PAUSED if state == "paused" else 0
            tree, text = definition.new(), definition.new_text()
            definition.check(tree, plan)
            shown = to_text(without_noise(tree, DOMAIN))
            plan.add(Step(f"domain {name}", "create", lambda: self._create(text, flags), None, shown))

    def _create(self, text: str, flags: int) -> None:
        """Starts a domain without a definition."""
        if self._params.get("validate"):
            flags |= libvirt.VIR_DOMAIN_START_VALIDATE
        self._connection.handle.createXML(text, flags)
        self._restarted = self._asked_for_memory = True


def _check_uuid(name: str, uuid: str, by_name: Any, by_uuid: Any) -> None:
    """The name and the UUID must be of one domain, or both be free."""
    if by_name is not None and not DOMAIN.same("uuid", by_name.UUIDString(), uuid):
        raise ConflictError(
            f"Domain {name} was declared with the UUID {uuid}, but the domain of this name has {by_name.UUIDString()}. "
            "Correct the UUID or leave it out, use another name, or remove the other domain first.",
            details={"declared": uuid, "found": by_name.UUIDString()},
        )
    if by_uuid is not None and by_uuid.name() != name:
        raise ConflictError(
            f"Domain {name} was declared with the UUID {uuid}, which domain {by_uuid.name()} has. Use another UUID or "
            "leave it out, or remove the other domain first.",
            details={"declared": uuid, "taken_by": by_uuid.name()},
        )
