# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which addresses end a wait for an address."""

from __future__ import annotations

import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_wait import is_reachable


@pytest.mark.parametrize(
    ("address", "reachable"),
    [
        ("198.51.100.10", True),
        ("10.0.0.1", True),
        ("2001:db8::1", True),
        ("fd00::1", True),
        ("169.254.3.4", False),
        ("fe80::5054:ff:fe31:356c", False),
        ("fe80::1%eth0", False),
    ],
)
def test_a_link_local_address_is_not_waited_for(address: str, reachable: bool) -> None:
    """The agent tells it before DHCP has answered, and ssh could not use it."""
    assert is_reachable(address) is reachable
