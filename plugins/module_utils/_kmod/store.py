# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files of /etc as steps. Private to this collection."""

from __future__ import annotations

import os
from pathlib import Path

from .._errors import SystemFailure
from .._files import write_whole
from .._plan import Step
from .files import Host
from .parser import ENCODING
from .undo import FILES, Undo

_NEW_FILE_MODE = 0o644


def file_step(host: Host, undo: Undo, path: str, before: bytes | None, after: bytes | None) -> Step:
    """The step that gives a file its new content; None: there is no file."""
    place = host.path(path.lstrip("/"))

    def apply() -> None:
        _store(place, after)
        undo.add(FILES, path, lambda: _store(place, before))

    verb = "create" if before is None else "remove" if after is None else "change"
    return Step(f"file {path}", verb, apply, _shown(before), _shown(after))


def _shown(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", errors="replace") if _is_utf8(data) else data.decode(ENCODING)


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _store(place: Path, data: bytes | None) -> None:
    try:
        if data is None:
            place.unlink(missing_ok=True)
        else:
            place.parent.mkdir(mode=0o755, exist_ok=True)
            write_whole(str(place.resolve()), data, _NEW_FILE_MODE)
    except OSError as error:
        raise SystemFailure(
            f"{place} can't be written: {os.strerror(error.errno or 0)}.", details={"errno": error.errno}
        ) from error
