# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage volume: read, plan, describe. Private to this collection."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from .._deps import libvirt, require
from .._errors import ConflictError, NotFoundError, RefusedError, UnsupportedError
from .._plan import Plan, Step
from .._resource import Resource
from .._units import format_size
from .._xml.compare import Difference, differences
from .._xml.document import parse, to_text
from .._xml.merge import merge, normalise
from .._xml.storage_tables import VOLUME
from .connection import Connection
from .errors import is_code
from .secret import is_ours, keep_passphrase, secret_of
from .storage_arguments import WIPE_ALGORITHMS
from .storage_declaration import declared_volume
from .storage_users import StorageUsers, User
from .volume_describe import PARTIAL_SUFFIX, describe_volume, volume_tree
from .volume_files import change_rights, require_reachable
from .volume_make import refresh, remove_half_made, volume_named
from .volume_new import Creation

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

    from .volume_transfer import Source

Params = dict[str, Any]
OpenUrl = Callable[[str], "Source"]

# a device is as large as the next extent (4 MiB with LVM) makes it, and libvirt gives qemu-img whole KiB: so much more
# is no difference
_ROUNDING_BYTES = {"block": 4 * 1024 * 1024, "file": 1024}


@dataclass(frozen=True)
class CurrentVolume:
    """What the host has; a volume with a marker was left half made by a run that was interrupted."""

    pool: Element | None = None  # None: there is no such pool
    tree: Element | None = None
    half_made: bool = False
    secret: Any = None  # ours, for this path

    @property
    def existing(self) -> Element:
        """The XML of a volume that exists."""
        if self.tree is None:
            raise ValueError("there is no such volume")
        return self.tree

    @property
    def existing_pool(self) -> Element:
        """The XML of a pool that exists."""
        if self.pool is None:
            raise ValueError("there is no such pool")
        return self.pool

    @property
    def path(self) -> str:
        """Where the volume is."""
        return "" if self.tree is None else self.tree.findtext("target/path") or ""

    @property
    def capacity(self) -> int:
        """Its size in bytes, as a guest sees it."""
        return 0 if self.tree is None else int(self.tree.findtext("capacity") or 0)


