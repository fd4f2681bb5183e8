# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of each role is one: argument specs, defaults and README say the same."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
TOOL = REPOSITORY / "tools" / "role-readme"
ROLES = sorted(path.parent for path in (REPOSITORY / "roles").glob("*/tasks"))
# what a role leaves behind for others: facts of a host, and variables of hosts that it adds
EXPORTED = {"hypervisor": {"hypervisor_facts"}, "guests": {"guests_hypervisor"}}
EACH_ROLE = pytest.mark.parametrize("role", ROLES, ids=lambda role: role.name)


def _check(role: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(TOOL), "--check", str(role)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def _options(role: Path) -> dict[str, Any]:
    specs = yaml.safe_load((role / "meta" / "argument_specs.yml").read_text(encoding="utf-8"))["argument_specs"]
    return {name: option for spec in specs.values() for name, option in spec.get("options", {}).items()}


def _defaults(role: Path) -> dict[str, Any]:
    return yaml.safe_load((role / "defaults" / "main.yml").read_text(encoding="utf-8")) or {}


def test_roles_are_found() -> None:
    assert ROLES


@EACH_ROLE
def test_readme_has_the_table_of_its_argument_specs(role: Path) -> None:
    result = _check(role)
    assert result.returncode == 0, result.stderr


def test_a_stale_readme_is_found_and_mended(tmp_path: Path) -> None:
    role = tmp_path / "role"
    shutil.copytree(ROLES[0], role)
    readme = role / "README.md"
    whole = readme.read_text(encoding="utf-8")
    first = next(iter(_options(role)))
    readme.write_text(re.sub(rf"\| `{first}`.*\n", "", whole), encoding="utf-8")

    stale = _check(role)

    assert stale.returncode == 1
    assert "run tools/role-readme" in stale.stderr
    assert readme.read_text(encoding="utf-8") != whole, "--check wrote"
    subprocess.run([sys.executable, str(TOOL), str(role)], check=True)
    assert readme.read_text(encoding="utf-8") == whole


@EACH_ROLE
def test_defaults_are_the_ones_of_the_argument_specs(role: Path) -> None:
    declared = {name: option["default"] for name, option in _options(role).items() if "default" in option}
    computed = {name for name, value in _defaults(role).items() if isinstance(value, str) and "{{" in value}
    assert {name: value for name, value in _defaults(role).items() if name not in computed} == declared
    assert computed <= set(_options(role))


@EACH_ROLE
def test_variables_have_the_prefix_of_their_role(role: Path) -> None:
    assert [name for name in _options(role) if name != role.name and not name.startswith(f"{role.name}_")] == []


@EACH_ROLE
def test_every_public_variable_in_use_is_an_argument(role: Path) -> None:
    texts = [path.read_text(encoding="utf-8") for path in role.rglob("*") if path.suffix in (".yml", ".j2")]
    used = {name for text in texts for name in re.findall(rf"(?<![\w.]){role.name}_\w+", text)}
    assert used - EXPORTED.get(role.name, set()) <= set(_options(role))
