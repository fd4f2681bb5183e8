# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits for the network by its events. Private to this collection."""

from __future__ import annotations

import os
import select
import subprocess
import time
from typing import Callable

from .commands import find

# not every change has an event (a lease that is renewed, a manager's own state), so now and then it is looked for
_LOOK_AGAIN_S = 1.0
_GATHER_S = 0.05  # one change comes as several events


def wait_until(done: Callable[[], bool], timeout_s: float) -> bool:
    """Whether `done` became true within the time; it is called at once, and after each event of the kernel."""
    deadline = time.monotonic() + timeout_s
    with subprocess.Popen(
        [find("ip") or "ip", "monitor", "link", "address", "route", "neigh"],
        stdout=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    ) as monitor:
        try:
            events = monitor.stdout.fileno() if monitor.stdout else -1
            poll = select.poll()  # select() takes no number above 1023
            poll.register(events, select.POLLIN)
            while True:
                began = time.monotonic()
                if done():
                    return True
                took = time.monotonic() - began
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                if poll.poll(min(left, _LOOK_AGAIN_S) * 1000):
                    time.sleep(max(_GATHER_S, took))  # on a slow host the manager needs the processor too
                    if not os.read(events, 1 << 20):  # the monitor ended
                        time.sleep(min(left, _LOOK_AGAIN_S))
        finally:
            monitor.kill()
