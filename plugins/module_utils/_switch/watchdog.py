# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The process that decides alone, by one loop, whether a change stays or is undone. Private to this collection.

Who asks is answered over a socket, so a confirmation and the deadline can't cross each other.
"""

from __future__ import annotations

import json
import os
import secrets
import select
import socket
import time
from typing import Any

from . import boot
from .place import Place
from .restore import restore

# the worker starts when the module has ended; it is missed when the module was killed before that
_WORKER_COMES_WITHIN_S = 20.0
_LINE = 1 << 16

NOT_CONFIRMED = "The controller did not confirm the change over a new connection in time."
FAILED = "The change failed by itself."
DIED = "The process that applied the change ended without an outcome."
NEVER_BEGAN = "The module ended before the change began."
TOO_LONG = "The change was not applied completely in time."


class Watchdog:
    """One change, from its savepoint to its end."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.savepoint = place.read("savepoint.json") or {}
        self.confirm_timeout_s = float(self.savepoint["confirm_timeout"])
        self.worker: socket.socket | None = None
        self.waiting: list[socket.socket] = []
        self.confirmed_by: socket.socket | None = None
        started = place.read("started.json")  # a watchdog that was killed is started again
        self.began = started is not None
        wait_s = self.confirm_timeout_s if self.began else _WORKER_COMES_WITHIN_S
        self.deadline = (started["at"] if started else time.monotonic()) + wait_s
        self.outcome = place.read("outcome.json")
        self.listening = socket.socket(socket.AF_UNIX)

    def run(self) -> None:
        """Until the change is confirmed or undone."""
        self.place.drop("socket")
        self.listening.bind(self.place.socket)
        self.listening.listen(16)
        reason = self._found()
        while reason is None and self.confirmed_by is None:
            left = self.deadline - time.monotonic()
            if left <= 0:
                reason = self._late()
                break
            sockets = [self.listening, *([self.worker] if self.worker else [])]
            for ready in select.select(sockets, [], [], left)[0]:
                reason = reason or (self._accept() if ready is self.listening else self._hear())
        self._end(self._undo(reason) if reason is not None else self._keep())

    def _found(self) -> str | None:
        """What an earlier watchdog of this change, which was killed, had come to."""
        undoing = self.place.read("undo.json")
        if undoing is not None:
            return str(undoing["reason"])
        return self._judge() if self.began else None

    def _judge(self) -> str | None:
        """Why what the worker left has to be undone; None when it is a success, which can be confirmed now."""
        if self.outcome is None:
            return DIED
        if self.outcome.get("failed"):
            return FAILED
        if self.place.read("nonce.json") is None:
            self.place.write("nonce.json", {"nonce": secrets.token_hex(16)})
        for asker in self.waiting:
            self._tell_done(asker)
        self.waiting.clear()
        return None

    def _late(self) -> str:
        if self.outcome is not None:
            return NOT_CONFIRMED
        return TOO_LONG if self.began else NEVER_BEGAN

    def _accept(self) -> str | None:
        asker, _address = self.listening.accept()
        asker.settimeout(2)
        try:
            request = json.loads(asker.recv(_LINE) or b"{}")
        except (OSError, ValueError):
            asker.close()
            return None
        answers = {"begin": self._begin, "wait": self._wait, "confirm": self._confirm}
        answer = answers.get(request.get("say", ""))
        if answer is None:
            asker.close()
        else:
            answer(asker, request)
        return None

    def _begin(self, asker: socket.socket, _request: dict[str, Any]) -> None:
        """The worker: from now on the time counts."""
        now = time.monotonic()
        self.place.write("started.json", {"at": now})
        self.began, self.deadline, self.worker = True, now + self.confirm_timeout_s, asker
        _tell(asker, {"state": "begun"})

    def _hear(self) -> str | None:
        """The worker has ended."""
        if self.worker is not None:
            self.worker.close()
        self.worker = None
        self.outcome = self.place.read("outcome.json")
        return self._judge()

    def _wait(self, asker: socket.socket, _request: dict[str, Any]) -> None:
        if self.outcome is None:
            self.waiting.append(asker)
        else:
            self._tell_done(asker)

    def _tell_done(self, asker: socket.socket) -> None:
        nonce = self.place.read("nonce.json") or {}
        _answer(asker, {"state": "applied", "nonce": nonce.get("nonce")})

    def _confirm(self, asker: socket.socket, request: dict[str, Any]) -> None:
        """Only who could read the nonce after all was applied has shown that the way here and back is open."""
        nonce = (self.place.read("nonce.json") or {}).get("nonce")
        if nonce and secrets.compare_digest(nonce, str(request.get("nonce"))):
            self.confirmed_by = asker
        else:
            _answer(asker, {"state": "applying"})

    def _undo(self, reason: str) -> dict[str, Any]:
        self.place.write("undo.json", {"reason": reason})
        return {"state": "restored", "report": restore(self.place, reason)}

    def _keep(self) -> dict[str, Any]:
        boot.forget(self.place.token)
        return {"state": "confirmed", "outcome": self.outcome}

    def _end(self, final: dict[str, Any]) -> None:
        self.place.write("final.json", final)
        self.place.drop("savepoint.json", "started.json", "worker.json", "outcome.json", "nonce.json")
        self.place.drop("undo.json", "socket")
        for asker in [*self.waiting, *([self.confirmed_by] if self.confirmed_by else [])]:
            _answer(asker, final)
        self.listening.close()


def _tell(asker: socket.socket, answer: dict[str, Any]) -> None:
    try:
        asker.sendall(json.dumps(answer).encode() + b"\n")
    except OSError:
        return  # it went away; what was decided holds


def _answer(asker: socket.socket, answer: dict[str, Any]) -> None:
    _tell(asker, answer)
    asker.close()


def watch(place: Place) -> None:
    """The program of the watchdog; nothing where another one watches, or all is done."""
    lock = place.lock()
    if lock is None or place.read("final.json") is not None or place.read("savepoint.json") is None:
        return
    Watchdog(place).run()
    os.close(lock)
