# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is cut off when a bridge goes, as the bench's libvirtd knows the guests."""

from __future__ import annotations

from typing import Any

from tests.bench.daemon import Daemon
from tests.bench.module import Result, succeed

_GUEST = """
<domain type='qemu'><name>web1</name><memory unit='MiB'>32</memory><os><type>hvm</type></os>
<devices><interface type='bridge'><source bridge='br-gone'/></interface></devices></domain>
"""


def _bridge(daemon: Daemon, *, check: bool = False, **options: Any) -> Result:
    defaults = {"name": "br-gone", "persist": "none", "confirm_timeout": 0}
    return succeed("bridge", {**defaults, **options}, check=check, inside=daemon)


def test_a_bridge_that_goes_names_the_guests_on_it(clean_libvirtd: Daemon) -> None:
    _bridge(clean_libvirtd, ports=[], addresses=[])
    clean_libvirtd.exec("ip", "link", "add", "vethab", "type", "veth", "peer", "name", "vethba")
    clean_libvirtd.exec("ip", "link", "set", "vethab", "master", "br-gone")
    with clean_libvirtd.connect() as connection:
        connection.createXML(_GUEST)
    foreseen = _bridge(clean_libvirtd, state="absent", check=True)
    tap = next(port["name"] for port in foreseen["bridge"]["ports"] if port["guest"])
    assert f"cuts off the guests whose links are under it: vethab, web1 ({tap})." in foreseen["warnings"][0]
    done = _bridge(clean_libvirtd, state="absent")
    assert done["changed"] and done["warnings"] == foreseen["warnings"]
    again = _bridge(clean_libvirtd, state="absent")
    assert (again["changed"], again["warnings"]) == (False, [])
    clean_libvirtd.virsh("destroy", "web1")
    clean_libvirtd.exec("ip", "link", "del", "vethab")
