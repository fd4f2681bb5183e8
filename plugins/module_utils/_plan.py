# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A plan: the ordered steps that lead from what is to what was declared. Private to this collection."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Callable

NOW = "now"
AT_RESTART = "restart"


@dataclass(frozen=True)
class Step:
    """One change. `before` and `after` are text or plain data for the diff; `apply` makes the change, and may raise."""

    target: str  # what changes: "network lab", "domain web1 disk vda"
    verb: str  # the call in one word: define, start, attach, resize
    apply: Callable[[], None]
    before: Any = None
    after: Any = None
    effect: str = NOW  # NOW, or AT_RESTART: the change waits for the next start

    def summary(self) -> dict[str, str]:
        """What the result says of this step."""
        return {"target": self.target, "verb": self.verb, "effect": self.effect}

    def diff(self) -> dict[str, str]:
        """One entry of Ansible's diff."""
        header = f"{self.target} ({self.verb})"
        return {
            "before_header": header,
            "after_header": header,
            "before": _as_text(self.before),
            "after": _as_text(self.after),
        }


@dataclass
class Plan:
    """Ordered steps; no steps means unchanged."""

    steps: list[Step] = field(default_factory=list)
    restart_reasons: list[str] = field(default_factory=list)  # declared, but in effect only after a restart
    warnings: list[str] = field(default_factory=list)
    # declared, but in effect only after a reboot of the host; None where the module does not know reboots
    reboot_reasons: list[str] | None = None
    # called when a step failed: takes the done steps back, and says so as a sentence that begins with a space
    put_back: Callable[[], str] | None = None

    def add(self, step: Step) -> None:
        """Appends a step."""
        self.steps.append(step)

    @property
    def changed(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps)

    def as_result(self) -> dict[str, Any]:
        """The part of a module's result that is the same in check mode and outside it."""
        return {
            "changed": self.changed,
            "steps": [step.summary() for step in self.steps],
            **self.waiting(),
            "diff": [step.diff() for step in self.steps],
        }

    def waiting(self) -> dict[str, Any]:
        """What is declared and not yet in effect, with the reasons."""
        found: dict[str, Any] = {
            "restart_required": bool(self.restart_reasons),
            "restart_reasons": list(self.restart_reasons),
        }
        if self.reboot_reasons is not None:
            found.update(reboot_required=bool(self.reboot_reasons), reboot_reasons=list(self.reboot_reasons))
        return found


def _as_text(value: Any) -> str:
    """Text as it is, nothing as an empty text, data as JSON with one key a line."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    return text if text.endswith("\n") else f"{text}\n"
