# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lean guest boots for real: directly and from its disk, with and without a seed, and goes down when asked."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import libvirt
import pytest

from tests.bench.daemon import Daemon
from tests.bench.guest_image import GuestImage, guest_image, make_key, ssh_command, ssh_options, write_seed

_TIMEOUT_S = 120

_NETWORK = """
<network><name>lan</name><bridge name='nbt-lan0' stp='off' delay='0'/>
<ip address='198.51.100.1' netmask='255.255.255.0'>
<dhcp><range start='198.51.100.10' end='198.51.100.99'/></dhcp>
</ip></network>
"""

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
    with started.connect() as connection:
        connection.networkCreateXML(_NETWORK)
    yield started
    started.stop()


@pytest.fixture(scope="module")
def image() -> GuestImage:
    return guest_image()


def wait(what: str, reached: Callable[[], object], log: Path) -> None:
    """Asks until the answer is true; says at the end what the console showed."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not reached():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {_TIMEOUT_S} s:\n{log.read_text(errors='replace')[-3000:]}")
        time.sleep(0.1)


class Guest:
    """A started domain and how to speak to it."""

    def __init__(self, daemon: Daemon, directory: Path, key: Path, **settings: str) -> None:
        self.daemon, self.key, self.name = daemon, key, settings["name"]
        self.log = directory / f"{self.name}.log"
        self.mac = settings["mac"]
        with daemon.connect() as connection:
            connection.createXML(_DOMAIN.format(**settings, log=self.log), 0)

    def address(self) -> str:
        """The lease, once there is one."""
        found: list[str] = []

        def look() -> bool:
            with self.daemon.connect() as connection:
                found.extend(lease["ipaddr"] for lease in connection.networkLookupByName("lan").DHCPLeases(self.mac))
            return bool(found)

        wait("a lease", look, self.log)
        return found[0]

    def shell(self, address: str, *command: str, user: str = "root") -> str:
        """What a command prints over ssh; waits for the server first."""
        output: list[str] = []

        def call() -> bool:
            done = self.daemon.exec(*ssh_command(self.key, address, command, user), check=False)
            output.append(done.stdout)
            return done.returncode == 0

        wait("ssh", call, self.log)
        return output[-1].strip()

    def agent(self, **request: object) -> object:
        """The agent's answer."""
        return json.loads(self.daemon.virsh("qemu-agent-command", self.name, "--timeout", "20", json.dumps(request)))[
            "return"
        ]

    def agent_answers(self) -> bool:
        """Whether the agent is connected; virsh ends with an error until then."""
        return "return" in self.daemon.virsh("qemu-agent-command", self.name, '{"execute": "guest-ping"}', check=False)

    def gone(self) -> bool:
        """Whether the domain has ended."""
        return self.name not in self.daemon.virsh("list", "--name").split()


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


def ansible_ping(daemon: Daemon, key: Path, address: str, directory: Path) -> str:
    """A module of Ansible, run on the guest from the daemon's network."""
    inventory = directory / "hosts.ini"
    options = " ".join(ssh_options(key))
    inventory.write_text(f"guest ansible_host={address} ansible_user=root ansible_ssh_common_args='{options}'\n")
    ansible = Path(sys.executable).with_name("ansible")
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": str(directory / "ansible")}
    command = [str(ansible), "-i", str(inventory), "guest", "-m", "ansible.builtin.ping"]
    done: subprocess.CompletedProcess[str] = daemon.exec(*command, check=False, env=environment)
    return done.stdout + done.stderr


