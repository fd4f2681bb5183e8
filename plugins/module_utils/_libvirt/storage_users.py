# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses which image: domains and overlays, read in one pass. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._deps import libvirt
from .._xml.document import parse
from .connection import Connection
from .errors import is_code

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


@dataclass(frozen=True)
class User:
    """One use of an image."""

    kind: str  # domain or volume
    name: str  # the domain, or POOL/VOLUME of an overlay
    device: str = ""  # the disk's target, or the element that names the file
    running: bool = False
    backing: bool = False  # below the top of the chain: read, never written

    def __str__(self) -> str:
        if self.kind == "volume":
            return f"overlay {self.name}"
        device = f" ({self.device})" if self.device else ""
        return f"{'running ' if self.running else ''}domain {self.name}{device}"

    def as_result(self) -> dict[str, Any]:
        """What an _info module says of this use."""
        return {"kind": self.kind, "name": self.name, "device": self.device or None, "running": self.running}


class StorageUsers:
    """The uses of images by path, and by pool and volume; made once for one read."""

    def __init__(self, connection: Connection) -> None:
        self._uses: dict[str, dict[User, None]] = {}
        for domain in connection.handle.listAllDomains():
            self._add_domain(domain)
        for pool in connection.handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            self._add_overlays(pool)

    def of(self, path: str, pool: str, volume: str) -> list[User]:
        """Who uses this volume."""
        found: dict[User, None] = {}
        for key in (_volume_key(pool, volume), *_path_keys(path)):
            found.update(self._uses.get(key, {}))
        return list(found)

    def _add_domain(self, domain: Any) -> None:
        running = bool(domain.isActive())
        flags = [0] if running else []
        if domain.isPersistent():
            flags.append(libvirt.VIR_DOMAIN_XML_INACTIVE)
        for flag in flags:
            try:
                tree = parse(domain.XMLDesc(flag))
            except libvirt.libvirtError as error:
                if is_code(error, "VIR_ERR_NO_DOMAIN"):  # gone since the list was read
                    return
                raise
            for keys, device, backing in _images(tree):
                self._add(keys, User("domain", domain.name(), device, running and flag == 0, backing))

    def _add_overlays(self, pool: Any) -> None:
        for volume in pool.listAllVolumes():
            try:
                path = parse(volume.XMLDesc()).findtext("backingStore/path")
            except libvirt.libvirtError as error:
                if is_code(error, "VIR_ERR_NO_STORAGE_VOL"):  # gone since the list was read
                    continue
                raise
            if path:
                self._add(_path_keys(path), User("volume", f"{pool.name()}/{volume.name()}", backing=True))

    def _add(self, keys: Iterable[str], user: User) -> None:
        for key in keys:
            self._uses.setdefault(key, {})[user] = None


def _images(domain: Element) -> Iterator[tuple[tuple[str, ...], str, bool]]:
    """Each image of a domain's XML, with its device and whether it lies below another image."""
    for device in [*domain.findall("devices/disk"), *domain.findall("devices/filesystem")]:
        target = device.find("target")
        name = "" if target is None else target.get("dev") or target.get("dir") or ""
        for source in device.iter("source"):
            backing = source.getparent() is not device
            if source.get("volume"):
                yield (_volume_key(source.get("pool") or "", source.get("volume") or ""),), name, backing
            path = next((source.get(key) for key in ("file", "dev", "dir") if source.get(key)), None)
            if path:
                yield _path_keys(path), name, backing
    for item in domain.findall("os/*"):
        if item.text and item.text.startswith("/"):
            yield _path_keys(item.text), str(item.tag), False


def _volume_key(pool: str, volume: str) -> str:
    return f"{pool}//{volume}"


def _path_keys(path: str) -> tuple[str, ...]:
    """The path as it is written, and where its links lead on this host."""
    plain = os.path.normpath(path)
    real = os.path.realpath(plain)
    return (plain,) if real == plain else (plain, real)
