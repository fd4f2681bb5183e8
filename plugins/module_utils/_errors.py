# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The one tree of exceptions: what was asked, what was found, what to do. Private to this collection."""

from __future__ import annotations

from typing import Any


class VirtError(Exception):
    """A failure that a user can read; `code` is stable and meant for programs, `details` are structured facts."""

    code = "error"

    def __init__(self, message: str, *, details: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.details = details or {}

    def as_result(self) -> dict[str, Any]:
        """The arguments of fail_json: `msg`, and `error` with code and details."""
        return {"msg": self.message, "error": {"code": self.code, **self.details}}


class MissingDependency(VirtError):
    """A Python module or a program that the task needs is not on the host."""

    code = "missing_dependency"


class DeclarationError(VirtError):
    """What the user wrote can't be right, whatever the host has."""

    code = "bad_declaration"


class ConflictError(VirtError):
    """The declaration and what the host has exclude each other, for instance a name taken under another UUID."""

    code = "conflict"


class NotFoundError(VirtError):
    """Something that the declaration refers to does not exist."""

    code = "not_found"


class RefusedError(VirtError):
    """The change would lose data or service, and the task did not say that it may."""

    code = "refused"


class UnsupportedError(VirtError):
    """This driver, libvirt or kernel lacks a feature that was asked for."""

    code = "unsupported"


class ConnectionFailed(VirtError):
    """The hypervisor could not be reached, or went away."""

    code = "connection_failed"


class LibvirtFailure(VirtError):
    """libvirt refused a call; details hold its code, its domain and its text."""

    code = "libvirt_error"


class SystemFailure(VirtError):
    """The operating system refused a call on a file, a device or a program; details hold errno."""

    code = "system_error"


class DownloadFailed(VirtError):
    """A file could not be fetched whole, or is not what its checksum says."""

    code = "download_failed"


class WaitTimeout(VirtError):
    """A wait ended without what it waited for; details say what it saw last."""

    code = "timeout"


class StepFailed(VirtError):
    """A step of a plan failed; details hold the steps that were done and the ones that were not."""

    code = "step_failed"


class NotConverged(VirtError):
    """All steps were applied, and the host still differs from the declaration."""

    code = "not_converged"
