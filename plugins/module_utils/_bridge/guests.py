# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which guest a tap under a bridge belongs to, as libvirt says it. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping

from .._deps import etree, libvirt
from .._errors import VirtError
from .._libvirt.connection import Connection

# of libvirtd, and of the modular daemons' proxy; without one of them libvirt would only wait
_SOCKETS = ("/run/libvirt/libvirt-sock-ro", "/run/libvirt/virtqemud-sock-ro", "/run/libvirt/virtxend-sock-ro")


def guests_by_tap(uri: str) -> Mapping[str, dict[str, str]]:
    """The name and UUID of the running guest of each tap; nothing where libvirt is not there, or does not answer."""
    local = "///" in uri and "?" not in uri
    if libvirt is None or etree is None or (local and not any(os.path.exists(path) for path in _SOCKETS)):
        return {}
    try:
        with Connection(uri, read_only=True) as connection:
            domains = connection.handle.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE)
            return {
                tap: {"name": domain.name(), "uuid": domain.UUIDString()}
                for domain in domains
                for tap in _taps(domain.XMLDesc())
            }
    except (VirtError, libvirt.libvirtError):
        return {}


def _taps(xml: str) -> list[str]:
    tree = etree.fromstring(xml, etree.XMLParser(resolve_entities=False, no_network=True))
    return [str(tap) for tap in tree.xpath("/domain/devices/interface/target/@dev")]
