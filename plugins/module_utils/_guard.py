# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Starts a change that is undone unless it is confirmed: savepoint, watchdog, worker. Private to this collection."""

from __future__ import annotations

import importlib
import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Callable

from ._errors import ConflictError, SystemFailure, VirtError
from ._plan import Plan
from ._switch import announce, boot, files, main, mend, place, restore, state, watchdog
from ._switch.place import RUN, Place

Data = dict[str, Any]

# what is copied beside the savepoint
_PACKAGE = place.__name__.rpartition(".")[0]
_PROGRAM = (announce, boot, files, main, mend, place, restore, state, watchdog)
_WATCHDOG_STARTS_WITHIN_S = 10.0
# the answer of the module has to be out of the host before the link goes
_ANSWER_TAKES_S = 1.0
_ALWAYS_SAVED = ("/etc/resolv.conf",)


@dataclass(frozen=True)
class Scope:
    """What a change may touch."""

    name: str  # of what is changed
    links: Sequence[str]
    files: Sequence[str]
    commands: Sequence[Sequence[str]] = ()  # to run when the old files are back
    boot_commands: Sequence[Sequence[str]] = ()  # the same, before any network manager runs


def check_nothing_pending() -> None:
    """Raises ConflictError while an earlier change of this host is neither confirmed nor undone."""
    for other in place.places():
        savepoint = other.read("savepoint.json")
        if savepoint is None or other.read("final.json") is not None:
            continue
        handle = other.lock()
        if handle is not None:
            os.close(handle)
        todo = (
            "Wait until it is confirmed or undone, and run the task again."
            if handle is None
            else f"Its watchdog is gone; this finishes it, and puts the host back: {' '.join(_program(other))} watch"
        )
        raise ConflictError(
            f"A change of {savepoint['name']} on this host is not confirmed yet. Nothing was done. {todo}",
            details={"token": other.token, "bridge": savepoint["name"]},
        )


def unseen_reports(*, keep: bool) -> list[str]:
    """What was undone since the last run, as warnings; they are shown again when they are kept."""
    texts = []
    for report in place.reports().values():
        texts.append(report_text(report))
        if not keep:
            place.drop_report(report["token"])
    if not keep:
        _clear_finished()
    return texts


def report_text(report: Data) -> str:
    """A report in words."""
    tried = "; ".join(f"{step['target']}: {step['verb']}" for step in report["tried"])
    end = (
        "Everything is as it was before."
        if report["restored"]
        else f"This could not be put back: {'; '.join(report['differences'])}."
    )
    cause = report["outcome"].get("msg")
    why = f"{report['reason']} {cause}" if cause else report["reason"]
    return f"A change of {report['bridge']} was undone at {report['at']}. {why} Tried was: {tried}. {end}"


def start(scope: Scope, plan: Plan, confirm_timeout_s: int, work: Callable[[], Data]) -> Data:
    """Prepares everything and lets `work` run when this process has ended; what the controller needs to know."""
    token = secrets.token_hex(6)
    sources = _sources()
    savepoint = _savepoint(scope, plan, confirm_timeout_s)
    try:
        there = place.create(RUN, token, sources)
        there.write("savepoint.json", savepoint)
    except OSError as error:
        raise SystemFailure(
            f"The savepoint can't be written below {RUN}: {error.strerror}. Nothing was changed. Run the task with "
            f"become: true.",
            details={"errno": error.errno},
        ) from error
    boot.arm(token, sources, savepoint)
    try:
        _start_watchdog(there)
    except BaseException:
        boot.forget(token)
        there.remove()
        raise
    _fork_worker(there, scope, work)
    return {
        "state": "pending",
        "token": token,
        "command": _program(there),
        "timeout": confirm_timeout_s,
    }


def _sources() -> dict[str, str]:
    modules = [importlib.import_module(_PACKAGE), *_PROGRAM]
    found = {}
    for module in modules:
        loader: Any = module.__spec__.loader if module.__spec__ else None
        name = "__init__" if module.__name__ == _PACKAGE else module.__name__.rpartition(".")[2]
        found[f"{name}.py"] = loader.get_source(module.__name__)
    return found


