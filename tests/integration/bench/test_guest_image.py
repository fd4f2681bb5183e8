# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lean guest boots for real: directly and from its disk, with and without a seed, and goes down when asked."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import libvirt
import pytest

from tests.bench.ansible_run import run_remote_module
from tests.bench.daemon import Daemon
from tests.bench.guest import Guest, ensure_lan
from tests.bench.guest_image import GuestImage, guest_image, make_key, write_seed

_DOMAIN = """
<domain type='qemu'><name>{name}</name><memory unit='MiB'>{memory}</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='{machine}'>hvm</type>{boot}</os><features><acpi/></features>
<devices>{disks}
<interface type='network'><source network='lan'/><model type='{nic}'/><mac address='{mac}'/></interface>
<serial type='pty'><log file='{log}'/></serial>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel></devices></domain>
"""

_USER_DATA = """#cloud-config
hostname: {name}
ssh_authorized_keys: ["{key}"]
users:
  - name: root
  - {{name: op, groups: [users], ssh_authorized_keys: ["{key}"]}}
write_files:
  - {{path: /etc/greeting, content: aGVsbG8K, encoding: b64, permissions: "0640"}}
chpasswd:
  users: [{{name: op, password: tried and true, type: text}}]
runcmd:
  - [sh, -c, "echo late > /var/tmp/late"]
  - echo later >> /var/tmp/late
"""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    started = Daemon(f"guest-image-{os.getpid()}")
    started.start(tied=True)
    ensure_lan(started)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def image() -> GuestImage:
    return guest_image()


def start(daemon: Daemon, directory: Path, key: Path, address: str | None = None, **settings: str) -> Guest:
    """A lean guest of the template."""
    log = directory / f"{settings['name']}.log"
    xml = _DOMAIN.format(**settings, log=log)
    return Guest(daemon, xml, name=settings["name"], mac=settings["mac"], key=key, log=log, address=address)


def boot_directly(image: GuestImage, more: str = "") -> str:
    return f"<kernel>{image.kernel}</kernel><initrd>{image.initrd}</initrd><cmdline>{image.cmdline} {more}</cmdline>"


def seed_disk(path: Path, bus: str) -> str:
    if bus == "virtio":
        target = "<target dev='vdb' bus='virtio'/>"
        return f"<disk type='file'><driver name='qemu'/><source file='{path}'/>{target}<readonly/></disk>"
    return f"<disk type='file' device='cdrom'><source file='{path}'/><target dev='sda' bus='{bus}'/><readonly/></disk>"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path)


def public(key: Path) -> str:
    return key.with_suffix(".pub").read_text().strip()


def test_direct_boot_with_a_seed(daemon: Daemon, image: GuestImage, key: Path, tmp_path: Path) -> None:
    user_data = _USER_DATA.format(name="straight", key=public(key))
    seed = write_seed(tmp_path / "seed.iso", user_data, "instance-id: one\nlocal-hostname: other\n")
    guest = start(
        daemon, tmp_path, key, name="straight", memory="256", machine="q35", nic="virtio", mac="52:54:00:00:64:01",
        boot=boot_directly(image), disks=seed_disk(seed, "sata"),
    )  # fmt: skip
    assert guest.shell("hostname; cat /etc/greeting; stat -c %a /etc/greeting; whoami") == "straight\nhello\n640\nroot"
    assert guest.shell("id -nG", user="op") == "op users"
    assert guest.shell("grep ^op: /etc/shadow").startswith("op:$6$")
    assert guest.shell("cat /var/tmp/late") == "late\nlater"
    assert json.loads(guest.shell("cat /run/nestbox/seed.json"))["problems"] == []
    guest.wait("the agent", guest.agent_answers)
    assert run_remote_module(guest, "ansible.builtin.ping", {})["ping"] == "pong"
    guest.shell("modprobe -a 8021q bonding bridge")
    daemon.virsh("shutdown", guest.name, "--mode", "acpi")
    guest.wait("the end after the power button", guest.gone)


# only one of them boots twice: what it keeps is on the disk, whatever the machine
@pytest.mark.parametrize(
    ("machine", "nic", "bus", "reboots"), [("pc", "e1000", "virtio", True), ("q35", "virtio", "sata", False)]
)
def test_boot_from_disk(
    daemon: Daemon, image: GuestImage, key: Path, tmp_path: Path, machine: str, nic: str, bus: str, reboots: bool
) -> None:
    overlay = tmp_path / "disk.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image.disk), str(overlay)], check=True
    )
    network = (
        "version: 2\nethernets:\n  enp1s0:\n    addresses: [198.51.100.5/24]\n    gateway4: 198.51.100.1\n"
        "    nameservers: {addresses: [198.51.100.1]}\n"
    )
    user_data = _USER_DATA.format(name="fromdisk", key=public(key))
    seed = write_seed(tmp_path / "seed.iso", user_data, "instance-id: two\n", network)
    target = "<target dev='vda' bus='virtio'/>" if bus == "virtio" else "<target dev='sdb' bus='sata'/>"
    source = f"<driver name='qemu' type='qcow2'/><source file='{overlay}'/>"
    disk = f"<disk type='file'>{source}{target}<boot order='1'/></disk>"
    guest = start(
        daemon, tmp_path, key, name=f"disk-{machine}", memory="384", machine=machine, nic=nic, mac="52:54:00:00:64:02",
        boot="", disks=disk + seed_disk(seed, bus), address="198.51.100.5",
    )  # fmt: skip
    before = guest.shell(
        "ip -4 route show default; cat /etc/resolv.conf; cat /var/tmp/late; cat /proc/sys/kernel/random/boot_id",
    )
    lines = before.splitlines()
    assert lines[0].split()[:5] == ["default", "via", "198.51.100.1", "dev", "eth0"]
    assert lines[1:4] == ["nameserver 198.51.100.1", "late", "later"]
    guest.wait("the agent", guest.agent_answers)
    if reboots:
        guest.shell("echo kept > /root/kept; sync")
        daemon.virsh("reboot", guest.name, "--mode", "agent")
        guest.wait("the next boot", lambda: guest.shell("cat /proc/sys/kernel/random/boot_id") != lines[-1])
        kept = guest.shell("cat /root/kept /var/tmp/late")
        assert kept == "kept\nlate\nlater", "a known instance runs its commands once"
        guest.wait("the agent", guest.agent_answers)
    daemon.virsh("shutdown", guest.name, "--mode", "agent")
    guest.wait("the end after the agent's shutdown", guest.gone)


def test_boot_without_a_seed(daemon: Daemon, image: GuestImage, key: Path, tmp_path: Path) -> None:
    word = "nestbox.ssh_key=" + base64.b64encode(public(key).encode()).decode()
    guests = [
        start(
            daemon, tmp_path, key, name=name, memory="256", machine="pc", nic="virtio", mac=mac,
            boot=boot_directly(image, more), disks="",
        )
        for name, mac, more in (("known", "52:54:00:00:64:03", word), ("stranger", "52:54:00:00:64:04", ""))
    ]  # fmt: skip
    known, stranger = guests
    assert known.shell("whoami") == "root"
    stranger.wait("the stranger's console", lambda: "booted after" in stranger.console())

    def refused() -> bool:
        return "Permission denied" in stranger.ssh("whoami").stderr

    stranger.wait("the stranger's refusal", refused)
    with daemon.connect() as connection:
        for guest in guests:
            domain = connection.lookupByName(guest.name)
            assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
            domain.destroy()
