# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How commands that mend a host are run: each program with its options reads the lines that follow each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._switch import restore
from ansible_collections.nestbox.virt.plugins.module_utils._switch.mend import WRITE, Difference


def test_commands_that_follow_each_other_are_one_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    ran: list[tuple[str, str]] = []
    monkeypatch.setattr(restore, "call", lambda command, text: ran.append((" ".join(command), text)))
    value = tmp_path / "disable_ipv6"
    restore.apply(
        [
            Difference("", (("ip", "link", "set", "eth0", "nomaster"), ("ip", "link", "set", "eth0", "up"))),
            Difference("", (("bridge", "vlan", "del", "vid", "1", "dev", "eth0"), (WRITE, str(value), "1"))),
            Difference("", (("ip", "-4", "route", "del", "default"), ("ip", "-6", "route", "del", "default"))),
            Difference("nothing can mend it"),
        ]
    )
    assert ran == [
        ("ip -force -batch -", "link set eth0 nomaster\nlink set eth0 up\n"),
        ("bridge -force -batch -", "vlan del vid 1 dev eth0\n"),
        ("ip -4 -force -batch -", "route del default\n"),
        ("ip -6 -force -batch -", "route del default\n"),
    ]
    assert value.read_text(encoding="ascii") == "1"
