# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Configuration files, with errors that a user can read. Private to this collection."""

from __future__ import annotations

import os

from .._errors import SystemFailure
from .._files import sync_directory, write_whole


def read_file(path: str) -> bytes | None:
    """The content, or None where there is no file."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise _failure(path, "read", error) from error


def write_file(path: str, content: bytes | None, mode: int) -> None:
    """Puts the file there, with the rights of the old one where there was one; None removes it."""
    path = os.path.realpath(path)  # a link stays a link
    try:
        if content is None:
            _remove(path)
            return
        os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
        write_whole(path, content, mode)
    except OSError as error:
        raise _failure(path, "written", error) from error


def check_writable(path: str) -> None:
    """Raises when the file could not be written; asks for rights only."""
    directory = os.path.dirname(os.path.realpath(path))
    while not os.path.isdir(directory):
        directory = os.path.dirname(directory)
    if not os.access(directory, os.W_OK | os.X_OK):
        raise SystemFailure(
            f"{path} was to be written, and this task has no right to. Run it with become: true. Nothing was changed."
        )


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    directory = os.path.dirname(path)
    sync_directory(directory)
    # networkd's directory of drop-ins for one file; others are the distribution's
    if directory.endswith(".network.d") and not os.listdir(directory):
        os.rmdir(directory)


def _failure(path: str, what: str, error: OSError) -> SystemFailure:
    advice = " Run the task with become: true." if isinstance(error, PermissionError) else ""
    return SystemFailure(f"{path} can't be {what}: {error.strerror}.{advice}", details={"errno": error.errno})
