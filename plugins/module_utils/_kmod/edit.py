# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Changes to a file of modprobe.d that touch no other byte of it. Private to this collection."""

from __future__ import annotations

from collections.abc import Collection

from .parser import ENCODING, Command, Line, join, parse, split
from .words import Token, parameter_name, quoted, tokens


def with_parameter(data: bytes, module: str, parameter: str, value: str) -> bytes:
    """Sets one parameter: where the file has it last, else on the module's last line, else on a new line."""
    lines = split(data)
    last_line: int | None = None
    for number in reversed(range(len(lines))):
        command = _options_of(lines[number], module)
        if command is None:
            continue
        found = [token for token in tokens(command.rest) if token.name == parameter_name(parameter)]
        if found:
            text = f"{found[-1].spelling}={quoted(value)}"
            return _replaced(lines, number, *_raw_span(command, found[-1]), text)
        if last_line is None and command.rest.count('"') % 2 == 0 and "--" not in command.rest.split():
            last_line = number
    text = f"{parameter}={quoted(value)}"
    if last_line is None:
        return appended(data, f"options {module} {text}\n")
    at = _end_of_text(lines[last_line])
    return _replaced(lines, last_line, at, at, f" {text}")


def without_parameters(data: bytes, module: str, parameters: Collection[str]) -> bytes:
    """Removes parameters, each with the blanks before it; a line that holds no other goes as a whole."""
    names = {parameter_name(name) for name in parameters}
    lines = split(data)
    kept = []
    for line in lines:
        command = _options_of(line, module)
        found = tokens(command.rest) if command is not None else []
        doomed = [token for token in found if token.name in names]
        if command is None or not doomed:
            kept.append(line.raw)
        elif len(doomed) < len(found):
            kept.append(_cut(command, doomed))
    return "".join(kept).encode(ENCODING)


def without_commands(data: bytes, verb: str, module: str) -> bytes:
    """Removes every line with this verb for the module."""
    kept = []
    for line in split(data):
        command = parse(line)
        if command is None or (command.verb, command.name) != (verb, module):
            kept.append(line)
    return join(kept)


def with_rest(data: bytes, verb: str, module: str, rest: str) -> bytes:
    """Gives the first line with this verb for the module another rest, or appends one."""
    lines = split(data)
    for number, line in enumerate(lines):
        command = parse(line)
        if command is not None and (command.verb, command.name) == (verb, module):
            start, end = line.starts[command.rest_at], _end_of_text(line)
            return _replaced(lines, number, start, end, rest)
    return appended(data, f"{verb} {module} {rest}\n")


def appended(data: bytes, text: str) -> bytes:
    """Adds a line at the end; a last line without an ending gets one first."""
    lines = split(data)
    ending = ""
    while lines and not lines[-1].terminated:
        ending += "\n"
        lines = split(data + ending.encode(ENCODING))
    return data + (ending + text).encode(ENCODING)


def _options_of(line: Line, module: str) -> Command | None:
    command = parse(line)
    return command if command is not None and (command.verb, command.name) == ("options", module) else None


def _raw_span(command: Command, token: Token) -> tuple[int, int]:
    line, at = command.line, command.rest_at
    return line.starts[at + token.start], line.ends[at + token.end - 1]


def _end_of_text(line: Line) -> int:
    """Where the last character that is no blank ends."""
    return line.ends[len(line.text.rstrip("\t\n\v\f\r \xa0")) - 1]


def _replaced(lines: list[Line], number: int, start: int, end: int, text: str) -> bytes:
    raws = [line.raw for line in lines]
    raws[number] = raws[number][:start] + text + raws[number][end:]
    return "".join(raws).encode(ENCODING)


def _cut(command: Command, doomed: list[Token]) -> str:
    """The line without some of its parameters: each goes from the end of what stands before it."""
    line, raw = command.line, command.line.raw
    for token in reversed(doomed):
        before = len(line.text[: command.rest_at + token.start].rstrip("\t\n\v\f\r \xa0")) - 1
        raw = raw[: line.ends[before]] + raw[_raw_span(command, token)[1] :]
    return raw
