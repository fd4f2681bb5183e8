# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cases of cases.yml as files below a root, for the unit tests and for modprobe itself."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

_SHORT = "etc/modprobe.d/a.conf"


@dataclass(frozen=True)
class Case:
    """Files, and what the next load of `module` uses."""

    name: str
    files: dict[str, bytes]
    cmdline: bytes
    module: str
    expected: dict[str, Any]
    newest_kmod: int = 999

    def write(self, root: Path) -> None:
        """The files below `root`, whose /lib is /usr/lib as on any system of today."""
        for name in ("etc/modprobe.d", "usr/lib/modprobe.d", "proc"):
            (root / name).mkdir(parents=True, exist_ok=True)
        (root / "lib").symlink_to("usr/lib")
        (root / "proc/cmdline").write_bytes(self.cmdline)
        for name, data in self.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_bytes(data)


def read_cases() -> list[Case]:
    """All cases of the table."""
    with Path(__file__).with_name("cases.yml").open(encoding="utf-8") as stream:
        return [_case(row) for row in yaml.safe_load(stream)]


def _case(row: dict[str, Any]) -> Case:
    files = row.pop("files")
    files = {_SHORT: files} if isinstance(files, str) else files
    return Case(
        row.pop("name"),
        {name: text.encode("latin-1") for name, text in files.items()},
        row.pop("cmdline", "").encode("latin-1"),
        row.pop("module", "dummy"),
        newest_kmod=row.pop("newest_kmod", 999),
        expected=row,
    )
