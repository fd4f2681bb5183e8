# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A guest that boots and reacts: what `wait_for` waits for, and how it stops when it is asked to."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

from tests.bench.guest_image import guest_image
from tests.conftest import BoundModule

NAME = "nbt-guest"
_TIMEOUT_S = 180
NETWORK = {"name": "nbt-lan", "state": "active", "mode": "isolated", "stp": False}
ADDRESSES = [{"address": "198.51.100.1/24", "dhcp": {"ranges": [{"start": "198.51.100.10", "end": "198.51.100.20"}]}}]


def guest() -> dict[str, Any]:
    """The small guest, by typed options."""
    image = guest_image()
    kernel = {"kernel": str(image.kernel), "initrd": str(image.initrd), "command_line": image.cmdline}
    task: dict[str, Any] = {"name": NAME, "type": "qemu", "memory": "256 MiB", "direct_kernel": kernel, "disks": []}
    return {**task, "graphics": [], "interfaces": [{"network": "nbt-lan"}], "agent": True, "timeout": _TIMEOUT_S}


def test_a_guest_is_waited_for_and_stops_when_it_is_asked_to(module: BoundModule) -> None:
    assert module("network", {**NETWORK, "addresses": ADDRESSES})["changed"]
    started = module.four_steps("domain", {**guest(), "state": "running", "wait_for": "agent"})
    assert started[1]["domain"]["state"] == "running"
    pong = module.daemon.virsh("qemu-agent-command", NAME, json.dumps({"execute": "guest-ping"}))
    assert json.loads(pong) == {"return": {}}, "the agent was waited for, so it answers"

    addressed = module("domain", {"name": NAME, "state": "running", "wait_for": "address", "timeout": _TIMEOUT_S})
    assert not addressed["changed"]
    found = [entry["address"] for entry in addressed["domain"]["interfaces"][0]["addresses"]]
    assert any(address.startswith("198.51.100.") for address in found), found

    stopped = module.four_steps("domain", {"name": NAME, "state": "stopped", "timeout": _TIMEOUT_S})
    assert stopped[1]["domain"]["reason"] == "shutdown", "it went by itself, and nobody pulled the plug"


def test_the_end_of_a_guest_is_waited_for_by_event(module: BoundModule) -> None:
    module("network", {**NETWORK, "addresses": ADDRESSES})
    assert module("domain", {**guest(), "state": "running"})["changed"]
    answers: list[dict[str, Any]] = []
    task = {"name": NAME, "wait_for": "stopped", "timeout": _TIMEOUT_S}
    waiting = threading.Thread(target=lambda: answers.append(module("domain", task)))
    waiting.start()
    time.sleep(1)
    assert waiting.is_alive(), "it runs, so it is waited for"
    module.daemon.virsh("destroy", NAME)
    waiting.join(_TIMEOUT_S)
    assert not answers[0]["failed"], answers
    assert answers[0]["domain"]["state"] == "shut off"


def test_a_wait_that_ends_without_success_says_what_it_saw(module: BoundModule) -> None:
    task = {"name": NAME, "type": "qemu", "memory": "64 MiB", "disks": [], "interfaces": [], "graphics": []}
    seen = {"agent": "its agent is disconnected", "address": "It is running", "stopped": "It is running"}
    for wanted, part in seen.items():
        answer = module("domain", {**task, "agent": True, "state": "running", "wait_for": wanted, "timeout": 1})
        assert answer["failed"], answer
        assert answer["error"]["code"] == "timeout"
        assert part in answer["msg"] and "1 s were not enough" in answer["msg"], answer["msg"]
