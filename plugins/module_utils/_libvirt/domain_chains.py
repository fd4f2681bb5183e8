# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Backing chains of stopped domains, from the storage pools. Private to this collection."""

from __future__ import annotations

from typing import Any

from .._deps import libvirt
from .._xml.document import parse
from .connection import Connection
from .errors import is_code

# no longer than this: QEMU gives up before, and a circle ends
_LONGEST = 200
_NOT_THERE = ("VIR_ERR_NO_STORAGE_VOL", "VIR_ERR_NO_STORAGE_POOL", "VIR_ERR_OPERATION_INVALID", "VIR_ERR_NO_SUPPORT")


class Chains:
    """Looks chains up; each image is read once, however many disks lie on it.

    Calls: two for each image that lies in a pool, three where the disk names pool and volume. Images outside of pools
    end a chain.
    """

    def __init__(self, connection: Connection) -> None:
        self._handle = connection.handle
        self._images: dict[tuple[str | None, str], dict[str, Any] | None] = {}

    def add(self, described: dict[str, Any]) -> None:
        """Adds the chains to the disks of a described domain that does not run."""
        for disk in described["disks"]:
            if disk["source"] and not disk["chain"] and disk["type"] in ("file", "block", "volume"):
                disk["chain"] = self._chain(disk["pool"], disk["source"])

    def _chain(self, pool: str | None, source: str) -> list[dict[str, Any]]:
        chain: list[dict[str, Any]] = []
        below = self._backing(pool, source)
        while below is not None and len(chain) < _LONGEST:
            chain.append(below)
            below = self._backing(None, below["source"])
        return chain

    def _backing(self, pool: str | None, source: str) -> dict[str, Any] | None:
        key = (pool, source)
        if key not in self._images:
            self._images[key] = self._read_backing(pool, source)
        return self._images[key]

    def _read_backing(self, pool: str | None, source: str) -> dict[str, Any] | None:
        try:
            if pool is None:
                volume = self._handle.storageVolLookupByPath(source)
            else:
                volume = self._handle.storagePoolLookupByName(pool).storageVolLookupByName(source)
            store = parse(volume.XMLDesc()).find("backingStore")
        except libvirt.libvirtError as error:
            if any(is_code(error, name) for name in _NOT_THERE):
                return None
            raise
        path = store.findtext("path") if store is not None else None
        if store is None or not path:
            return None
        kind = store.find("format")
        return {"source": path, "format": kind.get("type") if kind is not None else None}
