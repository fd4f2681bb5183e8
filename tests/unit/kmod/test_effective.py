# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the next load of a module uses, and from where: the table of cases.yml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._kmod.effective import Assignment, Effective, effective
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.files import Host, read_configuration

from .cases import Case, read_cases

CASES = read_cases()


def _option(found: Assignment, like: Any) -> Any:
    """The option with as much of its place as the case names."""
    if not isinstance(like, list):
        return found.value
    place = [found.origin.path, found.origin.line or None]
    return [found.value, *place[-len(like) + 1 :]]


def _rest(found: Effective) -> dict[str, Any]:
    """What there is besides options."""
    entries = {"install": found.install, "softdep": found.softdep, "alias": found.alias}
    said: dict[str, Any] = {verb: entry.rest.strip() for verb, entry in entries.items() if entry is not None}
    if found.blacklisted is not None:
        said["blacklisted"] = str(found.blacklisted)
    if found.by_alias:
        said["by_alias"] = [entry.name for entry in found.by_alias]
    return said


@pytest.mark.parametrize("case", CASES, ids=[case.name.replace(" ", "-") for case in CASES])
def test_next_load(case: Case, tmp_path: Path) -> None:
    case.write(tmp_path)
    found = effective(read_configuration(Host(tmp_path)), case.module)
    expected = dict(case.expected)
    options = expected.pop("options")
    assert {name: _option(item, options.get(name)) for name, item in found.options.items()} == options
    assert _rest(found) == expected


def test_there_are_many_cases() -> None:
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)
