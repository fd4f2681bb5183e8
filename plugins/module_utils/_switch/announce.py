# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tells the neighbours at once at which MAC addresses are now. Private to this collection."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

from .state import State

_ARP, _BROADCAST = 0x0806, b"\xff" * 6
_NEIGHBOUR_ADVERTISEMENT, _OVERRIDE, _TARGET_LINK_ADDRESS = 136, 0x20000000, 2


def announce(state: State) -> None:
    """A gratuitous ARP or an unsolicited neighbour advertisement for each address; what can't be sent is left out."""
    for name, mac, family, address in _spoken_for(state):
        try:
            (_announce4 if family == "inet" else _announce6)(name, mac, address)
        except OSError:
            continue


def _spoken_for(state: State) -> Iterator[tuple[str, bytes, str, str]]:
    for name, rows in state["addresses"].items():
        link = state["links"].get(name)
        if link is None or not link["up"] or len(link["mac"] or "") != len("00:00:00:00:00:00"):
            continue
        mac = bytes.fromhex(link["mac"].replace(":", ""))
        yield from ((name, mac, row["family"], row["local"]) for row in rows if "local" in row)


def _announce4(name: str, mac: bytes, address: str) -> None:
    """RFC 5227, section 3: an ARP request for one's own address."""
    own = socket.inet_aton(address)
    frame = _BROADCAST + mac + struct.pack("!HHHBBH", _ARP, 1, 0x0800, 6, 4, 1) + mac + own + bytes(6) + own
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((name, _ARP))
        raw.send(frame)


def _announce6(name: str, mac: bytes, address: str) -> None:
    """RFC 4861, section 7.2.6."""
    own = socket.inet_pton(socket.AF_INET6, address)
    message = struct.pack("!BBHI", _NEIGHBOUR_ADVERTISEMENT, 0, 0, _OVERRIDE) + own
    message += struct.pack("!BB", _TARGET_LINK_ADDRESS, 1) + mac
    with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as raw:
        index = socket.if_nametoindex(name)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
        raw.bind((address, 0, 0, index))
        raw.sendto(message, ("ff02::1", 0, 0, index))
