# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Loads and unloads modules and writes their parameters; believes only /sys/module. Private to this collection."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from .._errors import RefusedError, SystemFailure, UnsupportedError, VirtError
from .files import Host
from .kernel import Loaded, read_loaded, run
from .words import tokens

# a guest's process may end a little after libvirt calls it shut off
_FREE_TIMEOUT_S = 10.0
_LOOK_AGAIN_S = 0.1

_OTHER_KERNEL = "The module was built for another kernel. Reboot into the installed one, or rebuild it."

# what modprobe says of the kernel's answer, and what it means (init_module(2))
_REFUSALS: tuple[tuple[str, type[VirtError], str], ...] = (
    (
        "Operation not supported", UnsupportedError,
        "This machine's CPU or firmware lacks what the module drives, or has it switched off.",
    ),
    ("No such device", UnsupportedError, "This machine has no device that the module drives."),
    ("Key was rejected", UnsupportedError, "Secure boot is on, and this kernel trusts no key that signed the module."),
    (
        "Operation not permitted", UnsupportedError,
        "The kernel is locked down ({lockdown}) and refuses the module or its options.",
    ),
    ("Invalid argument", SystemFailure, "The module refuses one of its options, or a value."),
    ("Exec format error", SystemFailure, _OTHER_KERNEL),
    ("Unknown symbol", SystemFailure, _OTHER_KERNEL),
    ("not found in directory", SystemFailure, "Install the package that has it, and run depmod."),
)  # fmt: skip


@dataclass
class Control:
    """Changes the running kernel's modules."""

    host: Host
    builtin: frozenset[str]
    warnings: list[str] = field(default_factory=list)

    def read(self, name: str) -> Loaded:
        """The state of a module now."""
        return read_loaded(self.host, name, self.builtin)

    def load(self, name: str, parameters: Mapping[str, str] | None = None, *, without_files: bool = False) -> None:
        """Loads by modprobe, with the configured options and these after them; raises unless it is loaded then.

        `without_files` leaves out all of modprobe.d, but not the kernel's command line (modprobe(8), --config).
        """
        configuration = ["--config", os.devnull] if without_files else []
        words = [f'{key}="{value}"' if " " in value else f"{key}={value}" for key, value in (parameters or {}).items()]
        log = _KernelLog()
        done = run(["modprobe", *configuration, name, *words], check=False)
        said = " ".join(done.stderr.split())
        if done.returncode:
            raise self._refused(name, said, log.lines(name))
        if not self.read(name).loaded:
            raise SystemFailure(
                f"modprobe {name} ended with 0, but /sys/module shows that the module is not loaded. Another module "
                f"may have its place, an alias or install line may load something else, or it may have gone again by "
                f"itself.{log.lines(name)}",
                details={"modprobe": said},
            )

    def unload(self, name: str, *, by_modprobe: bool) -> None:
        """Unloads one module and no other; by modprobe -r only where a `remove` line wants to be run."""
        deadline = time.monotonic() + _FREE_TIMEOUT_S
        while self.read(name).references and time.monotonic() < deadline:
            time.sleep(_LOOK_AGAIN_S)
        if self.read(name).references:
            state = self.read(name)
            holders = f" by {', '.join(state.holders)}" if state.holders else ""
            raise RefusedError(f"{name} has come into use{holders} since this run looked: {state.references} uses.")
        run(["modprobe", "-r", name] if by_modprobe else ["rmmod", name])
        if self.read(name).loaded:
            raise SystemFailure(f"The command to unload {name} ended with 0, but the module is still loaded.")

    def write(self, name: str, parameter: str, value: str) -> None:
        """Writes a parameter of a loaded module."""
        path = self.host.path("sys/module") / name / "parameters"
        spelled = next((entry for entry in os.listdir(path) if entry.replace("-", "_") == parameter), parameter)
        try:
            handle = os.open(path / spelled, os.O_WRONLY)
            try:
                os.write(handle, (value or "\n").encode("latin-1"))
            finally:
                os.close(handle)
        except OSError as error:
            raise SystemFailure(
                f"The kernel refuses {value!r} for {name}.{parameter} at run time: {os.strerror(error.errno or 0)}.",
                details={"errno": error.errno},
            ) from error

    def keep_values(self, before: Loaded, declared: frozenset[str] | None) -> None:
        """Gives a reloaded module what was written to it at run time; `declared` (None: everything) is left out."""
        if declared is None:
            return
        now = self.read(before.name)
        for name, live in before.parameters.items():
            new = now.parameters.get(name)
            if name in declared or live.value is None or new is None or new.value == live.value:
                continue
            try:
                if not new.writable:
                    raise SystemFailure("it can't be written at run time, and no file sets it")
                self.write(before.name, name, live.value)
            except SystemFailure as error:
                self.warnings.append(
                    f"{before.name}.{name} was {live.value}, and is {new.value} since the module was loaded again: "
                    f"{error.message}"
                )

    def _refused(self, name: str, said: str, log: str) -> VirtError:
        unknown = ("", SystemFailure, "See the kernel's log (dmesg).")
        _text, kind, meaning = next((row for row in _REFUSALS if row[0] in said), unknown)
        advice = meaning.format(lockdown=self._lockdown())
        return kind(
            f"{name} was not loaded: {said or 'modprobe said nothing'}. {advice}{log}", details={"modprobe": said}
        )

    def _lockdown(self) -> str:
        try:
            text = self.host.path("sys/kernel/security/lockdown").read_text(encoding="ascii")
        except OSError:
            return "by a security module"
        return text.partition("[")[2].partition("]")[0] or "none"


def arguments_of(values: Mapping[str, str]) -> dict[str, str]:
    """Live values as modprobe takes them; what no argument can say is left out."""
    fit = {name: value for name, value in values.items() if value != "(null)" and '"' not in value}
    return {name: value for name, value in fit.items() if len(tokens(f'{name}="{value}"')) == 1}


class _KernelLog:
    """What the kernel says from now on."""

    def __init__(self) -> None:
        try:
            self._handle = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
            os.lseek(self._handle, 0, os.SEEK_END)
        except OSError:
            self._handle = -1

    def lines(self, module: str) -> str:
        """The last lines since then, as a sentence; empty when there are none."""
        found: list[str] = []
        while self._handle >= 0:
            try:
                record = os.read(self._handle, 8192).decode("utf-8", errors="replace")
            except BrokenPipeError:  # the log went faster than this
                continue
            except OSError:
                break
            found.append(record.partition(";")[2].split("\n")[0])
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        about = [line for line in found if module.replace("_", "-") in line.replace("_", "-")] or found
        return f" The kernel's log: {' | '.join(about[-3:])}." if about else ""
