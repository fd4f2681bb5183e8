# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measures the collection against its peers and against plain libvirt calls, in one run; prints a table of ratios."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libvirt
import yaml

from tests.bench.daemon import Daemon
from tests.bench.module import collections_path, succeed

DOMAINS = 100
TASKS = 20
XML = """
<domain type='qemu'>
  <name>{name}</name>
  <memory unit='MiB'>64</memory>
  <os><type machine='q35'>hvm</type></os>
  <devices>
    <disk type='file' device='disk'><source file='/var/lib/libvirt/images/{name}.qcow2'/><target dev='vda' bus='virtio'/></disk>
    <interface type='user'><model type='virtio'/></interface>
  </devices>
</domain>
"""  # noqa: E501
NAMES = [f"nbt-bench-{number}" for number in range(DOMAINS)]


@dataclass(frozen=True)
class Row:
    """One line of the table: what was measured, in seconds, against what."""

    what: str
    seconds: float
    against: str
    against_seconds: float
    limit: str = ""

    def __str__(self) -> str:
        ratio = self.seconds / self.against_seconds
        ours = f"{self.what:44} {self.seconds:8.3f} s"
        return f"{ours}  {self.against:40} {self.against_seconds:8.3f} s  x {ratio:<6.2f} {self.limit}"


def timed(call: Callable[[], object]) -> float:
    """The seconds that a call takes."""
    begin = time.perf_counter()
    call()
    return time.perf_counter() - begin


def play(tasks: list[dict[str, Any]]) -> float:
    """The seconds of a play of these tasks on this host, without Ansible's own start."""
    return timed(lambda: _ansible(tasks)) - timed(lambda: _ansible([]))


def _ansible(tasks: list[dict[str, Any]]) -> None:
    playbook = [{"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": tasks}]
    with tempfile.NamedTemporaryFile("w", suffix=".yml", encoding="utf-8") as file:
        yaml.safe_dump(playbook, file)
        file.flush()
        command = [
            "ansible-playbook",
            "-i",
            "localhost,",
            "-e",
            f"ansible_python_interpreter={sys.executable}",
            file.name,
        ]
        environment = {**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(collections_path())}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"ansible-playbook failed:\n{done.stdout}\n{done.stderr}")


def start_up(daemon: Daemon) -> Row:
    """A domain task that finds nothing to do where the collection was before, against Ansible's smallest module."""
    options = {"uri": daemon.uri, "name": NAMES[0], "state": "present", "memory": "65 MiB"}
    succeed("domain", options)
    domain = {"nestbox.virt.domain": options}
    ping: dict[str, Any] = {"ansible.builtin.ping": {}}
    ours, theirs = play([domain] * TASKS) / TASKS, play([ping] * TASKS) / TASKS
    return Row("domain, unchanged, one task", ours, "ansible.builtin.ping, one task", theirs, "(at most 1.3)")


def read_all(daemon: Daemon) -> Row:
    """domain_info over all domains, against the plain calls that it can't do without."""
    ours = timed(lambda: succeed("domain_info", {"uri": daemon.uri}))
    return Row(
        f"domain_info of {DOMAINS} domains", ours, "listAllDomains and XMLDesc", timed(lambda: _plain_read(daemon))
    )


def _plain_read(daemon: Daemon) -> None:
    connection = libvirt.openReadOnly(daemon.uri)
    for domain in connection.listAllDomains():
        domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)
        domain.state()
    connection.close()


def info_task(daemon: Daemon) -> Row:
    """One task that describes all domains, against the peer's."""
    ours = play([{"nestbox.virt.domain_info": {"uri": daemon.uri}}])
    theirs = play([{"community.libvirt.virt": {"uri": daemon.uri, "command": "info"}}])
    return Row(f"domain_info of {DOMAINS} domains, one task", ours, "community.libvirt.virt command: info", theirs)


def unchanged_loop(daemon: Daemon) -> Row:
    """Defining what is defined already, ten domains in a loop."""
    xml = {name: XML.format(name=name) for name in NAMES[:10]}
    ours = play([{"nestbox.virt.domain": {"uri": daemon.uri, "xml": text}} for text in xml.values()])
    theirs = play(
        [{"community.libvirt.virt": {"uri": daemon.uri, "command": "define", "xml": text}} for text in xml.values()]
    )
    return Row("domain with the same xml, 10 tasks", ours, "community.libvirt.virt command: define", theirs)


def fingerprint(daemon: Daemon) -> Row:
    """An unchanged domain that this collection defined, against one that virsh defined, which must be merged."""
    known = XML.format(name=NAMES[1]).replace("64", "65")
    succeed("domain", {"uri": daemon.uri, "xml": known})
    ours = min(timed(lambda: succeed("domain", {"uri": daemon.uri, "xml": known})) for _turn in range(5))
    foreign = {"uri": daemon.uri, "xml": XML.format(name=NAMES[2])}
    return Row(
        "domain, known by its fingerprint",
        ours,
        "domain, merged",
        min(timed(lambda: succeed("domain", foreign)) for _turn in range(5)),
    )


def main() -> None:
    """Starts a libvirtd of its own, fills it, and measures."""
    with tempfile.TemporaryDirectory(prefix="nbt-bench-") as directory:
        daemon = Daemon("bench", Path(directory) / "d")
        daemon.start(tied=True)
        try:
            connection = libvirt.open(daemon.uri)
            for name in NAMES:
                connection.defineXML(XML.format(name=name))
            connection.close()
            for measure in (read_all, info_task, unchanged_loop, fingerprint, start_up):
                print(measure(daemon), flush=True)
        finally:
            daemon.stop()


if __name__ == "__main__":
    main()
