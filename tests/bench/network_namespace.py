# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host of network links only: namespaces of its own for the network and for what lies in /run, /var/lib and /etc."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable
from typing import Any

from .module import Library, Result, run_module

# on the way to another state: an address that is tried out, a carrier that the kernel tells within a second
_ON_THE_WAY = re.compile(r'tentative|"NO-CARRIER"[^]]*"LOWER_UP"')
# what the kernel counts by itself
_RUNNING = re.compile(
    r'"(hello|tcn|topology_change|gc|hold|message_age|forward_delay)_timer":[\d.]+,?|"updated":\d+,?'
    r'|"(valid|preferred)_life_time":\d+,?|"expires":\d+,?'
)
_SETUP = """
mount --make-rprivate /
umount --recursive --lazy /sys
mount -t sysfs sysfs /sys
# without it, an address of IPv6 is tried out for a second or two
sysctl -qw net.ipv6.conf.all.accept_dad=0 net.ipv6.conf.default.accept_dad=0
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/lib
ip link set lo up
echo ready
exec sleep infinity
"""
# few programs, since each takes a tenth of a second to start under emulation
READ = (
    r"printf 'addr show\nrule show\n' | ip -json -details -batch -",
    "ip -json -4 route show table all",
    "ip -json -6 route show table all",
    r"printf 'fdb show\nvlan show\n' | bridge -json -batch -",
)


class NetworkNamespace:
    """`pid` is a process in it, by which run_module goes inside."""

    module_library: Library | None = None  # it sees our files

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            ["setpriv", "--pdeathsig", "KILL", "unshare", "--net", "--mount", "sh", "-ec", _SETUP],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"
        self.pid = self._process.pid

    def close(self) -> None:
        """Ends it with all that is in it."""
        self._process.kill()
        self._process.wait()

    def run(self, *commands: str) -> str:
        """Runs commands in it; what they write."""
        inside = ["nsenter", "--target", str(self.pid), "--net", "--mount", "--", "sh", "-ec", "\n".join(commands)]
        return subprocess.run(inside, check=True, capture_output=True, text=True, timeout=60).stdout

    def run_module(self, name: str, args: dict[str, Any], **options: Any) -> Result:
        """The result of a module in it."""
        return run_module(name, args, inside=self, **options)

    def state(self) -> str:
        """Kernel and files as one text, without what changes by itself."""
        text = self.run(*READ, "find /run /var/lib -type f | sort | xargs -r sha256sum")
        return without_counters(text)

    def settled(self) -> str:
        """The state when nothing changes any more: link-local addresses are tried out for a second or two."""
        return settled(self.state)


def without_counters(text: str) -> str:
    """What `READ` gives, without what changes by itself."""
    return _RUNNING.sub("", "\n".join(_without_learned(line) for line in text.splitlines()))


def _without_learned(line: str) -> str:
    """A forwarding database with what it was told, and in order; any other line as it is."""
    if not line.startswith('[{"mac"'):
        return line
    told = [json.dumps(row, sort_keys=True) for row in json.loads(line) if row.get("state") == "permanent"]
    return "\n".join(sorted(told))


def settled(state: Callable[[], str]) -> str:
    """A state that nothing changes any more."""
    deadline = time.monotonic() + 20
    before, now = "", state()
    while (now != before or _ON_THE_WAY.search(now)) and time.monotonic() < deadline:
        time.sleep(0.3)
        before, now = now, state()
    return now
