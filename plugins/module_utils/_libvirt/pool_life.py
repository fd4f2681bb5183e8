# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Build, start and delete a pool's storage. Private to this collection."""

from __future__ import annotations

from typing import Any

from .._deps import libvirt
from .._errors import ConflictError, NotFoundError, RefusedError
from .._xml.document import parse
from .pool_describe import definition_of

# kinds of which a build without flags makes the directory, and never formats anything
_DIRECTORY_KINDS = ("dir", "fs", "netfs")
# kinds whose files are there whether the pool runs or not, and whose deletion removes an empty directory at most
KEEPS_FILES_WHEN_STOPPED = ("dir",)

# what libvirt says when a device has been formatted as it was to be (storage_backend_util.c)
_BUILT = "already formatted"


def kind_of(pool: Any) -> str:
    """The pool's type: dir, logical …"""
    return str(parse(definition_of(pool)).get("type"))


def target_of(pool: Any) -> str:
    """The pool's target path."""
    return parse(definition_of(pool)).findtext("target/path") or ""


def build(pool: Any, mode: str) -> None:
    """Makes what the pool lies on: a directory, or with `mode` empty the format of a device that holds nothing."""
    formats = mode == "empty" and kind_of(pool) in ("fs", "logical", "disk")
    if not formats:
        if mode == "empty" or kind_of(pool) in _DIRECTORY_KINDS:
            pool.build(0)
        return
    try:
        pool.build(libvirt.VIR_STORAGE_POOL_BUILD_NO_OVERWRITE)
    except libvirt.libvirtError as error:
        text = str(error)
        if _BUILT in text:
            return
        if "overwrite" in text:
            raise RefusedError(
                f"The device of the pool {pool.name()} was to be formatted, but it holds something else: {text}. Take "
                f"another device, wipe it, or say build: overwrite when the pool is made.",
                details={"libvirt_text": text},
            ) from error
        raise


def start(pool: Any, mode: str) -> None:
    """Starts the pool; a missing target directory is made, unless `mode` is never."""
    try:
        pool.create(0)
    except libvirt.libvirtError as error:
        if "No such file or directory" not in str(error) or kind_of(pool) not in _DIRECTORY_KINDS:
            raise
        if mode == "never":
            raise NotFoundError(
                f"The pool {pool.name()} was to be started, but its directory {target_of(pool)} does not exist. Make "
                "it, or leave out build: never.",
                details={"path": target_of(pool)},
            ) from error
        pool.build(0)
        pool.create(0)


def stop_and_delete(pool: Any, name: str) -> None:
    """Removes the storage, which must be empty; one step, since a stopped volume group can no longer be looked into."""
    path = target_of(pool)
    if pool.isActive():
        pool.refresh(0)
        left = sorted(volume.name() for volume in pool.listAllVolumes())
        if left:
            raise ConflictError(
                f"The storage of the pool {name} was to be removed, but it holds files that were not there when the "
                f"plan was made: {', '.join(left)}. Nothing of them was removed; run the task again."
            )
        pool.destroy()
    try:
        pool.delete(0)
    except libvirt.libvirtError as error:
        text = str(error)
        if "No such file or directory" in text:  # a run before this one got as far
            return
        if "not empty" in text:
            raise RefusedError(
                f"The directory {path} of the pool {name} was to be removed, but it holds files that are no volumes, "
                "or the pool is inactive and its volumes were not listed. Start the pool and run the task again, or "
                "remove the files by hand.",
                details={"path": path},
            ) from error
        raise
