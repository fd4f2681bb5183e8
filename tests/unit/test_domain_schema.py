# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be checked against the schema is said."""

from __future__ import annotations

from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.connection import Connection
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_schema import check_schema


def test_another_hosts_schema_is_not_ours() -> None:
    elsewhere = Connection("qemu+ssh://elsewhere/system", read_only=True)
    assert "was not checked" in (check_schema(elsewhere, "a", "<domain/>") or "")
