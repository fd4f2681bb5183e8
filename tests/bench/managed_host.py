# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host with a network manager, in whose container modules run without a playbook."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ansible

from .module import Library, Result, end_server, run_module
from .network_host import NetworkHost, podman, run
from .network_namespace import READ, settled, without_counters

_BENCH = Path(__file__).parent
_PLUGINS = _BENCH.parents[1] / "plugins"
_LIBRARY = "/bench"
# whatever a manager reads, and what the module itself keeps
_TREES = (
    "/etc",
    "/run/NetworkManager/conf.d",
    "/run/NetworkManager/system-connections",
    "/run/nestbox.virt",
    "/run/netplan",
    "/run/network",
    "/run/systemd/network",
    "/var/lib/nestbox.virt",
)
_SERVER_ADDRESSES = ("203.0.113.129/25", "2001:db8:6::1/64")
_DNSMASQ = (
    *("--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=far2", "--bind-interfaces"),
    "--user=root",  # a process that becomes another one no longer ends with its parent
    *("--dhcp-range=203.0.113.128,static,255.255.255.128,1h", "--dhcp-host=52:54:00:00:00:03,203.0.113.150"),
    *("--dhcp-range=2001:db8:6::100,2001:db8:6::1ff,64,1h", "--enable-ra", "--dhcp-authoritative"),
)


class ManagedHost(NetworkHost):
    """Three cards, of which eth2 has a DHCP server at its other end when that is asked for."""

    options = ("--dns=none",)  # /etc/resolv.conf is its own
    module_library: Library | None = Library(_LIBRARY, ("bridge", "bridge_info"))
    pid = 0
    _server: subprocess.Popen[bytes] | None = None
    _leases = False

    def volumes(self) -> dict[str, Path]:
        """The modules of this checkout, with what of Ansible they need."""
        return {
            f"{_LIBRARY}/ansible": Path(ansible.__file__).parent,
            f"{_LIBRARY}/ansible_collections/nestbox/virt/plugins": _PLUGINS,
            f"{_LIBRARY}/module_server.py": _BENCH / "module_server.py",
        }

    def plug(self) -> None:
        """Cables with the same MACs each time."""
        # an address of IPv6 is not tried out for a second or two, and none comes unasked
        off = ("all.accept_dad", "default.accept_dad", "all.accept_ra", "default.accept_ra")
        quiet = [f"net.ipv6.conf.{name}=0" for name in off]
        run("ip", "netns", "exec", self.inside, "sysctl", "-qw", *quiet)
        # the router of the lease is then the only one
        for number in range(2 if self._leases else 0, 3):
            self.cable(f"eth{number}", f"52:54:00:00:00:{number + 1:02x}", f"far{number}")
        if self._leases:
            self._start_server()
        else:
            run("ip", "-n", self.outside, "link", "set", "far2", "down")

    def reboot(self, *, power_cut: bool = False) -> None:
        """Boots it again with the files that it has."""
        end_server(self)
        super().reboot(power_cut=power_cut)

    def remove(self) -> None:
        """Removes everything."""
        self._end_server()
        end_server(self)
        super().remove()

    def wait_ready(self) -> None:
        """Until systemd has started everything."""
        super().wait_ready()
        self.pid = int(podman("inspect", "--format", "{{.State.Pid}}", self.name))

    def run(self, *commands: str, check: bool = True) -> str:
        """What shell commands write in the container, which is quicker than `execute`."""
        enter = ["nsenter", "--target", str(self.pid), "--mount", "--net", "--pid", "--"]
        done = subprocess.run(
            [*enter, "sh", "-c", "\n".join(commands)], capture_output=True, text=True, timeout=60, check=False
        )
        assert not check or not done.returncode, f"{commands}: {done.stdout}{done.stderr}"
        return done.stdout

    def serve_leases(self) -> None:
        """Boots it with eth2 alone, which has a carrier then, and a server of DHCP for IPv4 and IPv6."""
        self._leases = True
        self.reboot()

    def _start_server(self) -> None:
        self._end_server()
        for address in _SERVER_ADDRESSES:
            run("ip", "-n", self.outside, "addr", "add", address, "dev", "far2")
        # the router's own address is the same after a reboot
        run("ip", "-n", self.outside, "link", "set", "far2", "address", "52:54:00:00:00:f3", "up")
        leases = f"--dhcp-leasefile={self.directory / 'leases'}"
        command = ["setpriv", "--pdeathsig", "KILL", *self.from_outside("dnsmasq", *_DNSMASQ, leases)]
        self._server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def wait_for(self, link: str, address: str) -> None:
        """Until a link has an address."""
        self.run(f"timeout 30 sh -c 'until ip addr show dev {link} | grep -qF {address}; do sleep 0.1; done'")

    def info(self, bridge: str) -> Result:
        """What bridge_info says of a bridge."""
        found = self.run_module("bridge_info", {"name": [bridge]})
        assert not found["failed"], found
        said: Result = found["bridges"][0]
        return said

    def _end_server(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            self._server = None

    def run_module(self, name: str, args: dict[str, Any], **options: Any) -> Result:
        """The result of a module in it."""
        return run_module(name, args, inside=self, **options)

    def kernel(self) -> str:
        """All that the kernel has of the network, as one text."""
        return without_counters("\n".join(map(_without_advertised, self.run(*READ).splitlines())))

    def files(self) -> dict[str, str]:
        """Every file that configures the network, with its time, number, rights and content."""
        root = Path(f"/proc/{self.pid}/root")
        return dict(entry for tree in _TREES for entry in _entries(root, tree))

    def state(self) -> str:
        """Kernel and files as one text."""
        return self.kernel() + json.dumps(self.files(), indent=0)

    def settled(self) -> str:
        """The state when nothing changes any more."""
        return settled(self.state)


def _without_advertised(line: str) -> str:
    """Routes from advertisements, which come at any time, taken out of what `ip -json` writes."""
    if '"expires"' not in line:
        return line
    return json.dumps([row for row in json.loads(line) if "expires" not in row], separators=(",", ":"))


def _entries(root: Path, top: str) -> Iterator[tuple[str, str]]:
    for directory, _directories, names in os.walk(f"{root}{top}"):
        for name in (".", *names):
            path = Path(directory, name)
            facts = path.lstat()
            known = f"{facts.st_mode:o} {facts.st_ino} {facts.st_mtime_ns} {facts.st_size}"
            content = hashlib.sha256(path.read_bytes()).hexdigest() if stat.S_ISREG(facts.st_mode) else ""
            yield str(path).removeprefix(str(root)), f"{known} {content}"
