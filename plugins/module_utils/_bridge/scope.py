# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the change of a bridge may touch, for its savepoint. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from .apply import Application
from .commands import Command
from .kernel import Kernel
from .record import Record, record_path

# what a manager needs to be told before it starts at the next boot
_AT_BOOT: dict[str, tuple[Command, ...]] = {"netplan": (("netplan", "generate"),)}


def scope_of(application: Application, kernel: Kernel, record: Record | None, files: Iterable[str]) -> dict[str, Any]:
    """The fields of _guard.Scope."""
    change, backend = application.change, application.backend
    plain = [port for port in (*change.ports, *change.released) if port in kernel.links]
    written = [rows for rows in (record, application.record) if rows is not None]
    declared = [port.name for rows in written for port in rows.written.port_list()]
    givers = [port for rows in written for port in rows.taken]
    records = [record_path(change.name, persistent=persistent) for persistent in (True, False)]
    paths = [*files, *change.files, *records]
    return {
        "name": f"bridge {change.name}",
        "links": sorted({change.name, *plain, *declared, *givers}),
        # a link in the file system stays one, and what it leads to is edited
        "files": sorted({*paths, *(os.path.realpath(path) for path in paths)}),
        "commands": backend.restore_commands(change, plain) if backend else (),
        "boot_commands": _AT_BOOT.get(backend.name, ()) if backend else (),
    }
