# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts a host back to its savepoint. Private to this collection."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterable
from typing import Any

from . import boot, files
from .announce import announce
from .mend import WRITE, Command, Difference, mend
from .place import Place, write_report
from .state import State, call, read_state

# managers get this long for what they do by themselves; what is left is done without them
_MANAGERS_S = 8.0
_KERNEL_S = 10.0
_LOOK_AGAIN_S = 0.3
# a manager may do something a moment after its command has ended
_QUIET_S = 1.0


def restore(place: Place, reason: str) -> dict[str, Any]:
    """Undoes the change, keeps a report, and returns it. It may be called again after it was interrupted."""
    began = time.monotonic()
    savepoint = place.read("savepoint.json") or {}
    outcome = place.read("outcome.json") or {}
    failure = {key: outcome[key] for key in ("failed", "msg", "error") if key in outcome}
    stop_worker(place)
    failed = files.restore(savepoint["files"])
    _tell_managers(savepoint["commands"])
    failed += files.restore(savepoint["files"])  # what a manager wrote as well, such as resolv.conf
    left = _converge(savepoint["state"], savepoint["time"])
    announce(savepoint["state"])
    left += failed + [f"{path} is not as it was" for path in files.changed(savepoint["files"])]
    report = {
        "token": place.token,
        "bridge": savepoint["name"],
        "reason": reason,
        "tried": savepoint["tried"],
        "outcome": failure,
        "restored": not left,
        "differences": left,
        "seconds": round(time.monotonic() - began, 1),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    write_report(report)
    boot.forget(place.token)
    return report


def stop_worker(place: Place) -> None:
    """Ends the one that applies, with all that it started."""
    worker = place.read("worker.json")
    if worker is None or _start_time(worker["pid"]) != worker["started"]:
        return
    try:
        os.killpg(worker["pid"], signal.SIGKILL)
    except ProcessLookupError:
        return


def identity(pid: int) -> dict[str, Any]:
    """What tells a process from a later one of the same number."""
    return {"pid": pid, "started": _start_time(pid)}


def _start_time(pid: int) -> str | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[19]  # proc(5): starttime
    except OSError:
        return None


def _tell_managers(commands: Iterable[Command]) -> None:
    deadline = time.monotonic() + _MANAGERS_S
    for command in commands:
        try:
            call(command, timeout_s=max(deadline - time.monotonic(), 1))
        except (OSError, subprocess.SubprocessError):
            continue  # the kernel is compared afterwards in any case


def _converge(saved: State, saved_at: float) -> list[str]:
    """Mends the kernel until it stays as it was; what is left, in words."""
    deadline = time.monotonic() + _KERNEL_S
    quiet_since: float | None = None
    while True:
        left = mend(saved, read_state(saved["scope"]), passed_s=time.time() - saved_at)
        now = time.monotonic()
        if left:
            quiet_since = None
            apply(left)
        elif quiet_since is None:
            quiet_since = now
        elif now - quiet_since >= _QUIET_S:
            return []
        if now > deadline:
            return [difference.text for difference in left]
        time.sleep(_LOOK_AGAIN_S)


def apply(differences: Iterable[Difference]) -> None:
    """Runs the commands in order; one that fails does not keep the others from running."""
    batch: list[Command] = []
    for command in [command for difference in differences for command in difference.commands]:
        if batch and _program(batch[0]) != _program(command):
            _run_batch(batch)
            batch = []
        batch.append(command)
    if batch:
        _run_batch(batch)


def _program(command: Command) -> Command:
    """The program with its options, which the lines of a batch can't have."""
    return command[:2] if command[1].startswith("-") else command[:1]


def _run_batch(batch: list[Command]) -> None:
    try:
        if batch[0][0] == WRITE:
            for _write, path, value in batch:
                with open(path, "w", encoding="ascii") as file:
                    file.write(value)
        else:
            program = _program(batch[0])
            text = "".join(" ".join(command[len(program) :]) + "\n" for command in batch)
            call((*program, "-force", "-batch", "-"), text=text)
    except (OSError, subprocess.SubprocessError):
        return  # what it was to mend is seen again in the next round
