# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A cloud-init seed as a file on the host: who may read it, and how it is replaced. Private to this collection."""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Callable

from ._errors import DeclarationError, NotFoundError, RefusedError, SystemFailure
from ._files import sync_directory, write_whole
from ._nocloud import LABEL, Documents, advice, build_iso, read_iso, render
from ._plan import Plan, Step
from ._resource import Resource

_LARGEST_SEED = 64 * 1024 * 1024  # bytes; a larger file is somebody's disk image, and is not read
_KINDS: tuple[tuple[Callable[[int], bool], str, str], ...] = (
    (stat.S_ISDIR, "a directory", "Give the path of a file in it, such as {path}/seed.iso."),
    (stat.S_ISLNK, "a symbolic link", "Give the path that it points to."),
    (lambda mode: not stat.S_ISREG(mode), "not a regular file", "Give another path."),
)
_ADVICE = {
    errno.ENOSPC: "Free some space on its file system, or choose another one.",
    errno.EDQUOT: "The owner's quota is used up.",
    errno.EACCES: "Run the task as a user with the rights for it (become: true).",
    errno.EPERM: "Run the task as a user with the rights for it (become: true).",
    errno.EROFS: "Its file system is mounted read-only; choose another one.",
}


@dataclass(frozen=True)
class SeedFile:
    """The file as it is. `documents` is None when it is no seed."""

    size: int
    mode: int
    uid: int
    gid: int
    documents: Documents | None


class SeedResource(Resource["SeedFile | None"]):
    """The seed at `dest`."""

    def __init__(self, params: dict[str, Any]) -> None:
        if not os.path.isabs(params["dest"]):
            raise DeclarationError(
                f"dest was given as {params['dest']!r}, which is not an absolute path. Give one that begins with a "
                "slash."
            )
        self.path = os.path.normpath(params["dest"])
        self.present: bool = params["state"] == "present"
        self.mode = _parse_mode(params["mode"])
        self.uid = _identity(params["owner"], "owner", lambda name: pwd.getpwnam(name).pw_uid)
        self.gid = _identity(params["group"], "group", lambda name: grp.getgrnam(name).gr_gid)
        self.documents = render(params) if self.present else {}
        self.advice = advice(params) if self.present else []

    def read(self) -> SeedFile | None:
        """The file as it is; raises when something else than a file is in its place."""
        with _system_errors(f"{self.path} can't be read"):
            try:
                status = os.lstat(self.path)
            except FileNotFoundError:
                return None
            for is_kind, kind, remedy in _KINDS:
                if is_kind(status.st_mode):
                    raise DeclarationError(f"dest {self.path} is {kind}. {remedy.format(path=self.path)}")
            documents = self._read_documents(status.st_size)
        return SeedFile(status.st_size, stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid, documents)

    def plan(self, current: SeedFile | None) -> Plan:
        """One step, or none."""
        plan = Plan(warnings=list(self.advice))
        if current is not None and current.size and current.documents is None:
            raise RefusedError(
                f"dest {self.path} is a file that is not a cloud-init seed (an ISO image labelled {LABEL}), so it is "
                f"neither replaced nor removed. Give another path, or delete the file yourself.",
            )
        step = self._step_to_present(current) if self.present else self._step_to_absent(current)
        if step is not None:
            self._require_writable_directory()
            plan.add(step)
        return plan

    def describe(self, current: SeedFile | None) -> dict[str, Any] | None:
        """Never the content, nor anything that it could be guessed from."""
        if current is None:
            return None
        return {
            "dest": self.path,
            "label": LABEL,
            "documents": sorted(current.documents or ()),
            "size": current.size,
            "mode": f"{current.mode:04o}",
            "owner": _name(current.uid, lambda uid: pwd.getpwuid(uid).pw_name),
            "group": _name(current.gid, lambda gid: grp.getgrgid(gid).gr_name),
        }

    def _read_documents(self, size: int) -> Documents | None:
        if not 0 < size <= _LARGEST_SEED:
            return None
        with open(self.path, "rb") as file:
            return read_iso(file.read())

    def _step_to_present(self, current: SeedFile | None) -> Step | None:
        uid, gid = self._ownership(current)
        if current is None or current.documents != self.documents:
            return Step(
                f"seed {self.path}",
                "create" if current is None else "replace",
                lambda: self._write(uid, gid),
                before=None if current is None else _outline(current.documents or {}, current.mode),
                after=_outline(self.documents, self.mode, before=current.documents if current else None),
            )
        if (current.mode, current.uid, current.gid) != (self.mode, uid, gid):
            return Step(
                f"seed {self.path}",
                "permit",
                lambda: self._permit(uid, gid),
                before={"mode": f"{current.mode:04o}", "uid": current.uid, "gid": current.gid},
                after={"mode": f"{self.mode:04o}", "uid": uid, "gid": gid},
            )
        return None

    def _step_to_absent(self, current: SeedFile | None) -> Step | None:
        if current is None:
            return None
        return Step(f"seed {self.path}", "remove", self._remove, before=_outline(current.documents or {}, current.mode))

    def _ownership(self, current: SeedFile | None) -> tuple[int, int]:
        """What was declared; else that of the file, which libvirt may have given to QEMU; else that of this process."""
        uid, gid = (current.uid, current.gid) if current else (os.geteuid(), os.getegid())
        return (uid if self.uid is None else self.uid, gid if self.gid is None else self.gid)

    def _require_writable_directory(self) -> None:
        """The directory is looked at in the plan, so that check mode says the same as the run."""
        directory = os.path.dirname(self.path)
        if not os.path.isdir(directory):
            raise NotFoundError(
                f"The seed was to be {self.path}, but there is no directory {directory}. Create it first, with a mode "
                f"that lets QEMU's user pass through it, or give another dest.",
            )
        if not os.access(directory, os.W_OK | os.X_OK):
            raise _failure(f"The seed was to be {self.path}, but {directory} can't be written to", errno.EACCES)

    def _write(self, uid: int, gid: int) -> None:
        """The image appears under its name complete and with its final rights, or not at all."""
        with _system_errors(f"{self.path} can't be written"):
            write_whole(self.path, build_iso(self.documents), self.mode, (uid, gid), keep_rights=False)

    def _permit(self, uid: int, gid: int) -> None:
        with _system_errors(f"The owner and mode of {self.path} can't be changed"):
            handle = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
            try:
                os.fchmod(handle, self.mode & 0o600)  # a new owner never meets the old owner's rights
                os.fchown(handle, uid, gid)
                os.fchmod(handle, self.mode)
            finally:
                os.close(handle)

    def _remove(self) -> None:
        with _system_errors(f"{self.path} can't be removed"):
            os.unlink(self.path)
            sync_directory(os.path.dirname(self.path))


