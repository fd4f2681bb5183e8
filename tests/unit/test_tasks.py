# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What tasks may not do (fault 13): commands where a module exists, always changed, skipped in check mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).parents[2]
_FILES = sorted(
    [*_ROOT.glob("roles/*/tasks/*.yml"), *_ROOT.glob("roles/*/handlers/*.yml"), *_ROOT.glob("playbooks/*.yml")]
)
_COMMAND = "ansible.builtin.command"
_FORBIDDEN = ("ansible.builtin.shell", "ansible.builtin.raw", "ansible.builtin.script", "shell", "command", "raw")

# files whose reads have nothing to read before the run has changed the host
_ONLY_AFTER_A_CHANGE = ("restart_direct.yml", "verify_host.yml")


def tasks(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """All tasks of a file, those in blocks and plays included."""
    for entry in entries:
        yield entry
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from tasks(entry.get(part) or [])


@pytest.mark.parametrize("path", _FILES, ids=[str(path.relative_to(_ROOT)) for path in _FILES])
def test_fault_13_a_command_says_truly_whether_it_changed(path: Path) -> None:
    for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")) or []):
        assert not set(_FORBIDDEN) & set(task), (
            f"{task.get('name')}: use a module, or {_COMMAND} with a list of arguments"
        )
        if _COMMAND not in task:
            continue
        assert "changed_when" in task, f"{task.get('name')}: a command without changed_when is always changed"
        assert "argv" in task[_COMMAND], f"{task.get('name')}: give the arguments as a list"
        reads_only = task["changed_when"] is False and path.name not in _ONLY_AFTER_A_CHANGE
        assert not reads_only or task.get("check_mode") is False, (
            f"{task.get('name')}: what only reads runs in check mode too"
        )


@pytest.mark.parametrize("path", _FILES, ids=[str(path.relative_to(_ROOT)) for path in _FILES])
def test_no_failure_is_hidden(path: Path) -> None:
    for task in tasks(yaml.safe_load(path.read_text(encoding="utf-8")) or []):
        assert task.get("ignore_errors") is None, task.get("name")
        # a look at something that may be missing is allowed to find nothing; a change is not
        assert task.get("failed_when") is not False or task.get("changed_when") is False, task.get("name")


def test_there_are_tasks_to_look_at() -> None:
    assert len(_FILES) > 10
