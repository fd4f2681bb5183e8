# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dictionary of a pool, for the module and its _info sibling. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._deps import libvirt, require
from .._errors import NotFoundError
from .._xml.document import parse
from .connection import Connection
from .errors import is_code, libvirt_errors

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Params = dict[str, Any]

# virStoragePoolState (https://libvirt.org/html/libvirt-libvirt-storage.html#virStoragePoolState)
_STATES = {0: "inactive", 1: "building", 2: "active", 3: "degraded", 4: "inaccessible"}


def describe_pool(handle: Any) -> dict[str, Any]:
    """Everything that a task wants to know of one pool; sizes are 0 while it is inactive."""
    text = definition_of(handle)
    tree = parse(text)
    state, capacity, allocation, available = handle.info()
    active = bool(handle.isActive())
    return {
        "name": handle.name(),
        "uuid": handle.UUIDString(),
        "type": tree.get("type"),
        "state": _STATES.get(state, "unknown"),
        "active": active,
        "persistent": bool(handle.isPersistent()),
        "autostart": bool(handle.autostart()),
        "path": tree.findtext("target/path"),
        "capacity_bytes": capacity,
        "allocation_bytes": allocation,
        "available_bytes": available,
        "volumes": handle.numOfVolumes() if active else None,
        "source": _source(tree),
        "permissions": permissions_of(tree.find("target/permissions")),
        "xml": text,
    }


def read_pools(connection: Connection, params: Params) -> dict[str, Any]:
    """The result of pool_info: the pools that were asked for, or all, from one list."""
    require("lxml")
    listed = {handle.name(): handle for handle in connection.handle.listAllStoragePools()}
    wanted = params["name"] or sorted(listed)
    missing = [name for name in wanted if name not in listed]
    if missing and not params["ignore_missing"]:
        raise NotFoundError(
            f"There is no pool called {', '.join(missing)} on {connection.uri}. There are: "
            f"{', '.join(sorted(listed)) or 'none'}.",
            details={"missing": missing},
        )
    return {"pools": _described([listed[name] for name in wanted if name in listed])}


def permissions_of(item: Element | None) -> dict[str, Any] | None:
    """Mode, owner, group and label of a target."""
    if item is None:
        return None
    owner, group = item.findtext("owner"), item.findtext("group")
    return {
        "mode": item.findtext("mode"),
        "owner": None if owner is None else int(owner),
        "group": None if group is None else int(group),
        "label": item.findtext("label"),
    }


def definition_of(handle: Any) -> str:
    """The XML from which the pool starts next."""
    try:
        return str(handle.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE))
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_INVALID_ARG"):  # the drivers test and esx know one definition only, and no flags
            return str(handle.XMLDesc(0))
        raise


def _described(handles: list[Any]) -> list[dict[str, Any]]:
    found = []
    for handle in handles:
        try:
            found.append(describe_pool(handle))
        except libvirt.libvirtError as error:
            if not is_code(error, "VIR_ERR_NO_STORAGE_POOL"):  # gone since the list was read
                with libvirt_errors(f"reading the pool {handle.name()}"):
                    raise
    return found


def _source(tree: Element) -> dict[str, Any]:
    form, directory = tree.find("source/format"), tree.find("source/dir")
    return {
        "hosts": [item.get("name") for item in tree.findall("source/host")],
        "devices": [item.get("path") for item in tree.findall("source/device")],
        "directory": None if directory is None else directory.get("path"),
        "name": tree.findtext("source/name"),
        "format": None if form is None else form.get("type"),
    }
