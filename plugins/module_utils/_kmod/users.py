# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses a module, as far as the host shows it. Private to this collection."""

from __future__ import annotations

import array
import fcntl
import os
import re
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from .files import Host

# the modules that an open /dev/kvm or a running guest holds
KVM_MODULES = ("kvm", "kvm_amd", "kvm_intel")
_KVM_FILES = re.compile(r"/dev/kvm|anon_inode:\[?kvm-")
_GUEST_NAME = re.compile(r"(?:^|,)guest=((?:[^,]|,,)*)")
_INTERFACE_UP = 1  # IFF_UP
# linux/sockios.h, linux/ethtool.h
_SIOCETHTOOL = 0x8946
_ETHTOOL_GDRVINFO = 3
_DRIVER_INFO_BYTES = 196
# drivers that call themselves otherwise than their module
_DRIVER_MODULES = {"802.1Q VLAN Support": "8021q"}


@dataclass(frozen=True)
class Process:
    """A process that has /dev/kvm open; `guest` is QEMU's name for what it runs."""

    pid: int
    name: str
    guest: str | None = None

    def __str__(self) -> str:
        return f"{self.name} ({self.pid}{', guest ' + self.guest if self.guest else ''})"


def kvm_processes(host: Host) -> list[Process]:
    """The processes that hold KVM open, by /proc; those of other PID namespaces are not seen."""
    directories = sorted(host.path("proc").glob("[0-9]*"), key=lambda path: int(path.name))
    return [_process(path) for path in directories if any(map(_KVM_FILES.match, _open_files(path)))]


def interfaces_up(host: Host, module: str) -> list[str]:
    """Network interfaces of a module's driver that are up: the use count does not know of them."""
    found = []
    for directory in sorted(host.path("sys/class/net").glob("*")):
        flags = _read(directory / "flags")
        if flags and int(flags, 16) & _INTERFACE_UP and _driver_module(host, directory) == module:
            found.append(directory.name)
    return found


def _open_files(directory: Path) -> Iterator[str]:
    try:
        names = os.listdir(directory / "fd")
    except OSError:  # it has ended, or belongs to somebody whose files we may not see
        return
    for name in names:
        try:
            yield os.readlink(directory / "fd" / name)
        except OSError:
            continue


def _process(directory: Path) -> Process:
    words = _read(directory / "cmdline").split("\0")
    guest = None
    for option, value in zip(words, words[1:]):
        if option == "-name":
            found = _GUEST_NAME.search(value)
            guest = found[1].replace(",,", ",") if found else value.partition(",")[0]
    return Process(int(directory.name), _read(directory / "comm").strip() or "?", guest)


def _driver_module(host: Host, directory: Path) -> str | None:
    try:
        return os.path.basename(os.readlink(directory / "device/driver/module")).replace("-", "_")
    except OSError:
        pass
    if host.root != Path("/"):
        return None
    driver = _driver_name(directory.name)
    return _DRIVER_MODULES.get(driver, driver.replace("-", "_"))


def _driver_name(interface: str) -> str:
    """What the driver of a virtual interface calls itself."""
    answer = array.array("B", struct.pack("I", _ETHTOOL_GDRVINFO) + bytes(_DRIVER_INFO_BYTES - 4))
    request = struct.pack("16sP", interface.encode()[:15], answer.buffer_info()[0])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as handle:
        try:
            fcntl.ioctl(handle, _SIOCETHTOOL, request)
        except OSError:
            return ""
    return answer.tobytes()[4:36].partition(b"\0")[0].decode("latin-1")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
