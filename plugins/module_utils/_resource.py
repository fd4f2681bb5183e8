# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few verbs that every resource has, in the same order everywhere. Private to this collection."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from ._plan import Plan

Current = TypeVar("Current")


class Resource(Generic[Current]):
    """One thing that a task declares. `read` and `plan` change nothing, and are called again after the steps."""

    def read(self) -> Current:
        """What the host has now."""
        raise NotImplementedError

    def plan(self, current: Current) -> Plan:
        """The steps from `current` to the declaration; raises where there is no safe way."""
        raise NotImplementedError

    def settle(self) -> bool:
        """Waits for what the task said to wait for, after the steps and never in check mode; whether it waited."""
        return False

    def describe(self, current: Current) -> dict[str, Any] | None:
        """The dictionary that the module and its _info sibling return; None when it does not exist."""
        raise NotImplementedError


class GuardedResource(Resource[Current]):
    """A resource whose change may cut off who asked for it."""

    confirm_timeout_s: int = 0  # seconds until an unconfirmed change is undone; 0: it is applied at once, and stays

    def scope(self, current: Current) -> dict[str, Any]:
        """What the plan that was made last may touch: the fields of _guard.Scope."""
        raise NotImplementedError
