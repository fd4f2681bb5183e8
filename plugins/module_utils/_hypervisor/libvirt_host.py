# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What libvirt's daemon says of the host. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from .._deps import libvirt
from .._libvirt.connection import Connection
from .._libvirt.errors import is_code
from .._xml.document import parse

if TYPE_CHECKING:
    from lxml.etree import _Element as Element


def read_libvirt(uri: str) -> dict[str, Any]:
    """Versions and capabilities; raises where nothing answers."""
    with Connection(uri, read_only=True) as connection:
        handle = connection.handle
        return {
            "uri": uri,
            "driver": connection.driver,
            "version": _version(handle.getLibVersion()),
            "hypervisor_version": _hypervisor_version(handle),
            "guests": _capabilities(handle),
        }


def _version(number: int) -> str:
    """libvirt counts versions as major * 1,000,000 + minor * 1,000 + release."""
    return f"{number // 1_000_000}.{number // 1_000 % 1_000}.{number % 1_000}"


def _hypervisor_version(handle: Any) -> str | None:
    try:
        return _version(handle.getVersion())
    except libvirt.libvirtError as error:  # no emulator is installed, or the driver has no version
        if not is_code(error, "VIR_ERR_NO_SUPPORT") and not is_code(error, "VIR_ERR_INTERNAL_ERROR"):
            raise
        return None


def _capabilities(handle: Any) -> list[dict[str, Any]]:
    try:
        return sorted(_guests(parse(handle.getCapabilities())), key=lambda guest: str(guest["architecture"]))
    except libvirt.libvirtError as error:
        if not is_code(error, "VIR_ERR_NO_SUPPORT"):
            raise
        return []


def _guests(capabilities: Element) -> Iterator[dict[str, Any]]:
    for guest in capabilities.iterfind("guest"):
        arch = guest.find("arch")
        if arch is not None:
            yield {
                "os_type": guest.findtext("os_type"),
                "architecture": arch.get("name"),
                "domain_types": [item.get("type") for item in arch.iterfind("domain")],
                "emulator": arch.findtext("emulator"),
            }
