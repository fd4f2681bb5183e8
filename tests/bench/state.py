# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Everything a libvirtd keeps, as a mapping from a name to a digest: what check mode must not touch."""

from __future__ import annotations

import hashlib
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import libvirt

_TREES = ("/etc/libvirt", "/var/lib/libvirt", "/run/libvirt", "/sys/class/net")
# what changes without anybody's doing: logs, leases of running guests, process ids, a token made at first use
_IGNORED = re.compile(r"\.(log|pid|status|leases)$|/common/system\.token$")
# times of reading, and free space of the file system that a pool lies on
_IGNORED_XML = re.compile(r"<timestamps>.*?</timestamps>|<(capacity|allocation|available)\b[^<]*</\1>", re.DOTALL)
_CONTENT_LIMIT_BYTES = 32 * 1024 * 1024


def read_state(connection: Any, root: Path, more: Iterable[str]) -> dict[str, str]:
    """The objects of `connection` and the files of the daemon that sees `root` as its /."""
    state = dict(_objects(connection))
    for top in {*_TREES, *more, *_referenced(connection)}:
        state.update(_files(root, top))
    return state


def state_digest(state: dict[str, str]) -> str:
    """One hash over a state."""
    return hashlib.sha256("\n".join(f"{name}\t{value}" for name, value in sorted(state.items())).encode()).hexdigest()


def changes(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """What is new, gone or different, in words."""
    new = [f"new: {name}" for name in after.keys() - before.keys()]
    gone = [f"gone: {name}" for name in before.keys() - after.keys()]
    different = [f"different: {name}" for name in before.keys() & after.keys() if before[name] != after[name]]
    return sorted(new + gone + different)


def _objects(connection: Any) -> Iterator[tuple[str, str]]:
    for domain in connection.listAllDomains():
        yield from _domain(domain)
    for network in connection.listAllNetworks():
        yield f"network {network.name()}", _digest(_network_text(network))
    for pool in connection.listAllStoragePools():
        yield f"pool {pool.name()}", _digest(_pool_text(pool))
        if pool.isActive():
            for volume in pool.listAllVolumes():
                text = re.sub(r"<timestamps>.*?</timestamps>", "", volume.XMLDesc(), flags=re.DOTALL)
                yield f"volume {pool.name()}/{volume.name()}", _digest(text)
    for secret in connection.listAllSecrets():
        yield f"secret {secret.UUIDString()}", _digest(secret.XMLDesc())
    for rule in connection.listAllNWFilters():
        yield f"nwfilter {rule.name()}", _digest(rule.XMLDesc())


def _domain(domain: Any) -> Iterator[tuple[str, str]]:
    name = f"domain {domain.name()}"
    facts = (domain.state(), domain.autostart(), domain.isPersistent(), domain.hasManagedSaveImage())
    yield f"{name} facts", repr(facts)
    yield f"{name} live", _digest(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE))
    yield f"{name} inactive", _digest(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_SECURE | libvirt.VIR_DOMAIN_XML_INACTIVE))
    for snapshot in domain.listAllSnapshots():
        yield f"{name} snapshot {snapshot.getName()}", _digest(snapshot.getXMLDesc())
    for checkpoint in domain.listAllCheckpoints():
        yield f"{name} checkpoint {checkpoint.getName()}", _digest(checkpoint.getXMLDesc())


def _network_text(network: Any) -> str:
    inactive = network.XMLDesc(libvirt.VIR_NETWORK_XML_INACTIVE) if network.isPersistent() else ""
    return f"{network.isActive()} {network.isPersistent()} {network.autostart()} {network.XMLDesc()} {inactive}"


def _pool_text(pool: Any) -> str:
    inactive = pool.XMLDesc(libvirt.VIR_STORAGE_XML_INACTIVE) if pool.isPersistent() else ""
    text = f"{pool.isActive()} {pool.isPersistent()} {pool.autostart()} {pool.XMLDesc()} {inactive}"
    return _IGNORED_XML.sub("", text)


def _referenced(connection: Any) -> Iterator[str]:
    """Files of disks and NVRAM, and the directories of pools, wherever they lie."""
    for domain in connection.listAllDomains():
        root = ET.fromstring(domain.XMLDesc())
        yield from (path for source in root.findall("./devices/disk/source") if (path := source.get("file")))
        yield from (nvram.text for nvram in root.findall("./os/nvram") if nvram.text)
    for pool in connection.listAllStoragePools():
        path = ET.fromstring(pool.XMLDesc()).findtext("./target/path")
        if path and not path.startswith("/dev"):
            yield path


def _files(root: Path, top: str) -> Iterator[tuple[str, str]]:
    """One entry for each file and directory below `top`; links are not followed."""
    path = root / top.lstrip("/")
    try:
        facts = path.lstat()
    except (FileNotFoundError, ProcessLookupError):
        return
    if stat.S_ISSOCK(facts.st_mode) or stat.S_ISFIFO(facts.st_mode) or _IGNORED.search(top):
        return
    if path.is_symlink():
        yield top, f"link to {path.readlink()}"
    elif path.is_dir():
        yield top, f"directory {facts.st_mode:o} {facts.st_uid}:{facts.st_gid}"
        for name in sorted(entry.name for entry in path.iterdir()):
            yield from _files(root, f"{top.rstrip('/')}/{name}")
    elif path.is_file():
        owner = f"{facts.st_mode:o} {facts.st_uid}:{facts.st_gid}"
        yield top, f"{owner} {facts.st_size} {facts.st_mtime_ns} {_content(path)}"


def _content(path: Path) -> str:
    """A digest of the content; of a large file size and time must do."""
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.stat().st_size <= _CONTENT_LIMIT_BYTES else "large"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
