# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bytes of any number into a volume, in bounded memory. Private to this collection."""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

from .._deps import libvirt
from .._errors import DeclarationError, DownloadFailed, NotFoundError, SystemFailure
from .._units import format_size

if TYPE_CHECKING:
    from typing import Protocol

    class Source(Protocol):
        """Where the bytes come from; `blocks` gives data, or the length of a hole."""

        size: int | None

        def blocks(self) -> Iterator[Block]:
            """The content in order."""

        def close(self) -> None:
            """Ends reading."""


Block = Union[bytes, int]

# one message of libvirt's stream protocol holds at most 262,120 bytes (VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX)
BLOCK_BYTES = 252 * 1024
_ZEROS = bytes(BLOCK_BYTES)

# how far the writer may be behind; more is no quicker
_AHEAD_BYTES = 4 * 1024 * 1024
_FIRST_PAUSE_S, _LAST_PAUSE_S = 0.001, 1.024
# a disk that is only slow writes something in that time
STALL_S = 120


@dataclass(frozen=True)
class Checksum:
    """A digest that content must have."""

    algorithm: str
    digest: str

    @classmethod
    def parse(cls, text: str) -> Checksum:
        """From "sha256:<hexadecimal digits>"; raises DeclarationError."""
        algorithm, _colon, digest = text.strip().lower().partition(":")
        if algorithm not in hashlib.algorithms_available or algorithm.startswith("shake") or not digest:
            raise DeclarationError(
                f"checksum is {text!r}. Write an algorithm and a digest, such as sha256:2c26b46b68ffc68f…"
            )
        expected = hashlib.new(algorithm, usedforsecurity=False).digest_size * 2
        if not re.fullmatch(rf"[0-9a-f]{{{expected}}}", digest):
            raise DeclarationError(
                f"checksum has a digest of {len(digest)} characters; {algorithm} has {expected} hexadecimal digits."
            )
        return cls(algorithm, digest)

    def __str__(self) -> str:
        return f"{self.algorithm}:{self.digest}"


class Hasher:
    """Computes a digest of blocks and holes."""

    def __init__(self, algorithm: str) -> None:
        self._hash = hashlib.new(algorithm, usedforsecurity=False)

    def add(self, block: Block) -> None:
        """The next block, or hole."""
        if isinstance(block, bytes):
            self._hash.update(block)
            return
        whole, rest = divmod(block, BLOCK_BYTES)
        for _block in range(whole):
            self._hash.update(_ZEROS)
        self._hash.update(_ZEROS[:rest])

    def hexdigest(self) -> str:
        """The digest so far."""
        return self._hash.hexdigest()


class LocalFile:
    """A file of the managed host; holes are found without reading them."""

    def __init__(self, path: str) -> None:
        try:
            self._file = open(path, "rb")  # noqa: SIM115 - closed by close()
            self.size: int | None = self._file.seek(0, os.SEEK_END)
        except FileNotFoundError as error:
            raise NotFoundError(
                f"The source {path} does not exist on the managed host. Correct the path, or copy the file there "
                "first.",
                details={"path": path},
            ) from error
        except OSError as error:
            raise SystemFailure(
                f"The source {path} can't be read: {error.strerror}. Give the path of a readable file.",
                details={"path": path, "errno": error.errno},
            ) from error

    def head(self, length: int) -> bytes:
        """The first bytes."""
        self._file.seek(0)
        return self._file.read(length)

    def blocks(self) -> Iterator[Block]:
        """Data and holes in turn."""
        position, end = 0, self.size or 0
        while position < end:
            start = self._seek(position, os.SEEK_DATA, end)
            if start > position:
                yield start - position
            stop = self._seek(start, os.SEEK_HOLE, end) if start < end else end
            self._file.seek(start)
            while start < stop:
                block = self._file.read(min(BLOCK_BYTES, stop - start))
                if not block:  # the file has been cut off while it was read
                    return
                start += len(block)
                yield from without_zeros(block)
            position = stop

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _seek(self, position: int, what: int, end: int) -> int:
        try:
            return min(os.lseek(self._file.fileno(), position, what), end)
        except OSError as error:
            if what == os.SEEK_DATA and error.errno != errno.ENXIO:
                return position  # this file system knows no holes
            return end  # nothing but a hole is left


def without_zeros(block: bytes) -> Iterator[Block]:
    """The block, or a hole when it is all zeros."""
    if block == (_ZEROS if len(block) == BLOCK_BYTES else _ZEROS[: len(block)]):
        yield len(block)
    else:
        yield block


def send(connection: Any, file: VolumeFile | None, volume: Any, blocks: Iterator[Block], hasher: Hasher | None) -> int:
    """Writes `blocks` into the volume; the number of bytes. With a `file`, holes are kept, and progress is watched."""
    # never waits for what is to be received, so that an error that has come can be asked for
    stream = connection.newStream(libvirt.VIR_STREAM_NONBLOCK)
    volume.upload(stream, 0, 0, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM if file else 0)
    upload: _Upload = _FileUpload(stream, file) if file else _Upload(stream)
    try:
        for block in blocks:
            if hasher is not None:
                hasher.add(block)
            upload.add(block)
        upload.finish()
    except BaseException:
        _abort(stream)
        raise
    return upload.sent


