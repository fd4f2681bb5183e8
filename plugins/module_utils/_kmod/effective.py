# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next load of a module would really use, and from where. Private to this collection."""

from __future__ import annotations

import bisect
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .files import Configuration, Entry, Origin
from .words import module_name, tokens


@dataclass(frozen=True)
class Assignment:
    """A parameter as it is set somewhere; `value` is None where only its name stands."""

    spelling: str
    value: str | None
    origin: Origin
    whole: bool = True  # false where a quote that is not closed runs on into another line


@dataclass(frozen=True)
class Effective:
    """What kmod's configuration says of one module."""

    module: str
    assignments: tuple[tuple[str, Assignment], ...] = ()  # every one in order, by the parameter's name
    blacklisted: Origin | None = None
    softdep: Entry | None = None  # only the first counts
    install: Entry | None = None
    remove: Entry | None = None
    alias: Entry | None = None  # loading by this name loads another module
    by_alias: tuple[Entry, ...] = ()  # options under another name, used only by a load under that name

    @property
    def options(self) -> dict[str, Assignment]:
        """What the kernel would take: of each parameter the last."""
        return dict(self.assignments)

    def all_of(self, parameter: str) -> list[Assignment]:
        """Every place that sets a parameter, in order."""
        return [assignment for name, assignment in self.assignments if name == parameter]


def effective(configuration: Configuration, module: str) -> Effective:
    """The answer of `modprobe -c` for one module, with its places."""
    entries = list(configuration.entries())
    own = [entry for entry in entries if entry.name == module]
    aliases = [entry for entry in entries if entry.verb == "alias"]
    other_names = {entry.name for entry in aliases if module_name(entry.rest) == module and entry.name != module}
    return Effective(
        module,
        tuple(_assignments([entry for entry in own if entry.verb == "options"])),
        next((entry.origin for entry in own if entry.verb == "blacklist"), None),
        _first(entries, "softdep", module),
        _first(entries, "install", module),
        _first(entries, "remove", module),
        next((entry for entry in aliases if fnmatchcase(module, entry.name) and entry.rest != module), None),
        tuple(entry for entry in entries if entry.verb == "options" and entry.name in other_names),
    )


def _first(entries: Iterable[Entry], verb: str, module: str) -> Entry | None:
    """kmod takes the first that matches, wildcards included (kmod_module_get_install_commands)."""
    return next((entry for entry in entries if entry.verb == verb and fnmatchcase(module, entry.name)), None)


def _assignments(entries: list[Entry]) -> list[tuple[str, Assignment]]:
    """kmod joins all options of a module by spaces, and the kernel takes the whole apart."""
    begins, text = [], ""
    for entry in entries:
        begins.append(len(text))
        text += entry.rest + " "
    found = []
    for token in tokens(text[:-1]):
        number = bisect.bisect_right(begins, token.start) - 1
        local = token.start - begins[number]
        whole = token.end - begins[number] <= len(entries[number].rest)
        origin = entries[number].origin_at(local)
        found.append((token.name, Assignment(token.spelling, token.value, origin, whole)))
    return found
