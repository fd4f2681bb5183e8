# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two hypervisors in containers, joined by a tunnel between their bridges: their guests reach each other."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.bench.containers import container_image, podman_environment
from tests.bench.guest_image import guest_image
from tests.bench.module import collections_path

HOSTS = ("nbt-vxlan-1", "nbt-vxlan-2")
_TIMEOUT_S = 300
_QEMU = """user = "libvirt-qemu"
group = "kvm"
remember_owner = 0
namespaces = []
cgroup_controllers = []
security_driver = "none"
"""
_GUEST = """
<domain type='qemu'><name>guest</name><memory unit='MiB'>384</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type><kernel>/lean/{kernel}</kernel><initrd>/lean/{initrd}</initrd>
<cmdline>{cmdline}</cmdline></os><features><acpi/></features><cpu mode='custom'><model>EPYC</model></cpu>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<interface type='bridge'><source bridge='lab'/><mac address='52:54:00:77:00:0{number}'/><mtu size='1450'/>
<model type='virtio'/></interface>
<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
<memballoon model='none'/><controller type='usb' model='none'/></devices></domain>
"""


def podman(*command: str, check: bool = True, text: str | None = None) -> str:
    """Standard output of podman."""
    done = subprocess.run(
        ["podman", *command], env=podman_environment(), input=text, capture_output=True, text=True, check=False
    )
    assert not check or not done.returncode, f"podman {' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout.strip()


@pytest.fixture(scope="module")
def addresses(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The two machines, each with a libvirtd and without a bridge; their addresses."""
    settings = tmp_path_factory.mktemp("vxlan") / "qemu.conf"
    settings.write_text(_QEMU)
    options = ["--cap-add=NET_ADMIN,NET_RAW", "--security-opt=unmask=/proc/sys", "--network=bridge"]
    options += ["--device=/dev/kvm", "--device=/dev/net/tun", f"--volume={settings}:/etc/libvirt/qemu.conf:ro"]
    options.append(f"--volume={guest_image().directory}:/lean:ro")
    try:
        for name in HOSTS:
            podman("rm", "--force", "--time=0", "--ignore", name)
            image = container_image("bookworm-virt")
            podman("run", "--detach", f"--name={name}", *options, image, "bash", "-c", "virtlogd -d; libvirtd & wait")
        yield {name: podman("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name) for name in HOSTS}
    finally:
        for name in HOSTS:
            podman("rm", "--force", "--time=0", "--ignore", name)


def join(addresses: dict[str, str], directory: Path) -> dict[str, Any]:
    """The results of the task that makes both bridges."""
    others = "{{ addresses.values() | difference([addresses[inventory_hostname]]) }}"
    tunnel = {"name": "vxlab", "kind": "vxlan", "id": 77, "remotes": others}
    tunnel["local"] = "{{ addresses[inventory_hostname] }}"
    options = {"name": "lab", "ports": [tunnel], "mtu": 1450, "persist": "none"}
    play = {"name": "Join", "hosts": "all", "gather_facts": False, "vars": {"addresses": addresses}}
    play["tasks"] = [{"name": "Bridge", "nestbox.virt.bridge": options}]
    playbook, inventory = directory / "playbook.json", directory / "inventory.json"
    playbook.write_text(json.dumps([play]))
    connection = {"ansible_connection": "containers.podman.podman", "ansible_python_interpreter": "/usr/bin/python3"}
    inventory.write_text(json.dumps({"all": {"hosts": dict.fromkeys(HOSTS, connection)}}))
    own = {"ANSIBLE_COLLECTIONS_PATH": str(collections_path()), "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json"}
    command = ["ansible-playbook", "-i", str(inventory), str(playbook)]
    done = subprocess.run(command, env={**podman_environment(), **own}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(done.stdout[done.stdout.index("{") :])["plays"][0]["tasks"][0]["hosts"]
    return found


def agent(name: str, **request: Any) -> Any:
    """The answer of the guest's agent, once it has one."""
    deadline = time.monotonic() + _TIMEOUT_S
    virsh = ["exec", name, "virsh", "-c", "qemu:///system", "qemu-agent-command", "guest", json.dumps(request)]
    while True:
        said = podman(*virsh, check=False)
        if said:
            return json.loads(said)["return"]
        assert time.monotonic() < deadline, f"no agent in the guest of {name}"
        time.sleep(0.5)


def inside(name: str, *command: str) -> int:
    """The exit status of a command in the guest."""
    arguments = {"path": command[0], "arg": list(command[1:]), "capture-output": False}
    pid = agent(name, execute="guest-exec", arguments=arguments)["pid"]
    while not (status := agent(name, execute="guest-exec-status", arguments={"pid": pid}))["exited"]:
        time.sleep(0.2)
    return int(status["exitcode"])


def test_guests_of_two_hypervisors_reach_each_other(addresses: dict[str, str], tmp_path: Path) -> None:
    made = join(addresses, tmp_path)
    for name in HOSTS:
        assert made[name]["changed"] and made[name]["confirmation"]["state"] == "confirmed", made[name]
    again = join(addresses, tmp_path)
    assert not any(again[name]["changed"] for name in HOSTS)
    image = guest_image()
    for number, name in enumerate(HOSTS, start=1):
        xml = _GUEST.format(kernel=image.kernel.name, initrd=image.initrd.name, cmdline=image.cmdline, number=number)
        virsh = "until virsh -q -c qemu:///system uri >/dev/null 2>&1; do sleep 0.2; done; cat > /tmp/guest.xml; "
        podman("exec", "-i", name, "sh", "-c", f"{virsh} virsh -q -c qemu:///system create /tmp/guest.xml", text=xml)
    for number, name in enumerate(HOSTS, start=1):
        assert inside(name, "ip", "link", "set", "eth0", "up") == 0
        assert inside(name, "ip", "addr", "add", f"198.51.100.{200 + number}/24", "dev", "eth0") == 0
    assert inside(HOSTS[0], "ping", "-c", "3", "-w", "30", "198.51.100.202") == 0
    assert inside(HOSTS[1], "ping", "-c", "3", "-w", "30", "-s", "1400", "198.51.100.201") == 0
    assert inside(HOSTS[0], "ping", "-c", "1", "-w", "2", "198.51.100.203") != 0, "nobody answers for an unknown guest"
