# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A storage pool: read, plan, describe. Private to this collection."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .._deps import libvirt, require
from .._errors import ConflictError, DeclarationError, NotFoundError, RefusedError
from .._plan import AT_RESTART, NOW, Plan, Step
from .._resource import Resource
from .._xml.compare import differences, equal
from .._xml.document import parse, to_text
from .._xml.merge import merge, normalise
from .._xml.storage_tables import POOL
from .._xml.values import same_uuid
from .connection import Connection
from .errors import is_code, libvirt_errors
from .pool_describe import definition_of, describe_pool
from .pool_life import KEEPS_FILES_WHEN_STOPPED, build, start, stop_and_delete
from .storage_declaration import check_new_pool, declared_pool
from .storage_users import StorageUsers

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

Params = dict[str, Any]


@dataclass(frozen=True)
class CurrentPool:
    """What the host has; `live` is the definition in use, and differs from `inactive` until the next start."""

    handle: Any = None
    inactive: Element | None = None
    live: Element | None = None
    active: bool = False
    persistent: bool = False
    autostart: bool = False

    @property
    def exists(self) -> bool:
        """Whether there is such a pool."""
        return self.handle is not None

    @property
    def definition(self) -> Element:
        """The inactive definition of a pool that exists."""
        if self.inactive is None:
            raise ValueError("there is no such pool")
        return self.inactive


