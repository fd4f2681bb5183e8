# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel has of a module now. Private to this collection."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .._errors import MissingDependency, NotFoundError, SystemFailure, UnsupportedError
from .files import Host
from .parameters import Parameter
from .words import module_name, parameter_name

PROGRAM_PATH = "/usr/sbin:/sbin:/usr/bin:/bin"
_CAP_SYS_MODULE = 16  # include/uapi/linux/capability.h
_COMMAND_TIMEOUT_S = 120


@dataclass(frozen=True)
class Live:
    """A parameter of a loaded module; `value` is None where the kernel does not show it."""

    value: str | None
    writable: bool


@dataclass(frozen=True)
class Loaded:
    """One module as /sys/module shows it."""

    name: str
    loaded: bool = False
    builtin: bool = False
    references: int = 0  # uses by other modules are among them
    holders: tuple[str, ...] = ()  # loaded modules that need it
    parameters: dict[str, Live] = field(default_factory=dict)

    @property
    def uses(self) -> int:
        """Uses that are not those of another module: open devices, mounted file systems, running guests."""
        return max(self.references - len(self.holders), 0)

    @property
    def values(self) -> dict[str, str]:
        """The parameters that the kernel shows."""
        return {name: live.value for name, live in sorted(self.parameters.items()) if live.value is not None}


@dataclass(frozen=True)
class Description:
    """A module's own words, from modinfo."""

    name: str
    parameters: dict[str, Parameter]


def read_loaded(host: Host, name: str, builtin: frozenset[str]) -> Loaded:
    """The state of one module; a module that is being loaded or removed counts as not loaded."""
    directory = host.path("sys/module") / name
    state = _text(directory / "initstate")
    is_builtin = name in builtin or (directory.is_dir() and state is None)
    if state != "live" and not is_builtin:
        return Loaded(name)
    return Loaded(
        name,
        loaded=True,
        builtin=is_builtin,
        references=int(_text(directory / "refcnt") or 0),
        holders=tuple(sorted(_names(directory / "holders"))),
        parameters={
            parameter_name(entry): _live(directory / "parameters" / entry) for entry in _names(directory / "parameters")
        },
    )


def read_builtin(host: Host) -> frozenset[str]:
    """The names of what is built into the kernel."""
    text = _text(host.modules / "modules.builtin") or ""
    names = (line.rpartition("/")[2].partition(".ko")[0] for line in text.splitlines())
    return frozenset(name.replace("-", "_") for name in names if name)


def require_module_support(host: Host) -> None:
    """Raises UnsupportedError where this process can load no module at all, each cause with its own words."""
    if not host.path("proc/modules").exists():
        raise UnsupportedError(
            f"The running kernel ({host.release}) has no loadable modules: there is no /proc/modules (built without "
            f"CONFIG_MODULES, or booted with nomodule). Whatever is not built in can't be added without another kernel."
        )
    if _text(host.path("proc/sys/kernel/modules_disabled")) == "1":
        raise UnsupportedError(
            "The kernel takes no more modules until the next boot: kernel.modules_disabled is 1. Find out what sets it "
            "(sysctl.d), and reboot."
        )
    status = _text(host.path("proc/self/status")) or ""
    mask = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    if int(mask, 16) >> _CAP_SYS_MODULE & 1:
        return
    if os.geteuid():
        raise UnsupportedError("Kernel modules need the rights of root. Use become: true.")
    raise UnsupportedError(
        "This process may not load kernel modules: it lacks CAP_SYS_MODULE, as in a container, whose kernel belongs to "
        "its host. Run the task on the host itself."
    )


def describe_module(host: Host, target: Loaded) -> Description:
    """What modinfo says of a module; raises NotFoundError when there is none of this name."""
    name = target.name
    fields = [_FIELD.fullmatch(part) for part in _modinfo(host, name)]
    found = [(field[1], field[2]) for field in fields if field is not None]
    names = [value for key, value in found if key == "name"]
    # a parameter with an own way to be set may have neither description nor kind, and then modinfo does not know it
    shown = {parameter: Parameter(parameter) for parameter in (*target.parameters, *_UNDESCRIBED.get(name, ()))}
    if not names and target.builtin:  # a part of the kernel that never is a module, such as printk
        return Description(name, shown)
    if not names:
        raise NotFoundError(
            f"There is no module {name} for the running kernel ({host.release}). Check the name, install the package "
            f"that has it (linux-modules-extra, kernel-modules-extra, a DKMS package), or reboot if the kernel was "
            f"updated.",
            details={"module": name, "kernel": host.release},
        )
    if name not in [module_name(other) for other in names]:
        raise NotFoundError(
            f"{name} is no module but an alias of {', '.join(names)}. Name the module itself.",
            details={"alias_of": names},
        )
    kinds: dict[str, str | None] = {_parameter_of(value): None for key, value in found if key == "parm"}
    # the kind behind the description can't be told from the description's own last words
    for text in _modinfo(host, "-F", "parmtype", name):
        kinds[_parameter_of(text)] = text.partition(":")[2].strip() or None
    described = {parameter: Parameter(parameter, kind) for parameter, kind in kinds.items()}
    return Description(name, {**shown, **described})


# parameters that modinfo does not know, for a module that is not loaded (arch/x86/kvm/vmx/vmx.c)
_UNDESCRIBED = {"kvm_intel": ("vmentry_l1d_flush",)}

# modinfo -0 writes some fields as `parm:   text`, and others as `name=text`
_FIELD = re.compile(r"(\w+)(?:=|:\s*)(.*)", re.DOTALL)


def _parameter_of(text: str) -> str:
    return parameter_name(text.partition(":")[0])


def _modinfo(host: Host, *arguments: str) -> list[str]:
    """What modinfo says, field by field; nothing when it does not know the module."""
    done = run(["modinfo", "-0", "-b", str(host.root), "-k", host.release, *arguments], check=False)
    return [] if done.returncode else [part for part in done.stdout.split("\0") if part.strip()]


def run(
    command: Sequence[str], *, check: bool = True, timeout_s: int = _COMMAND_TIMEOUT_S
) -> subprocess.CompletedProcess[str]:
    """Runs a program of the system; raises SystemFailure with its own words."""
    program = shutil.which(command[0], path=PROGRAM_PATH)
    if program is None:
        raise MissingDependency(
            f"The program {command[0]} is not on this host. Install the package kmod.",
            details={"missing": [command[0]]},
        )
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "PATH": PROGRAM_PATH}
    try:
        done = subprocess.run(
            [program, *command[1:]], capture_output=True, text=True, errors="replace", check=False,
            timeout=timeout_s, env=environment, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise SystemFailure(f"{' '.join(command)} had not ended after {timeout_s} s.") from error
    if check and done.returncode:
        raise SystemFailure(
            f"{' '.join(command)} ended with {done.returncode}: {_said(done)}", details={"rc": done.returncode}
        )
    return done


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return " ".join((done.stderr or done.stdout).split()) or "it said nothing"


def _live(path: Path) -> Live:
    mode = path.stat().st_mode
    if not mode & stat.S_IRUSR:
        return Live(None, bool(mode & stat.S_IWUSR))
    try:
        value = path.read_bytes().decode("latin-1").rstrip("\n")
    except OSError:  # a parameter's own code may refuse
        value = None
    return Live(value, bool(mode & stat.S_IWUSR))


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None