class VolumeResource(Resource[CurrentVolume]):
    """The volume of one task."""

    def __init__(self, connection: Connection, params: Params, open_url: OpenUrl) -> None:
        require("lxml")
        self._connection = connection
        self._params = params
        self._open_url = open_url
        self._name, self._declared = declared_volume(params)
        self._pool_name: str = params["pool"]
        self._target = f"volume {self._pool_name}/{self._name}"

    def read(self) -> CurrentVolume:
        """The volume, or one that does not exist."""
        try:
            pool = self._pool()
        except libvirt.libvirtError as error:
            if is_code(error, "VIR_ERR_NO_STORAGE_POOL"):
                return CurrentVolume()
            raise
        tree = parse(pool.XMLDesc(0))
        if not pool.isActive():
            raise ConflictError(
                f"The volume {self._name} can't be looked up, because its pool {self._pool_name} is inactive. Start "
                "the pool with nestbox.virt.pool and state: active."
            )
        volume, marker = volume_named(pool, self._name), volume_named(pool, self._name + PARTIAL_SUFFIX)
        found = None if volume is None else volume_tree(volume)
        path = _future_path(tree, self._name) if found is None else found.findtext("target/path") or ""
        secret = secret_of(self._connection, path) if self._may_have_secret else None
        return CurrentVolume(tree, found, marker is not None, secret)

    def plan(self, current: CurrentVolume) -> Plan:
        """The steps from `current` to the declaration."""
        plan = Plan()
        if self._params["state"] == "absent":
            self._plan_absence(plan, current)
            return plan
        if current.pool is None:
            raise NotFoundError(
                f"The volume {self._name} was to be made in the pool {self._pool_name}, but there is no such pool. "
                "Make it with nestbox.virt.pool, or correct the name."
            )
        if current.half_made:
            self._plan_repair(plan, current)
        if current.tree is None or current.half_made:
            self._plan_creation(plan, current)
        else:
            self._plan_changes(plan, current)
        return plan

    def describe(self, current: CurrentVolume) -> dict[str, Any] | None:
        """What volume_info says too."""
        return None if current.tree is None else describe_volume(current.tree, self._pool_name)

    # -- steps ------------------------------------------------------------------------------------------------

    def _plan_creation(self, plan: Plan, current: CurrentVolume) -> None:
        plan.add(self._creation(current, _future_path(current.existing_pool, self._name)).step(self._target))

    def _plan_repair(self, plan: Plan, current: CurrentVolume) -> None:
        before = f"half made, left by a run that was interrupted: {current.path or self._name}"
        plan.add(Step(self._target, "delete", self._remove, before, None))

    def _plan_changes(self, plan: Plan, current: CurrentVolume) -> None:
        before = normalise(current.existing, VOLUME)
        merged = merge(current.existing, self._creation(current, current.path).comparable(), VOLUME)
        found = differences(before, merged, VOLUME)
        rights = [one for one in found if one.path.startswith("target/permissions")]
        impossible = [one for one in found if one not in rights and one.path != "capacity"]
        if impossible:
            raise self._can_not_change(impossible)
        if any(one.path == "capacity" for one in found):
            self._plan_size(plan, current, int(merged.findtext("capacity") or 0))
        wanted = merged.find("target/permissions")
        if rights and wanted is not None:
            self._plan_rights(plan, current, before, wanted)
        self._plan_secret(plan, current)

    def _creation(self, current: CurrentVolume, path: str) -> Creation:
        pool, declared = current.existing_pool, self._declared
        return Creation(self._connection, self._params, self._name, declared, pool, path, self._open_url)

    def _plan_size(self, plan: Plan, current: CurrentVolume, wanted: int) -> None:
        found = current.capacity
        kind = "file" if current.existing.get("type") == "file" else "block"
        if wanted <= found < wanted + _ROUNDING_BYTES[kind]:
            return
        before, after = {"capacity_bytes": found}, {"capacity_bytes": wanted}
        if wanted < found:
            self._refuse_to_shrink(current, wanted)
            apply = self._resize(wanted, libvirt.VIR_STORAGE_VOL_RESIZE_SHRINK)
            plan.add(Step(self._target, "shrink", apply, before, after))
            return
        running = [user for user in self._users(current) if user.running]
        if not running:
            plan.add(Step(self._target, "grow", self._resize(wanted, 0), before, after))
            return
        below = [str(user) for user in running if user.backing]
        if below:
            raise RefusedError(
                f"The volume {self._name} was to grow to {format_size(wanted)}, but it is a backing file of "
                f"{', '.join(below)}. Grow the overlay instead, or stop the domain first.",
                details={"used_by": below},
            )
        user = running[0]
        plan.add(
            Step(
                f"{self._target} in domain {user.name}, disk {user.device}",
                "grow live",
                self._live(user, wanted),
                before,
                after,
            )
        )

    def _refuse_to_shrink(self, current: CurrentVolume, wanted: int) -> None:
        sizes = f"from {format_size(current.capacity)} to {format_size(wanted)}"
        if not self._params["shrink"]:
            raise RefusedError(
                f"The volume {self._name} would shrink {sizes}, and what lies behind the new end would be lost. Give "
                f"a capacity of at least {format_size(current.capacity)}, or say shrink: true.",
                details={"capacity_bytes": current.capacity, "declared_bytes": wanted},
            )
        taken = int(current.existing.findtext("allocation") or 0)
        if wanted < taken:
            raise UnsupportedError(
                f"The volume {self._name} can't shrink {sizes}: libvirt does not go below the {format_size(taken)} "
                "that it takes on disk. Copy it into a smaller one.",
                details={"allocation_bytes": taken, "declared_bytes": wanted},
            )
        users = [str(user) for user in self._users(current) if user.running or user.backing]
        if users:
            raise RefusedError(
                f"The volume {self._name} can't shrink {sizes} while it is in use by {', '.join(users)}. Stop the "
                "domains and remove the overlays first.",
                details={"used_by": users},
            )

    def _plan_rights(self, plan: Plan, current: CurrentVolume, before: Element, wanted: Element) -> None:
        old = before.find("target/permissions")
        if any(user.running for user in self._users(current)):
            # libvirt gives a running domain's files to QEMU's user, and takes them back at its end
            plan.warnings.append(f"The permissions of {self._target} are not looked at while a running domain uses it.")
            return
        path = current.path
        require_reachable(self._connection, path, f"{self._pool_name}/{self._name}")
        apply = self._then_refresh(partial(change_rights, path, wanted))
        plan.add(
            Step(
                self._target,
                "permissions",
                apply,
                None if old is None else to_text(old),
                to_text(wanted),
            )
        )

    def _plan_secret(self, plan: Plan, current: CurrentVolume) -> None:
        passphrase = (self._params["encryption"] or {}).get("passphrase")
        if passphrase is None or current.secret is not None:
            return
        volume, path = f"{self._pool_name}/{self._name}", current.path
        apply = self._then_refresh(partial(keep_passphrase, self._connection, volume, path, passphrase))
        plan.add(Step(f"secret of {self._target}", "define", apply, None, "a private libvirt secret"))

    def _plan_absence(self, plan: Plan, current: CurrentVolume) -> None:
        if current.tree is not None:
            users = [str(user) for user in self._users(current)]
            if users:
                raise RefusedError(
                    f"The volume {self._name} was to be removed, but it is in use by {', '.join(users)}. Remove "
                    "these first.",
                    details={"used_by": users},
                )
            if self._params["wipe"]:
                algorithm = self._params["wipe_algorithm"]
                number = WIPE_ALGORITHMS.index(algorithm)
                plan.add(
                    Step(self._target, "wipe", partial(self._wipe, number), current.path, f"overwritten ({algorithm})")
                )
        if current.tree is not None or current.half_made:
            plan.add(Step(self._target, "delete", self._remove, current.path or self._name, None))
        if current.secret is not None and is_ours(current.secret):
            undefine = current.secret.undefine
            plan.add(Step(f"secret of {self._target}", "undefine", undefine, current.secret.UUIDString(), None))

    # -- helpers ----------------------------------------------------------------------------------------------

    def _can_not_change(self, found: list[Difference]) -> ConflictError:
        def shown(item: Element | None) -> str:
            return "nothing" if item is None else to_text(item).strip().replace("\n", " ")

        listed = "; ".join(f"{one.path} is {shown(one.before)}, declared is {shown(one.after)}" for one in found)
        return ConflictError(
            f"The volume {self._name} exists, and differs in what can't be changed afterwards: {listed}. Correct the "
            f"declaration, use another name, or remove the volume first (state: absent).",
            details={"paths": [one.path for one in found]},
        )

    def _users(self, current: CurrentVolume) -> list[User]:
        return StorageUsers(self._connection).of(current.path, self._pool_name, self._name)

    def _resize(self, wanted: int, flags: int) -> Callable[[], None]:
        def apply() -> None:
            self._volume().resize(wanted, flags)

        return apply

    def _wipe(self, algorithm: int) -> None:
        self._volume().wipePattern(algorithm, 0)

    def _remove(self) -> None:
        remove_half_made(self._connection, self._pool_name, self._name)

    def _live(self, user: User, wanted: int) -> Callable[[], None]:
        def apply() -> None:
            domain = self._connection.handle.lookupByName(user.name)
            domain.blockResize(user.device, wanted, libvirt.VIR_DOMAIN_BLOCK_RESIZE_BYTES)

        return apply

    def _then_refresh(self, apply: Callable[[], object]) -> Callable[[], None]:
        def both() -> None:
            apply()
            refresh(self._pool())

        return both

    @property
    def _may_have_secret(self) -> bool:
        return self._params["state"] == "absent" or self._params["encryption"] is not None

    def _pool(self) -> Any:
        return self._connection.handle.storagePoolLookupByName(self._pool_name)

    def _volume(self) -> Any:
        return self._pool().storageVolLookupByName(self._name)


def _future_path(pool: Element, name: str) -> str:
    """Where a new volume will be; libvirt joins the two in the same way."""
    return f"{(pool.findtext('target/path') or '').rstrip('/')}/{name}"
