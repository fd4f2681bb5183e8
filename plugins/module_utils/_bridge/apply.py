# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a plan is carried out: the files, then the manager, then what the manager left of the kernel's differences.

Private to this collection.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Callable

from .backends import Activation, Backend, Change
from .commands import Command, run, run_batches
from .files import read_file, write_file
from .live import Difference, commands_of
from .record import Record, record_path
from .waiting import wait_until

# what a manager does by itself when it takes its files; the kernel's other differences don't wait for it
_SOON_S = 2  # for a link that comes up
_SLOW_S = 90  # a DHCP client of ifupdown gives up after a minute
_MANAGERS_WORK = ("create", "add", "keep", "remove", "obtain", "up")


@dataclass
class Application:
    """One run of a plan. Its steps share it: whichever comes first prepares, and the kernel is changed once."""

    backend: Backend | None
    change: Change
    record: Record | None  # to be written; None removes it
    look: Callable[[], list[Difference]]  # what differs now
    timeout_s: float
    activates: bool = False  # whether the manager has to do something
    manager_gives_back: bool = True  # False: the kernel comes before the manager
    root: str = "/"
    late: list[str] = field(default_factory=list)  # what a manager left undone in the time, for a warning
    _done: set[str] = field(default_factory=set)

    def write(self, path: str, content: bytes | None) -> None:
        """A step: one file."""
        self.prepare()
        mode = self.backend.mode(path) if self.backend else 0o600
        write_file(self._path(path), content, mode)

    def converge(self) -> None:
        """A step: the manager and the kernel."""
        self.prepare()
        if not self._first("converge"):
            return
        if not self.manager_gives_back:
            run_batches(commands_of(self.look()))
        if self.backend is not None and self.activates:
            # one that waits for its own work leaves a bridge that is there to us
            ours = self.backend.waits and self.change.present and not self.change.created
            found = self.look()
            run_batches(commands_of(found) if ours else _not_for_managers(found, remakes=self.backend.remakes))
            self._run(self.activation.after)
            self._wait_for(self.backend)
        left = self.look()
        if left:
            run_batches(commands_of(left))

    def prepare(self) -> None:
        """The record first: a run that is cut short can be taken back."""
        if not self._first("prepare"):
            return
        self._remember()
        self._run(self.activation.before)

    @property
    def activation(self) -> Activation:
        """The manager's commands."""
        return self.backend.activate(self.change) if self.backend is not None and self.activates else Activation()

    def _wait_for(self, backend: Backend) -> None:
        """Until the manager has done its work. One that ends only then leaves the rest to us; another one is late."""
        if backend.waits:
            wait_until(lambda: not self.look(), min(self.timeout_s, _SOON_S))
        elif self.timeout_s and not wait_until(lambda: not self.look(), self.timeout_s):
            self.late += [f"{row.verb} {row.target}" for row in self.look()]

    def _run(self, commands: tuple[Command, ...]) -> None:
        for command in commands:
            run(
                command,
                text=self.activation.inputs.get(command, ""),
                timeout_s=max(self.timeout_s, _SLOW_S),
                may_fail=command in self.activation.may_fail,
            )

    def _remember(self) -> None:
        for persistent in (True, False):
            path = record_path(self.change.name, persistent=persistent, root=self.root)
            wanted = self.record is not None and (self.record.manager != "none") == persistent
            content = self.record.as_json() if wanted and self.record else None
            # the way back is needed until the last step, so a record that goes is taken away by `forget`
            if self.record is not None and read_file(path) != content:
                write_file(path, content, 0o600)

    def forget(self) -> None:
        """A step: the record of a bridge that is gone."""
        for persistent in (True, False):
            write_file(record_path(self.change.name, persistent=persistent, root=self.root), None, 0o600)

    def _path(self, path: str) -> str:
        return path if self.root == "/" else self.root.rstrip("/") + path

    def _first(self, what: str) -> bool:
        first = what not in self._done
        self._done.add(what)
        return first


def _not_for_managers(found: list[Difference], *, remakes: bool) -> list[Command]:
    """Settings of links that are there and under the bridge already: most managers set them only once.

    What is to go goes at once where a manager leaves it: a link that was made for the bridge, a route.
    """
    again = {_link(row) for row in found if row.verb == "replace"}
    new = {_link(row) for row in found if row.verb in ("create", "add")} | again
    ours = [
        row
        for row in found
        if (row.verb not in _MANAGERS_WORK and _link(row) not in new)
        or (row.verb == "remove" and " route " in row.target)
        or (_link(row) in again and not remakes)
    ]
    gone = [command for row in found for command in row.commands if command[:3] == ("ip", "link", "del")]
    return commands_of([*(Difference("", "", None, None, (command,)) for command in gone), *ours])


def _link(row: Difference) -> str:
    return row.target.split()[-1]


def file_changes(files: Mapping[str, bytes], wanted: Mapping[str, bytes | None]) -> dict[str, bytes | None]:
    """The files that are to be another, of those that are wanted."""
    return {path: content for path, content in sorted(wanted.items()) if files.get(path) != content}
