# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What leads from one state of the kernel back to an earlier one: cases in mend.yml."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._switch.mend import mend

CASES = yaml.safe_load(Path(__file__).with_name("mend.yml").read_text(encoding="utf-8"))
_GIVEN = {"family": "inet", "local": "203.0.113.10", "prefixlen": 24, "scope": "global", "label": "eth0"}
_BASE: dict[str, Any] = {
    "scope": ["br0", "eth0"],
    "links": {"eth0": {"mac": "02:00:00:00:00:01", "mtu": 1500, "up": True, "master": None, "kind": None, "info": {}}},
    "addresses": {"eth0": [{**_GIVEN, "broadcast": "203.0.113.255"}]},
    "routes": {
        "4": [
            "default via 203.0.113.1 dev eth0 proto static",
            "203.0.113.0/24 dev eth0 proto kernel scope link src 203.0.113.10",
        ],
        "6": [],
    },
    "rules": {"4": ["0:\tfrom all lookup local"], "6": []},
    "vlans": {},
    "fdb": [],
    "sysctls": {},
}
_BASE["links"]["eth0"]["lower"] = None


def _state(*changes: dict[str, Any]) -> dict[str, Any]:
    """The base with changes laid over it: links by name (null takes one away), the rest as a whole."""
    state = copy.deepcopy(_BASE)
    for change in changes:
        for key, value in copy.deepcopy(change).items():
            if key == "links":
                state["links"].update(value)
            elif key.startswith("addresses"):
                version = {"4": "inet", "6": "inet6"}[key[-1]]
                others = [row for row in state["addresses"]["eth0"] if row["family"] != version]
                state["addresses"]["eth0"] = others + value
            elif key[:-1] in ("routes", "rules"):
                state[key[:-1]][key[-1]] = value
            else:
                state[key] = value
    state["links"] = {name: link for name, link in state["links"].items() if link is not None}
    return state


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["what"])
def test_the_way_back(case: dict[str, Any]) -> None:
    saved = _state(case.get("saved", {}))
    # what a row does not speak of is the same in both
    now = _state({**case.get("saved", {}), **case["now"]})
    now["links"] = _state(case.get("saved", {}), {"links": case["now"].get("links", {})})["links"]
    found = mend(saved, now, passed_s=case.get("passed_s", 0))
    assert [" ".join(command) for difference in found for command in difference.commands] == case["commands"]
    assert "texts" not in case or [difference.text for difference in found] == case["texts"]


def test_nothing_is_to_be_done_where_nothing_differs() -> None:
    for case in CASES:
        state = _state(case.get("saved", {}), case["now"])
        assert mend(state, state) == [], case["what"]
