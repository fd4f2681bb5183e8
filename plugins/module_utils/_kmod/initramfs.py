# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The initramfs, which has its own copy of modprobe.d for the modules in it. Private to this collection."""

from __future__ import annotations

import shutil
from dataclasses import dataclass

from .._errors import MissingDependency
from .files import Host
from .kernel import PROGRAM_PATH, run
from .words import module_name

_BUILD_TIMEOUT_S = 900


@dataclass(frozen=True)
class _Builder:
    program: str
    image: str
    listing: tuple[str, ...]
    build: tuple[str, ...]


# Debian and Ubuntu; Fedora, RHEL and SUSE; Arch
_BUILDERS = (
    _Builder(
        "update-initramfs", "boot/initrd.img-{release}", ("lsinitramfs", "{image}"),
        ("update-initramfs", "-u", "-k", "{release}"),
    ),
    _Builder(
        "dracut", "boot/initramfs-{release}.img", ("lsinitrd", "{image}"), ("dracut", "-f", "{image}", "{release}")
    ),
    _Builder("mkinitcpio", "boot/initramfs-linux.img", ("lsinitcpio", "{image}"), ("mkinitcpio", "-P")),
)  # fmt: skip


@dataclass(frozen=True)
class Initramfs:
    """The image that the running kernel boots with, and how it is made anew."""

    image: str
    exists: bool
    modified_s: float
    listing: tuple[str, ...]
    build: tuple[str, ...]

    def holds(self, module: str) -> bool:
        """Whether the module is in the image; what can't be looked into may have it."""
        if not self.exists:
            return False
        try:
            names = run(self.listing, timeout_s=_BUILD_TIMEOUT_S).stdout.splitlines()
        except MissingDependency:
            return True
        return any(_module_of(name) == module for name in names)

    def rebuild(self) -> None:
        """Builds it anew."""
        run(self.build, timeout_s=_BUILD_TIMEOUT_S)


def find_initramfs(host: Host) -> Initramfs | None:
    """The image by the tool that this host has; None where it has none."""
    for builder in _BUILDERS:
        if shutil.which(builder.program, path=PROGRAM_PATH) is None:
            continue
        path = host.path(builder.image.format(release=host.release))
        words = {"image": str(path), "release": host.release}
        exists = path.is_file()
        return Initramfs(
            host.shown(path),
            exists,
            path.stat().st_mtime if exists else 0.0,
            tuple(word.format(**words) for word in builder.listing),
            tuple(word.format(**words) for word in builder.build),
        )
    return None


def _module_of(line: str) -> str | None:
    """The module in a line of a listing, which may end with the file's name."""
    name = line.rstrip().rpartition("/")[2].partition(" ")[0]
    stem, found, _ending = name.partition(".ko")
    return module_name(stem) if found else None
