# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A domain's XML against libvirt's own schema, read from the host's file. Private to this collection."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

from .._deps import etree
from .._errors import DeclarationError
from .connection import Connection

# from libvirt0 (Debian, Ubuntu) and libvirt-libs (Fedora, RHEL), without which there is no libvirt
_SCHEMA = "/usr/share/libvirt/schemas/domain.rng"


def check_schema(connection: Connection, name: str, text: str) -> str | None:
    """Raises DeclarationError where libvirt's schema refuses `text`; a sentence where that can't be told here."""
    if urlsplit(connection.uri).netloc or not os.path.exists(_SCHEMA):
        return (
            f"The XML of domain {name} was not checked against libvirt's schema, because this host is not that of "
            f"{connection.uri}, or has no {_SCHEMA}. Outside check mode libvirt itself checks it."
        )
    schema = etree.RelaxNG(etree.parse(_SCHEMA))
    if schema.validate(etree.fromstring(text)):
        return None
    errors = list(dict.fromkeys(entry.message for entry in schema.error_log))
    raise DeclarationError(
        f"The XML of domain {name} is not valid by libvirt's schema: {'; '.join(errors)}. Correct or take out the part "
        "that it names. Nothing was changed.",
        details={"schema": _SCHEMA, "errors": errors},
    )
