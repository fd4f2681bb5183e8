# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waiting for what a domain does, woken by libvirt's events. Private to this collection."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any, Callable, TypeVar

from .._deps import libvirt
from .connection import Connection

Seen = TypeVar("Seen")

# how often the loop looks whether it is still wanted
_LOOP_TICK_MS = 200


class Watch:
    """Wakes at each event of one domain (or of any, for None); entered before the change that it watches."""

    def __init__(self, connection: Connection, domain: Any) -> None:
        self._handle = connection.handle
        self._domain = domain
        self._happened = threading.Event()
        self._over = threading.Event()
        self._callbacks: list[int] = []
        self._loop = threading.Thread(target=self._run, daemon=True, name="libvirt-events")

    def __enter__(self) -> Watch:
        for kind in (
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
        ):
            try:
                self._callbacks.append(self._handle.domainEventRegisterAny(self._domain, kind, self._wake, None))
            except libvirt.libvirtError:  # a driver without this kind of event: until() also looks by itself
                continue
        self._timer = libvirt.virEventAddTimeout(_LOOP_TICK_MS, _nothing, None)
        self._loop.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in self._callbacks:
            try:
                self._handle.domainEventDeregisterAny(number)
            except libvirt.libvirtError:  # the daemon is gone, and its callbacks with it
                pass
        self._over.set()
        self._loop.join()
        libvirt.virEventRemoveTimeout(self._timer)

    def until(self, probe: Callable[[], Seen | None], timeout_s: float, recheck_s: float = 5.0) -> Seen | None:
        """What `probe` gives when it is not None, asked at each event and every `recheck_s`; None after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        while True:
            self._happened.clear()
            seen = probe()
            left = deadline - time.monotonic()
            if seen is not None or left <= 0:
                return seen
            self._happened.wait(min(left, recheck_s))

    def _run(self) -> None:
        while not self._over.is_set():
            libvirt.virEventRunDefaultImpl()

    def _wake(self, *_details: Any) -> None:
        self._happened.set()


def _nothing(_timer: int, _opaque: Any) -> None:
    """The timer only ends a round of the loop."""
