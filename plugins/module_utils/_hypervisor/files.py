# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files of /proc and /sys, below any root directory. Private to this collection."""

from __future__ import annotations

from pathlib import Path


def text(path: Path) -> str | None:
    """The content without white space around it; None where there is no such file or it can't be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def number(path: Path) -> int | None:
    """A file that holds one number."""
    content = text(path)
    try:
        return int(content) if content else None
    except ValueError:
        return None


def names(directory: Path) -> list[str]:
    """What is in a directory, sorted as people count; nothing where there is none."""
    try:
        found = [entry.name for entry in directory.iterdir()]
    except OSError:
        return []
    return sorted(found, key=lambda name: (len(name), name))


def switch(path: Path) -> bool | None:
    """A module's boolean parameter: Y and N, or 1 and 0; None where the kernel does not show it."""
    content = text(path)
    return None if content is None else content not in ("N", "n", "0", "")
