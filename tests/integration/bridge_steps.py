# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The four steps of the module `bridge` on a host of the bench, and the cases that go through them."""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import yaml

from tests.bench.module import Result, expect_changed

CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("bridge_cases.yml").read_text(encoding="utf-8"))


class Host(Protocol):
    """A host whose kernel and files can be compared."""

    def run_module(self, name: str, args: dict[str, Any], *, check: bool = False, user: str | None = None) -> Result:
        """The result of a module there."""

    def state(self) -> str:
        """Both as they are now."""

    def settled(self) -> str:
        """Both when nothing changes any more."""


def run_bridge(host: Host, options: dict[str, Any], *, check: bool = False, user: str | None = None) -> Result:
    """The result of the module for br0, without a controller that could confirm it."""
    defaults = {"name": "br0", "confirm_timeout": 0, "timeout": 60}
    return host.run_module("bridge", {**defaults, **options}, check=check, user=user)


def succeed(host: Host, options: dict[str, Any], *, check: bool = False) -> Result:
    """run_bridge, which must not fail, and whose manager does its work in time."""
    result = run_bridge(host, options, check=check)
    assert not result["failed"] and not result.get("warnings"), (options, result)
    return result


def four_steps(host: Host, options: dict[str, Any], arrived: Callable[[], None] = lambda: None) -> Result:
    """Foreseen and nothing written; changed; unchanged twice. The result of the run that changed it.

    `arrived`: waits for what comes by itself after the change.
    """
    before = host.settled()
    foreseen = succeed(host, options, check=True)
    expect_changed(foreseen, f"{options} in check mode", changed=True)
    _assert_same(before, host.state(), "check mode")
    done = succeed(host, options)
    expect_changed(done, f"{options}", changed=True)
    assert done["steps"] == foreseen["steps"]
    arrived()
    assert_unchanged(host, options)
    return done


def wait_until_declared(host: Host, options: dict[str, Any]) -> None:
    """Until a host that has just booted has by itself what was declared: its manager is at work for a while."""
    deadline = time.monotonic() + 60
    while succeed(host, options, check=True)["changed"]:
        assert time.monotonic() < deadline, succeed(host, options, check=True)
        time.sleep(0.2)


def assert_unchanged(host: Host, options: dict[str, Any]) -> None:
    """Neither a run nor check mode finds anything to do, or does anything."""
    reached = host.settled()
    for check in (False, True):
        expect_changed(succeed(host, options, check=check), f"{options} again, check mode {check}", changed=False)
    _assert_same(reached, host.state(), "a run that says unchanged")


def assert_refused(host: Host, options: dict[str, Any], says: str) -> None:
    """A clear error in check mode and without, and nothing is touched."""
    before = host.settled()
    for check in (True, False):
        result = run_bridge(host, options, check=check)
        assert result["failed"] and says in result["msg"], result
    _assert_same(before, host.state(), "what was refused")


def assert_holds(bridge: dict[str, Any], case: dict[str, Any]) -> None:
    """The result says of the bridge what the case does; the order of lists is the kernel's."""
    holds = case.get("holds", {})
    found = {key: bridge[key] for key, value in holds.items() if _plain(bridge[key]) != _plain(value)}
    assert not found, f"{case}: {found}"
    if "routes" in case:
        assert [row for row in bridge["routes"] if row["to"] not in ("0.0.0.0/0", "::/0")] == case["routes"]
    if "ports" in case:
        assert [port["name"] for port in bridge["ports"]] == case["ports"]


def filled_in(value: Any, words: Mapping[str, str]) -> Any:
    """A case with what its words in capitals stand for on a host."""
    if isinstance(value, dict):
        return {key: filled_in(one, words) for key, one in value.items()}
    if isinstance(value, list):
        return [filled_in(one, words) for one in value]
    return words.get(value, value) if isinstance(value, str) else value


def _plain(value: Any) -> Any:
    return sorted(value, key=str) if isinstance(value, list) else value


def _assert_same(before: str, after: str, what: str) -> None:
    lines = [text.replace("},{", "},\n{").splitlines() for text in (before, after)]
    assert before == after, f"{what} changed something:\n" + "\n".join(difflib.unified_diff(*lines, n=0, lineterm=""))
