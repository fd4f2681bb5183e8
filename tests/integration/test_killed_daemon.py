# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""libvirtd is killed at every single call of a task; the same task again reaches what was declared."""

from __future__ import annotations

from typing import Any

import libvirt
import pytest

from tests.bench.daemon import Daemon
from tests.bench.module import run_module, succeed
from tests.bench.rpc_proxy import RpcProxy

NAME = "nbt-killed"
SMALL = f"""
<domain type='qemu'>
  <name>{NAME}</name>
  <memory unit='MiB'>64</memory>
  <os><type machine='pc'>hvm</type></os>
  <features><acpi/></features>
  <devices><interface type='user'><model type='virtio'/></interface></devices>
</domain>
"""
CHANGED = SMALL.replace("</devices>", "<interface type='user'><model type='e1000'/></interface></devices>")

# what there is before, and a task of several steps
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "define and start": ([], {"xml": SMALL, "state": "running", "autostart": True, "tags": ["a"]}),
    "change and plug in": (
        [{"xml": SMALL, "state": "running"}],
        {"xml": CHANGED, "state": "paused", "title": "Changed", "autostart": True},
    ),
    "remove": (
        [{"xml": SMALL, "state": "running", "autostart": True}],
        {"name": NAME, "state": "absent", "force": True, "timeout": 0},
    ),
}


def prepare(daemon: Daemon, tasks: list[dict[str, Any]]) -> None:
    """Brings the daemon to where the case begins."""
    daemon.start()
    daemon.reset()
    for task in tasks:
        succeed("domain", {"uri": daemon.uri, **task})


def domains(daemon: Daemon) -> list[tuple[object, ...]]:
    """All that the task could change of the domains."""
    inactive = libvirt.VIR_DOMAIN_XML_INACTIVE
    with daemon.connect() as connection:
        return [
            (domain.state(), domain.isPersistent(), domain.autostart(), domain.XMLDesc(), domain.XMLDesc(inactive))
            for domain in connection.listAllDomains()
        ]


@pytest.mark.parametrize("case", CASES, ids=[name.replace(" ", "-") for name in CASES])
def test_a_killed_daemon_costs_one_more_run(clean_libvirtd: Daemon, case: str) -> None:
    before, task = CASES[case]
    upstream = clean_libvirtd.uri.partition("socket=")[2]
    number = 0
    untouched: list[tuple[object, ...]] | None = None
    while True:
        number += 1
        if untouched is None:
            prepare(clean_libvirtd, before)
            untouched = domains(clean_libvirtd)
        with RpcProxy(upstream, number, clean_libvirtd.kill) as proxy:
            answer = run_module("domain", {"uri": proxy.uri, **task})
        if not proxy.done:
            break
        assert answer["failed"] or proxy.calls == number, f"call {number} was lost without an error: {answer}"
        if answer["failed"]:
            assert "Traceback" not in str(answer), answer
            assert answer["error"]["code"] in ("connection_failed", "step_failed"), (number, answer)
        clean_libvirtd.start()
        if domains(clean_libvirtd) == untouched:  # so far it has only read: the next task meets what this one met
            assert answer["failed"], (number, answer)
            continue
        untouched = None
        succeed("domain", {"uri": clean_libvirtd.uri, **task})
        again = succeed("domain", {"uri": clean_libvirtd.uri, **task})
        assert not again["changed"], (number, again)
    assert number > 5, "the task made too few calls to have been interrupted anywhere"
    assert not answer["failed"], answer
