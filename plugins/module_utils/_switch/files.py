# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files as they were, to the byte and with their rights. Private to this collection."""

from __future__ import annotations

import base64
import errno
import os
import stat
import tempfile
from collections.abc import Iterable
from typing import Any

Saved = dict[str, Any]  # path: what was there, as data that JSON can hold


def save(paths: Iterable[str]) -> Saved:
    """Content, mode and owner of each file, where a symbolic link leads, or which directories were not there either."""
    return {path: _save(path) for path in sorted(set(paths))}


def _save(path: str) -> dict[str, Any]:
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return {"absent": _missing_parents(path)}
    if stat.S_ISLNK(status.st_mode):
        return {"link": os.readlink(path)}
    with open(path, "rb") as file:
        content = base64.b64encode(file.read()).decode()
    return {"content": content, "mode": stat.S_IMODE(status.st_mode), "owner": [status.st_uid, status.st_gid]}


def _missing_parents(path: str) -> list[str]:
    """Directories that are not there, the deepest first."""
    missing = []
    parent = os.path.dirname(path)
    while parent and not os.path.lexists(parent):
        missing.append(parent)
        parent = os.path.dirname(parent)
    return missing


def changed(saved: Saved) -> list[str]:
    """The paths that are not as they were."""
    return [path for path, before in saved.items() if not _same(before, _save(path))]


def _same(before: dict[str, Any], now: dict[str, Any]) -> bool:
    if "absent" in before:
        return "absent" in now and not any(_is_empty(directory) for directory in before["absent"])
    return before == now


def _is_empty(directory: str) -> bool:
    """Whether a directory was made for a file that is gone again; one with other files in it has another purpose."""
    return os.path.isdir(directory) and not os.listdir(directory)


def restore(saved: Saved) -> list[str]:
    """Puts every file back; what could not be, in words."""
    failed = []
    for path in changed(saved):
        try:
            _restore(path, saved[path])
        except OSError as error:
            failed.append(f"{path} can't be put back: {error.strerror}")
    return failed


def _restore(path: str, before: dict[str, Any]) -> None:
    if "absent" in before:
        if os.path.lexists(path):
            os.unlink(path)
        for directory in before["absent"]:
            if _is_empty(directory):
                os.rmdir(directory)
        return
    os.makedirs(os.path.dirname(path), exist_ok=True)
    if "link" in before:
        temporary = f"{path}.nestbox-{os.getpid()}"
        os.symlink(before["link"], temporary)
        os.replace(temporary, path)
        return
    write(path, base64.b64decode(before["content"]), before["mode"], tuple(before["owner"]))


def remove(path: str) -> None:
    """Removes a file that may be there, and directories that are empty without it."""
    try:
        os.unlink(path)
    except OSError:
        pass  # not there, or on what can't be written
    prune(os.path.dirname(path))


def prune(directory: str) -> None:
    """Removes a directory, and those above it, as far as they are empty."""
    try:
        os.removedirs(directory)
    except OSError:
        return


def write(path: str, content: bytes, mode: int = 0o600, owner: tuple[int, ...] | None = None) -> None:
    """Writes a file whole or not at all, on the disk when this returns."""
    directory = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=".nestbox-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if owner is not None:
                os.fchown(file.fileno(), owner[0], owner[1])
            os.fchmod(file.fileno(), mode)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        os.unlink(temporary)
        if error.errno != errno.EBUSY:
            raise
        # a file that is itself a mount, such as a container's resolv.conf
        with open(path, "wb") as file:
            file.write(content)
    sync(directory)


def sync(directory: str) -> None:
    """Names of files are on the disk as well."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
