# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and parameters as kmod and the kernel read them. Private to this collection."""

from __future__ import annotations

import re
from dataclasses import dataclass

# isspace() of the kernel (lib/ctype.c), which takes the no-break space of Latin-1 for one
_SPACES = "\t\n\v\f\r \xa0"
_NAME = re.compile(r"[A-Za-z0-9_]+")


@dataclass(frozen=True)
class Token:
    """One parameter in a text; `value` is None where there is no equals sign."""

    start: int
    end: int
    spelling: str  # the name as it is written
    value: str | None

    @property
    def name(self) -> str:
        """The name as the kernel compares it."""
        return parameter_name(self.spelling)


def parameter_name(text: str) -> str:
    """A parameter's name in one spelling: the kernel takes `-` for `_` (kernel/params.c)."""
    return text.replace("-", "_")


def module_name(text: str) -> str | None:
    """A module's name in kmod's one spelling; None where kmod calls it a bad name. Brackets hold wildcards."""
    parts = re.split(r"(\[[^\]]*\])", text)
    outside = "".join(parts[::2])
    if "[" in outside or "]" in outside:
        return None
    return "".join(part if number % 2 else part.replace("-", "_") for number, part in enumerate(parts))


def is_plain_name(text: str) -> bool:
    """Whether a name is one of a module, without wildcards and without anything odd."""
    return _NAME.fullmatch(text.replace("-", "_")) is not None


def tokens(text: str) -> list[Token]:
    """The parameters in a text, as the kernel's next_arg() takes it apart: spaces separate outside of quotes."""
    found = []
    at = _skip_spaces(text, 0)
    while at < len(text):
        token = _next(text, at)
        if token.spelling == "--" and token.value is None:
            break  # what follows is not for the module
        found.append(token)
        at = _skip_spaces(text, token.end)
    return found


def _skip_spaces(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACES:
        at += 1
    return at


def _next(text: str, start: int) -> Token:
    quoted = text[start] == '"'
    begin = start + 1 if quoted else start
    inside, equals, end = quoted, 0, begin
    while end < len(text) and (inside or text[end] not in _SPACES):
        if text[end] == "=" and not equals and end > begin:
            equals = end
        if text[end] == '"':
            inside = not inside
        end += 1
    last = end - 1 if end > begin and text[end - 1] == '"' else end  # without a closing quote
    if not equals:
        return Token(start, end, text[begin : last if quoted else end], None)
    value = equals + 1
    if text[value : value + 1] == '"':
        return Token(start, end, text[begin:equals], text[value + 1 : max(last, value + 1)])
    return Token(start, end, text[begin:equals], text[value : last if quoted else end])


def quoted(value: str) -> str:
    """A value as it is written after an equals sign in modprobe.d, where a backslash escapes the next character."""
    written = value.replace("\\", "\\\\")
    return f'"{written}"' if any(character in _SPACES for character in value) else written
