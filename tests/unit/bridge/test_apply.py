# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of the kernel's differences is done before a manager has done its own, and what is said of one that is late."""

from __future__ import annotations

import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.apply import Application, _not_for_managers
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends import BACKENDS, Change
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.live import Difference

_ROWS = (
    ("bridge br0", "priority", "ip link set dev br0 type bridge priority 100"),
    ("port vx", "create", "ip link add name vx type vxlan id 7"),
    ("link vx", "mtu", "ip link set dev vx mtu 1450"),
    ("port mv", "replace", "ip link del dev mv"),
    ("link mv", "mtu", "ip link set dev mv mtu 1450"),
    ("bridge br0 route 203.0.113.0/28", "remove", "ip route del 203.0.113.0/28 dev br0"),
    ("bridge br0 address 198.51.100.2/24", "remove", "ip addr del 198.51.100.2/24 dev br0"),
    ("bridge br0 address 198.51.100.3/24", "add", "ip addr replace 198.51.100.3/24 dev br0"),
)


@pytest.mark.parametrize("remakes", [True, False])
def test_a_manager_makes_links_and_sets_addresses_and_the_rest_is_ours(remakes: bool) -> None:
    found = [Difference(target, verb, None, None, (tuple(command.split()),)) for target, verb, command in _ROWS]
    got = [" ".join(command) for command in _not_for_managers(found, remakes=remakes)]
    # one that is not made again by its manager is made anew by us, with all that it has
    again = [] if remakes else [_ROWS[4][2]]
    assert got == ["ip link del dev mv", _ROWS[0][2], *again, _ROWS[5][2]]


@pytest.mark.parametrize(("name", "late"), [("networkd", ["add bridge br0 port eth1"]), ("ifupdown", [])])
def test_a_manager_that_does_not_end_with_its_work_is_late(name: str, late: list[str]) -> None:
    backend = BACKENDS[name](root="/nonexistent")
    left = [Difference("bridge br0 port eth1", "add", None, None, ())]
    change = Change("br0", present=True, ports=(), released=(), files={})
    application = Application(backend, change, None, lambda: left, timeout_s=0.05)
    application._wait_for(backend)
    assert application.late == late
