# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands between a client and libvirtd's socket, and does something at the n-th call: kill the daemon, say."""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
import threading
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from types import TracebackType

# https://libvirt.org/kbase/internals/rpc.html: length, program, version, procedure, type, serial, status
_HEADER = struct.Struct(">IIIIIII")
_KEEPALIVE = 0x6B656570
_CALL, _REPLY = 0, 1


class RpcProxy:
    """A socket that passes all on until the reply to call `at`: then `action` runs and the client is cut off."""

    def __init__(self, upstream: str | Path, at: int | None, action: Callable[[], object]) -> None:
        """`at` counts from 1; None only counts the calls."""
        self._upstream = str(upstream)
        self._at = at
        self._action = action
        self._directory = tempfile.TemporaryDirectory(prefix="nbt-rpc-")
        self.socket = Path(self._directory.name) / "socket"
        self.calls = 0
        self.done = False
        self._serial: int | None = None
        self._listening = socket.socket(socket.AF_UNIX)

    def __enter__(self) -> RpcProxy:
        self._listening.bind(str(self.socket))
        self._listening.listen(8)
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._directory.cleanup()

    @property
    def uri(self) -> str:
        """What a module connects to."""
        return f"qemu+unix:///system?socket={self.socket}"

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _address = self._listening.accept()
                server = socket.socket(socket.AF_UNIX)
                try:
                    server.connect(self._upstream)
                except OSError:
                    client.close()
                    continue
                threading.Thread(target=self._pass, args=(client, server, self._look_at_call), daemon=True).start()
                threading.Thread(target=self._pass, args=(server, client, self._look_at_reply), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, look: Callable[[bytes], bool]) -> None:
        """Message by message; ends both sides when one ends or when `look` says so."""
        with contextlib.suppress(OSError, EOFError):
            while True:
                length = _read(source, 4)
                message = length + _read(source, int.from_bytes(length, "big") - 4)
                if look(message):
                    break
                sink.sendall(message)
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _look_at_call(self, message: bytes) -> bool:
        program, kind, serial = itemgetter(1, 4, 5)(_HEADER.unpack(message[: _HEADER.size]))
        if program != _KEEPALIVE and kind == _CALL:
            self.calls += 1
            if self.calls == self._at:
                self._serial = serial
        return False

    def _look_at_reply(self, message: bytes) -> bool:
        program, kind, serial = itemgetter(1, 4, 5)(_HEADER.unpack(message[: _HEADER.size]))
        if self.done or program == _KEEPALIVE or kind != _REPLY or serial != self._serial:
            return False
        self.done = True
        self._action()
        return True


def _read(source: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        part = source.recv(size)
        if not part:
            raise EOFError
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
