# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keyfiles of NetworkManager, edited by the line: comments and order stay. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator

_SECTION = re.compile(r"^\s*\[([^\]]+)\]\s*$")
_OLD_NAMES = {"ethernet": "802-3-ethernet"}  # sections have a name of old, too


def value(text: str, section: str, key: str) -> str:
    """The value of a key, or an empty text."""
    for _number, line in _lines_of(text, section):
        name, sign, found = line.partition("=")
        if sign and name.strip() == key:
            return found.strip()
    return ""


def with_value(text: str, section: str, key: str, new: str) -> str:
    """The file with one key set."""
    lines = text.splitlines(keepends=True)
    last = None
    for number, line in _lines_of(text, section):
        name, sign, _found = line.partition("=")
        if sign and name.strip() == key:
            lines[number] = f"{key}={new}\n"
            return "".join(lines)
        if line.strip() or last is None:
            last = number
    if last is None:
        return text.rstrip("\n") + f"\n\n[{section}]\n{key}={new}\n"
    lines[last] = lines[last].rstrip("\n") + "\n"
    lines.insert(last + 1, f"{key}={new}\n")
    return "".join(lines)


def without_section(text: str, section: str) -> str:
    """The file without a section."""
    gone = {number for number, _line in _lines_of(text, section)}
    return "".join(line for number, line in enumerate(text.splitlines(keepends=True)) if number not in gone)


def _lines_of(text: str, section: str) -> Iterator[tuple[int, str]]:
    """The lines of a section with its head."""
    inside = False
    for number, line in enumerate(text.splitlines()):
        match = _SECTION.match(line)
        if match:
            inside = match[1] in (section, _OLD_NAMES.get(section))
        if inside:
            yield number, line
