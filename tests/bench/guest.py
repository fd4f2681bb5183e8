# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest of a bench daemon and how to speak to it: its address, ssh and agent."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import libvirt

from .daemon import Daemon
from .guest_image import ssh_command

# a machine that does much else at the same time boots a guest in minutes
TIMEOUT_S = 300
NETWORK = "lan"
_LAN = """
<network><name>lan</name><bridge name='nbt-lan0' stp='off' delay='0'/>
<ip address='198.51.100.1' netmask='255.255.255.0'>
<dhcp><range start='198.51.100.10' end='198.51.100.99'/></dhcp>
</ip></network>
"""


def ensure_lan(daemon: Daemon) -> None:
    """The network of the guests, 198.51.100.0/24; addresses from 100 on are for those who ask for one."""
    with daemon.connect() as connection:
        if NETWORK not in (network.name() for network in connection.listAllNetworks()):
            connection.networkCreateXML(_LAN)


def reserve_address(daemon: Daemon, mac: str, address: str) -> None:
    """Lets DHCP give `address` to `mac`: the guest has it sooner, and the test knows it beforehand."""
    with daemon.connect() as connection:
        network = connection.networkLookupByName(NETWORK)
        if f"mac='{mac}'" not in network.XMLDesc():
            section = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST
            entry = f"<host mac='{mac}' ip='{address}'/>"
            network.update(libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, section, -1, entry)


class Guest:
    """A started domain. `xml` has a console that logs to `log`, and a first NIC with `mac` in our network."""

    def __init__(
        self,
        daemon: Daemon,
        xml: str,
        *,
        name: str,
        mac: str,
        key: Path,
        log: Path,
        address: str | None = None,
        transient: bool = True,
    ) -> None:
        """`address`: where it is known beforehand; otherwise its lease is asked for."""
        self.daemon, self.name, self.mac, self.key, self.log = daemon, name, mac, key, log
        if address:
            self.address = address
        with daemon.connect() as connection:
            if transient:
                connection.createXML(xml, 0)
            else:
                connection.defineXML(xml).create()

    @cached_property
    def address(self) -> str:
        """The lease, once there is one."""
        found: list[str] = []

        def look() -> bool:
            with self.daemon.connect() as connection:
                leases = connection.networkLookupByName(NETWORK).DHCPLeases(self.mac)
            found.extend(lease["ipaddr"] for lease in leases)
            return bool(found)

        self.wait("a lease", look)
        return found[0]

    def wait(self, what: str, reached: Callable[[], object], timeout_s: float = TIMEOUT_S) -> None:
        """Asks until the answer is true; says at the end what the console showed."""
        deadline = time.monotonic() + timeout_s
        while not reached():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{what} did not come within {timeout_s} s:\n{self.console()[-3000:]}")
            time.sleep(0.1)

    def console(self) -> str:
        """What the guest wrote to its console so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def ssh(self, *command: str, user: str = "root", stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """A command over ssh, as it ended; 255 is ssh's own failure."""
        argv = ssh_command(self.key, self.address, command, user, more=self.ssh_more)
        given: dict[str, object] = {"input": stdin, "stdin": None} if stdin is not None else {}
        return self.daemon.exec(*argv, check=False, **given)

    @property
    def ssh_more(self) -> list[str]:
        """More options of ssh for this guest."""
        return []

    def shell(self, *command: str, user: str = "root") -> str:
        """What a command prints over ssh; waits for the server, and for the command to succeed."""
        output: list[str] = []

        def call() -> bool:
            done = self.ssh(*command, user=user)
            output.append(done.stdout)
            return done.returncode == 0

        self.wait("ssh", call)
        return output[-1].strip()

    def agent(self, **request: object) -> object:
        """The agent's answer."""
        answer = self.daemon.virsh("qemu-agent-command", self.name, "--timeout", "20", json.dumps(request))
        return json.loads(answer)["return"]

    def agent_answers(self) -> bool:
        """Whether the agent is connected; virsh ends with an error until then."""
        return "return" in self.daemon.virsh("qemu-agent-command", self.name, '{"execute": "guest-ping"}', check=False)

    def gone(self) -> bool:
        """Whether the domain has ended."""
        return self.name not in self.daemon.virsh("list", "--name").split()
