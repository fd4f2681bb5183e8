# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of parameters: what is written for a declared value, what is refused, and what means the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError, NotFoundError
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.parameters import Parameter, find

ROWS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("parameters.yml").read_text(encoding="utf-8"))


def _each(key: str) -> list[Any]:
    return [pytest.param(row["kind"], value, id=f"{row['kind']}-{value!r}") for row in ROWS for value in row[key]]


@pytest.mark.parametrize(("kind", "pair"), _each("written"))
def test_written(kind: str | None, pair: list[Any]) -> None:
    assert Parameter("p", kind).text(pair[0]) == pair[1]


@pytest.mark.parametrize(("kind", "value"), _each("refused"))
def test_refused(kind: str | None, value: Any) -> None:
    with pytest.raises(DeclarationError, match="options: p was given as"):
        Parameter("p", kind).text(value)


@pytest.mark.parametrize(("kind", "pair"), _each("same"))
def test_same(kind: str | None, pair: list[Any]) -> None:
    assert Parameter("p", kind).same(*pair) and Parameter("p", kind).same(*pair[::-1])


@pytest.mark.parametrize(("kind", "pair"), _each("other"))
def test_other(kind: str | None, pair: list[Any]) -> None:
    assert not Parameter("p", kind).same(*pair) and not Parameter("p", kind).same(*pair[::-1])


def test_an_unknown_name_lists_the_known_ones() -> None:
    known = {name: Parameter(name, "int") for name in ("nested", "npt")}
    assert find(known, "kvm_amd", "npt") is known["npt"]
    assert find(known, "kvm_amd", "async-probe").kind == "bool"
    with pytest.raises(NotFoundError, match=r"no parameter neste\. It has: nested, npt\.") as caught:
        find(known, "kvm_amd", "neste")
    assert caught.value.details == {"parameter": "neste", "known": ["nested", "npt"]}
