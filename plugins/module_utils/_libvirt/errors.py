# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirt's errors in this collection's words: a table from code to class and advice. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from .._deps import libvirt
from .._errors import (
    ConflictError,
    ConnectionFailed,
    DeclarationError,
    LibvirtFailure,
    NotFoundError,
    RefusedError,
    UnsupportedError,
    VirtError,
    WaitTimeout,
)


@dataclass(frozen=True)
class _Row:
    """What one of libvirt's codes means to a user."""

    error: type[VirtError]
    advice: str = ""


# https://libvirt.org/html/libvirt-virterror.html#virErrorNumber
_BY_CODE: dict[str, _Row] = {
    "VIR_ERR_NO_SUPPORT": _Row(UnsupportedError, "Use a URI whose driver has this feature, or leave it out."),
    "VIR_ERR_OPERATION_UNSUPPORTED": _Row(UnsupportedError, "Leave the option out, or use a driver that has it."),
    "VIR_ERR_ARGUMENT_UNSUPPORTED": _Row(UnsupportedError, "Leave the option out, or use a driver that has it."),
    "VIR_ERR_CONFIG_UNSUPPORTED": _Row(UnsupportedError, "Change the declaration to what this host's driver supports."),
    "VIR_ERR_NO_CONNECT": _Row(ConnectionFailed, "Check uri."),
    "VIR_ERR_INVALID_CONN": _Row(ConnectionFailed, "Check that the daemon runs, and run the task again."),
    "VIR_ERR_RPC": _Row(ConnectionFailed, "Check that the daemon runs, and run the task again."),
    "VIR_ERR_AUTH_FAILED": _Row(ConnectionFailed, "Use become, or add the user to the group libvirt."),
    "VIR_ERR_AUTH_CANCELLED": _Row(ConnectionFailed, "Use become, or add the user to the group libvirt."),
    "VIR_ERR_AUTH_UNAVAILABLE": _Row(ConnectionFailed, "Use become, or add the user to the group libvirt."),
    "VIR_ERR_ACCESS_DENIED": _Row(ConnectionFailed, "Use become, or change the daemon's access rules."),
    "VIR_ERR_OPERATION_DENIED": _Row(RefusedError, "The connection is read-only; it can't make changes."),
    "VIR_ERR_NO_DOMAIN": _Row(NotFoundError, "Check the name; domain_info lists what there is."),
    "VIR_ERR_NO_NETWORK": _Row(NotFoundError, "Create it with nestbox.virt.network; network_info lists what there is."),
    "VIR_ERR_NO_STORAGE_POOL": _Row(NotFoundError, "Create it with nestbox.virt.pool; pool_info lists what there is."),
    "VIR_ERR_NO_STORAGE_VOL": _Row(
        NotFoundError, "Create it with nestbox.virt.volume; volume_info lists what there is."
    ),
    "VIR_ERR_NO_SECRET": _Row(NotFoundError, "Define the secret first."),
    "VIR_ERR_XML_ERROR": _Row(DeclarationError, "Correct the declaration."),
    "VIR_ERR_XML_DETAIL": _Row(DeclarationError, "Correct the declaration."),
    "VIR_ERR_XML_INVALID_SCHEMA": _Row(DeclarationError, "Correct the part of the XML that libvirt's schema names."),
    "VIR_ERR_DOM_EXIST": _Row(ConflictError, "Use another name, or remove the other domain first."),
    "VIR_ERR_NETWORK_EXIST": _Row(ConflictError, "Use another name, or remove the other network first."),
    "VIR_ERR_STORAGE_VOL_EXIST": _Row(ConflictError, "Use another name, or remove the other volume first."),
    "VIR_ERR_STORAGE_POOL_BUILT": _Row(ConflictError, "The storage holds data already; it was left as it is."),
    "VIR_ERR_OPERATION_TIMEOUT": _Row(
        WaitTimeout, "Another call holds the lock; see what the daemon is doing and try again."
    ),
    "VIR_ERR_AGENT_UNRESPONSIVE": _Row(WaitTimeout, "Check that the guest agent runs inside the guest."),
}

# what libvirt reports under general codes when the daemon dies in the middle of a call
_LOST = ("end of file while reading data", "client socket is closed", "cannot recv data", "cannot write data")

# more than a message to the daemon may hold (VIR_NET_MESSAGE_STRING_MAX)
_TOO_LONG = "unable to encode message payload"

# general codes whose text says what to do
_BY_TEXT: tuple[tuple[str, _Row], ...] = (
    (
        "no space left on device",
        _Row(LibvirtFailure, "Free some space on the host, or use another pool; nothing was kept half done."),
    ),
    (
        "file too large",
        _Row(LibvirtFailure, "The pool's file system takes no file of that size (ext4: 16 TiB). Give a smaller size."),
    ),
    (
        "image size is too large",
        _Row(LibvirtFailure, "The format takes no image of that size. Give a smaller capacity, or use format: raw."),
    ),
    (
        "cannot access storage file",
        _Row(NotFoundError, "Make the image with nestbox.virt.volume, or correct its path; then run the task again."),
    ),
    (
        "does not provide mount namespace",
        _Row(
            LibvirtFailure,
            "In a container QEMU can't have a namespace of its own: set namespaces = [ ] in qemu.conf (the role "
            "nestbox.virt.hypervisor does it with hypervisor_qemu_options: {namespaces: []}).",
        ),
    ),
    ("permission denied", _Row(LibvirtFailure, "Check the rights of the file for the user that QEMU runs as.")),
    (
        "already exists with uuid",
        _Row(ConflictError, "Use another name, give the same uuid, or remove the other one first."),
    ),
)


def translate(asked: str, error: Any) -> VirtError:
    """The exception of this collection for a libvirtError raised while doing `asked`."""
    text = (error.get_error_message() or str(error)).strip()
    row = _row(error, text)
    details = {"libvirt_code": error.get_error_code(), "libvirt_domain": error.get_error_domain(), "libvirt_text": text}
    advice = f" {row.advice}" if row.advice else ""
    return row.error(f"{asked}: libvirt says: {text.rstrip('.')}.{advice}", details=details)


def _row(error: Any, text: str) -> _Row:
    lowered = text.lower()
    if any(part in lowered for part in _LOST):
        return _Row(
            ConnectionFailed, "The daemon went away in the middle; once it runs, run the task again: it finishes."
        )
    if _TOO_LONG in lowered:
        return _Row(DeclarationError, "libvirt takes at most 4 MiB of XML at once: shorten the declaration.")
    for name, row in _BY_CODE.items():
        if getattr(libvirt, name, None) == error.get_error_code():
            return row
    return next((row for part, row in _BY_TEXT if part in lowered), _Row(LibvirtFailure))


@contextmanager
def libvirt_errors(asked: str) -> Iterator[None]:
    """Turns libvirt's errors inside the block into this collection's; `asked` says what was being done."""
    if libvirt is None:
        yield
        return
    try:
        yield
    except libvirt.libvirtError as error:
        raise translate(asked, error) from error


def is_code(error: Any, name: str) -> bool:
    """Whether a libvirtError has the code called `name`; codes that this binding does not know never match."""
    code = getattr(libvirt, name, None)
    return code is not None and error.get_error_code() == code
