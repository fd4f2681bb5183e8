# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One small runner of programs: argument lists, and errors that say what to do. Private to this collection."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from typing import Any

from .._errors import MissingDependency, SystemFailure

Command = tuple[str, ...]

# Ansible may have a PATH without the directories of administration
_PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin", "/usr/bin", "/bin"])
_PACKAGES = {
    "ip": "iproute2 (Debian) or iproute (RHEL)",
    "bridge": "iproute2 (Debian) or iproute (RHEL)",
    "networkctl": "systemd",
    "nmcli": "network-manager (Debian) or NetworkManager (RHEL)",
    "ifup": "ifupdown or ifupdown2",
    "netplan": "netplan.io",
}
_NO_RIGHT = "The task has no right to change the network: use become, or give it CAP_NET_ADMIN."
_ADVICE = (
    ("operation not permitted", _NO_RIGHT),
    ("permission denied", _NO_RIGHT),
    ("operation not supported", "The kernel of this host lacks what was asked for."),
    ("unknown device type", "The kernel of this host lacks this kind of link."),
)
_TIMEOUT_S = 120


def find(program: str) -> str | None:
    """The path of a program, or None."""
    return shutil.which(program, path=_PATH)


def run(command: Sequence[str], *, text: str = "", may_fail: bool = False, timeout_s: float = _TIMEOUT_S) -> str:
    """The standard output of a command; `text` is its standard input."""
    path = find(command[0])
    if path is None:
        package = _PACKAGES.get(command[0], command[0])
        raise MissingDependency(
            f"This task needs the program {command[0]}, which is not on this host. Install {package}.",
            details={"missing": [command[0]]},
        )
    environment = {**os.environ, "LC_ALL": "C", "PATH": _PATH}
    try:
        done = subprocess.run(
            [path, *command[1:]],
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
            env=environment,
        )
    except subprocess.TimeoutExpired:
        raise SystemFailure(f"{' '.join(command)} did not end within {timeout_s:.0f} seconds.") from None
    if done.returncode and not may_fail:
        raise _failure(command, text, done)
    return done.stdout


def run_json(command: Sequence[str]) -> list[dict[str, Any]]:
    """The JSON that a program of iproute2 writes; nothing at all is an empty list, and empty entries are left out."""
    written = run(command).strip()
    parsed = json.loads(written) if written else []
    return [entry for entry in parsed if entry]


def run_batches(commands: Sequence[Command]) -> None:
    """Runs commands of ip and bridge in order, neighbours of the same program as one process."""
    batch: list[Command] = []
    for command in commands:
        if batch and batch[0][0] != command[0]:
            _run_batch(batch)
            batch = []
        batch.append(command)
    if batch:
        _run_batch(batch)


def _run_batch(batch: Sequence[Command]) -> None:
    run((batch[0][0], "-batch", "-"), text="".join(" ".join(command[1:]) + "\n" for command in batch))


def _failure(command: Sequence[str], text: str, done: subprocess.CompletedProcess[str]) -> SystemFailure:
    said = " ".join((done.stderr.strip() or done.stdout.strip()).split())
    asked = " ".join(command)
    failed = re.search(r"Command failed -:(\d+)", said)
    if text and failed:
        asked = f"{command[0]} {text.splitlines()[int(failed[1]) - 1]}"
        said = said.replace(failed[0], "").strip()
    said = said.rstrip(".") or f"exit status {done.returncode}"
    advice = next((advice for words, advice in _ADVICE if words in said.lower()), "")
    return SystemFailure(
        f"{asked} failed: {said}. {advice}".rstrip(),
        details={"rc": done.returncode, "stderr": done.stderr, "command": list(command)},
    )
