# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a new volume is made: empty, as an overlay, as a clone, from a file. Private to this collection."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Callable

from .._deps import libvirt
from .._errors import ConflictError, DeclarationError, RefusedError, VirtError
from .._units import format_size
from .._xml.document import element, ensure, parse, remove, to_text
from .connection import Connection
from .errors import is_code, translate
from .image_header import HEADER_BYTES, Header, read_header
from .secret import keep_passphrase
from .volume_describe import PARTIAL_SUFFIX, volume_tree
from .volume_transfer import BLOCK_BYTES, Block, Checksum, Hasher, VolumeFile, refresh, send, verify

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lxml.etree import _Element as Element

    from .volume_transfer import Source

# kinds of pools whose volumes are files that grow as they are written
FILE_KINDS = ("dir", "fs", "netfs", "vstorage")
_MARKER_BYTES = 4 * 1024 * 1024  # where a volume can't be empty: one extent of LVM

# QEMU measures how fast the processor is before it derives a key, and at times fails under virtualisation
_TRY_AGAIN = "unable to get accurate cpu usage"
_TRIES = 30


@dataclass(frozen=True)
class NewVolume:
    """What is to be made; `tree` is the declaration with everything that libvirt needs to know."""

    connection: Connection
    pool: str
    name: str
    tree: Element
    pool_kind: str
    path: str

    @property
    def capacity(self) -> int | None:
        """Bytes, when the declaration has them."""
        text = self.tree.findtext("capacity")
        return None if text is None else int(text)

    @property
    def handle(self) -> Any:
        """The pool."""
        return self.connection.handle.storagePoolLookupByName(self.pool)

    @property
    def lookup(self) -> Any:
        """The volume, once it is there."""
        return self.handle.storageVolLookupByName(self.name)


def make_empty(new: NewVolume, passphrase: str | None) -> None:
    """An empty volume, or an overlay on its backing file."""
    tree = new.tree
    if passphrase is not None:
        uuid = keep_passphrase(new.connection, f"{new.pool}/{new.name}", new.path, passphrase)
        tree = deepcopy(tree)
        ensure(tree, "target/encryption").append(element("secret", {"type": "passphrase", "uuid": uuid}))
    _create(new, tree)


def make_clone(new: NewVolume, origin: Callable[[], Any]) -> None:
    """A full copy of another volume."""
    with _Marked(new) as marked:
        try:
            new.handle.createXMLFrom(to_text(new.tree), origin(), 0)
        except libvirt.libvirtError as error:
            marked.ours = not _is_taken(error)
            raise _not_created(new, error) from error
        marked.ours = True
        _grow(new)


def make_from(new: NewVolume, open_source: Callable[[], Source], shown: str, checksum: Checksum | None) -> None:
    """A volume with the bytes of a file or a URL; nothing of it stays when it can't be had whole."""
    source = open_source()
    try:
        if checksum is None and not getattr(source, "can_tell_its_end", True):
            raise DeclarationError(
                f"The server of {shown} does not say how long the file is, so a broken connection could not be told "
                "from its end. Add checksum."
            )
        blocks = source.blocks()
        first, head = _head(blocks)
        header = read_header(head)
        check_header(header, new.tree, shown, source.size)
        with _Marked(new) as marked:
            _create(new, _receiving(new, header, source.size))
            marked.ours = True
            hasher = None if checksum is None else Hasher(checksum.algorithm)
            content = _chained(first, blocks)
            file = VolumeFile(new.handle, new.lookup) if new.pool_kind in FILE_KINDS else None
            send(new.connection.handle, file, new.lookup, content, hasher)
            if checksum is not None and hasher is not None:
                verify(checksum, hasher, shown)
            refresh(new.handle)
            _grow(new)
    finally:
        source.close()


def check_header(header: Header, tree: Element, shown: str, size: int | None) -> None:
    """Raises where the image can't become the declared volume."""
    if header.packed:
        raise DeclarationError(
            f"The source {shown} is compressed with {header.packed}. Unpack it first, and give the image itself."
        )
    if header.backing:
        raise DeclarationError(
            f"The source {shown} is an overlay on {header.backing}, so it is no whole image. Give an image without a "
            "backing file (qemu-img convert makes one)."
        )
    form = tree.find("target/format")
    wanted = None if form is None else form.get("type")
    if wanted is not None and wanted != header.format and {wanted, header.format} != {"raw", "iso"}:
        raise DeclarationError(
            f"The volume was declared with format {wanted}, but the source {shown} is {header.format}. A source is "
            "written as it is: leave out format, or convert the file first (qemu-img convert)."
        )
    capacity, needed = tree.findtext("capacity"), header.virtual_size or size
    if capacity is not None and needed is not None and int(capacity) < needed:
        raise RefusedError(
            f"The volume was declared with a capacity of {format_size(int(capacity))}, but the image {shown} has "
            f"{format_size(needed)}. Leave out capacity, or give at least that."
        )


def remove_half_made(connection: Connection, pool_name: str, name: str) -> None:
    """Deletes a volume, and the marker of one that a run left half made; the marker goes last."""
    remove_volumes(connection.handle.storagePoolLookupByName(pool_name), (name, name + PARTIAL_SUFFIX))


