# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tests of networks share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.conftest import BoundModule

NAME = "nbt-net"
NAT = {
    "name": NAME,
    "mode": "nat",
    "state": "active",
    "addresses": [
        {"address": "198.51.100.1/24", "dhcp": {"ranges": [{"start": "198.51.100.100", "end": "198.51.100.199"}]}}
    ],
}


def prepare(module: BoundModule, tasks: list[dict[str, Any]]) -> None:
    """Runs tasks that must not fail."""
    for task in tasks:
        result = module("network", {"name": NAME, **task})
        assert not result["failed"], result["msg"]


def make_transient(module: BoundModule) -> None:
    """Starts a network without defining it."""
    with module.daemon.connect() as connection:
        connection.networkCreateXML(f"<network><name>{NAME}</name><mtu size='1400'/></network>")
