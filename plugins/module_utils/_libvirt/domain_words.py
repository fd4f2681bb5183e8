# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""States of domains in virsh's words. Private to this collection."""

from __future__ import annotations

UNKNOWN = "unknown"
_MIGRATED_BACK = ("post-copy", "post-copy failed")

# state, its word, and the words of its reasons, both by libvirt's numbers
# (https://libvirt.org/html/libvirt-libvirt-domain.html#virDomainState)
_STATES: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("no state", ()),
    (
        "running",
        (
            UNKNOWN,
            "booted",
            "migrated",
            "restored",
            "from snapshot",
            "unpaused",
            "migration canceled",
            "save canceled",
            "event wakeup",
            "crashed",
            *_MIGRATED_BACK,
        ),
    ),
    ("idle", ()),
    (
        "paused",
        (
            UNKNOWN,
            "user",
            "migrating",
            "saving",
            "dumping",
            "I/O error",
            "watchdog",
            "from snapshot",
            "shutting down",
            "creating snapshot",
            "crashed",
            "starting up",
            *_MIGRATED_BACK,
            "api error",
        ),
    ),
    ("in shutdown", (UNKNOWN, "user")),
    (
        "shut off",
        (UNKNOWN, "shutdown", "destroyed", "crashed", "migrated", "saved", "failed", "from snapshot", "daemon"),
    ),
    ("crashed", (UNKNOWN, "panicked")),
    ("pmsuspended", ()),
)

STATE_WORDS = tuple(word for word, _reasons in _STATES)


def state_words(state: int, reason: int) -> tuple[str, str]:
    """State and reason; numbers of a newer libvirt are unknown."""
    if not 0 <= state < len(_STATES):
        return UNKNOWN, UNKNOWN
    word, reasons = _STATES[state]
    return word, reasons[reason] if 0 <= reason < len(reasons) else UNKNOWN