def _outline(documents: Documents, mode: int, *, before: Documents | None = None) -> str:
    """Names and sizes for the diff; a digest would let a short password be guessed."""
    rows = [f"label: {LABEL}", f"mode: {mode:04o}"]
    for name, content in sorted(documents.items()):
        differs = before is not None and name in before and before[name] != content
        rows.append(f"{name}: {len(content)} bytes{', other content (not shown)' if differs else ''}")
    return "\n".join(rows) + "\n"


def _parse_mode(value: Any) -> int:
    """An octal mode as text, or the number that YAML made of one."""
    mode = value if isinstance(value, int) and not isinstance(value, bool) else None
    if isinstance(value, str):
        try:
            mode = int(value, 8)
        except ValueError:
            mode = None
    if mode is None or not 0 <= mode <= 0o777:
        raise DeclarationError(
            f"mode was given as {value!r}. Write it in quotes with four octal digits, such as '0600'."
        )
    return mode


def _identity(value: str | None, option: str, look_up: Callable[[str], int]) -> int | None:
    if value is None:
        return None
    try:
        return look_up(value)
    except KeyError:
        if value.isdecimal():
            return int(value)
    raise NotFoundError(
        f"{option} was given as {value!r}, but this host has no such name. Create it, or give a number."
    )


def _name(number: int, look_up: Callable[[int], str]) -> str:
    try:
        return look_up(number)
    except KeyError:
        return str(number)


@contextmanager
def _system_errors(asked: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _failure(asked, error.errno or 0) from error


def _failure(asked: str, number: int) -> SystemFailure:
    remedy = f" {_ADVICE[number]}" if number in _ADVICE else ""
    return SystemFailure(f"{asked}: {os.strerror(number)}.{remedy}", details={"errno": number})
