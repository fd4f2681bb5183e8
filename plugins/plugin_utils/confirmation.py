# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a host over new connections what became of a change, and confirms it. Private to this collection."""

from __future__ import annotations

import json
import shlex
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Callable

from ansible.errors import AnsibleError
from ansible.utils.display import Display

from ansible_collections.nestbox.virt.plugins.module_utils._switch.watchdog import DIED

Data = dict[str, Any]
Execute = Callable[[str], Data]

# after the deadline the host puts itself back, which takes seconds, and its neighbours learn its MAC again
_RESTORING_TAKES_S = 40.0
_WAIT_ON_HOST_S = 4.0
_BETWEEN_ATTEMPTS_S = 0.5
_CONNECT_S = (3.0, 10.0)  # at least and at most for a new connection

_OF_THE_DECLARATION = "Look at addresses, gateway, VLAN and ports in the declaration, or give it more time."
_OF_THE_HOST = "Somebody killed it, or the host had no memory left: see there, and run the task again."

_display = Display()


class AttemptTooLong(Exception):
    """A connection hung."""


def confirm(connection: Any, execute: Execute, pending: Data) -> Data:
    """What the task's result is in the end; never a success that was not confirmed."""
    began = time.monotonic()
    host = _Host(connection, execute, pending)
    with host.impatient():
        final = host.follow()
        if final is not None:
            host.ask("forget")
    facts = {"attempts": host.attempts, "seconds": round(time.monotonic() - began, 1)}
    if final is None:
        return _unknown(host, facts)
    if final["state"] == "confirmed":
        return {**final["outcome"], "confirmation": {"state": "confirmed", **facts}}
    return _restored(final["report"], facts, pending["timeout"])


class _Host:
    """The host at the other end, of which every question is a connection of its own."""

    def __init__(self, connection: Any, execute: Execute, pending: Data) -> None:
        self.connection = connection
        self.execute = execute
        self.pending = pending
        self.connect_s = min(max(pending["timeout"] / 4, _CONNECT_S[0]), _CONNECT_S[1])
        self.attempts = 0
        self.last_error = ""

    def follow(self) -> Data | None:
        """The end of the change, or None where it could not be learned."""
        deadline = time.monotonic() + self.pending["timeout"] + _RESTORING_TAKES_S
        while time.monotonic() < deadline:
            answer = self.ask("wait", f"{_WAIT_ON_HOST_S:g}")
            # it takes another connection to show that the first one was not just about to end
            if answer is not None and answer.get("nonce"):
                answer = self.ask("confirm", answer["nonce"])
            if answer is not None and answer["state"] in ("confirmed", "restored"):
                return answer
            time.sleep(_BETWEEN_ATTEMPTS_S)
        return None

    def ask(self, *words: str) -> Data | None:
        """The host's answer over a new connection; None when there is none in time."""
        self.attempts += 1
        try:
            with _bounded(self.connect_s + 2 * _WAIT_ON_HOST_S):
                self._drop()
                said = self.execute(shlex.join([*self.pending["command"], *words]))
        except (AnsibleError, AttemptTooLong, OSError, EOFError) as error:
            self.last_error = str(error)
            _display.vvv(f"attempt {self.attempts} to ask for the change: {error}")
            return None
        for line in reversed(said.get("stdout", "").splitlines()):
            try:
                answer = json.loads(line)
            except ValueError:
                continue
            if isinstance(answer, dict) and "state" in answer:
                return answer
        self.last_error = (said.get("stderr") or said.get("stdout") or f"rc {said.get('rc')}").strip()
        return None

    def _drop(self) -> None:
        if hasattr(self.connection, "reset"):
            self.connection.reset()
        else:
            self.connection.close()

    @contextmanager
    def impatient(self) -> Iterator[None]:
        """Gives up early on connections that are dead, and shares none, as far as the connection plugin can."""
        alive = f"-o ServerAliveInterval=1 -o ServerAliveCountMax={_WAIT_ON_HOST_S:.0f}"
        ssh = f"-o ControlPath=none -o ConnectTimeout={self.connect_s:.0f} -o ConnectionAttempts=1 {alive}"
        self._try_to_drop()  # the shared one, before its path is forgotten
        wanted = {"timeout": int(self.connect_s), "reconnection_retries": 0, "ssh_args": ssh}
        before = {name: self.connection.get_option(name) for name in wanted if self._has(name)}
        for name, old in before.items():
            # of two the first one counts for ssh
            value = f"{ssh} {old or ''}".strip() if name == "ssh_args" else wanted[name]
            self.connection.set_option(name, value)
        try:
            yield
        finally:
            for name, value in before.items():
                self.connection.set_option(name, value)

    def _try_to_drop(self) -> None:
        try:
            with _bounded(self.connect_s):
                self._drop()
        except (AnsibleError, AttemptTooLong, OSError) as error:
            self.last_error = str(error)

    def _has(self, name: str) -> bool:
        try:
            self.connection.get_option(name)
        except (KeyError, AnsibleError):
            return False
        return True


@contextmanager
def _bounded(seconds: float) -> Iterator[None]:
    """Ends what hangs, where signals can; a `timeout` of the task that is running keeps its own alarm."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    began = time.monotonic()

    def give_up(_number: int, _frame: Any) -> None:
        raise AttemptTooLong(f"The connection gave no answer for {seconds:.0f} seconds.")

    handler = signal.signal(signal.SIGALRM, give_up)
    others = signal.setitimer(signal.ITIMER_REAL, seconds)[0]
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        if others:
            signal.setitimer(signal.ITIMER_REAL, max(others - (time.monotonic() - began), 0.01))


def _restored(report: Data, facts: Data, timeout_s: int) -> Data:
    outcome = report["outcome"]
    tried = "; ".join(f"{step['target']}: {step['verb']}" for step in report["tried"])
    if report["restored"]:
        end = "The host is as it was before, files included."
    else:
        end = f"The host was put back, but this could not be: {'; '.join(report['differences'])}."
    if outcome.get("failed"):
        said = f"{outcome['msg']} {end}"
    else:
        when, advice = f"after {timeout_s} seconds (confirm_timeout)", _OF_THE_DECLARATION
        if report["reason"] == DIED:
            when, advice = "at once", _OF_THE_HOST
        said = f"{report['reason']} It was undone {when}. Tried was: {tried}. {end} {advice}"
    error = {**outcome.get("error", {"code": "not_confirmed", "message": said}), "report": report}
    return {
        "failed": True,
        "changed": not report["restored"],
        "msg": said,
        "error": error,
        "confirmation": {"state": "restored", **facts, "report": report},
    }


def _unknown(host: _Host, facts: Data) -> Data:
    said = (
        f"The host could not be reached any more for {facts['seconds']:.0f} seconds after the change began, not even "
        f"after the {host.pending['timeout']} seconds (confirm_timeout) after which it undoes the change by itself. "
        f"No confirmation is known here. The last attempt said: {host.last_error or 'nothing'}. Its report is in "
        "/var/lib/nestbox.virt/switch/reports, and the next run of this module shows it."
    )
    error = {"code": "not_confirmed", "message": said}
    return {"failed": True, "msg": said, "error": error, "confirmation": {"state": "unknown", **facts}}
