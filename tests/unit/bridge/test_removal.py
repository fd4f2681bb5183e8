# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What goes with a bridge, what its ports get back, and what is refused: removals.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends import BACKENDS
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.checks import check_removal
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.model import Declaration, Layer3, Port, Route
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.record import Record
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.removal import Return, cut_off, removal, returns
from ansible_collections.nestbox.virt.plugins.module_utils._errors import RefusedError

from .help import host

_CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("removals.yml").read_text(encoding="utf-8"))


def _record(case: dict[str, Any]) -> Record | None:
    said = case.get("record")
    if said is None:
        return None
    taken = {
        port: Layer3(
            addresses=tuple(row.get("addresses", ())),
            dhcp4=row.get("dhcp4", False),
            accept_ra=row.get("accept_ra"),
            routes=tuple(Route(**route) for route in row.get("routes", ())),
        )
        for port, row in said.get("taken", {}).items()
    }
    ours = said.get("ours", {})
    links = [name for name, link in case["links"].items() if link.get("master") == "br0"]
    written = Declaration("br0", ports=tuple(Port(name) for name in links if ours.get(name, "plain") == "plain"))
    mtus = said.get("mtus", {})
    return Record("br0", "networkd", written, taken=taken, ours=ours, mtus=mtus, adopted=said.get("adopted", False))


def _given(case: dict[str, Any]) -> list[Return]:
    return returns("br0", host(case), _record(case), case.get("held", ()))


def _check(case: dict[str, Any]) -> None:
    files = case.get("files", {})
    managers = {
        name: (BACKENDS[name](root="/nonexistent"), {path: text.encode() for path, text in found.items()})
        for name, found in files.items()
    }
    declaration = Declaration("br0", present=False, persist=case.get("persist", "auto"))
    check_removal(declaration, host(case), _record(case), _given(case), managers)


@pytest.mark.parametrize("name", _CASES)
def test_removal(name: str) -> None:
    case = _CASES[name]
    if "refused" in case:
        with pytest.raises(RefusedError) as caught:
            _check(case)
        assert case["refused"] in caught.value.message
        return
    _check(case)
    found = removal("br0", host(case), _record(case), _given(case))
    assert [[row.target, row.verb] for row in found] == case["steps"]
    told = list(cut_off("br0", host(case), _record(case), {"vnet0": {"name": "web1", "uuid": "0"}}))
    named = [warning.partition("under it: ")[2].partition(". Nobody")[0] for warning in told]
    assert named == ([case["cut off"]] if "cut off" in case else [])
