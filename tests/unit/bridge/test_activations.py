# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What makes a manager take its files, and take them back: activations.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends import (
    BACKENDS,
    Activation,
    Change,
    ifupdown,
)
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.kernel import Kernel, Link
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.model import Layer3

_CASES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("activations.yml").read_text(encoding="utf-8"))


def _shown(commands: tuple[tuple[str, ...], ...], activation: Activation) -> list[str]:
    return [" ".join(command) + (" (may fail)" if command in activation.may_fail else "") for command in commands]


def _change(said: dict[str, Any]) -> Change:
    links = {key: tuple(said.get(key, ())) for key in ("ports", "released", "joined")}
    layers = {
        key: Layer3(**{word: tuple(value) if isinstance(value, list) else value for word, value in said[key].items()})
        for key in ("was", "now")
        if key in said
    }
    files = {path: text.encode() for path, text in said.get("files", {}).items()}
    seen = Kernel(links={name: Link(name, **values) for name, values in said.get("kernel", {}).items()})
    return Change(**{"name": "br0", **said, "files": files, "kernel": seen, **links, **layers})


@pytest.mark.parametrize("name", _CASES)
def test_what_a_manager_is_told(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    case = _CASES[name]
    for path, text in case.get("files", {}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf-8")
    programs = case.get("programs", ())
    monkeypatch.setattr(ifupdown, "find", lambda program: program if program in programs else None)
    backend = BACKENDS[case["manager"]](root=str(tmp_path))
    change = _change(case.get("change", {"present": True, "created": True}))
    if "restore" in case:
        activation = Activation(after=tuple(backend.restore_commands(change, case["restore"])))
    else:
        activation = backend.activate(change)
    assert _shown(activation.before, activation) == case.get("before", [])
    assert _shown(activation.after, activation) == case["after"]
