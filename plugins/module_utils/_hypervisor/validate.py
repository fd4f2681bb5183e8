# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What virt-host-validate says, as data. Private to this collection."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from typing import Any

from .._errors import MissingDependency, SystemFailure

_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_TIMEOUT_S = 60
_LINE = re.compile(r"\s*(\w+): Checking (?P<check>.*?)\s*: (?P<result>PASS|FAIL|WARN|NOTE)(?: \((?P<advice>.*)\))?\s*")
_RESULTS = {"PASS": "pass", "FAIL": "fail", "WARN": "warning", "NOTE": "note"}


def validate(driver: str) -> list[dict[str, Any]]:
    """Runs the program for one driver (qemu, lxc …); raises MissingDependency where it is not installed."""
    program = shutil.which("virt-host-validate", path=_PATH)
    if program is None:
        raise MissingDependency(
            "The program virt-host-validate is not on this host. It comes with libvirt (the package libvirt-clients on "
            "Debian, libvirt-client or libvirt-client-qemu on Fedora).",
            details={"missing": ["virt-host-validate"]},
        )
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": _PATH}
    try:
        done = subprocess.run(
            [program, driver], capture_output=True, text=True, errors="replace", check=False, timeout=_TIMEOUT_S,
            env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SystemFailure(f"virt-host-validate had not ended after {_TIMEOUT_S} s.") from error
    return parse_validation(done.stdout)


def parse_validation(output: str) -> list[dict[str, Any]]:
    """One entry a check; `advice` is null where there is nothing to do."""
    found = (_LINE.fullmatch(line) for line in output.splitlines())
    return [
        {"check": match["check"], "result": _RESULTS[match["result"]], "advice": match["advice"]}
        for match in found
        if match
    ]
