# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a task declares of a kernel module. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._errors import DeclarationError
from .files import EDITABLE
from .words import is_plain_name, parameter_name


@dataclass(frozen=True)
class Softdep:
    """Modules that are loaded before and after; two empty lists say that there is no softdep line."""

    before: tuple[str, ...]
    after: tuple[str, ...]

    @property
    def rest(self) -> str:
        """As it stands in modprobe.d; empty when there are none."""
        parts = [("pre:", self.before), ("post:", self.after)]
        return " ".join(" ".join([word, *names]) for word, names in parts if names)


@dataclass(frozen=True)
class Declaration:
    """The options of the task, checked as far as they can be without the host."""

    name: str
    present: bool = True
    persistent: bool | None = None
    options: Mapping[str, Any] | None = None  # by the parameter's name in the kernel's spelling
    spellings: Mapping[str, str] = field(default_factory=dict)
    exclusive: bool = False
    blacklisted: bool | None = None
    softdep: Softdep | None = None
    reload: str = "if_unused"
    initramfs: str = "auto"
    file: str = ""
    fix_conflicts: bool = True
    uri: str = "qemu:///system"
    timeout_s: int = 120

    @property
    def wanted(self) -> dict[str, Any]:
        """The options that are to have a value."""
        return {name: value for name, value in (self.options or {}).items() if value is not None}

    @property
    def unwanted(self) -> list[str]:
        """The options that are to be set nowhere."""
        return [name for name, value in (self.options or {}).items() if value is None]

    @property
    def autoload(self) -> bool | None:
        """Whether the next boot is to load it; None when the task does not say so."""
        if self.persistent is None or (not self.present and not self.persistent):
            return None
        return self.present and self.persistent


def declaration(params: Mapping[str, Any]) -> Declaration:
    """The declaration in the parameters of the module kernel_module."""
    name = str(params["name"]).replace("-", "_")
    if not is_plain_name(name):
        raise DeclarationError(
            f"name was given as {params['name']!r}. Give the name of one module, such as kvm_amd, without path or .ko."
        )
    options = params["options"]
    result = Declaration(
        name=name,
        present=params["state"] == "present",
        persistent=params["persistent"],
        options=None if options is None else {parameter_name(str(key)): value for key, value in options.items()},
        spellings={parameter_name(str(key)): str(key) for key in options or {}},
        exclusive=bool(params["options_exclusive"]),
        blacklisted=params["blacklisted"],
        softdep=_softdep(params["softdep"]),
        reload=params["reload"],
        initramfs=params["initramfs"],
        file=_file(params["file"] or f"/{EDITABLE}/{name}.conf"),
        fix_conflicts=params["conflicts"] == "fix",
        uri=params["uri"],
        timeout_s=int(params["timeout"]),
    )
    _check(result, options)
    return result


def _check(result: Declaration, options: Mapping[str, Any] | None) -> None:
    if len(result.spellings) != len(options or {}):
        raise DeclarationError("options names a parameter twice, once with - and once with _, which are the same.")
    for key in options or {}:
        if not is_plain_name(str(key)):
            raise DeclarationError(f"options: {key!r} is no parameter's name. Give letters, digits and underscores.")
    if result.exclusive and options is None:
        raise DeclarationError(
            "options_exclusive makes options the whole list, but there are no options. Add options: {}."
        )
    if result.autoload and result.blacklisted:
        raise DeclarationError(
            f"{result.name} is declared both persistent and blacklisted, but what loads modules at the boot leaves out "
            f"blacklisted ones. Take one of them out."
        )
    if result.timeout_s < 0:
        raise DeclarationError(
            f"timeout was given as {result.timeout_s}. Give a number of seconds that is not negative."
        )


def _softdep(value: Mapping[str, Any] | None) -> Softdep | None:
    if value is None:
        return None
    lists = {key: tuple(str(name).replace("-", "_") for name in value.get(key) or ()) for key in ("pre", "post")}
    for name in (*lists["pre"], *lists["post"]):
        if not is_plain_name(name):
            raise DeclarationError(f"softdep: {name!r} is no module's name.")
    return Softdep(lists["pre"], lists["post"])


def _file(path: str) -> str:
    directory, name = os.path.split(os.path.normpath(path))
    if directory != f"/{EDITABLE}" or not name.endswith(".conf") or name.startswith(".") or len(name) < 6:
        raise DeclarationError(
            f"file was given as {path}, which modprobe would not read. Give a name that ends with .conf in /{EDITABLE}."
        )
    return f"{directory}/{name}"
