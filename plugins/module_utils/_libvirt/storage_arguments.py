# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The options of pools and volumes. Private to this collection."""

from __future__ import annotations

from typing import Any

from .._argspec import ArgumentSpec

_PERMISSIONS: dict[str, Any] = {
    "type": "dict",
    "options": {
        "mode": {"type": "str"},
        "owner": {"type": "int"},
        "group": {"type": "int"},
        "label": {"type": "str"},
    },
}

POOL = ArgumentSpec(
    options={
        "state": {"type": "str", "choices": ["present", "active", "inactive", "absent"], "default": "present"},
        "type": {
            "type": "str",
            "choices": [
                *("dir", "fs", "netfs", "logical", "disk", "iscsi", "iscsi-direct", "scsi", "mpath"),
                *("rbd", "gluster", "zfs"),
            ],
        },
        "target": {"type": "str"},
        "source": {
            "type": "dict",
            "options": {
                "devices": {"type": "list", "elements": "str"},
                "host": {"type": "str"},
                "directory": {"type": "str"},
                "name": {"type": "str"},
                "format": {"type": "str"},
            },
        },
        "permissions": _PERMISSIONS,
        "build": {"type": "str", "choices": ["auto", "never", "empty", "overwrite"], "default": "auto"},
        "autostart": {"type": "bool"},
        "refresh": {"type": "bool", "default": False},
        "restart": {"type": "str", "choices": ["never", "if_required"], "default": "never"},
        "remove": {"type": "list", "elements": "str", "choices": ["storage"], "default": []},
    }
)

POOL_INFO = ArgumentSpec(
    options={
        "name": {"type": "list", "elements": "str", "default": []},
        "ignore_missing": {"type": "bool", "default": False},
    }
)
