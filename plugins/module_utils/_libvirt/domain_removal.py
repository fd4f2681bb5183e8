# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Taking a domain away, and only those of its parts that were named. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._deps import libvirt
from .._errors import RefusedError
from .._plan import Plan, Step
from .._xml.document import parse
from .connection import Connection
from .domain_lookup import find_domain
from .domain_power import Power
from .domain_state import DomainState
from .errors import is_code
from .storage_users import StorageUsers

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


@dataclass(frozen=True)
class _Part:
    """Something that outlives a domain unless it is removed with it."""

    name: str  # in the option remove
    what: str
    remove_flag: str
    keep_flag: str = ""


_PARTS = {
    part.name: part
    for part in (
        _Part("managed_save", "saved memory", "VIR_DOMAIN_UNDEFINE_MANAGED_SAVE"),
        _Part("snapshots", "snapshots", "VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA"),
        _Part("checkpoints", "checkpoints", "VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA"),
        _Part("nvram", "UEFI variables (NVRAM)", "VIR_DOMAIN_UNDEFINE_NVRAM", "VIR_DOMAIN_UNDEFINE_KEEP_NVRAM"),
        _Part("tpm", "TPM state", "VIR_DOMAIN_UNDEFINE_TPM", "VIR_DOMAIN_UNDEFINE_KEEP_TPM"),
    )
}


@dataclass(frozen=True)
class _Image:
    """A disk image that goes with its domain."""

    target: str
    path: str
    pool: str
    volume: str