def _program(there: Place) -> list[str]:
    """Isolated from what the environment says. Its first process leaves it compiled for the later ones."""
    return [sys.executable, "-I", there.directory]


def _savepoint(scope: Scope, plan: Plan, confirm_timeout_s: int) -> Data:
    links = set(scope.links)
    return {
        "name": scope.name,
        "confirm_timeout": confirm_timeout_s,
        "tried": [step.summary() for step in plan.steps],
        "commands": [list(command) for command in scope.commands],
        "boot_commands": [list(command) for command in scope.boot_commands],
        "files": files.save([*scope.files, *_ALWAYS_SAVED]),
        "state": state.read_state(links),
        "time": time.time(),
    }


def _clear_finished() -> None:
    """What a controller did not fetch, because it went away."""
    for other in place.places():
        if other.read("final.json") is not None:
            other.remove()


def _start_watchdog(there: Place) -> None:
    """As a service of its own where systemd runs, so that it outlives the session; else as a session of its own."""
    command = [*_program(there), "watch"]
    if os.path.isdir("/run/systemd/system"):
        # what a manager's command leaves running, such as a DHCP client, stays when the watchdog ends
        properties = ("KillMode=process", "Restart=on-failure", "RestartSec=100ms", "OOMScoreAdjust=-900")
        unit = f"nestbox-bridge-{there.token}"
        options = [f"--property={text}" for text in properties]
        command = ["systemd-run", "--quiet", "--collect", f"--unit={unit}", *options, "--", *command]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
    except OSError as error:
        raise SystemFailure(f"The watchdog can't be started: {error}. Nothing was changed.") from error
    deadline = time.monotonic() + _WATCHDOG_STARTS_WITHIN_S
    while not _listens(there):
        if process.poll() or time.monotonic() > deadline:
            raise SystemFailure(
                f"The watchdog that would undo a wrong change did not start: {' '.join(command)}. Nothing was changed. "
                "With confirm_timeout: 0 the task does without it."
            )
        time.sleep(0.02)


def _listens(there: Place) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(there.socket) == 0


def _fork_worker(there: Place, scope: Scope, work: Callable[[], Data]) -> None:
    """The child begins when the last copy of the pipe's end in this process is closed: when it has ended."""
    reading, _writing = os.pipe()
    if os.fork():
        os.close(reading)
        return
    status = 1
    try:
        os.setsid()
        os.close(_writing)
        _let_go(keep=reading)
        _leave_session(there)
        os.read(reading, 1)
        time.sleep(_ANSWER_TAKES_S)
        _work(there, scope, work)
        status = 0
    finally:
        os._exit(status)


def _let_go(*, keep: int) -> None:
    """Nothing of the session stays open, or ssh would wait for it."""
    null = os.open(os.devnull, os.O_RDWR)
    for number in range(3):
        os.dup2(null, number)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) != keep:
            try:
                os.close(int(name))
            except OSError:
                continue
    os.chdir("/")


def _leave_session(there: Place) -> None:
    """logind may end all processes of a session with it."""
    if not os.path.isdir("/run/systemd/system"):
        return
    manager = ["org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager"]
    unit = ["ssa(sv)a(sa(sv))", f"nestbox-bridge-{there.token}.scope", "fail"]
    settings = ["2", "PIDs", "au", "1", str(os.getpid()), "CollectMode", "s", "inactive-or-failed", "0"]
    try:
        state.call(["busctl", "call", *manager, "StartTransientUnit", *unit, *settings])
    except (OSError, subprocess.SubprocessError):
        return  # killed with the session, it is undone


def _work(there: Place, scope: Scope, work: Callable[[], Data]) -> None:
    there.write("worker.json", restore.identity(os.getpid()))
    with socket.socket(socket.AF_UNIX) as watching:
        watching.connect(there.socket)
        watching.sendall(b'{"say": "begin"}\n')
        if not watching.recv(100):
            return  # the watchdog has given up
        try:
            outcome = work()
            announce.announce(state.read_state(set(scope.links)))
        except VirtError as error:
            outcome = {"failed": True, **error.as_result()}
        except Exception as error:
            there.write("outcome.json", {"failed": True, "msg": f"An unforeseen error: {error!r}."})
            raise
        there.write("outcome.json", outcome)
