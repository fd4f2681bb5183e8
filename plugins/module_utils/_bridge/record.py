# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was written for a bridge, and what was there before: a file beside the configuration, for the way back.

Private to this collection.
"""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .._errors import SystemFailure
from .model import Declaration, Layer3
from .target import as_data, from_data, layer3_as_data, layer3_from_data

# what does not persist is remembered where it is forgotten at the next boot
_DIRECTORIES = {True: "/var/lib/nestbox.virt/bridges", False: "/run/nestbox.virt/bridges"}
_VERSION = 1


@dataclass(frozen=True)
class Edit:
    """A file: None for one that was not there, or is no longer."""

    before: bytes | None
    after: bytes | None


@dataclass(frozen=True)
class Record:
    """The last change of one bridge. `mtus` are those of the ports before."""

    name: str
    manager: str  # a back end, or none
    written: Declaration
    giver: str | None = None
    edits: Mapping[str, Edit] = field(default_factory=dict)
    mtus: Mapping[str, int] = field(default_factory=dict)
    statics: tuple[str, ...] = ()  # addresses that were given to it, until they go
    ours: Mapping[str, str] = field(default_factory=dict)  # links that were put there, with their kinds, until they go
    taken: Mapping[str, Layer3] = field(default_factory=dict)  # what each port had when it came under the bridge
    adopted: bool = False  # somebody else made the bridge

    def as_json(self) -> bytes:
        """The file."""
        data = {
            "version": _VERSION,
            "name": self.name,
            "manager": self.manager,
            "written": as_data(self.written),
            "giver": self.giver,
            "edits": {path: [_encoded(edit.before), _encoded(edit.after)] for path, edit in self.edits.items()},
            "mtus": dict(self.mtus),
            "statics": list(self.statics),
            "ours": dict(self.ours),
            "taken": {port: layer3_as_data(said) for port, said in self.taken.items()},
            "adopted": self.adopted,
        }
        return json.dumps(data, indent=1, sort_keys=True).encode() + b"\n"


def record_path(name: str, *, persistent: bool, root: str = "/") -> str:
    """Where the record of a bridge is."""
    return os.path.join(root, _DIRECTORIES[persistent].lstrip("/"), f"{name}.json")


def read_record(name: str, root: str = "/") -> Record | None:
    """The record of a bridge, or None."""
    for persistent in (True, False):
        path = record_path(name, persistent=persistent, root=root)
        try:
            with open(path, "rb") as file:
                return _record(json.load(file))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise SystemFailure(
                f"{path} can't be read: {error.strerror}. Run the task with become: true.",
                details={"errno": error.errno},
            ) from error
        except (ValueError, KeyError, TypeError) as error:
            raise SystemFailure(
                f"{path} is not what this module writes ({error}). Move it away; the bridge then is as one that "
                "somebody else made."
            ) from error
    return None


def _record(data: dict[str, Any]) -> Record:
    if data["version"] != _VERSION:
        raise ValueError(f"version {data['version']}")
    return Record(
        name=data["name"],
        manager=data["manager"],
        written=from_data(data["name"], data["written"]),
        giver=data["giver"],
        edits={path: Edit(_decoded(before), _decoded(after)) for path, (before, after) in data["edits"].items()},
        mtus=data["mtus"],
        statics=tuple(data["statics"]),
        ours=data["ours"],
        taken={port: layer3_from_data(said) for port, said in data["taken"].items()},
        adopted=data["adopted"],
    )


def _encoded(content: bytes | None) -> str | None:
    return None if content is None else base64.b64encode(content).decode()


def _decoded(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)