class VolumeFile:
    """What is seen of a file while it is written."""

    def __init__(self, pool: Any, volume: Any) -> None:
        self.name = f"{pool.name()}/{volume.name()}"
        self._pool = pool
        self._volume = volume

    def size(self) -> int:
        """Its length in bytes."""
        return int(self._volume.infoFlags(libvirt.VIR_STORAGE_VOL_GET_PHYSICAL)[2])

    def space_left(self) -> int:
        """What its file system has left, in bytes."""
        refresh(self._pool)
        return int(self._pool.info()[3])


class _Upload:
    """Content on its way to a block device, of which all is written."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.sent = 0

    def add(self, block: Block) -> None:
        """The next block, or hole."""
        if isinstance(block, bytes):
            self._send_data(block)
            return
        whole, rest = divmod(block, BLOCK_BYTES)
        for _block in range(whole):
            self._send_data(_ZEROS)
        self._send_data(_ZEROS[:rest])

    def finish(self) -> None:
        """Ends the stream."""
        self._stream.finish()

    def _send_data(self, data: bytes) -> None:
        sent = 0
        while sent < len(data):
            sent += self._stream.send(data[sent:] if sent else data)
        self.sent += len(data)


class _FileUpload(_Upload):
    """Content on its way to a file, which never runs far ahead of what has been written.

    When a write fails, on a full disk for instance, libvirt (9.0) may lose the error: it answers a hole in a way that
    the client drops, whereupon the end of the stream is never answered; or it says at the end that all is well; or it
    says nothing until more comes. So a hole and the end are sent only after all before them has been written.
    """

    def __init__(self, stream: Any, file: VolumeFile) -> None:
        super().__init__(stream)
        self._file = file
        self._written = 0
        self._hole = 0  # what is not sent yet, for the next may be a hole too

    def add(self, block: Block) -> None:
        """The next block, or hole."""
        if isinstance(block, bytes):
            self._send_hole()
            self._send_data(block)
            self._wait_for(self.sent - _AHEAD_BYTES)
        else:
            self._hole += block

    def finish(self) -> None:
        """Ends the stream after all has been written."""
        self._send_hole()
        self._wait_for(self.sent)
        super().finish()

    def _send_hole(self) -> None:
        if self._hole:
            self._wait_for(self.sent)
            self._stream.sendHole(self._hole)
            self.sent += self._hole
            self._hole = 0

    def _wait_for(self, written: int) -> None:
        """Returns when the file has that many bytes; raises libvirt's error, or SystemFailure when none will come."""
        moved_at, pause_s = time.monotonic(), _FIRST_PAUSE_S
        while self._written < written:
            size = self._file.size()
            if size > self._written:
                self._written, moved_at, pause_s = size, time.monotonic(), _FIRST_PAUSE_S
                continue
            self._stream.recv(1)  # raises the error that has come; there is nothing to receive
            if pause_s == _LAST_PAUSE_S:
                self._check_space()
            if time.monotonic() - moved_at > STALL_S:
                raise SystemFailure(
                    f"libvirt has written nothing for {STALL_S} s, after {format_size(size)} of {self._file.name}. See "
                    "whether the host's storage answers, and whether a quota is used up, and run the task again.",
                    details={"written_bytes": size, "sent_bytes": self.sent},
                )
            time.sleep(pause_s)
            pause_s = min(2 * pause_s, _LAST_PAUSE_S)

    def _check_space(self) -> None:
        left = self._file.space_left()
        if left < self.sent - self._written:
            raise SystemFailure(
                f"Unable to write {self._file.name} after {format_size(self._written)}: No space left on device "
                f"({format_size(left)} are free). Free some space on the host, or use another pool; nothing was kept "
                "half done.",
                details={"errno": errno.ENOSPC, "written_bytes": self._written, "available_bytes": left},
            )


def refresh(pool: Any) -> None:
    """Lets libvirt look at the files again; while it does so by itself after an upload, that is enough."""
    try:
        pool.refresh(0)
    except libvirt.libvirtError as error:
        if "asynchronous jobs running" not in str(error):
            raise


def verify(checksum: Checksum, hasher: Hasher, shown: str) -> None:
    """Raises DownloadFailed when the content is not what the checksum says."""
    found = hasher.hexdigest()
    if found != checksum.digest:
        raise DownloadFailed(
            f"The content of {shown} was to have the checksum {checksum}, but it has {checksum.algorithm}:{found}. "
            f"Nothing of it was kept. Correct the checksum, or find out who changed the file.",
            details={"expected": str(checksum), "found": f"{checksum.algorithm}:{found}"},
        )


def _abort(stream: Any) -> None:
    """Tells the daemon that the rest does not come; a dead daemon knows."""
    try:
        stream.abort()
    except libvirt.libvirtError:
        pass