class PoolResource(Resource[CurrentPool]):
    """The pool of one task."""

    def __init__(self, connection: Connection, params: Params) -> None:
        require("lxml")
        self._connection = connection
        self._params = params
        self._name, self._declared = declared_pool(params)
        self._target = f"pool {self._name}"

    def read(self) -> CurrentPool:
        """The pool, or one that does not exist."""
        try:
            return read_pool(self._lookup())
        except libvirt.libvirtError as error:
            if is_code(error, "VIR_ERR_NO_STORAGE_POOL"):
                return CurrentPool()
            raise

    def plan(self, current: CurrentPool) -> Plan:
        """The steps from `current` to the declaration."""
        plan = Plan()
        if self._params["state"] == "absent":
            if current.exists:
                self._plan_absence(plan, current)
            return plan
        merged = self._merged(current)
        self._check_uuid(current)
        self._plan_definition(plan, current, merged)
        self._plan_power(plan, current, merged)
        self._plan_autostart(plan, current)
        return plan

    def settle(self) -> bool:
        """Reads the pool's volumes again when the task said so; that changes nothing."""
        if not self._params["refresh"] or self._params["state"] == "absent":
            return False
        pool = self._lookup()
        if not pool.isActive():
            return False
        with libvirt_errors(f"{self._target}: refresh"):
            pool.refresh(0)
        return True

    def describe(self, current: CurrentPool) -> dict[str, Any] | None:
        """What pool_info says too."""
        return describe_pool(current.handle) if current.exists else None

    # -- what will be defined ---------------------------------------------------------------------------------

    def _merged(self, current: CurrentPool) -> Element:
        """The definition that the declaration leads to, normalised."""
        if self._declared is None:
            if not current.exists or current.inactive is None:
                raise NotFoundError(
                    f"The pool {self._name} was to be {self._params['state']}, but there is no such pool and the task "
                    f"does not say what it is. Add type and target, or xml."
                )
            return normalise(current.inactive, POOL)
        if current.inactive is None:
            check_new_pool(self._name, self._declared)
            return normalise(self._declared, POOL)
        if self._declared.get("type") != current.inactive.get("type"):
            raise ConflictError(
                f"The pool {self._name} was declared with type {self._declared.get('type')}, but the one that exists "
                f"has type {current.inactive.get('type')}. Use another name, or remove it first (state: absent)."
            )
        return merge(current.inactive, self._declared, POOL)

    def _check_uuid(self, current: CurrentPool) -> None:
        wanted = self._params["uuid"] or (None if self._declared is None else self._declared.findtext("uuid"))
        if not wanted:
            return
        if current.exists:
            found = current.handle.UUIDString()
            if not same_uuid(found, wanted):
                raise ConflictError(
                    f"The pool {self._name} was declared with the UUID {wanted}, but the name is taken by a pool "
                    f"with the UUID {found}. Use another name, give this UUID, or remove that pool first."
                )
            return
        for other in self._connection.handle.listAllStoragePools():
            if same_uuid(other.UUIDString(), wanted):
                raise ConflictError(
                    f"The pool {self._name} was declared with the UUID {wanted}, which the pool {other.name()} has. "
                    f"Give another UUID, or none."
                )

    # -- steps ------------------------------------------------------------------------------------------------

    def _plan_definition(self, plan: Plan, current: CurrentPool, merged: Element) -> None:
        before = None if current.inactive is None else normalise(current.inactive, POOL)
        waits = current.active and current.live is not None and self._waits(plan, current.live, merged)
        # a transient pool has no definition yet; it is kept only when the task declares one
        missing = not current.persistent and self._declared is not None
        if not missing and (before is None or equal(before, merged)):
            return
        if self._formats_anew(current):
            plan.add(self._step("build", self._create_overwriting(merged), None, _device_text(merged)))
        text_before = None if before is None or not current.persistent else to_text(before)
        effect = AT_RESTART if waits and not self._may_restart else NOW
        plan.add(self._step("define", self._define(merged), text_before, to_text(merged), effect))

    def _waits(self, plan: Plan, live: Element, merged: Element) -> bool:
        """Whether the running pool differs from its definition; nothing of a pool can be changed while it is active."""
        paths = dict.fromkeys(found.path for found in differences(normalise(live, POOL), merged, POOL))
        if self._params["state"] != "inactive" and not self._may_restart:
            plan.restart_reasons += [f"{self._target}: {path} is used from the next start on" for path in paths]
        return bool(paths)

    def _plan_power(self, plan: Plan, current: CurrentPool, merged: Element) -> None:
        state = self._params["state"]
        if state == "inactive" and current.active:
            self._refuse_to_stop_in_use(current)
            plan.add(self._step("stop", lambda: self._lookup().destroy(), "active", "inactive"))
        elif current.active:
            stale = current.live is not None and not equal(normalise(current.live, POOL), merged)
            if stale and self._may_restart:
                self._refuse_to_stop_in_use(current)
                plan.add(self._step("restart", self._restart, "active, with the old definition", "active"))
        elif state == "active" and not self._formats_anew(current):
            if self._builds_first(current):
                plan.add(self._step("build", self._build, None, _device_text(merged)))
            plan.add(self._step("start", self._start, "inactive" if current.exists else None, "active"))

    def _plan_autostart(self, plan: Plan, current: CurrentPool) -> None:
        wanted = self._params["autostart"]
        if wanted is None or wanted == current.autostart:
            return
        if not current.persistent and self._declared is None:
            raise DeclarationError(
                f"autostart of the pool {self._name} can't be set: it is transient. Declare it (type, or xml), so "
                "that it is defined first."
            )
        plan.add(
            self._step(
                "autostart",
                lambda: self._lookup().setAutostart(int(wanted)),
                {"autostart": current.autostart},
                {"autostart": wanted},
            )
        )

    def _plan_absence(self, plan: Plan, current: CurrentPool) -> None:
        deletes = "storage" in self._params["remove"]
        if current.active:
            self._refuse_to_stop_in_use(current)
        if deletes:
            self._plan_deletion(plan, current)
        elif current.active:
            plan.add(self._step("stop", lambda: self._lookup().destroy(), "active", "inactive"))
        if current.persistent:
            text = to_text(normalise(current.definition, POOL))
            plan.add(self._step("undefine", lambda: self._lookup().undefine(), text, None))

    def _plan_deletion(self, plan: Plan, current: CurrentPool) -> None:
        """Every volume, then the storage itself; what a domain or an overlay elsewhere uses is refused."""
        kind = current.definition.get("type")
        if not current.active and kind not in KEEPS_FILES_WHEN_STOPPED:
            raise RefusedError(
                f"The storage of the pool {self._name} was to be removed, but the pool is inactive, so its volumes "
                "can't be listed. Start it first (state: active), or leave out remove."
            )
        if current.active:
            volumes = sorted(current.handle.listAllVolumes(), key=lambda volume: str(volume.name()))
            self._refuse_deletion_in_use(volumes)
            for volume in volumes:
                name, path = volume.name(), volume.path()
                step = Step(f"volume {self._name}/{name}", "delete", self._delete_volume(name), path, None)
                plan.add(step)
        text = current.definition.findtext("target/path") or self._name
        plan.add(self._step("delete", lambda: stop_and_delete(self._lookup(), self._name), text, None))

    # -- what is refused --------------------------------------------------------------------------------------

    def _refuse_deletion_in_use(self, volumes: list[Any]) -> None:
        users = StorageUsers(self._connection)
        inside = {f"{self._name}/{volume.name()}" for volume in volumes}
        used: dict[str, list[str]] = {}
        for volume in volumes:
            found = users.of(volume.path(), self._name, volume.name())
            # an overlay that goes with its backing file is no reason to keep it
            others = [str(user) for user in found if user.kind == "domain" or user.name not in inside]
            if others:
                used[volume.path()] = others
        if used:
            listed = "; ".join(f"{path} by {', '.join(names)}" for path, names in used.items())
            raise RefusedError(
                f"The storage of the pool {self._name} was to be removed, but some of it is in use: {listed}. Remove "
                "the users first, or leave out remove: storage.",
                details={"used_by": used},
            )

    def _refuse_to_stop_in_use(self, current: CurrentPool) -> None:
        """The files of a directory stay when its pool stops; a volume group or a LUN goes away under its guests."""
        if current.definition.get("type") in KEEPS_FILES_WHEN_STOPPED:
            return
        users = StorageUsers(self._connection)
        running = [
            str(user)
            for volume in current.handle.listAllVolumes()
            for user in users.of(volume.path(), self._name, volume.name())
            if user.running
        ]
        if running:
            raise RefusedError(
                f"The pool {self._name} was to be stopped, but its volumes are in use: {', '.join(running)}. Stop "
                "these domains first.",
                details={"used_by": running},
            )

    # -- how the steps are done -------------------------------------------------------------------------------

    @property
    def _may_restart(self) -> bool:
        return bool(self._params["restart"] == "if_required" and self._params["state"] != "inactive")

    def _formats_anew(self, current: CurrentPool) -> bool:
        """Only a pool that this task makes is built over what a device holds: a second run never does it again."""
        return bool(not current.exists and self._params["build"] == "overwrite" and self._params["state"] == "active")

    def _builds_first(self, current: CurrentPool) -> bool:
        mode = self._params["build"]
        has_permissions = self._declared is not None and self._declared.find("target/permissions") is not None
        return bool(mode == "empty" or (mode == "auto" and (has_permissions or not current.exists)))

    def _lookup(self) -> Any:
        return self._connection.handle.storagePoolLookupByName(self._name)

    def _step(self, verb: str, apply: Any, before: Any, after: Any, effect: str = NOW) -> Step:
        return Step(self._target, verb, apply, before, after, effect)

    def _define(self, merged: Element) -> Any:
        return lambda: self._connection.handle.storagePoolDefineXML(to_text(merged), 0)

    def _create_overwriting(self, merged: Element) -> Any:
        # one call builds and starts: a daemon that dies in it leaves nothing defined, and a second run does it all
        flags = libvirt.VIR_STORAGE_POOL_CREATE_WITH_BUILD_OVERWRITE
        return lambda: self._connection.handle.storagePoolCreateXML(to_text(merged), flags)

    def _build(self) -> None:
        build(self._lookup(), self._params["build"])

    def _start(self) -> None:
        start(self._lookup(), self._params["build"])

    def _restart(self) -> None:
        pool = self._lookup()
        pool.destroy()
        if self._params["build"] == "auto":
            build(pool, "auto")  # a directory's permissions are only set by a build
        start(pool, self._params["build"])

    def _delete_volume(self, name: str) -> Any:
        return lambda: self._lookup().storageVolLookupByName(name).delete(0)


def read_pool(handle: Any) -> CurrentPool:
    """What is needed of a pool for planning."""
    active = bool(handle.isActive())
    return CurrentPool(
        handle=handle,
        inactive=parse(definition_of(handle)),
        live=parse(handle.XMLDesc(0)) if active else None,
        active=active,
        persistent=bool(handle.isPersistent()),
        autostart=bool(handle.autostart()),
    )


def _device_text(merged: Element) -> str:
    """What a build makes or formats, for the diff."""
    shown = deepcopy(merged)
    for child in list(shown):
        if child.tag not in ("source", "target"):
            shown.remove(child)
    return to_text(shown)
