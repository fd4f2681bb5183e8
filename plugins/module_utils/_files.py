# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of the host, written whole or not at all. Private to this collection."""

from __future__ import annotations

import os
import shutil
import tempfile


def write_whole(
    path: str, content: bytes, mode: int, owner: tuple[int, int] | None = None, *, keep_rights: bool = True
) -> None:
    """The content appears under its name with its final rights, and is on the disk when this returns; raises OSError.

    `mode` and `owner` (user and group) are those of a new file. With `keep_rights` one that is there keeps its mode,
    owner and label. `path` must be no symbolic link that is to stay one.
    """
    directory = os.path.dirname(path)
    # no daemon that reads a directory takes a name with a dot in front
    handle, temporary = tempfile.mkstemp(dir=directory, prefix=".nestbox-")  # mode 0600, O_EXCL
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            _set_rights(file.fileno(), temporary, path if keep_rights and os.path.exists(path) else None, mode, owner)
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
    sync_directory(directory)


def sync_directory(directory: str) -> None:
    """Makes new names, and the removal of old ones, survive a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _set_rights(handle: int, temporary: str, old: str | None, mode: int, owner: tuple[int, int] | None) -> None:
    """The owner first: a change of it takes rights away."""
    if old is not None:
        status = os.stat(old)
        owner = (status.st_uid, status.st_gid)
    if owner not in (None, (os.geteuid(), os.getegid())):
        os.fchown(handle, *owner)
    if old is None:
        os.fchmod(handle, mode)
    else:
        shutil.copystat(old, temporary)  # the label, too
        os.utime(temporary)  # it is as new as its content
