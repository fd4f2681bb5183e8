# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One connection to a hypervisor for one module run. Private to this collection."""

from __future__ import annotations

from types import TracebackType
from typing import Any

from .._deps import libvirt, require
from .._errors import ConnectionFailed
from .errors import translate

_OPEN_ADVICE: tuple[tuple[str, str], ...] = (
    (
        "permission denied",
        "The user of this task has no rights on the socket: use become, or add it to the group libvirt.",
    ),
    ("authentication", "The user of this task was not let in: use become, or add it to the group libvirt."),
    ("access denied", "The user of this task was not let in: use become, or add it to the group libvirt."),
    ("certificate", "The certificates that TLS needs are not all there: put them there, or use another transport."),
    (
        "no such file",
        "No daemon listens there: start libvirtd (or virtqemud), or run the role nestbox.virt.hypervisor.",
    ),
    (
        "connection refused",
        "No daemon listens there: start libvirtd (or virtqemud), or run the role nestbox.virt.hypervisor.",
    ),
    ("no connection driver", "libvirt has no driver for this scheme: check uri, or install the driver's package."),
)


class Connection:
    """An open libvirt connection; `handle` is libvirt's own object. The server lets a read-only one change nothing."""

    def __init__(self, uri: str, *, read_only: bool, may_ask_guests: bool = False) -> None:
        """`may_ask_guests` allows a second, writable connection to ask guest agents: a read-only one may not."""
        self.uri = uri
        self.read_only = read_only
        self._may_ask_guests = may_ask_guests or not read_only
        self._asking: Any = None
        self.handle: Any = None

    def __enter__(self) -> Connection:
        require("libvirt", "lxml")
        libvirt.registerErrorHandler(_ignore, None)
        # must come before the first open, or the connection has no events (https://libvirt.org/html/libvirt-libvirt-event.html)
        libvirt.virEventRegisterDefaultImpl()
        self.handle = _open(self.uri, self.read_only)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for handle in (self._asking, self.handle):
            if handle is not None:
                _close(handle)
        if isinstance(error, libvirt.libvirtError):
            raise translate(f"talking to {self.uri}", error) from error

    @property
    def driver(self) -> str:
        """The driver's name in lower case: qemu, lxc, xen, esx, test …"""
        return str(self.handle.getType()).lower()

    def agent_handle(self) -> Any:
        """A handle that may ask guest agents, or None where that is not allowed (check mode) or not possible."""
        if not self.read_only:
            return self.handle
        if self._may_ask_guests and self._asking is None:
            try:
                self._asking = libvirt.open(self.uri)
            except libvirt.libvirtError:  # no rights to write: the agent's answers are left out, leases and ARP are not
                self._may_ask_guests = False
        return self._asking


def _open(uri: str, read_only: bool) -> Any:
    try:
        return libvirt.openReadOnly(uri) if read_only else libvirt.open(uri)
    except libvirt.libvirtError as error:
        text = (error.get_error_message() or str(error)).strip()
        advice = next((advice for part, advice in _OPEN_ADVICE if part in text.lower()), "Check uri and the daemon.")
        raise ConnectionFailed(
            f"Connecting to {uri} failed: {text.rstrip('.')}. {advice}",
            details={"uri": uri, "libvirt_code": error.get_error_code(), "libvirt_text": text},
        ) from error


def _close(handle: Any) -> None:
    """Closing fails only when the daemon is gone, and then there is nothing left to close."""
    try:
        handle.close()
    except libvirt.libvirtError:
        pass


def _ignore(_context: Any, _error: Any) -> None:
    """libvirt's own handler would write to stderr what is reported in the result."""
