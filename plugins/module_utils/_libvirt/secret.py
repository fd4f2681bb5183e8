# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The passphrases of encrypted volumes, kept as libvirt secrets. Private to this collection."""

from __future__ import annotations

from typing import Any

from .._deps import libvirt
from .._errors import ConflictError, NotFoundError
from .._xml.document import element, parse, to_text
from .connection import Connection
from .errors import is_code

# tells our secrets from those that somebody else made for the same volume
_MARK = "nestbox.virt: passphrase of the volume "


def secret_of(connection: Connection, path: str) -> Any:
    """The secret for the volume at `path`, or None."""
    try:
        return connection.handle.secretLookupByUsage(libvirt.VIR_SECRET_USAGE_TYPE_VOLUME, path)
    except libvirt.libvirtError as error:
        if is_code(error, "VIR_ERR_NO_SECRET") or is_code(error, "VIR_ERR_NO_SUPPORT"):
            return None
        raise


def is_ours(secret: Any) -> bool:
    """Whether this collection made the secret."""
    return (parse(secret.XMLDesc()).findtext("description") or "").startswith(_MARK)


def require_secret(connection: Connection, uuid: str, volume: str) -> None:
    """Raises NotFoundError when there is no secret with this UUID."""
    try:
        connection.handle.secretLookupByUUIDString(uuid)
    except libvirt.libvirtError as error:
        if not is_code(error, "VIR_ERR_NO_SECRET") and not is_code(error, "VIR_ERR_INVALID_ARG"):
            raise
        raise NotFoundError(
            f"The volume {volume} was to be encrypted with the secret {uuid}, but libvirt has no such secret. Define "
            "it first, or give encryption.passphrase instead."
        ) from error


def refuse_foreign(secret: Any, volume: str, path: str) -> None:
    """Raises ConflictError when somebody else keeps a secret for a volume that is to be made."""
    if secret is not None and not is_ours(secret):
        raise ConflictError(
            f"The volume {volume} was to be encrypted with a passphrase, but libvirt has a secret for {path} "
            f"already, with the UUID {secret.UUIDString()}. Give encryption.secret with this UUID, or remove that "
            "secret."
        )


def keep_passphrase(connection: Connection, volume: str, path: str, passphrase: str) -> str:
    """Defines our secret for the volume at `path`, private and persistent; its UUID."""
    found = secret_of(connection, path)
    if found is None:
        declared = element(
            "secret",
            {"ephemeral": False, "private": True},
            element("description", text=_MARK + volume),
            element("usage", {"type": "volume"}, element("volume", text=path)),
        )
        found = connection.handle.secretDefineXML(to_text(declared), 0)
    # a private secret can't be read back, so the value is set whenever its volume is made
    found.setValue(passphrase.encode("utf-8"), 0)
    return str(found.UUIDString())
