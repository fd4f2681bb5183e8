# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs nestbox.virt.bridge, and confirms its change over a new connection."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.nestbox.virt.plugins.plugin_utils.confirmation import confirm


class ActionModule(ActionBase):
    """The module's answer is the plan; what became of it is asked of the host again."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = False  # a task that nobody waits for can't be confirmed

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """The result of the task."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        result.update(self._execute_module(module_name="nestbox.virt.bridge", task_vars=task_vars))
        pending = result.get("confirmation")
        if not pending:
            return result
        ended = confirm(self._connection, self._on_host, pending)
        if ended["confirmation"]["state"] == "unknown":
            self._connection._shell.tmpdir = None  # nothing to clear away on a host that can't be reached
        # what the module said before the change, such as what an earlier run undid, is not in the outcome
        told = [str(warning) for warning in result.get("warnings", [])]
        new = [text for text in ended.pop("warnings", []) if not any(text in one for one in told)]
        return {**result, **ended, "warnings": [*result.get("warnings", []), *new]}

    def _on_host(self, command: str) -> dict[str, Any]:
        """Runs a command over a connection as it is now, with the task's become."""
        execute: Any = self._low_level_execute_command
        said: dict[str, Any] = execute(command, sudoable=True)
        return said
