# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network managers, in the order in which they are asked. Private to this collection."""

from __future__ import annotations

from ._backend import Activation, Backend, Change, Changes, Files, shown
from .ifupdown import Ifupdown
from .netplan import Netplan
from .networkd import Networkd
from .networkmanager import NetworkManager

__all__ = ["BACKENDS", "Activation", "Backend", "Change", "Changes", "Files", "shown"]

# netplan before those that it writes files for
BACKENDS: dict[str, type[Backend]] = {
    "netplan": Netplan,
    "networkd": Networkd,
    "networkmanager": NetworkManager,
    "ifupdown": Ifupdown,
}
