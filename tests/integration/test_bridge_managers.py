# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module `bridge` on every network manager: each option in four steps, and the same again after a reboot.

The managers' hosts go through their cases side by side. A kernel with VLANs and bonds has test_bridge_guest.py.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import SPEC
from tests.bench.managed_host import ManagedHost
from tests.integration.bridge_steps import (
    CASES,
    assert_holds,
    assert_refused,
    assert_unchanged,
    filled_in,
    four_steps,
    wait_until_declared,
)

_HOSTS = yaml.safe_load(Path(__file__).with_name("bridge_managed_hosts.yml").read_text(encoding="utf-8"))
MANAGERS = tuple(os.environ.get("NESTBOX_MANAGERS", "networkd networkmanager ifupdown ifupdown2 netplan").split())
_LEASE6 = "2001:db8:6::"
# what a person would look at to see whether all is as before
_BEFORE = "{ ip -br addr show scope global; ip route; ip -6 route show default; ip -br link | cut -d' ' -f1; } | "
_BEFORE += "sed -E 's/@if[0-9]*//; s/ metric 10[0-9]//'"  # NetworkManager counts its routes
_LINK_STATE = "cat /run/systemd/netif/links/$(cat /sys/class/net/{bridge}/ifindex)"
_RESOLVERS = {
    "networkd": _LINK_STATE,
    "netplan": _LINK_STATE,
    "networkmanager": "nmcli --fields IP4,IP6 device show {bridge}",
    "ifupdown": "cat /run/resolvconf/interface/{bridge}*",
    "ifupdown2": "cat /run/resolvconf/interface/{bridge}*",
}


class Story:
    """What becomes of one host; `failures` are the cases that did not go as they should."""

    def __init__(self, manager: str) -> None:
        self.manager = manager
        self.persist = "ifupdown" if manager == "ifupdown2" else manager
        self.host = ManagedHost(manager, f"managed-{manager}", _HOSTS[manager])
        self.failures: list[str] = []

    def tell(self) -> list[str]:
        """From the first boot to the end; the failures."""
        try:
            self.host.start()
            self._chain("br0", [*CASES["changes"], *CASES["managed"]])
            self.host.serve_leases()
            if self.persist == "ifupdown":
                # its service fails at a boot without eth0, and takes the clients that it started with it
                self.host.run("sed -i '/^auto eth0/d' /etc/network/interfaces", "ifup eth2")
            self.host.wait_for("eth2", "203.0.113.150")
            self._chain("br1", CASES["leased"])
        except Exception:  # noqa: BLE001 - shown by the test of this manager
            self.failures.append(traceback.format_exc())
        finally:
            self.host.remove()
        return self.failures

    def _chain(self, bridge: str, cases: list[dict[str, Any]]) -> None:
        before = self._before()
        for case in filled_in(cases, {"MANAGER": self.persist}):
            try:
                self._case({**case, "options": {"name": bridge, **case["options"]}})
            except AssertionError:
                self.failures.append(f"{case}\n{traceback.format_exc(limit=-1)}")
        after = self._before()
        lost, more = sorted({*before} - {*after}), sorted({*after} - {*before})
        assert not lost and not more, f"before: {lost}\nafter: {more}"

    def _before(self) -> list[str]:
        self.host.settled()
        kept = {path: entry.split()[4:] for path, entry in self.host.files().items() if path.startswith("/etc/")}
        content = [f"{path} {digest}" for path, digest in kept.items() if digest]
        return sorted([*self.host.run(_BEFORE).splitlines(), *content])

    def _case(self, case: dict[str, Any]) -> None:
        options = case["options"]
        if self.manager in case.get("refused", {}):
            assert_refused(self.host, options, case["refused"][self.manager])
            return
        awaited = {**case.get("given_back", {}), **({options["name"]: _LEASE6} if case.get("leased6") else {})}

        def arrived() -> None:
            for link, address in awaited.items():
                self.host.wait_for(link, address)

        if four_steps(self.host, options, arrived)["bridge"] is None:
            return
        self._check(self.host.info(options["name"]), case)
        if case.get("reboot"):
            self.host.reboot()
            arrived()
            wait_until_declared(self.host, options)
            assert_unchanged(self.host, options)
            self._check(self.host.info(options["name"]), case)

    def _check(self, bridge: dict[str, Any], case: dict[str, Any]) -> None:
        assert_holds(bridge, case)
        if case.get("leased6"):
            assert any(one.startswith(_LEASE6) for one in bridge["dynamic_addresses"]), bridge["addresses"]
        said = self.host.run(_RESOLVERS[self.manager].format(bridge=bridge["name"])) if "resolvers" in case else ""
        assert [word for word in case.get("resolvers", ()) if word not in said] == [], said


def _options(spec: dict[str, Any], said: Any, path: str = "") -> Iterator[tuple[str, bool]]:
    """Every option with its suboptions, and whether something is said of it."""
    rows = [row for row in (said if isinstance(said, list) else [said]) if row]
    for name, option in spec.items():
        values = [row[name] for row in rows if name in row]
        yield path + name, bool(values)
        for value in [*values, None] if "options" in option else ():
            yield from _options(option["options"], value, f"{path}{name}.")


def test_no_option_is_forgotten() -> None:
    lists = ("changes", "managed", "leased", "vlans")
    said = [row for name in lists for case in CASES[name] for row in _options(SPEC.options, case["options"])]
    tried = {path for path, given in said if given}
    assert {path for path, _given in said} - tried == {"name", "timeout", "confirm_timeout"}


@pytest.fixture(scope="module")
def stories() -> Iterator[Callable[[str], list[str]]]:
    with ThreadPoolExecutor(len(MANAGERS)) as pool:
        told: dict[str, Future[list[str]]] = {name: pool.submit(Story(name).tell) for name in MANAGERS}
        yield lambda manager: told[manager].result()


@pytest.mark.parametrize("manager", MANAGERS)
def test_every_option_in_four_steps(stories: Callable[[str], list[str]], manager: str) -> None:
    failures = stories(manager)
    assert not failures, f"{len(failures)} failures:\n" + "\n".join(failures)
