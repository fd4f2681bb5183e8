# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What managers' files say of a card, before anything is rendered: claims.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends import BACKENDS
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.managers import choose
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import parse

from .help import HOST, host, kernel, params

_CASES: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("claims.yml").read_text(encoding="utf-8"))


def _name(case: dict[str, Any]) -> str:
    return f"{case['manager']} {next(iter(case['files'].values()))} {case.get('link', '')}"


@pytest.mark.parametrize("case", _CASES, ids=_name)
def test_what_a_manager_has_of_a_card(case: dict[str, Any]) -> None:
    backend = BACKENDS[case["manager"]](root="/nonexistent")
    now = host({"links": {"eth0": {"mac": "52:54:00:00:00:01", **case.get("link", {})}}})
    files = {path: text.encode() for path, text in case["files"].items()}
    assert (backend.claims("eth0", now, files), backend.gives("eth0", now, files)) == (case["claims"], case["gives"])
    assert backend.sets_up("eth0", now, files) is (case["claims"] is not None or case["gives"])


def test_a_bridge_that_only_the_kernel_has_stays_so_unless_a_manager_is_named() -> None:
    files = {path: text.encode() for path, text in HOST["files"]["ifupdown"].items()}
    managers = {"ifupdown": (BACKENDS["ifupdown"](root="/nonexistent"), files)}
    options = {"ports": [{"name": "eth0"}]}
    assert choose(parse(params(options)), kernel(), "none", managers) is None
    assert choose(parse(params({**options, "persist": "ifupdown"})), kernel(), "none", managers) is not None
