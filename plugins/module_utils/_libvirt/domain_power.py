# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ways between running, paused, stopped and saved. Private to this collection."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Callable

from .._deps import libvirt
from .._errors import RefusedError, WaitTimeout
from .._plan import Step
from .connection import Connection
from .domain_lookup import find_domain
from .domain_state import ABSENT, ACTIVE, DomainState, power_of
from .events import Watch

# a guest that is still booting does not hear the power button: it is pressed again this often
_PRESS_AGAIN_S = 10

_STOPPED = ("shut off", "crashed", ABSENT)


class Power:
    """The steps between the power states of one domain."""

    def __init__(self, connection: Connection, name: str, params: Mapping[str, Any]) -> None:
        self._connection = connection
        self._name = name
        self._timeout_s = int(params["timeout"])
        self._force = bool(params["force"])
        self._remove = tuple(params.get("remove") or ())

    def to(self, wanted: str, state: DomainState) -> list[Step]:
        """The steps to the power state `wanted`: running, paused, stopped or saved."""
        ways = {
            "running": self._to_running,
            "paused": self._to_paused,
            "stopped": self._to_stopped,
            "saved": self._to_saved,
        }
        return ways[wanted](state)

    def _to_running(self, state: DomainState) -> list[Step]:
        """Started, resumed or woken up."""
        if state.power == "paused":
            return [self._step("resume", state.power, "running", lambda: self._domain().resume())]
        if state.power == "pmsuspended":
            return [self._step("wake up", state.power, "running", lambda: self._domain().pMWakeup())]
        return [] if state.active else [self.start(state)]

    def _to_paused(self, state: DomainState) -> list[Step]:
        """Stopped in the middle, or started without running."""
        if state.power == "paused":
            return []
        if state.active:
            return [self._step("suspend", state.power, "paused", lambda: self._domain().suspend())]
        flags = libvirt.VIR_DOMAIN_START_PAUSED
        return [self._step("start paused", state.power, "paused", lambda: self._domain().createWithFlags(flags))]

    def _to_stopped(self, state: DomainState) -> list[Step]:
        """Shut down from inside, or by force when that does not end in time."""
        return [self._step("shut down", state.power, "shut off", self.shut_down)] if state.active else []

    def _to_saved(self, state: DomainState) -> list[Step]:
        """Memory written to a file, from which the next start goes on."""
        if state.active:
            return [self._step("save", state.power, "saved", lambda: self._domain().managedSave())]
        if state.managed_save:
            return []
        raise RefusedError(
            f"Domain {self._name} was to be saved, but it is {state.power}, so that there is no memory to save. Start "
            "it first, or use state: stopped.",
            details={"power": state.power},
        )

    def start(self, state: DomainState) -> Step:
        """Starts it; from the saved memory, if there is some."""
        verb = "start from saved memory" if state.managed_save else "start"
        return self._step(verb, state.power, "running", lambda: self._domain().create())

    def start_afresh(self, state: DomainState) -> Step:
        """Starts it with its whole definition; saved memory, which holds devices as they were, must not be there."""
        if not state.managed_save:
            return self.start(state)
        if "managed_save" not in self._remove:
            raise RefusedError(
                f"Domain {self._name} was to be restarted, but it is saved: a fresh start would lose its saved memory. "
                "Add remove: [managed_save] to give that up, or let the domain go on from it first (state: running).",
                details={"needed": ["managed_save"]},
            )
        flags = libvirt.VIR_DOMAIN_START_FORCE_BOOT
        return self._step(
            "start without its saved memory", "saved", "running", lambda: self._domain().createWithFlags(flags)
        )

    def restart(self, state: DomainState, why: str, *, paused: bool, create: Callable[[int], None]) -> Step:
        """Shuts down and starts again, so that the whole definition takes effect; `create` starts it with flags."""
        flags, after = (libvirt.VIR_DOMAIN_START_PAUSED, "paused") if paused else (0, "running")

        def apply() -> None:
            self.shut_down()
            create(flags)

        return Step(f"domain {self._name}", "restart", apply, f"{state.power}\n", f"{after}, restarted: {why}\n")

    def start_defined(self, flags: int) -> None:
        """Starts a domain that has a definition."""
        self._domain().createWithFlags(flags)

    def shut_down(self) -> None:
        """Presses the power button until the guest is down; pulls the plug at the end if the task allows it."""
        domain = find_domain(self._connection, self._name)
        if domain is None or power_of(domain) not in ACTIVE:
            return
        with Watch(self._connection, domain) as watch:
            if not self._press(domain, watch):
                self._pull(domain)

    def _press(self, domain: Any, watch: Watch) -> bool:
        deadline = time.monotonic() + self._timeout_s
        if power_of(domain) == "paused":
            domain.resume()  # a paused guest can't react
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            self._ask(domain)
            if watch.until(lambda: True if power_of(domain) in _STOPPED else None, min(left, _PRESS_AGAIN_S)):
                return True

    def _ask(self, domain: Any) -> None:
        try:
            domain.shutdown()
        except libvirt.libvirtError:
            if power_of(domain) not in _STOPPED:  # else it went down between the look and the call
                raise

    def _pull(self, domain: Any) -> None:
        if not self._force:
            raise WaitTimeout(
                f"Domain {self._name} was asked to shut down, but was still {power_of(domain)} after {self._timeout_s} "
                "s. Raise timeout, see whether the guest listens to ACPI or has a guest agent, or use force: true to "
                "pull the plug.",
                details={"power": power_of(domain), "timeout_s": self._timeout_s},
            )
        try:
            domain.destroy()
        except libvirt.libvirtError:
            if power_of(domain) not in _STOPPED:
                raise

    def _domain(self) -> Any:
        return self._connection.handle.lookupByName(self._name)

    def _step(self, verb: str, before: str, after: str, apply: Any) -> Step:
        return Step(f"domain {self._name}", verb, lambda: _drop(apply()), f"{before}\n", f"{after}\n")


def _drop(_answer: object) -> None:
    """libvirt answers 0, which nobody needs."""