def remove_volumes(pool: Any, names: Iterable[str]) -> None:
    """Deletes the volumes that are there."""
    for name in names:
        volume = volume_named(pool, name)
        if volume is not None:
            volume.delete(0)


def volume_named(pool: Any, name: str) -> Any:
    """The volume, or None."""
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_STORAGE_VOL"):
            return None
        raise


class _Marked:
    """Keeps a marker beside a volume while its content is written, and removes both when that fails.

    libvirt keeps no state of a volume and can't rename one, so after a daemon or a host that died in the middle only
    the marker tells a half-made volume from a whole one.
    """

    def __init__(self, new: NewVolume) -> None:
        self._new = new
        self.ours = False  # whether the volume is there by our doing

    def __enter__(self) -> _Marked:
        refresh(self._new.handle)
        if volume_named(self._new.handle, self._new.name) is not None:  # a marker would doom somebody else's file
            raise _taken(self._new)
        marker = element("volume", None, element("name", text=self._new.name + PARTIAL_SUFFIX))
        size = 0 if self._new.pool_kind in FILE_KINDS else _MARKER_BYTES
        marker.append(element("capacity", {"unit": "bytes"}, text=size))
        try:
            self._new.handle.createXML(to_text(marker), 0)
        except libvirt.libvirtError as error:
            if not is_code(error, "VIR_ERR_STORAGE_VOL_EXIST"):
                raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        names = (self._new.name, *_marker(self._new)) if error is not None and self.ours else _marker(self._new)
        if error is None:
            remove_volumes(self._new.handle, names)
            return
        # the first error is the one to report; what can't be removed now is removed by the next run, by its marker
        with suppress(libvirt.libvirtError):
            remove_volumes(self._new.handle, names)


def _create(new: NewVolume, tree: Element) -> None:
    text = to_text(tree)
    for left in reversed(range(_TRIES)):
        try:
            new.handle.createXML(text, 0)
            return
        except libvirt.libvirtError as error:
            if left and _TRY_AGAIN in str(error).lower():
                continue
            if left and is_code(error, "VIR_ERR_STORAGE_VOL_EXIST") and volume_tree(new.lookup) is None:
                refresh(new.handle)  # its file has gone, and libvirt has not looked since
                continue
            raise _not_created(new, error) from error


def _not_created(new: NewVolume, error: Any) -> VirtError:
    if _is_taken(error):
        refresh(new.handle)
        return _taken(new)
    return translate(f"making the volume {new.pool}/{new.name}", error)


def _is_taken(error: Any) -> bool:
    text = str(error)
    return is_code(error, "VIR_ERR_STORAGE_VOL_EXIST") or ("target path" in text and "already exists" in text)


def _taken(new: NewVolume) -> ConflictError:
    return ConflictError(
        f"The volume {new.pool}/{new.name} was to be made, but {new.path} exists, and libvirt had not listed it. The "
        "pool has been refreshed; run the task again to take this file as the volume, or remove it.",
        details={"path": new.path},
    )


def _marker(new: NewVolume) -> tuple[str, ...]:
    return (new.name + PARTIAL_SUFFIX,)


def _receiving(new: NewVolume, header: Header, size: int | None) -> Element:
    """The volume for the bytes: an empty file, whose format libvirt finds later, or a device that is large enough."""
    tree = deepcopy(new.tree)
    capacity = ensure(tree, "capacity")
    capacity.set("unit", "bytes")
    form = ensure(tree, "target/format")
    form.set("type", "raw")
    for compat in tree.findall("target/compat"):
        remove(compat)
    if new.pool_kind in FILE_KINDS:
        capacity.text = "0"
        return tree
    if header.format not in ("raw", "iso"):
        raise DeclarationError(
            f"The volume {new.pool}/{new.name} was to be made from a {header.format} image, but a pool of type "
            f"{new.pool_kind} has block devices. Convert the image to raw first."
        )
    if new.capacity is None and size is None:
        raise DeclarationError(
            f"The volume {new.pool}/{new.name} needs a capacity: the server does not say how long the file is."
        )
    capacity.text = str(new.capacity or size)
    return tree


def _grow(new: NewVolume) -> None:
    """Gives the volume the declared capacity, when what was copied is smaller."""
    volume = new.lookup
    tree = volume_tree(volume)
    found = 0 if tree is None else int(tree.findtext("capacity") or 0)
    if new.capacity is not None and new.capacity > found:
        volume.resize(new.capacity, 0)


def _head(blocks: Iterator[Block]) -> tuple[list[Block], bytes]:
    """The first blocks, and the bytes with which the content begins."""
    first: list[Block] = []
    head = b""
    for block in blocks:
        first.append(block)
        head += bytes(min(block, HEADER_BYTES)) if isinstance(block, int) else block
        if len(head) >= HEADER_BYTES:
            break
    return first, head[:BLOCK_BYTES]


def _chained(first: list[Block], rest: Iterator[Block]) -> Iterator[Block]:
    yield from first
    yield from rest


def backing_tree(path: str, form: str) -> Element:
    """The element that makes a volume an overlay."""
    return element("backingStore", None, element("path", text=path), element("format", {"type": form}))


def tree_of(volume: Any) -> Element:
    """The XML of a volume that must exist."""
    return parse(volume.XMLDesc(0))
