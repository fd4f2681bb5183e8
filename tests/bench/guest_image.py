# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lean guest for tests: its image (built once and kept), a seed for it, and ssh to it."""

from __future__ import annotations

import io
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pycdlib

_BUILD = Path(__file__).resolve().parents[2] / "tools" / "build-guest-image"


@dataclass(frozen=True)
class GuestImage:
    """The files of the image; all are to be read only."""

    directory: Path

    @property
    def kernel(self) -> Path:
        """The uncompressed kernel, for a direct boot; it starts sooner than vmlinuz under emulation."""
        return self.directory / "vmlinux"

    @property
    def vmlinuz(self) -> Path:
        """The kernel as Debian ships it; one with a TPM needs it."""
        return self.directory / "vmlinuz"

    @property
    def initrd(self) -> Path:
        """The whole guest, for a direct boot."""
        return self.directory / "initrd.img"

    @property
    def disk(self) -> Path:
        """A qcow2 disk for BIOS, to be a backing file."""
        return self.directory / "lean.qcow2"

    @property
    def cmdline(self) -> str:
        """The kernel's arguments, for a direct boot."""
        return (self.directory / "cmdline").read_text().strip()


@cache
def guest_image() -> GuestImage:
    """The lean guest; the first call on a machine builds it, which takes half a minute and the download."""
    built = subprocess.run([str(_BUILD)], stdout=subprocess.PIPE, text=True, check=True)
    return GuestImage(Path(built.stdout.strip().splitlines()[-1]))


def make_key(directory: Path) -> Path:
    """A new ssh key for one test: the private key's path; the public one is beside it with .pub."""
    key = directory / "id_ed25519"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "nestbox-bench", "-f", str(key)], check=True)
    return key


def write_seed(path: Path, user_data: str, meta_data: str, network_config: str | None = None) -> Path:
    """A NoCloud image at `path`."""
    iso = pycdlib.PyCdlib()
    iso.new(vol_ident="cidata", joliet=3, rock_ridge="1.09")
    files = {"user-data": user_data, "meta-data": meta_data, "network-config": network_config}
    for number, (name, text) in enumerate(files.items()):
        if text is not None:
            data = text.encode()
            iso.add_fp(io.BytesIO(data), len(data), f"/F{number}.;1", rr_name=name, joliet_path=f"/{name}")
    iso.write(str(path))
    iso.close()
    return path


def ssh_options(key: Path) -> list[str]:
    """Options of ssh for guests that are new each time."""
    settings = {
        "IdentitiesOnly": "yes",
        "StrictHostKeyChecking": "no",
        "UserKnownHostsFile": "/dev/null",
        "LogLevel": "ERROR",
        "ConnectTimeout": "10",
        "BatchMode": "yes",
    }
    return ["-i", str(key), *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]


def ssh_command(
    key: Path, address: str, command: Sequence[str] = (), user: str = "root", more: Sequence[str] = ()
) -> list[str]:
    """The command line that runs `command` on a guest; `more`: further options of ssh."""
    return ["ssh", *ssh_options(key), *more, f"{user}@{address}", *command]
