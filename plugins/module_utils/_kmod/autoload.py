# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Modules that are loaded at the boot, by modules-load.d. Private to this collection."""

from __future__ import annotations

import os
from dataclasses import dataclass

from .files import Host
from .parser import ENCODING
from .words import module_name

# modules-load.d(5), in its own order; a file hides its namesakes in later ones
_DIRECTORIES = ("etc", "run", "usr/local/lib", "usr/lib", "lib")
_OURS = "/etc/modules-load.d"


@dataclass(frozen=True)
class Autoload:
    """The files of modules-load.d by name: where each is, and what it holds."""

    files: dict[str, tuple[str, bytes]]

    def names(self, module: str) -> list[str]:
        """The files that name the module."""
        return [name for name, (_path, data) in self.files.items() if any(_is(line, module) for line in _lines(data))]

    def changes(self, module: str, wanted: bool) -> dict[str, bytes | None]:
        """The files of /etc that have to be other than they are; None removes one."""
        there = self.names(module)
        if wanted:
            path, data = self.files.get(f"{module}.conf", (f"{_OURS}/{module}.conf", b""))
            ending = b"\n" if data and not data.endswith(b"\n") else b""
            return {} if there else {f"{_OURS}/{module}.conf": data + ending + f"{module}\n".encode()}
        changed: dict[str, bytes | None] = {}
        for name in there:
            path, data = self.files[name]
            kept = b"".join(line for line in _lines(data) if not _is(line, module))
            empty = name == f"{module}.conf" and path.startswith(_OURS) and not kept.strip()
            changed[f"{_OURS}/{name}"] = None if empty else kept
        return changed


def read_autoload(host: Host) -> Autoload:
    """Reads what systemd-modules-load would read."""
    files: dict[str, tuple[str, bytes]] = {}
    for top in _DIRECTORIES:
        directory = host.path(top) / "modules-load.d"
        for path in sorted(directory.glob("*.conf")) if directory.is_dir() else ():
            if path.name not in files and not path.is_dir():
                files[path.name] = (host.shown(path), path.read_bytes() if os.path.isfile(path) else b"")
    return Autoload(files)


def _lines(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def _is(line: bytes, module: str) -> bool:
    text = line.decode(ENCODING).strip()
    return not text.startswith(("#", ";")) and module_name(text) == module