def test_direct_boot_with_a_seed(daemon: Daemon, image: GuestImage, key: Path, tmp_path: Path) -> None:
    user_data = _USER_DATA.format(name="straight", key=public(key))
    seed = write_seed(tmp_path / "seed.iso", user_data, "instance-id: one\nlocal-hostname: other\n")
    guest = Guest(
        daemon, tmp_path, key, name="straight", memory="256", machine="q35", nic="virtio", mac="52:54:00:00:64:01",
        boot=boot_directly(image), disks=seed_disk(seed, "sata"),
    )  # fmt: skip
    address = guest.address()
    assert (
        guest.shell(address, "hostname; cat /etc/greeting; stat -c %a /etc/greeting; whoami")
        == "straight\nhello\n640\nroot"
    )
    assert guest.shell(address, "id -nG", user="op") == "op users"
    assert guest.shell(address, "grep ^op: /etc/shadow").startswith("op:$6$")
    assert guest.shell(address, "cat /var/tmp/late") == "late\nlater"
    assert json.loads(guest.shell(address, "cat /run/nestbox/seed.json"))["problems"] == []
    wait("the agent", guest.agent_answers, guest.log)
    assert "SUCCESS" in ansible_ping(daemon, key, address, tmp_path)
    guest.shell(address, "modprobe -a 8021q bonding bridge")
    daemon.virsh("shutdown", guest.name, "--mode", "acpi")
    wait("the end after the power button", guest.gone, guest.log)


@pytest.mark.parametrize(("machine", "nic", "bus"), [("pc", "e1000", "virtio"), ("q35", "virtio", "sata")])
def test_boot_from_disk(
    daemon: Daemon, image: GuestImage, key: Path, tmp_path: Path, machine: str, nic: str, bus: str
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
    guest = Guest(
        daemon, tmp_path, key, name=f"disk-{machine}", memory="384", machine=machine, nic=nic, mac="52:54:00:00:64:02",
        boot="", disks=disk + seed_disk(seed, bus),
    )  # fmt: skip
    address = "198.51.100.5"
    before = guest.shell(
        address,
        "ip -4 route show default; cat /etc/resolv.conf; cat /var/tmp/late; cat /proc/sys/kernel/random/boot_id",
    )
    lines = before.splitlines()
    assert lines[0].split()[:5] == ["default", "via", "198.51.100.1", "dev", "eth0"]
    assert lines[1:4] == ["nameserver 198.51.100.1", "late", "later"]
    guest.shell(address, "echo kept > /root/kept; sync")
    wait("the agent", guest.agent_answers, guest.log)
    daemon.virsh("reboot", guest.name, "--mode", "agent")
    wait("the next boot", lambda: guest.shell(address, "cat /proc/sys/kernel/random/boot_id") != lines[-1], guest.log)
    assert guest.shell(address, "cat /root/kept /var/tmp/late") == "kept\nlate\nlater", (
        "a known instance runs its commands once"
    )
    wait("the agent", guest.agent_answers, guest.log)
    daemon.virsh("shutdown", guest.name, "--mode", "agent")
    wait("the end after the agent's shutdown", guest.gone, guest.log)


def test_boot_without_a_seed(daemon: Daemon, image: GuestImage, key: Path, tmp_path: Path) -> None:
    word = "nestbox.ssh_key=" + base64.b64encode(public(key).encode()).decode()
    guests = [
        Guest(
            daemon, tmp_path, key, name=name, memory="256", machine="pc", nic="virtio", mac=mac,
            boot=boot_directly(image, more), disks="",
        )
        for name, mac, more in (("known", "52:54:00:00:64:03", word), ("stranger", "52:54:00:00:64:04", ""))
    ]  # fmt: skip
    known, stranger = (guest.address() for guest in guests)
    assert guests[0].shell(known, "whoami") == "root"
    wait("the stranger's console", lambda: "booted after" in guests[1].log.read_text(errors="replace"), guests[1].log)

    def refused() -> bool:
        return "Permission denied" in daemon.exec(*ssh_command(key, stranger, ["whoami"]), check=False).stderr

    wait("the stranger's refusal", refused, guests[1].log)
    with daemon.connect() as connection:
        for guest in guests:
            domain = connection.lookupByName(guest.name)
            assert domain.state()[0] == libvirt.VIR_DOMAIN_RUNNING
            domain.destroy()
