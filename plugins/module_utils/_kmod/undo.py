# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to do when a step fails: the way back, in its own order. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Callable

from .._errors import VirtError

# a module can only be loaded with its old options once the files say so again
UNLOAD, FILES, LOAD, GUESTS = range(4)


@dataclass
class Undo:
    """The ways back of the steps that were taken."""

    _actions: list[tuple[int, str, Callable[[], None]]] = field(default_factory=list)

    def add(self, phase: int, what: str, action: Callable[[], None]) -> None:
        """Remembers a way back."""
        self._actions.append((phase, what, action))

    def forget(self) -> None:
        """What was done so far is to stay."""
        self._actions.clear()

    def run(self) -> str:
        """Takes every way back, although another fails; says so as a sentence. Empty when there was nothing to do."""
        actions = self._actions[::-1]
        actions.sort(key=lambda action: action[0])  # the last one first in each phase
        self.forget()
        done, failed = [], []
        for _phase, what, action in actions:
            try:
                action()
                done.append(what)
            except (VirtError, OSError) as error:
                failed.append(f"{what}: {error}")
        if failed:
            return f" Not everything could be put back: {'; '.join(failed)}. Put back: {', '.join(done) or 'nothing'}."
        return f" Everything was put back: {', '.join(done)}." if done else ""
