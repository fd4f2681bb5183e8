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

# virStorageVolWipeAlgorithm, in its order
WIPE_ALGORITHMS = [
    *("zero", "nnsa", "dod", "bsi", "gutmann", "schneier", "pfitzner7", "pfitzner33", "random", "trim"),
]

VOLUME = ArgumentSpec(
    options={
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "name": {"type": "str"},
        "pool": {"type": "str", "required": True},
        "xml": {"type": "str"},
        "capacity": {"type": "str"},
        "allocation": {"type": "str"},
        "format": {"type": "str"},
        "backing": {
            "type": "dict",
            "options": {
                "volume": {"type": "str"},
                "pool": {"type": "str"},
                "path": {"type": "path"},
                "format": {"type": "str"},
            },
            "mutually_exclusive": [("volume", "path"), ("pool", "path")],
            "required_one_of": [("volume", "path")],
        },
        "clone_of": {"type": "str"},
        "clone_pool": {"type": "str"},
        "source": {"type": "str"},
        "checksum": {"type": "str"},
        "permissions": _PERMISSIONS,
        "encryption": {
            "type": "dict",
            "no_log": False,
            "options": {"passphrase": {"type": "str", "no_log": True}, "secret": {"type": "str", "no_log": False}},
            "mutually_exclusive": [("passphrase", "secret")],
            "required_one_of": [("passphrase", "secret")],
        },
        "shrink": {"type": "bool", "default": False},
        "wipe": {"type": "bool", "default": False},
        "wipe_algorithm": {"type": "str", "choices": WIPE_ALGORITHMS, "default": "zero"},
    },
    required_one_of=(("name", "xml"),),
    mutually_exclusive=(("backing", "clone_of", "source"), ("encryption", "clone_of", "source")),
    required_by={"clone_pool": ("clone_of",), "checksum": ("source",)},
)

VOLUME_INFO = ArgumentSpec(
    options={
        "pool": {"type": "list", "elements": "str", "default": []},
        "name": {"type": "list", "elements": "str", "default": []},
        "used_by": {"type": "bool", "default": False},
        "refresh": {"type": "bool", "default": False},
        "ignore_missing": {"type": "bool", "default": False},
    }
)
