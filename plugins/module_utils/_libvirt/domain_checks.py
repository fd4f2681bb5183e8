# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a domain must find before it can start. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._deps import libvirt
from .connection import Connection
from .errors import is_code

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


def missing_sources(connection: Connection, tree: Element) -> list[str]:
    """Networks and volumes that a domain's XML names and the host has not, each as a sentence."""
    networks = _networks(tree)
    return [*(_missing_networks(connection, networks) if networks else ()), *_missing_volumes(connection, tree)]


def _networks(tree: Element) -> dict[str, str]:
    """Network to the interface that wants it."""
    found = {}
    for number, interface in enumerate(tree.iterfind("devices/interface[@type='network']")):
        source = interface.find("source")
        if source is not None and source.get("network"):
            found[source.get("network", "")] = f"interface {number}"
    return found


def _missing_networks(connection: Connection, wanted: dict[str, str]) -> list[str]:
    present = {network.name(): bool(network.isActive()) for network in connection.handle.listAllNetworks()}
    texts = [
        f"{where} is on network {name}, which does not exist" for name, where in wanted.items() if name not in present
    ]
    return texts + [
        f"{where} is on network {name}, which is not active"
        for name, where in wanted.items()
        if present.get(name) is False
    ]


def _missing_volumes(connection: Connection, tree: Element) -> list[str]:
    texts = []
    for disk in tree.iterfind("devices/disk[@type='volume']"):
        source, target = disk.find("source"), disk.find("target")
        if source is None or disk.get("device") in ("cdrom", "floppy"):
            continue
        dev = "" if target is None else target.get("dev", "")
        text = _volume_problem(connection.handle, source.get("pool", ""), source.get("volume", ""))
        if text:
            texts.append(f"disk {dev} is {text}")
    return texts


def _volume_problem(handle: Any, pool: str, volume: str) -> str | None:
    try:
        found = handle.storagePoolLookupByName(pool)
        if not found.isActive():
            return f"in pool {pool}, which is not active"
        found.storageVolLookupByName(volume)
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_STORAGE_POOL"):
            return f"in pool {pool}, which does not exist"
        if is_code(error, "VIR_ERR_NO_STORAGE_VOL"):
            return f"volume {pool}/{volume}, which does not exist"
        raise
    return None
