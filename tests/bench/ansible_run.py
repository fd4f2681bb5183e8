# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ansible against a guest or a bench daemon, from inside its network: plays, and what each of their tasks answered."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Union

from .daemon import Daemon
from .guest import Guest
from .guest_image import ssh_options
from .module import Result

_CALLBACKS = Path(__file__).with_name("callback")
_CALLBACK = "task_results"
_TIMEOUT_S = 600
# a guest, over ssh; or what this machine is inside the namespaces of a daemon
Target = Union[Guest, Daemon]


@dataclass(frozen=True)
class Task:
    """What one task answered."""

    name: str
    # ok, failed, ignored, skipped or unreachable
    status: str
    result: Result


@dataclass(frozen=True)
class Run:
    """A playbook as it ended."""

    rc: int
    output: str
    tasks: tuple[Task, ...]

    @property
    def changed(self) -> list[str]:
        """The names of the tasks that changed something."""
        return [task.name for task in self.tasks if task.result.get("changed")]

    def task(self, name: str) -> Result:
        """The result of the last task whose name ends in `name`."""
        found = [task.result for task in self.tasks if task.name.endswith(name)]
        assert found, f"no task {name} was run:\n{self.output}"
        return found[-1]

    def succeeded(self) -> Run:
        """Fails with Ansible's own words unless the run did what it was asked."""
        assert self.rc == 0, self.output
        return self


def run_play(
    target: Target,
    tasks: Sequence[dict[str, Any]],
    *,
    check: bool = False,
    variables: dict[str, Any] | None = None,
    **play: Any,
) -> Run:
    """One play with `tasks` on the guest; `play` are more keywords of it (roles, gather_facts …)."""
    whole = {"name": "Test", "hosts": "guest", "gather_facts": False, "tasks": list(tasks), **play}
    with tempfile.TemporaryDirectory(prefix="nbt-play-") as name:
        directory = Path(name)
        (directory / "play.yml").write_text(json.dumps([whole]))
        return run_playbook(target, directory / "play.yml", check=check, variables=variables)


def run_playbook(
    target: Target, playbook: Path, *, check: bool = False, variables: dict[str, Any] | None = None
) -> Run:
    """A playbook on the guest, which is the only host and in every group `hypervisors`."""
    with tempfile.TemporaryDirectory(prefix="nbt-run-") as name:
        directory = Path(name)
        results, hosts = directory / "results", directory / "hosts.json"
        hosts.write_text(json.dumps(_inventory(target)))
        argv = [str(Path(sys.executable).with_name("ansible-playbook")), "-i", str(hosts), str(playbook), "--diff"]
        argv += ["--check"] if check else []
        argv += ["--extra-vars", json.dumps(variables)] if variables else []
        environment = {
            **os.environ,
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_HOME": str(directory / "ansible"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
            "ANSIBLE_CALLBACKS_ENABLED": _CALLBACK,
            "NBT_TASK_RESULTS": str(results),
        }
        daemon = target if isinstance(target, Daemon) else target.daemon
        done = daemon.exec(*argv, check=False, env=environment, timeout=_TIMEOUT_S)
        lines = results.read_text().splitlines() if results.exists() else []
        tasks = tuple(Task(line["task"], line["status"], line["result"]) for line in map(json.loads, lines))
        return Run(done.returncode, done.stdout + done.stderr, tasks)


def run_remote_module(
    guest: Guest, name: str, args: dict[str, Any], *, check: bool = False, variables: dict[str, Any] | None = None
) -> Result:
    """The result of one of our modules on the guest; `failed` is always in it."""
    full = name if "." in name else f"nestbox.virt.{name}"
    run = run_play(guest, [{"name": "Module", full: args}], check=check, variables=variables)
    result = run.task("Module")
    result.setdefault("failed", run.rc != 0)
    return result


def _inventory(target: Target) -> dict[str, Any]:
    if isinstance(target, Daemon):
        local = {"ansible_connection": "local", "ansible_python_interpreter": "/usr/bin/python3"}
        return {"hypervisors": {"hosts": {"guest": local}}}
    guest = target
    options = [*ssh_options(guest.key), *guest.ssh_more]
    variables = {
        "ansible_host": guest.address,
        "ansible_user": "root",
        "ansible_python_interpreter": "/usr/bin/python3",
        "ansible_ssh_transfer_method": "piped",
        "ansible_ssh_common_args": " ".join(options),
    }
    return {"hypervisors": {"hosts": {"guest": variables}}}
