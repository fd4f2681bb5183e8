# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain by its name or UUID; who needs no more of domains imports only this. Private to this collection."""

from __future__ import annotations

from typing import Any

from .._deps import libvirt
from .connection import Connection
from .errors import is_code


def find_domain(connection: Connection, name: str) -> Any:
    """libvirt's object for the domain called `name`, or None."""
    try:
        return connection.handle.lookupByName(name)
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_DOMAIN"):
            return None
        raise


def find_domain_by_uuid(connection: Connection, uuid: str) -> Any:
    """libvirt's object for the domain with this UUID, or None."""
    try:
        return connection.handle.lookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_DOMAIN"):
            return None
        raise