class Removal:
    """The steps from a domain to none."""

    def __init__(self, connection: Connection, name: str, params: Mapping[str, Any]) -> None:
        self._connection = connection
        self._name = name
        self._remove = set(params.get("remove") or ())
        self._keep = set(params.get("keep") or ())
        self._power = Power(connection, name, params)

    def plan(self, state: DomainState) -> Plan:
        """Shut down, delete what was named, undefine; raises RefusedError where a part is left that was not named."""
        plan = Plan()
        if not state.exists:
            return plan
        flags = self._flags(state)
        images = self._images(state) if "storage" in self._remove else []
        for step in self._power.to("stopped", state):
            plan.add(step)
        for image in images:
            plan.add(self._delete(image))
        if state.persistent:
            listing = "".join(
                f"{part}\n" for part in sorted(self._remove & set(_PARTS)) if part in self._present(state)
            )
            plan.add(Step(f"domain {self._name}", "undefine", lambda: self._undefine(flags), f"defined\n{listing}", ""))
        return plan

    def _present(self, state: DomainState) -> set[str]:
        """The parts that the domain has, by the names of the option."""
        tree = state.inactive
        if tree is None:
            return set()
        found = {
            "managed_save": state.managed_save,
            "snapshots": self._count(state.handle, "snapshotNum") > 0,
            "checkpoints": self._count(state.handle, "listAllCheckpoints") > 0,
            "nvram": _has_variables(tree),
            "tpm": tree.find("devices/tpm/backend[@type='emulator']") is not None,
        }
        return {name for name, there in found.items() if there}

    def _flags(self, state: DomainState) -> int:
        present = self._present(state)
        needed = sorted(present - self._remove - self._keep - {"tpm"})
        if needed:
            parts = ", ".join(_PARTS[name].what for name in needed)
            kept = [name for name in needed if _PARTS[name].keep_flag]
            advice = f", or keep: [{', '.join(kept)}] to leave them on the host" if kept else ""
            raise RefusedError(
                f"Domain {self._name} still has {parts}. Add remove: [{', '.join(needed)}] to the task to delete them "
                f"with it{advice}.",
                details={"needed": needed},
            )
        flags = 0
        for name in present:
            part = _PARTS[name]
            flags |= getattr(libvirt, part.remove_flag if name in self._remove else part.keep_flag, 0)
        return flags

    @staticmethod
    def _count(domain: Any, call: str) -> int:
        """How many there are; none where the driver has no such thing."""
        try:
            answer = getattr(domain, call)()
        except libvirt.libvirtError as error:
            if is_code(error, "VIR_ERR_NO_SUPPORT") or is_code(error, "VIR_ERR_OPERATION_UNSUPPORTED"):
                return 0
            raise
        return answer if isinstance(answer, int) else len(answer)

    def _undefine(self, flags: int) -> None:
        domain = find_domain(self._connection, self._name)
        if domain is None:
            return
        if flags:
            domain.undefineFlags(flags)
        else:
            domain.undefine()

    def _images(self, state: DomainState) -> list[_Image]:
        """The domain's own images, each checked; a CD-ROM, a read-only or shared disk is not the domain's own."""
        tree = state.live if state.inactive is None else state.inactive
        targets = _pool_targets(self._connection)
        disks = [] if tree is None else tree.findall("devices/disk")
        found = [image for image in (self._own_image(disk, targets) for disk in disks) if image is not None]
        self._refuse_shared(found)
        return found

    def _own_image(self, disk: Element, pools: Mapping[str, str]) -> _Image | None:
        source, target = disk.find("source"), disk.find("target")
        if disk.get("device", "disk") != "disk" or source is None or target is None:
            return None
        if disk.find("readonly") is not None or disk.find("shareable") is not None:
            return None
        dev = target.get("dev", "")
        if source.get("volume"):
            return self._volume_image(dev, source.get("pool", ""), source.get("volume", ""))
        path = source.get("file") or source.get("dev")
        if path is None:
            raise RefusedError(
                f"Disk {dev} of domain {self._name} is on {disk.get('type')} storage, which this module does not "
                "delete. Remove it where it is kept, and leave storage out of remove."
            )
        pool = pools.get(os.path.dirname(path))
        if pool is None:
            raise RefusedError(
                f"Disk {dev} of domain {self._name} is {path}, which is in no active pool; only volumes of a pool are "
                f"deleted. Define a pool for {os.path.dirname(path)} (nestbox.virt.pool), or leave storage out of "
                "remove and delete the file yourself.",
                details={"path": path},
            )
        return _Image(dev, path, pool, os.path.basename(path))

    def _volume_image(self, dev: str, pool: str, volume: str) -> _Image | None:
        try:
            path = self._connection.handle.storagePoolLookupByName(pool).storageVolLookupByName(volume).path()
        except libvirt.libvirtError as error:
            if is_code(error, "VIR_ERR_NO_STORAGE_VOL"):  # gone already
                return None
            raise
        return _Image(dev, path, pool, volume)

    def _refuse_shared(self, images: list[_Image]) -> None:
        if not images:
            return
        users = StorageUsers(self._connection)
        for image in images:
            others = [
                use
                for use in users.of(image.path, image.pool, image.volume)
                if use.kind != "domain" or use.name != self._name
            ]
            if others:
                raise RefusedError(
                    f"Disk {image.target} of domain {self._name} is {image.path}, which is also used by "
                    f"{', '.join(str(use) for use in others)}. Nothing was deleted. Remove those first, or leave "
                    "storage out of remove.",
                    details={"path": image.path, "used_by": [use.as_result() for use in others]},
                )

    def _delete(self, image: _Image) -> Step:
        def apply() -> None:
            pool = self._connection.handle.storagePoolLookupByName(image.pool)
            pool.refresh()  # a file that was made without libvirt is not in the pool's list yet
            try:
                pool.storageVolLookupByName(image.volume).delete()
            except libvirt.libvirtError as error:
                if not is_code(error, "VIR_ERR_NO_STORAGE_VOL"):
                    raise

        target = f"volume {image.pool}/{image.volume} (disk {image.target})"
        return Step(target, "delete", apply, f"{image.path}\n", "")


def _has_variables(tree: Element) -> bool:
    """Whether a domain has UEFI variables; with firmware='efi' libvirt makes the file at the first start."""
    system, loader = tree.find("os"), tree.find("os/loader")
    if tree.find("os/nvram") is not None or (system is not None and system.get("firmware") == "efi"):
        return True
    return loader is not None and loader.get("type") == "pflash" and loader.get("stateless") != "yes"


def _pool_targets(connection: Connection) -> dict[str, str]:
    """Active pools by the directory of their volumes."""
    found = {}
    for pool in connection.handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
        path = parse(pool.XMLDesc()).findtext("target/path")
        if path:
            found[os.path.normpath(path)] = pool.name()
    return found
