# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rights of a volume's file, which libvirt only sets when it makes the file. Private to this collection."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .._errors import SystemFailure, UnsupportedError
from .connection import Connection

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


def require_reachable(connection: Connection, path: str, volume: str) -> None:
    """Raises UnsupportedError when the file can't be one of this host."""
    if urlsplit(connection.uri).netloc or not os.path.exists(path):
        raise UnsupportedError(
            f"The permissions of the volume {volume} differ from the declaration, but libvirt sets them only when it "
            f"makes a volume, and its file {path} is not on this host. Change them on the host of the file, or leave "
            "them out.",
            details={"path": path, "uri": connection.uri},
        )


def change_rights(path: str, wanted: Element) -> None:
    """Sets mode, owner and group of the file."""
    owner, group, mode = (wanted.findtext(tag) for tag in ("owner", "group", "mode"))
    try:
        os.chown(path, int(owner or -1), int(group or -1))
        if mode is not None:  # after chown, which takes set-user-ID bits away
            os.chmod(path, int(mode, 8))
    except OSError as error:
        raise SystemFailure(
            f"The permissions of {path} could not be changed: {error.strerror}. Run the task as root (become).",
            details={"path": path, "errno": error.errno},
        ) from error
