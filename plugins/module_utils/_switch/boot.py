# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that is restarted before the change is confirmed boots with its old files. Private to this collection."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import Any

from . import files
from .place import KEPT, Place, create, write_report
from .state import call

_UNITS = "/etc/systemd/system"
_UNIT = """\
# Written by nestbox.virt.bridge, and removed as soon as its change of {name} is confirmed or undone.
[Unit]
Description=Undo an unconfirmed change of the bridge {name}
DefaultDependencies=no
RequiresMountsFor=/var/lib /etc
After=local-fs.target systemd-remount-fs.service
Before=network-pre.target systemd-networkd.service NetworkManager.service networking.service
Wants=network-pre.target

[Service]
Type=oneshot
ExecStart={python} -I -B {directory} boot

[Install]
WantedBy=multi-user.target
"""


def arm(token: str, sources: dict[str, str], savepoint: dict[str, Any]) -> None:
    """Keeps the old files, and a unit that puts them back before any network manager starts at the next boot.

    Without systemd, or where nothing can be kept, there is none: a restart then leaves the files as they are.
    """
    if not savepoint["files"] or not os.path.isdir("/run/systemd/system"):
        return
    try:
        place = create(KEPT, token, sources)
        place.write("savepoint.json", {key: savepoint[key] for key in ("name", "files", "tried", "boot_commands")})
        text = _UNIT.format(name=savepoint["name"], python=sys.executable, directory=place.directory)
        unit = _unit(token)
        files.write(unit, text.encode(), mode=0o644)
        os.makedirs(os.path.dirname(_wish(token)), exist_ok=True)
        os.symlink(unit, _wish(token))
        files.sync(os.path.dirname(_wish(token)))
    except OSError:
        forget(token)


def forget(token: str) -> None:
    """Removes what `arm` made."""
    for path in (_wish(token), _unit(token)):
        try:
            os.unlink(path)
        except OSError:
            continue
    Place(os.path.join(KEPT, token)).remove()


def undo(place: Place) -> None:
    """At boot: puts the files back; the kernel is new anyway."""
    savepoint = place.read("savepoint.json")
    if savepoint is None:
        return
    failed = files.restore(savepoint["files"])
    for command in savepoint["boot_commands"]:
        try:
            call(command)
        except (OSError, subprocess.SubprocessError):
            failed.append(f"{' '.join(command)} failed")
    write_report(
        {
            "token": place.token,
            "bridge": savepoint["name"],
            "reason": "The host was restarted before the change was confirmed.",
            "tried": savepoint["tried"],
            "outcome": {},
            "restored": not failed,
            "differences": failed,
            "seconds": 0,
            "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
    )
    forget(place.token)


def _unit(token: str) -> str:
    return os.path.join(_UNITS, f"nestbox-bridge-{token}-boot.service")


def _wish(token: str) -> str:
    return os.path.join(_UNITS, "multi-user.target.wants", f"nestbox-bridge-{token}-boot.service")
