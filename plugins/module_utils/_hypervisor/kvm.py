# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""KVM: its module, its device, and who may use it. Private to this collection."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from dataclasses import dataclass
from typing import Any

from .._kmod.files import Host
from .cpu import KVM_MODULES, Cpu
from .files import text

DEVICE = "dev/kvm"
_KVM_GET_API_VERSION = 0xAE00  # linux/kvm.h
# the users that distributions build libvirt with, when qemu.conf names none
_QEMU_USERS = ("libvirt-qemu", "qemu")
_READ_WRITE = 6


@dataclass(frozen=True)
class Account:
    """A user with the numbers of all its groups."""

    name: str
    uid: int
    gids: frozenset[int]


def kvm_module(host: Host, cpu: Cpu) -> str | None:
    """The module for this CPU, or the one that is loaded: a guest's CPU may hide what the device offers."""
    loaded = [name for name in KVM_MODULES.values() if host.path(f"sys/module/{name}").is_dir()]
    return cpu.kvm_module or next(iter(loaded), None)


def read_kvm(host: Host, cpu: Cpu, by_libvirt: bool | None) -> dict[str, Any]:
    """`by_libvirt`: whether the daemon says that it can start KVM guests, which it found out by running QEMU."""
    account, module = qemu_account(host), kvm_module(host, cpu)
    usable, reason = _usable(host)
    allowed = _allowed(host, account)
    return {
        "module": module,
        "loaded": module is not None and host.path(f"sys/module/{module}").is_dir(),
        "device": _device(host),
        "usable": usable,
        "reason": reason,
        "qemu_user": account.name if account else None,
        "usable_by_qemu": by_libvirt if by_libvirt is not None else allowed,
        "usable_by_qemu_known_from": "libvirt" if by_libvirt is not None else "mode" if allowed is not None else None,
    }


def qemu_account(host: Host) -> Account | None:
    """The user that QEMU runs as, by qemu.conf or by what the distribution made; None where there is none."""
    config = text(host.path("etc/libvirt/qemu.conf")) or ""
    users = {fields[0]: fields for fields in _table(host, "etc/passwd", 4)}
    by_number = {fields[2]: fields for fields in users.values()}
    named = _setting(config, "user")
    wanted = named.lstrip("+") if named else next((name for name in _QEMU_USERS if name in users), None)
    entry = users.get(wanted or "") or by_number.get(wanted or "")
    if entry is None:
        return None
    name, gids = entry[0], {int(entry[3])}
    groups = _table(host, "etc/group", 4)
    gids |= {int(fields[2]) for fields in groups if name in fields[3].split(",")}
    group = (_setting(config, "group") or "").lstrip("+")
    gids |= {int(fields[2]) for fields in groups if group and group in (fields[0], fields[2])}
    return Account(name, int(entry[2]), frozenset(gids))


def _device(host: Host) -> dict[str, Any] | None:
    try:
        facts = host.path(DEVICE).stat()
    except OSError:
        return None
    groups = {fields[2]: fields[0] for fields in _table(host, "etc/group", 4)}
    users = {fields[2]: fields[0] for fields in _table(host, "etc/passwd", 4)}
    return {
        "mode": f"{stat.S_IMODE(facts.st_mode):04o}",
        "owner": users.get(str(facts.st_uid), str(facts.st_uid)),
        "group": groups.get(str(facts.st_gid), str(facts.st_gid)),
    }


def _usable(host: Host) -> tuple[bool, str | None]:
    """Whether this process can speak to KVM, and why it can't."""
    try:
        handle = os.open(host.path(DEVICE), os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        return False, f"/dev/kvm: {error.strerror}"
    try:
        fcntl.ioctl(handle, _KVM_GET_API_VERSION)
    except OSError as error:
        return False, f"/dev/kvm does not answer as KVM: {error.strerror}"
    finally:
        os.close(handle)
    return True, None


def _allowed(host: Host, account: Account | None) -> bool | None:
    """Whether owner, group and mode of the device let the user of QEMU in; access control lists are not looked at."""
    try:
        facts = host.path(DEVICE).stat()
    except OSError:
        return False
    if account is None:
        return None
    if account.uid == 0:
        return True
    shift = 6 if account.uid == facts.st_uid else 3 if facts.st_gid in account.gids else 0
    return (facts.st_mode >> shift) & _READ_WRITE == _READ_WRITE


def _setting(config: str, name: str) -> str | None:
    found = re.findall(rf"^\s*{name}\s*=\s*\"?([^\"\s]+)\"?", config, re.MULTILINE)
    return found[-1] if found else None


def _table(host: Host, path: str, columns: int) -> list[list[str]]:
    """The lines of passwd or group that are whole."""
    lines = (line.split(":") for line in (text(host.path(path)) or "").splitlines())
    return [fields for fields in lines if len(fields) >= columns and fields[2].isdigit()]
