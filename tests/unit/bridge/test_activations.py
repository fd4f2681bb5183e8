# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a manager take its files, and take them back: activations.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends import BACKENDS, Activation, Change

_CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("activations.yml").read_text(encoding="utf-8"))


def _shown(commands: tuple[tuple[str, ...], ...], activation: Activation) -> list[str]:
    return [" ".join(command) + (" (may fail)" if command in activation.may_fail else "") for command in commands]


@pytest.mark.parametrize("name", _CASES)
def test_what_a_manager_is_told(name: str, tmp_path: Path) -> None:
    case = _CASES[name]
    for path, text in case.get("files", {}).items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    backend = BACKENDS[case["manager"]](root=str(tmp_path))
    if "restore" in case:
        activation = Activation(after=tuple(backend.restore_commands("br0", case["restore"])))
    else:
        links = {key: tuple(case["change"].get(key, ())) for key in ("ports", "released")}
        activation = backend.activate(Change(**{"name": "br0", "files": {}, **case["change"], **links}))
    assert _shown(activation.before, activation) == case.get("before", [])
    assert _shown(activation.after, activation) == case["after"]
