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
import subprocess
from pathlib import Path
from typing import Any

from .containers import podman_environment
from .module import collections_path
from .network_host import NetworkHost, run

ROUTER, CONTROLLER, ADDRESS = "203.0.113.1", "198.51.100.9", "203.0.113.10"

_MAC = "02:00:5e:00:53:10"
_NETPLAN = (
    "network:\n  version: 2\n  renderer: {renderer}\n  ethernets:\n    {link}\n"
    f"      addresses: [{ADDRESS}/24]\n      routes: [{{{{to: default, via: {ROUTER}}}}}]\n"
)
_FILES = {
    "networkd": {
        "/etc/systemd/network/10-eth0.network": (
            f"[Match]\nName=eth0\n\n[Network]\nAddress={ADDRESS}/24\nGateway={ROUTER}\nDNS={ROUTER}\n"
        )
    },
    "networkmanager": {
        "/etc/NetworkManager/system-connections/eth0.nmconnection": (
            "[connection]\nid=eth0\nuuid=9f0bb0a8-5d9f-4d0c-8f7a-0d9f6a4c1b11\ntype=ethernet\ninterface-name=eth0\n\n"
            f"[ipv4]\nmethod=manual\naddress1={ADDRESS}/24,{ROUTER}\ndns={ROUTER};\n\n[ipv6]\nmethod=link-local\n"
        )
    },
    "ifupdown": {
        "/etc/network/interfaces": (
            "# the host's own words\nauto lo\niface lo inet loopback\n\n"
            f"auto eth0\niface eth0 inet static\n    address {ADDRESS}/24\n    gateway {ROUTER}\n"
        )
    },
    "netplan": {"/etc/netplan/01-eth0.yaml": _NETPLAN.format(renderer="networkd", link="eth0:")},
    # netplan's other renderer: its profile is not called after the link, and there is another that fits the link
    "netplan-nm": {
        "/etc/netplan/01-lan.yaml": _NETPLAN.format(
            renderer="NetworkManager", link=f'lan:\n      match: {{macaddress: "{_MAC}"}}'
        ),
        "/etc/NetworkManager/system-connections/any.nmconnection": (
            "[connection]\nid=any\nuuid=9f0bb0a8-5d9f-4d0c-8f7a-0d9f6a4c1b22\ntype=ethernet\nautoconnect-priority=-999\n"
            f"timestamp={2**33}\n\n[ipv4]\nmethod=auto\n"
        ),
    },
}

Result = dict[str, Any]

# the only link moves into a bridge, which takes over all that it has
GOOD: Result = {"ports": [{"name": "eth0"}], "inherit": True, "timeout": 10, "confirm_timeout": 25}


def assert_same(now: Result, before: Result) -> None:
    """Fails with the lines of kernel and files that differ."""
    for part, lines in before.items():
        found = list(difflib.unified_diff(lines, now[part], "before", "now", n=0, lineterm=""))
        assert not found, "\n".join(found)


class BridgeHost(NetworkHost):
    """One container, the two namespaces around it, and Ansible on the other side."""

    def __init__(self, manager: str, name: str) -> None:
        super().__init__(manager, name, _FILES[manager])
        self._key = self.directory / "key"
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(self._key))

    def volumes(self) -> dict[str, Path]:
        """The key by which it is reached."""
        return {"/key.pub": self._key.with_suffix(".pub")}

    def first_commands(self) -> list[str]:
        """The key's place."""
        return ["mkdir -p /root/.ssh; install -m 600 /key.pub /root/.ssh/authorized_keys"]

    def plug(self) -> None:
        """A cable to the router; the host's end has the same MAC each time."""
        self.cable("eth0", _MAC, "lan")
        run("ip", "-n", self.outside, "addr", "add", f"{ROUTER}/24", "dev", "lan")
        run("ip", "-n", self.outside, "addr", "add", f"{CONTROLLER}/32", "dev", "lo")

    def wait_ready(self) -> None:
        """Until it can be reached."""
        super().wait_ready()
        if not any(self.ssh() for _attempt in range(20)):
            raise AssertionError(f"{self.name} can't be reached:\n{self.execute('ip', 'addr')}")

    def ssh(self, *command: str, timeout_s: int = 3) -> bool:
        """Whether a new ssh connection comes through."""
        options = [part for option in self._ssh_options() for part in ("-o", option)]
        ssh = ["timeout", str(timeout_s), "ssh", "-i", str(self._key), *options, f"root@{ADDRESS}"]
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
            "ansible_ssh_private_key_file": str(self._key),
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
        run("ip", "-n", self.outside, "link", "set", "lan", "down")

    def plug_in(self) -> None:
        """Puts the cable back."""
        run("ip", "-n", self.outside, "link", "set", "lan", "up")

    @staticmethod
    def without_reports(state: Result) -> Result:
        """A state without what the next run is to show."""
        words = ("/var/lib/nestbox.virt/switch/reports/", "/run/nestbox.virt/switch/")
        return {part: [line for line in lines if not line.startswith(words)] for part, lines in state.items()}

    def _until(self, condition: str) -> None:
        script = f"until {condition} >/dev/null 2>&1; do sleep 0.05; done"
        self.execute("timeout", "90", "sh", "-c", script)

    def _ssh_options(self) -> list[str]:
        return [
            f"BindAddress={CONTROLLER}",
            "StrictHostKeyChecking=no",
            f"UserKnownHostsFile={self.directory / 'known'}",
            "LogLevel=ERROR",
        ]
