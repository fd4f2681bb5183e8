# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files as they are to be: which line changes in which file, and which are not ours. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from .._errors import ConflictError
from .declaration import Declaration, Softdep
from .edit import appended, with_parameter, with_rest, without_commands, without_parameters
from .effective import Assignment, Effective, effective
from .files import COMMAND_LINE, EDITABLE, Configuration, Origin
from .parameters import Parameter


@dataclass
class Draft:
    """Changes to files of /etc/modprobe.d, collected; nothing is written here."""

    declared: Declaration
    configuration: Configuration
    changes: dict[str, bytes | None] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @property
    def after(self) -> Configuration:
        """What kmod would read once the changes are made."""
        return self.configuration.with_changes(self.changes)

    @property
    def effective(self) -> Effective:
        """What the module would have then."""
        return effective(self.after, self.declared.name)

    def before(self, path: str) -> bytes | None:
        """A file of /etc as it is; None when there is none."""
        return next((file.data for file in self.configuration.files if file.path == path), None)

    # -- options ----------------------------------------------------------------------------------------------

    def set_option(self, parameter: Parameter, text: str) -> None:
        """Makes `text` the value that the next load uses."""
        name, module = parameter.name, self.declared.name
        found = self.effective.options.get(name)
        if found is not None and parameter.same(found.value, text):
            return
        wanted = f"{module}.{name} is declared to be {text}"
        path = self.declared.file
        if found is not None:
            self._check_conflict(found, wanted)
            path = self._place_after(found.origin)
        self._put(path, with_parameter(self._data(path), module, name, text))
        self._settled(parameter, text, wanted)

    def remove_options(self, names: list[str]) -> None:
        """Makes the next load use none of these parameters."""
        module = self.declared.name
        for name in names:
            wanted = f"{module}.{name} is declared to be set nowhere"
            for found in self.effective.all_of(name):
                self._check_conflict(found, wanted)
            for found in self.effective.all_of(name):
                path = f"/{EDITABLE}/{os.path.basename(found.origin.path)}"
                self._put(path, without_parameters(self._data(path), module, [name]))
            left = self.effective.all_of(name)
            if left:
                raise self._unclear(left[-1], wanted)

    def _check_conflict(self, found: Assignment, wanted: str) -> None:
        """Raises where the place that sets a parameter against the declaration can't or may not be changed."""
        shown = found.spelling if found.value is None else f"{found.spelling}={found.value}"
        if found.origin.path == COMMAND_LINE:
            raise ConflictError(
                f"{wanted}, but the kernel's command line has {self.declared.name}.{shown}, which wins over every "
                f"file. Take it out of the boot loader's configuration (GRUB_CMDLINE_LINUX, kernelopts), reboot, and "
                f"run the task again.",
                details={"file": COMMAND_LINE, "option": shown},
            )
        if not found.whole:
            raise self._unclear(found, wanted)
        if not self.declared.fix_conflicts and found.origin.path != self.declared.file:
            raise ConflictError(
                f"{wanted}, but {found.origin} sets {shown}. Change that line, name its file in file, or use "
                f"conflicts: fix.",
                details={"file": found.origin.path, "line": found.origin.line, "option": shown},
            )

    def _settled(self, parameter: Parameter, text: str, wanted: str) -> None:
        found = self.effective.options.get(parameter.name)
        if found is None or not parameter.same(found.value, text):
            raise self._unclear(found, wanted)

    def _unclear(self, found: Assignment | None, wanted: str) -> ConflictError:
        where = f" near {found.origin}" if found is not None else ""
        return ConflictError(
            f"{wanted}, but the files can't be changed so that kmod reads it that way: a quote{where} is not closed. "
            f"Correct that line by hand.",
            details={"file": found.origin.path, "line": found.origin.line} if found is not None else {},
        )

    # -- the rest ---------------------------------------------------------------------------------------------

    def set_blacklisted(self, wanted: bool) -> None:
        """Has a blacklist line, or none anywhere."""
        module, path = self.declared.name, self.declared.file
        if wanted and self.effective.blacklisted is None:
            self._put(path, appended(self._data(path), f"blacklist {module}\n"))
        while not wanted and self.effective.blacklisted is not None:
            origin = self.effective.blacklisted
            if origin.path == COMMAND_LINE:
                raise ConflictError(
                    f"{module} is declared not to be blacklisted, but the kernel's command line blacklists it "
                    f"(modprobe.blacklist=). Take it out of the boot loader's configuration and reboot."
                )
            path = f"/{EDITABLE}/{os.path.basename(origin.path)}"
            self._put(path, without_commands(self._data(path), "blacklist", module))

    def set_softdep(self, softdep: Softdep) -> None:
        """kmod takes the first softdep line that names the module, in the order of the files."""
        module, found = self.declared.name, self.effective.softdep
        if softdep.rest == ("" if found is None else " ".join(_canonical(found.rest))):
            return
        path = self.declared.file
        if found is not None and (found.origin.editable and found.name == module):
            path = found.origin.path
        elif found is not None and os.path.basename(path) >= os.path.basename(found.origin.path):
            path = f"/{EDITABLE}/00-{module}.conf"
        if softdep.rest:
            self._put(path, with_rest(self._data(path), "softdep", module, softdep.rest))
        else:
            self._put(path, without_commands(self._data(path), "softdep", module))
        now = self.effective.softdep
        if softdep.rest != ("" if now is None else " ".join(_canonical(now.rest))):
            raise ConflictError(
                f"softdep of {module} is declared to be {softdep.rest or 'none'}, but {now.origin if now else path} "
                f"comes first. Change it there.",
            )

    # -- files ------------------------------------------------------------------------------------------------

    def _data(self, path: str) -> bytes:
        """What a file of /etc has, or its namesake elsewhere: a new file in /etc hides that one as a whole."""
        name = os.path.basename(path)
        return next((file.data for file in self.after.files if os.path.basename(file.path) == name), b"")

    def _place_after(self, origin: Origin) -> str:
        """A file of ours in which a line wins over the one at `origin`."""
        name = os.path.basename(origin.path)
        if origin.editable:
            return origin.path
        if os.path.basename(self.declared.file).encode() >= name.encode():
            return self.declared.file
        stem = name.rpartition(".")[0]
        return f"/{EDITABLE}/{stem}_{self.declared.name}.conf"  # `_` sorts after the dot

    def _put(self, path: str, data: bytes) -> None:
        name = os.path.basename(path)
        there = next((file for file in self.configuration.files if os.path.basename(file.path) == name), None)
        if there is not None and there.path == path and not there.editable:
            raise ConflictError(
                f"{path} is a link to a file outside of /etc, which this task does not change. Replace the link by a "
                f"file, or give another file.",
                details={"file": path},
            )
        if there is not None and there.path != path and path not in self.changes:
            self.warnings.append(
                f"{path} is a changed copy of {there.path} and hides it: what a later version of its package changes "
                f"there has no effect."
            )
        empty = not data.strip() and path == self.declared.file and name not in self.configuration.masked
        self.changes[path] = None if empty and (there is None or there.path == path) else data
        if self.changes[path] == self.before(path):
            del self.changes[path]


def draft_options(draft: Draft, wanted: Mapping[str, tuple[Parameter, str]]) -> None:
    """All that the task says of options: first what is to go, then what is to have a value."""
    declared = draft.declared
    extra = set(draft.effective.options) - set(declared.options or {}) if declared.exclusive else set()
    draft.remove_options([*declared.unwanted, *sorted(extra)])
    for parameter, text in wanted.values():
        draft.set_option(parameter, text)
    for entry in draft.effective.by_alias:
        draft.warnings.append(
            f"{entry.origin} has options for {entry.name}, an alias of {declared.name}: they apply only when the "
            f"module is loaded by that name."
        )


def _canonical(rest: str) -> list[str]:
    """The words of a softdep line in one spelling and order."""
    lists: dict[str, list[str]] = {"pre:": [], "post:": []}
    mode = ""
    for word in rest.split():
        if word in lists:
            mode = word
        elif mode:
            lists[mode].append(word.replace("-", "_"))
    return [word for key, names in lists.items() if names for word in (key, *names)]
