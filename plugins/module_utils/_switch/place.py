# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a savepoint and what belongs to it lie. Private to this collection."""

from __future__ import annotations

import fcntl
import glob
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .files import prune, remove, write

RUN = "/run/nestbox.virt/switch"
KEPT = "/var/lib/nestbox.virt/switch"
_TOKEN = re.compile(r"[0-9a-f]{12}")
_REPORTS = "reports"

Data = dict[str, Any]


@dataclass(frozen=True)
class Place:
    """The directory of one change. It also holds the program that undoes the change."""

    directory: str

    @property
    def token(self) -> str:
        """The name of the change."""
        return os.path.basename(self.directory)

    @property
    def socket(self) -> str:
        """Where the watchdog listens."""
        return self.path("socket")

    def path(self, name: str) -> str:
        """A file of it."""
        return os.path.join(self.directory, name)

    def read(self, name: str) -> Data | None:
        """A file of data, or None."""
        try:
            with open(self.path(name), encoding="utf-8") as file:
                data: Data = json.load(file)
                return data
        except FileNotFoundError:
            return None

    def write(self, name: str, data: Data) -> None:
        """Writes a file of data whole."""
        write(self.path(name), json.dumps(data).encode())

    def drop(self, *names: str) -> None:
        """Removes files that may be there."""
        for name in names:
            try:
                os.unlink(self.path(name))
            except FileNotFoundError:
                continue

    def lock(self) -> int | None:
        """The lock that the one who watches holds while it lives; None when another one does."""
        handle = os.open(self.path("lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            return None
        return handle

    def remove(self) -> None:
        """Removes all of it."""
        shutil.rmtree(self.directory, ignore_errors=True)
        prune(os.path.dirname(self.directory))


def create(base: str, token: str, sources: dict[str, str]) -> Place:
    """A new place, for root alone, with the program in it. `sources`: the text of each file of this package."""
    os.makedirs(base, mode=0o700, exist_ok=True)
    place = Place(os.path.join(base, token))
    package = place.path("switch")
    os.makedirs(package, mode=0o700)
    os.chmod(place.directory, 0o700)
    for name, text in sources.items():
        write(os.path.join(package, name), text.encode())
    write(place.path("__main__.py"), b"from switch.main import main\n\nmain()\n")
    return place


def places(base: str = RUN) -> Iterator[Place]:
    """The changes that are not finished and cleared away yet."""
    for directory in sorted(glob.glob(os.path.join(base, "*"))):
        if _TOKEN.fullmatch(os.path.basename(directory)):
            yield Place(directory)


def write_report(report: Data) -> None:
    """Leaves a report for the next run; where nothing can be kept, until the next boot."""
    for base in (KEPT, RUN):
        try:
            directory = os.path.join(base, _REPORTS)
            os.makedirs(directory, mode=0o700, exist_ok=True)
            write(os.path.join(directory, f"{report['token']}.json"), json.dumps(report).encode())
        except OSError:
            continue
        return


def reports() -> dict[str, Data]:
    """The reports that nobody has seen, by their paths."""
    found = {}
    for base in (KEPT, RUN):
        for path in sorted(glob.glob(os.path.join(base, _REPORTS, "*.json"))):
            with open(path, encoding="utf-8") as file:
                found[path] = json.load(file)
    return found


def drop_report(token: str) -> None:
    """Removes a report that was seen."""
    for base in (KEPT, RUN):
        remove(os.path.join(base, _REPORTS, f"{token}.json"))
