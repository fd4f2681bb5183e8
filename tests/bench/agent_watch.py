# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Watches a guest agent's channel by libvirt's events: says "watching", and ends when the agent is connected.

usage: agent_watch.py URI DOMAIN now|again      again: a new connection, after the present one has ended

A process of its own, for libvirt's event loop is one for a whole process.
"""

from __future__ import annotations

import sys
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

_CHANNEL = "./devices/channel/target[@name='org.qemu.guest_agent.0']"


def main() -> int:
    """Until the agent is connected."""
    uri, name, since = sys.argv[1:]
    libvirt.virEventRegisterDefaultImpl()
    connection = libvirt.open(uri)
    domain = connection.lookupByName(name)
    connected = [False]

    def see(_connection: Any, _domain: Any, state: int, _reason: int, _opaque: None) -> None:
        connected[0] = state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED

    connection.domainEventRegisterAny(domain, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE, see, None)
    if since == "now":
        target = ET.fromstring(domain.XMLDesc()).find(_CHANNEL)
        connected[0] = target is not None and target.get("state") == "connected"
    print("watching", flush=True)
    while not connected[0]:
        libvirt.virEventRunDefaultImpl()
    return 0


if __name__ == "__main__":
    sys.exit(main())
