# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where kmod reads its configuration from, in its own order. Private to this collection."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from .parser import Command, commands
from .words import module_name

# of two files with one name only the one in the first of these counts (libkmod.c, default_config_paths)
DIRECTORIES = ("etc/modprobe.d", "run/modprobe.d", "usr/local/lib/modprobe.d", "usr/lib/modprobe.d", "lib/modprobe.d")
EDITABLE = DIRECTORIES[0]
_ENDINGS = (".conf", ".alias")
# kmod reads no more of /proc/cmdline (KCMD_LINE_SIZE)
_COMMAND_LINE_LIMIT = 4096
_COMMAND_LINE_SPACES = " \n\t\v\f\r"
_MODULE_WORD = re.compile(rf'([^".={_COMMAND_LINE_SPACES}]*)\.([^".={_COMMAND_LINE_SPACES}]*)(=.*)?', re.DOTALL)


@dataclass(frozen=True)
class Host:
    """Where everything is that is read: another root is for tests and for images."""

    root: Path = Path("/")
    release: str = os.uname().release

    def path(self, name: str) -> Path:
        """A file of this host, by its path without the first slash."""
        return self.root / name

    def shown(self, path: Path) -> str:
        """A path as a user of the host knows it."""
        return "/" + str(path.relative_to(self.root))

    @property
    def modules(self) -> Path:
        """The directory of the running kernel's modules."""
        return self.path(f"lib/modules/{self.release}")


@dataclass(frozen=True)
class ConfigFile:
    """A file that kmod reads."""

    path: str
    data: bytes
    editable: bool  # in /etc, where what an administrator sets belongs


@dataclass(frozen=True)
class Origin:
    """Where a command stands."""

    path: str
    line: int
    editable: bool

    def __str__(self) -> str:
        return f"{self.path}:{self.line}" if self.line else self.path


@dataclass(frozen=True)
class Entry:
    """A command with the file that it is in; `source` is None for the kernel's command line."""

    verb: str
    name: str
    rest: str
    origin: Origin
    source: Command | None = None

    def origin_at(self, at: int) -> Origin:
        """Where a character of `rest` stands."""
        if self.source is None:
            return self.origin
        return replace(self.origin, line=self.source.line.number_of(self.source.rest_at + at))


COMMAND_LINE = "/proc/cmdline"


@dataclass(frozen=True)
class Configuration:
    """Everything that kmod reads, in the order in which it does."""

    files: tuple[ConfigFile, ...]
    command_line: str = ""
    masked: frozenset[str] = frozenset()  # names in /etc that hide a file of the same name elsewhere

    def entries(self) -> Iterator[Entry]:
        """All commands in order; the kernel's command line comes last, so that its options win."""
        for file in self.files:
            for command in commands(file.data):
                origin = Origin(file.path, command.line.number, file.editable)
                yield Entry(command.verb, command.name, command.rest, origin, command)
        yield from command_line_entries(self.command_line)

    def with_changes(self, changes: Mapping[str, bytes | None]) -> Configuration:
        """The configuration after files of /etc were changed; None removes one."""
        byname = {os.path.basename(file.path): file for file in self.files}
        for path, data in changes.items():
            name = os.path.basename(path)
            byname.pop(name, None)
            if data is not None:
                byname[name] = ConfigFile(path, data, editable=True)
        return replace(self, files=tuple(byname[name] for name in sorted(byname, key=os.fsencode)))


def read_configuration(host: Host) -> Configuration:
    """Reads what kmod would read now."""
    found: dict[str, ConfigFile] = {}
    hidden = set()
    softdeps = host.modules / "modules.softdep"
    if softdeps.is_file():
        found[softdeps.name] = ConfigFile(host.shown(softdeps), softdeps.read_bytes(), editable=False)
    for directory in DIRECTORIES:
        for path in _config_files(host.path(directory)):
            if path.name not in found:
                found[path.name] = _read(host, path, directory == EDITABLE)
            elif found[path.name].editable:
                hidden.add(path.name)
    files = tuple(found[name] for name in sorted(found, key=os.fsencode))
    try:
        line = host.path("proc/cmdline").read_bytes()[: _COMMAND_LINE_LIMIT - 1].decode("latin-1")
    except FileNotFoundError:
        line = ""
    return Configuration(files, line, frozenset(hidden))


def _config_files(directory: Path) -> list[Path]:
    try:
        names = os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    wanted = [name for name in names if len(name) >= 6 and name.endswith(_ENDINGS) and not name.startswith(".")]
    return [directory / name for name in wanted if not (directory / name).is_dir()]


def _read(host: Host, path: Path, editable: bool) -> ConfigFile:
    """A link that leads nowhere, or to /dev/null, still hides its namesakes."""
    try:
        data = path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        data = b""
    inside = editable and str(path.resolve()).startswith(str(host.path("etc").resolve()) + "/")
    return ConfigFile(host.shown(path), data, inside)


def command_line_entries(text: str) -> Iterator[Entry]:
    """`module.parameter=value` and `modprobe.blacklist=…`, as kmod finds them among the kernel's own arguments."""
    origin = Origin(COMMAND_LINE, 0, editable=False)
    for word in _command_line_words(text.partition("\0")[0]):
        found = _module_word(word)
        if found is None:
            continue
        module, rest = found
        if module == "modprobe" and rest.startswith("blacklist="):
            for name in rest[len("blacklist=") :].split(","):
                yield Entry("blacklist", name, "", origin)
        elif module_name(module) is not None:
            yield Entry("options", module_name(module) or "", rest.replace("\t", " "), origin)


def _command_line_words(text: str) -> Iterator[str]:
    """Words end at a space outside of quotes; what an unclosed quote holds is no word at all."""
    word, inside = "", False
    for character in text:
        if character in _COMMAND_LINE_SPACES and not inside:
            yield word
            word = ""
            continue
        inside ^= character == '"'
        word += character
    if not inside:
        yield word


def _module_word(word: str) -> tuple[str, str] | None:
    """Module and option of a word, or None for the kernel's own; a quote may stand first, or within the value."""
    opened = word.startswith('"')
    found = _MODULE_WORD.fullmatch(word[1:] if opened else word)
    if found is None or (opened and found[3] is None):
        return None
    if opened:
        return found[1], f'{found[2]}="{found[3][1:]}'
    return found[1], found[2] + (found[3] or "")
