# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host in a container whose only link can be moved: a real sshd, reached through a router from another network.

The controller has a network namespace of its own. There 203.0.113.1 is the host's router and 198.51.100.9 is where
Ansible comes from, so an answer only finds its way by the host's gateway.
"""

from __future__ import annotations

import difflib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from .containers import container_image, podman_environment
from .module import collections_path

ROUTER, CONTROLLER, ADDRESS = "203.0.113.1", "198.51.100.9", "203.0.113.10"

_UNITS = {
    "networkd": "systemd-networkd.service",
    "networkmanager": "NetworkManager.service",
    "ifupdown": "networking.service",
}
_UNITS.update({"netplan": _UNITS["networkd"], "netplan-nm": _UNITS["networkmanager"]})
_OTHERS = ("NetworkManager-wait-online.service", "systemd-networkd-wait-online.service", "systemd-networkd.socket")

_FILES = {
    "networkd": (
        "etc/systemd/network/10-eth0.network",
        f"[Match]\nName=eth0\n\n[Network]\nAddress={ADDRESS}/24\nGateway={ROUTER}\nDNS={ROUTER}\n",
    ),
    "networkmanager": (
        "etc/NetworkManager/system-connections/eth0.nmconnection",
        (
            "[connection]\nid=eth0\nuuid=9f0bb0a8-5d9f-4d0c-8f7a-0d9f6a4c1b11\ntype=ethernet\ninterface-name=eth0\n\n"
            f"[ipv4]\nmethod=manual\naddress1={ADDRESS}/24,{ROUTER}\ndns={ROUTER};\n\n[ipv6]\nmethod=link-local\n"
        ),
    ),
    "ifupdown": (
        "etc/network/interfaces",
        (
            "# the host's own words\nauto lo\niface lo inet loopback\n\n"
            f"auto eth0\niface eth0 inet static\n    address {ADDRESS}/24\n    gateway {ROUTER}\n"
        ),
    ),
    "netplan": (
        "etc/netplan/01-eth0.yaml",
        (
            "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    eth0:\n"
            f"      addresses: [{ADDRESS}/24]\n      routes: [{{to: default, via: {ROUTER}}}]\n"
        ),
    ),
}
# the same files with netplan's other renderer
_FILES["netplan-nm"] = (_FILES["netplan"][0], _FILES["netplan"][1].replace("networkd", "NetworkManager"))

Result = dict[str, Any]

# the only link moves into a bridge, which takes over all that it has
GOOD: Result = {"ports": [{"name": "eth0"}], "inherit": True, "timeout": 10, "confirm_timeout": 25}


def assert_same(now: Result, before: Result) -> None:
    """Fails with the lines of kernel and files that differ."""
    for part, lines in before.items():
        found = list(difflib.unified_diff(lines, now[part], "before", "now", n=0, lineterm=""))
        assert not found, "\n".join(found)


class BridgeHost:
    """One container, the two namespaces around it, and Ansible on the other side."""

    def __init__(self, manager: str, name: str) -> None:
        self.manager = manager
        self.name = f"nbt-{name}"
        self.inside, self.outside = f"{self.name}-in", f"{self.name}-out"
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.name}-"))
        self._processes: list[subprocess.Popen[str]] = []

    def start(self) -> None:
        """Boots it; it can be reached when this returns."""
        self.remove_container()
        key = self.directory / "key"
        if not key.exists():
            _run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
        self._plug()
        environment = podman_environment()
        script = self.directory / "first"
        script.write_text(self._first_boot())
        options = ["--systemd=always", "--cap-add=NET_ADMIN,NET_RAW", "--security-opt=unmask=/proc/sys"]
        volumes = [f"--volume={key}.pub:/key.pub:ro", f"--volume={script}:/first:ro"]
        network = f"--network=ns:/run/netns/{self.inside}"
        image = container_image("bookworm-net")
        command = ["podman", "run", "--detach", f"--name={self.name}", network, *options, *volumes, image]
        _run(*command, "/bin/sh", "/first", env=environment)
        self._wait()

    def reboot(self, *, power_cut: bool = False) -> None:
        """Stops it, takes its links away, and boots it with the files that it has."""
        stop = ["kill"] if power_cut else ["stop", "--time=2"]
        _run("podman", *stop, self.name, env=podman_environment())
        _run("podman", "wait", self.name, env=podman_environment())
        self._plug()
        _run("podman", "start", self.name, env=podman_environment())
        self._wait()

    def remove(self) -> None:
        """Removes everything."""
        self.remove_container()
        for namespace in (self.inside, self.outside):
            _run("ip", "netns", "del", namespace, check=False)
        shutil.rmtree(self.directory, ignore_errors=True)

    def remove_container(self) -> None:
        """Removes the container alone."""
        _run("podman", "rm", "--force", "--time=0", "--ignore", self.name, env=podman_environment())

    def execute(self, *command: str, check: bool = True) -> str:
        """Standard output of a command in the container, whatever its network is."""
        return _run("podman", "exec", self.name, *command, check=check, env=podman_environment())

    def ssh(self, *command: str, timeout_s: int = 3) -> bool:
        """Whether a new ssh connection comes through."""
        options = [part for option in self._ssh_options() for part in ("-o", option)]
        ssh = ["timeout", str(timeout_s), "ssh", "-i", str(self.directory / "key"), *options, f"root@{ADDRESS}"]
        done = subprocess.run(self.from_outside(*ssh, *(command or ("true",))), check=False, capture_output=True)
        return done.returncode == 0

    def bridge(self, *, check: bool = False, variables: Result | None = None, **options: Any) -> Result:
        """The result of the module `bridge` as the only task of a playbook."""
        process = self.start_bridge(check=check, variables=variables, **options)
        out, error = process.communicate(timeout=180)
        return self.parse(out, error)

    def start_bridge(
        self, *, check: bool = False, variables: Result | None = None, **options: Any
    ) -> subprocess.Popen[str]:
        """The playbook's process, for what is to go wrong with it."""
        task = {"name": "Bridge", "nestbox.virt.bridge": {"name": "br0", **options}}
        play = {"name": "Test", "hosts": "all", "gather_facts": False, "tasks": [task]}
        playbook = self.directory / "playbook.json"
        playbook.write_text(json.dumps([play]))
        inventory = self.directory / "inventory.json"
        host = {
            "ansible_host": ADDRESS,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.directory / "key"),
            "ansible_ssh_common_args": " ".join(f"-o {option}" for option in self._ssh_options()),
            "ansible_python_interpreter": "/usr/bin/python3",
            **(variables or {}),
        }
        inventory.write_text(json.dumps({"all": {"hosts": {self.name: host}}}))
        own = {
            "ANSIBLE_COLLECTIONS_PATH": str(collections_path()),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.json",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / "cp"),
            "ANSIBLE_SSH_PIPELINING": "1",
        }
        flags = ["--check"] if check else []
        command = ["ansible-playbook", "-i", str(inventory), "--diff", *flags, str(playbook)]
        return subprocess.Popen(
            self.from_outside(*command),
            env={**podman_environment(), **own},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def parse(self, out: str, error: str) -> Result:
        """The result of the only task."""
        start = out.find("{")
        if start < 0:
            raise AssertionError(f"ansible-playbook said:\n{out}\n{error}")
        data = json.loads(out[start:])
        result: Result = data["plays"][0]["tasks"][0]["hosts"][self.name]
        assert "Traceback" not in out + error, f"{out}\n{error}"
        result.setdefault("failed", bool(result.get("unreachable")))
        result["warnings"] = [str(warning) for warning in result.get("warnings", [])]
        return result

    def state(self) -> Result:
        """Kernel and files, for a comparison of before and after."""
        script = (
            "ip -o link show | sed -E 's/^[0-9]+: //; s/@if[0-9]+//; s/ qlen [0-9]+//'; ip -o addr show | "
            "sed -E 's/^[0-9]+: //; s/(valid|preferred)_lft [0-9a-z]+//g'; ip -4 route show table all; "
            "ip -6 route show table all | sed 's/ pref medium//' | sort; ip rule; cat /etc/resolv.conf"
        )
        files = "find /etc /var/lib/nestbox.virt /run/nestbox.virt -type f -o -type l | sort | "
        files += "grep -vE '^/etc/(ld.so.cache|mtab|machine-id|\\.pwd.lock)' | xargs -d '\\n' stat -c '%n %a %U %s' ; "
        files += "find /etc -type f | sort | xargs -d '\\n' cat | sha256sum"
        return {
            "kernel": self.execute("sh", "-c", script).splitlines(),
            "files": self.execute("sh", "-c", files, check=False).splitlines(),
        }

    def settled_state(self) -> Result:
        """The state when the kernel has done what it does by itself a moment later."""
        quiet = "until ! ip -6 addr | grep -qE 'tentative' && [ -n \"$(ip -6 addr show dev $(ip -4 -o route show "
        quiet += "default | sed -E 's/.* dev ([^ ]+).*/\\1/') scope link)\" ]; do sleep 0.1; done"
        self.execute("timeout", "10", "sh", "-c", quiet, check=False)
        return self.state()

    def until_applying(self) -> None:
        """Waits until the worker has begun."""
        self._until("ls /run/nestbox.virt/switch/*/worker.json")

    def until_settled(self) -> None:
        """Waits until no change is pending."""
        self._until("! ls /run/nestbox.virt/switch/*/savepoint.json")

    def kill(self, half: str) -> None:
        """Kills the worker or the watchdog of the change that is pending."""
        pid = {
            "worker": "sed -E 's/.*\"pid\": ([0-9]+).*/\\1/' /run/nestbox.virt/switch/*/worker.json",
            "watchdog": "pgrep -f 'nestbox.virt/switch/[0-9a-f]+ watch'",
        }[half]
        self.execute("sh", "-c", f"kill -9 $({pid})")

    def unplug(self) -> None:
        """Pulls the cable, on the router's side."""
        _run("ip", "-n", self.outside, "link", "set", "lan", "down")

    def plug_in(self) -> None:
        """Puts the cable back."""
        _run("ip", "-n", self.outside, "link", "set", "lan", "up")

    @staticmethod
    def without_reports(state: Result) -> Result:
        """A state without what the next run is to show."""
        words = ("/var/lib/nestbox.virt/switch/reports/", "/run/nestbox.virt/switch/")
        return {part: [line for line in lines if not line.startswith(words)] for part, lines in state.items()}

    def _until(self, condition: str) -> None:
        script = f"until {condition} >/dev/null 2>&1; do sleep 0.05; done"
        self.execute("timeout", "90", "sh", "-c", script)

    def from_outside(self, *command: str) -> list[str]:
        """A command as one that the controller runs."""
        return ["nsenter", f"--net=/run/netns/{self.outside}", "--", *command]

    def _ssh_options(self) -> list[str]:
        return [
            f"BindAddress={CONTROLLER}",
            "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={self.directory / 'known'}",
            "LogLevel=ERROR",
        ]

    def _plug(self) -> None:
        """New namespaces with a cable between them; the host's end has the same MAC each time."""
        for namespace in (self.inside, self.outside):
            _run("ip", "netns", "del", namespace, check=False)
            _run("ip", "netns", "add", namespace)
            _run("ip", "-n", namespace, "link", "set", "lo", "up")
        mac = "02:00:5e:00:53:10"
        ends = ["eth0", "netns", self.inside, "address", mac, "type", "veth", "peer", "name", "lan", "netns"]
        _run("ip", "link", "add", *ends, self.outside)
        for words in (
            ["addr", "add", f"{ROUTER}/24", "dev", "lan"],
            ["addr", "add", f"{CONTROLLER}/32", "dev", "lo"],
            ["link", "set", "lan", "up"],
        ):
            _run("ip", "-n", self.outside, *words)

    def _first_boot(self) -> str:
        """A script that leaves one manager with one file, and becomes systemd."""
        path, text = _FILES[self.manager]
        masked = sorted({*_UNITS.values(), *_OTHERS} - {_UNITS[self.manager]})
        unit = _UNITS[self.manager]
        netplan = self.manager.startswith("netplan")
        return "\n".join(
            [
                "[ -e /configured ] && exec /sbin/init",
                "rm -f /etc/network/interfaces /etc/systemd/network/* /etc/netplan/*; mkdir -p /root/.ssh",
                "install -m 600 /key.pub /root/.ssh/authorized_keys",
                f"mkdir -p /{os.path.dirname(path)}",
                f"cat > /{path} <<'EOF'\n{text}EOF",
                f"chmod {600 if self.manager == 'networkmanager' else 644} /{path}",
                *(f"ln -sf /dev/null /etc/systemd/system/{other}" for other in masked),
                f"ln -sf /lib/systemd/system/{unit} /etc/systemd/system/multi-user.target.wants/",
                "" if netplan else "rm -f /usr/sbin/netplan /lib/systemd/system-generators/netplan",
                "ln -sf /dev/null /etc/systemd/system/dnsmasq.service",
                "touch /configured; exec /sbin/init",
            ]
        )

    def _wait(self) -> None:
        script = "until [ -S /run/systemd/private ]; do sleep 0.1; done; systemctl is-system-running --wait || true"
        self.execute("timeout", "30", "sh", "-c", script)
        for _attempt in range(20):
            if self.ssh():
                return
        raise AssertionError(f"{self.name} can't be reached:\n{self.execute('ip', 'addr')}")


def _run(*command: str, check: bool = True, env: dict[str, str] | None = None) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=env)
    if check and done.returncode:
        raise AssertionError(f"{' '.join(command)} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
    return done.stdout
