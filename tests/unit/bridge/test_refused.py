# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Declarations that can't be right on any host: refused.yml. test_bridge.py has those that one host refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.consistency import check_whole
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import parse
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.target import PortConfiguration, resolve
from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError

from .help import kernel, params, written_out

_CASES: list[list[Any]] = yaml.safe_load(Path(__file__).with_name("refused.yml").read_text(encoding="utf-8"))


def _plan(options: dict[str, Any], before: dict[str, Any] | None = None) -> None:
    declaration = parse(params(written_out(options)))
    recorded = None if before is None else parse(params(before))
    check_whole(declaration, resolve(declaration, kernel(), recorded, None, PortConfiguration()).written)


@pytest.mark.parametrize("case", _CASES, ids=lambda case: f"{case[0]} {case[1]}")
def test_refused(case: list[Any]) -> None:
    text, *options = case
    with pytest.raises(DeclarationError) as caught:
        _plan(*options)
    assert text in caught.value.message


@pytest.mark.parametrize(
    "options",
    [
        {"dhcp4": True, "routes": [{"to": "203.0.113.0/28", "via": "198.51.100.9"}]},
        {"accept_ra": True, "addresses": ["2001:db8::3/64"], "gateway6": "2001:db8:1::1"},
        {"priority": 100},
        {"mtu": 1279, "addresses": ["198.51.100.3/24"]},
    ],
    ids=str,
)
def test_taken(options: dict[str, Any]) -> None:
    _plan(options)
