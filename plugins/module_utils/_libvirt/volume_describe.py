# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dictionary of a volume, for the module and its _info sibling. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._deps import libvirt, require
from .._errors import NotFoundError
from .._xml.document import parse
from .connection import Connection
from .errors import is_code, libvirt_errors
from .pool_describe import permissions_of
from .storage_users import StorageUsers

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Params = dict[str, Any]

# beside a volume while its content is written; a volume that has one is half made
PARTIAL_SUFFIX = ".nestbox-partial"


def describe_volume(tree: Element, pool: str) -> dict[str, Any]:
    """Everything that a task wants to know of one volume, from its XML."""
    return {
        "name": tree.findtext("name"),
        "pool": pool,
        "key": tree.findtext("key"),
        "path": tree.findtext("target/path"),
        "type": tree.get("type"),
        "capacity_bytes": _number(tree, "capacity"),
        "allocation_bytes": _number(tree, "allocation"),
        "physical_bytes": _number(tree, "physical"),
        "format": _format(tree.find("target")),
        "backing": _backing(tree.find("backingStore")),
        "permissions": permissions_of(tree.find("target/permissions")),
        "encrypted": tree.find("target/encryption") is not None,
        "encryption": _encryption(tree.find("target/encryption")),
    }


def read_volumes(connection: Connection, params: Params) -> dict[str, Any]:
    """The result of volume_info: volumes of one, several or all active pools, from one list for each pool."""
    require("lxml")
    pools = _pools(connection, params["pool"])
    if params["refresh"]:
        _refresh(connection, pools)
    found = [volume for pool in pools for volume in _of_pool(pool)]
    if params["name"]:
        found = _named(found, params)
    if params["used_by"]:
        users = StorageUsers(connection)
        for volume in found:
            used = users.of(volume["path"], volume["pool"], volume["name"])
            volume["used_by"] = [user.as_result() for user in used]
    return {"volumes": found}


def _pools(connection: Connection, wanted: list[str]) -> list[Any]:
    listed = {pool.name(): pool for pool in connection.handle.listAllStoragePools()}
    missing = [name for name in wanted if name not in listed]
    if missing:
        raise NotFoundError(
            f"There is no pool called {', '.join(missing)} on {connection.uri}. There are: "
            f"{', '.join(sorted(listed)) or 'none'}.",
            details={"missing": missing},
        )
    stopped = [name for name in wanted if not listed[name].isActive()]
    if stopped:
        raise NotFoundError(
            f"The volumes of the pool {', '.join(stopped)} can't be listed, because it is inactive. Start it with "
            f"nestbox.virt.pool and state: active."
        )
    return [listed[name] for name in wanted or sorted(listed) if listed[name].isActive()]


def _refresh(connection: Connection, pools: list[Any]) -> None:
    """Lets libvirt look at the files again, which a read-only connection may not; in check mode it is left out."""
    handle = connection.agent_handle()
    if handle is None:
        return
    for pool in pools:
        with libvirt_errors(f"refreshing the pool {pool.name()}"):
            handle.storagePoolLookupByName(pool.name()).refresh(0)


def _of_pool(pool: Any) -> list[dict[str, Any]]:
    name = pool.name()
    found = []
    for volume in pool.listAllVolumes():
        tree = volume_tree(volume)
        if tree is not None:
            found.append(describe_volume(tree, name))
    return sorted(found, key=lambda volume: str(volume["name"]))


def volume_tree(volume: Any) -> Element | None:
    """The volume's XML; None when its file has gone since libvirt last looked."""
    try:
        return parse(volume.XMLDesc(0))
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_STORAGE_VOL"):
            return None
        raise


def _named(found: list[dict[str, Any]], params: Params) -> list[dict[str, Any]]:
    names = {volume["name"] for volume in found}
    missing = [name for name in params["name"] if name not in names]
    if missing and not params["ignore_missing"]:
        where = f"the pool {', '.join(params['pool'])}" if params["pool"] else "any active pool"
        raise NotFoundError(
            f"There is no volume called {', '.join(missing)} in {where}. If the file was put there by hand, refresh "
            "the pool.",
            details={"missing": missing},
        )
    return [volume for volume in found if volume["name"] in params["name"]]


def _number(tree: Element, path: str) -> int | None:
    text = tree.findtext(path)
    return None if text is None else int(text)


def _format(holder: Element | None) -> str | None:
    found = None if holder is None else holder.find("format")
    return None if found is None else found.get("type")


def _backing(item: Element | None) -> dict[str, Any] | None:
    return None if item is None else {"path": item.findtext("path"), "format": _format(item)}


def _encryption(item: Element | None) -> dict[str, Any] | None:
    if item is None:
        return None
    secret = item.find("secret")
    return {"format": item.get("format"), "secret": None if secret is None else secret.get("uuid")}
