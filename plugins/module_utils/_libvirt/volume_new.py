# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The step that makes a volume, and what of it can be compared later. Private to this collection."""

from __future__ import annotations

import os
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Callable

from .._deps import libvirt
from .._errors import ConflictError, DeclarationError, NotFoundError, RefusedError
from .._plan import Step
from .._units import format_size
from .._xml.document import element, ensure, to_text
from .connection import Connection
from .errors import is_code
from .image_header import HEADER_BYTES, read_header
from .secret import refuse_foreign, require_secret, secret_of
from .storage_users import StorageUsers
from .volume_describe import PARTIAL_SUFFIX, describe_volume
from .volume_make import NewVolume, backing_tree, check_header, make_clone, make_empty, make_from, refresh, tree_of
from .volume_transfer import Checksum, LocalFile

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

    from .volume_transfer import Source

Params = dict[str, Any]

# without it libvirt makes qcow2 files of the version of 2009, which know no zero clusters
_QCOW2_COMPAT = "1.1"


@dataclass(frozen=True)
class Creation:
    """A volume that is to be made, with the options that only count then."""

    connection: Connection
    params: Params
    name: str
    declared: Element
    pool: Element
    path: str
    open_url: Callable[[str], Source]

    def comparable(self) -> Element:
        """The declaration with its backing file and encryption, as an existing volume can be compared with it."""
        tree = deepcopy(self.declared)
        backing = self._backing()
        if backing is not None:
            tree.append(backing_tree(backing["path"], backing["format"]))
        if self.params["encryption"] is not None:
            ensure(tree, "target/encryption").set("format", "luks")
        return tree

    def step(self, target: str) -> Step:
        """The step, after everything that can be known beforehand has been checked."""
        if self.params["clone_of"] is not None:
            return self._clone(target)
        if self.params["source"] is not None:
            return self._from_source(target)
        return self._empty(target)

    # -- three ways to make one -------------------------------------------------------------------------------

    def _empty(self, target: str) -> Step:
        tree = self.comparable()
        backing = self._backing()
        if backing is not None:
            self._check_backing_size(tree, backing)
            if tree.find("target/format") is None:
                ensure(tree, "target/format").set("type", "qcow2")
        if tree.find("capacity") is None and tree.find("backingStore") is None:
            raise DeclarationError(f"The volume {self.name} is to be made, but has no capacity. Add capacity: 20 GiB.")
        self._check_space(tree)
        passphrase = self._encryption(tree)
        new = self._new(_with_compat(tree))
        return Step(target, "create", lambda: make_empty(new, passphrase), None, to_text(new.tree))

    def _clone(self, target: str) -> Step:
        origin_pool = self.params["clone_pool"] or self.params["pool"]
        origin = self._volume(origin_pool, self.params["clone_of"], "cloned")
        facts = describe_volume(tree_of(origin), origin_pool)
        writers = [
            str(user)
            for user in StorageUsers(self.connection).of(facts["path"], origin_pool, facts["name"])
            if user.running and not user.backing
        ]
        if writers:
            raise RefusedError(
                f"The volume {self.name} was to be a clone of {facts['name']}, which {', '.join(writers)} may write "
                "to at this moment: the copy would not be whole. Stop the domain first, or clone a snapshot of it.",
                details={"used_by": writers},
            )
        tree = deepcopy(self.declared)
        self._set_capacity(tree, facts["capacity_bytes"], f"{facts['name']}, from which it is cloned,")
        if tree.find("target/format") is None and facts["format"] is not None:
            ensure(tree, "target/format").set("type", facts["format"])
        new = self._new(_with_compat(tree))
        named = self.params["clone_of"]
        text = f"{to_text(new.tree)}content: a copy of {origin_pool}/{named}\n"
        apply = partial(make_clone, new, partial(self._volume, origin_pool, named, "cloned"))
        return Step(target, "clone", apply, None, text)

    def _from_source(self, target: str) -> Step:
        source, checksum = self.params["source"], self._checksum()
        new = self._new(deepcopy(self.declared))
        if is_url(source):
            shown = shown_url(source)
            opened: Callable[[], Any] = partial(self.open_url, source)
        else:
            shown, opened = source, partial(_open_file, source)
            file = _open_file(source)
            try:
                check_header(read_header(file.head(HEADER_BYTES)), new.tree, shown, file.size)
            finally:
                file.close()
        text = f"{to_text(new.tree)}content: {shown}\n" + (f"checksum: {checksum}\n" if checksum else "")
        return Step(target, "upload", lambda: make_from(new, opened, shown, checksum), None, text)

    # -- parts ------------------------------------------------------------------------------------------------

    def _new(self, tree: Element) -> NewVolume:
        kind = self.pool.get("type") or ""
        return NewVolume(self.connection, self.params["pool"], self.name, tree, kind, self.path)

    def _checksum(self) -> Checksum | None:
        text = self.params["checksum"]
        return None if text is None else Checksum.parse(text)

    def _set_capacity(self, tree: Element, needed: int, what: str) -> None:
        found = tree.findtext("capacity")
        if found is None:
            tree.append(element("capacity", {"unit": "bytes"}, text=needed))
        elif int(found) < needed:
            raise DeclarationError(
                f"The volume {self.name} was declared with a capacity of {format_size(int(found))}, but {what} has "
                f"{format_size(needed)}. Leave out capacity, or give at least that."
            )

    def _check_backing_size(self, tree: Element, backing: Params) -> None:
        if backing["capacity_bytes"] is not None:
            self._set_capacity(tree, backing["capacity_bytes"], f"its backing file {backing['path']}")

    def _check_space(self, tree: Element) -> None:
        """What is taken at once must be there; without an allocation, only a file can be sparse."""
        sparse = self.pool.get("type") not in ("logical", "disk")
        asked = tree.findtext("allocation") or (None if sparse else tree.findtext("capacity"))
        available = int(self.pool.findtext("available") or 0)
        if asked is None or int(asked) <= available:
            return
        if not self.connection.read_only:  # the figure is that of the last look, and space may have been freed since
            pool = self.connection.handle.storagePoolLookupByName(self.params["pool"])
            refresh(pool)
            available = pool.info()[3]
            if int(asked) <= available:
                return
        raise RefusedError(
            f"The volume {self.name} was to take {format_size(int(asked))} at once, but its pool has "
            f"{format_size(available)} left. Free some space, let libvirt look again (nestbox.virt.pool with "
            "refresh: true), or give less.",
            details={"asked_bytes": int(asked), "available_bytes": available},
        )

    def _encryption(self, tree: Element) -> str | None:
        """The passphrase to keep; a secret that the user keeps is named in the tree."""
        given = self.params["encryption"]
        if given is None:
            return None
        if given["secret"] is not None:
            require_secret(self.connection, given["secret"], self.name)
            ensure(tree, "target/encryption").append(element("secret", {"type": "passphrase", "uuid": given["secret"]}))
            return None
        refuse_foreign(secret_of(self.connection, self.path), self.name, self.path)
        return str(given["passphrase"])

    def _backing(self) -> Params | None:
        """Path, format and size of the declared backing file."""
        given = self.params["backing"]
        if given is None:
            return None
        if given["volume"] is not None:
            pool = given["pool"] or self.params["pool"]
            found = describe_volume(tree_of(self._volume(pool, given["volume"], "its backing file")), pool)
        else:
            found = self._volume_at(given["path"])
        form = given["format"] or found["format"]
        if form is None:
            raise DeclarationError(
                f"The volume {self.name} was declared with the backing file {given['path']}, which is in no active "
                "pool, so its format is not known. Add backing.format, such as qcow2."
            )
        return {**found, "format": form}

    def _volume(self, pool: str, name: str, what: str) -> Any:
        try:
            handle = self.connection.handle.storagePoolLookupByName(pool)
            found = handle.storageVolLookupByName(name)
        except libvirt.libvirtError as error:
            if not any(is_code(error, code) for code in ("VIR_ERR_NO_STORAGE_POOL", "VIR_ERR_NO_STORAGE_VOL")):
                raise
            raise NotFoundError(
                f"The volume {self.name} needs {pool}/{name} ({what}), which does not exist. Make it first, or "
                "correct the name."
            ) from error
        if any(volume.name() == name + PARTIAL_SUFFIX for volume in handle.listAllVolumes()):
            raise ConflictError(
                f"The volume {self.name} needs {pool}/{name} ({what}), which was left half made by a run that was "
                "interrupted. Run the task that makes it first."
            )
        return found

    def _volume_at(self, path: str) -> Params:
        try:
            volume = self.connection.handle.storageVolLookupByPath(path)
            return describe_volume(tree_of(volume), volume.storagePoolLookupByVolume().name())
        except libvirt.libvirtError as error:
            if is_code(error, "VIR_ERR_NO_STORAGE_VOL"):
                return {"path": path, "format": None, "capacity_bytes": None}
            raise


def is_url(source: str) -> bool:
    """Whether `source` is fetched, and not a path."""
    return source.lower().startswith(("http://", "https://"))


def shown_url(url: str) -> str:
    """The URL without a password."""
    scheme, _colon, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path}"


def _open_file(path: str) -> LocalFile:
    return LocalFile(os.path.expanduser(path.removeprefix("file://") if path.startswith("file:///") else path))


def _with_compat(tree: Element) -> Element:
    form = tree.find("target/format")
    if form is not None and form.get("type") == "qcow2" and tree.find("target/compat") is None:
        ensure(tree, "target/compat").text = _QCOW2_COMPAT
    return tree
