# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of modprobe.d without loss: bytes in, the same bytes out. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .words import module_name

# every byte is one character, so that nothing is lost and places are the same in both
ENCODING = "latin-1"
_BLANKS = "\t "


@dataclass(frozen=True)
class Line:
    """One logical line: `raw` as it stands, continuations and ending included; `text` as kmod reads it."""

    raw: str
    number: int  # of its first line in the file
    text: str
    starts: tuple[int, ...]  # where each character of text begins in raw
    ends: tuple[int, ...]  # and where it ends
    terminated: bool  # false for a last line that what is appended would continue

    def number_of(self, at: int) -> int:
        """The line in the file on which a character of text stands."""
        return self.number + self.raw[: self.starts[at]].count("\n") if at < len(self.starts) else self.number


@dataclass(frozen=True)
class Command:
    """What a line says: `options kvm_amd nested=1`."""

    verb: str
    name: str  # in kmod's spelling
    rest: str
    rest_at: int  # where rest begins in the line's text
    line: Line


def split(data: bytes) -> list[Line]:
    """The logical lines of a file; their raw texts put together are the file."""
    text, lines, at, number = data.decode(ENCODING), [], 0, 1
    while at < len(text):
        end = _end_of_line(text, at)
        lines.append(_line(text[at:end], number))
        number += text.count("\n", at, end)
        at = end
    return lines


def join(lines: list[Line]) -> bytes:
    """The file of these lines."""
    return "".join(line.raw for line in lines).encode(ENCODING)


def commands(data: bytes) -> Iterator[Command]:
    """What kmod takes from a file; comments, blank lines and what it calls a bad line are left out."""
    for line in split(data):
        command = parse(line)
        if command is not None:
            yield command


def parse(line: Line) -> Command | None:
    """The command of a line, or None (libkmod-config.c, kmod_config_parse)."""
    if line.text.startswith("#"):  # only in the first column
        return None
    verb, at = _word(line.text, 0)
    name, at = _word(line.text, at)
    rest_at = at + 1  # the one blank that ended the name
    rest = line.text[rest_at:]
    canonical = module_name(name)
    if verb not in _NEEDS_REST or not name or canonical is None or (_NEEDS_REST[verb] and not rest):
        return None
    if verb == "options":
        rest = rest.replace("\t", " ")
    elif verb == "alias":
        target = module_name(_word(rest, 0)[0])
        if not target:
            return None
        rest = target
    return Command(verb, canonical, rest, rest_at, line)


_NEEDS_REST = {"options": True, "install": True, "remove": True, "softdep": True, "alias": True, "blacklist": False}


def _word(text: str, at: int) -> tuple[str, int]:
    """The next word, and where it ends."""
    while at < len(text) and text[at] in _BLANKS:
        at += 1
    start = at
    while at < len(text) and text[at] not in _BLANKS:
        at += 1
    return text[start:at], at


def _end_of_line(text: str, at: int) -> int:
    while at < len(text):
        if text[at] == "\n":
            return at + 1
        at += 2 if text[at] == "\\" else 1
    return len(text)


def _line(raw: str, number: int) -> Line:
    """The line as libkmod's getline_wrapped() reads it: a backslash joins lines, else it only goes away."""
    text, starts, ends, at = [], [], [], 0
    while at < len(raw) and raw[at] != "\n":
        width = 2 if raw[at] == "\\" else 1
        part = raw[at : at + width]
        if part != "\\\n":
            # at the end of the file, EOF itself becomes a character
            text.append("\xff" if part == "\\" else part[-1])
            starts.append(at)
            ends.append(min(at + width, len(raw)))
        at += width
    length = "".join(text).find("\0")  # the rest of the line is invisible to C
    length = len(text) if length < 0 else length
    return Line(raw, number, "".join(text[:length]), tuple(starts[:length]), tuple(ends[:length]), at < len(raw))
