# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which manager holds a port, and how an edit is taken back in a file that somebody has changed since."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends import BACKENDS
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.edits import take_back
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.managers import Managers, choose
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import parse
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.target import layer3_of
from ansible_collections.nestbox.virt.plugins.module_utils._errors import ConflictError, UnsupportedError

from .help import HOST, kernel, params

_CONFIGURATIONS = yaml.safe_load(Path(__file__).with_name("configurations.yml").read_text(encoding="utf-8"))
_SAID = [(name, row["path"], case) for name, row in _CONFIGURATIONS.items() for case in row["files"]]
_LINES = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\n", b"d\n"]), max_size=8).map(b"".join)


def _managers(*names: str) -> Managers:
    files = {name: {path: text.encode() for path, text in HOST["files"][name].items()} for name in names}
    return {name: (BACKENDS[name](root="/nonexistent"), files[name]) for name in names}


@pytest.mark.parametrize("name", BACKENDS)
def test_the_manager_that_holds_the_port_is_chosen(name: str) -> None:
    managers = {
        **_managers(name),
        **{other: (BACKENDS[other](root="/nonexistent"), {}) for other in BACKENDS if other != name},
    }
    backend = choose(parse(params({"ports": [{"name": "eth0"}]})), kernel(), None, managers)
    assert backend is not None
    assert backend.name == name


@pytest.mark.parametrize("pair", [("networkd", "ifupdown"), ("networkmanager", "netplan")], ids="-".join)
def test_two_managers_that_hold_one_port_are_an_error(pair: tuple[str, str]) -> None:
    for persist in ("auto", pair[0]):
        declaration = parse(params({"ports": [{"name": "eth0"}], "persist": persist}))
        with pytest.raises(ConflictError, match=f"claimed by .*{pair[0]}.* and .*{pair[1]}|claimed by .*{pair[1]}"):
            choose(declaration, kernel(), None, _managers(*pair))


def test_another_manager_than_the_one_that_holds_the_port_is_an_error() -> None:
    declaration = parse(params({"ports": [{"name": "eth0"}], "persist": "networkmanager"}))
    managers = {**_managers("ifupdown"), "networkmanager": (BACKENDS["networkmanager"](root="/nonexistent"), {})}
    with pytest.raises(ConflictError, match="ifupdown holds its port eth0"):
        choose(declaration, kernel(), None, managers)


def test_a_host_without_a_manager_is_told_so() -> None:
    with pytest.raises(UnsupportedError, match="persist: none"):
        choose(parse(params({"ports": [{"name": "eth0"}]})), kernel(), None, {})


@pytest.mark.parametrize(("name", "path", "case"), _SAID)
def test_a_bridge_inherits_what_the_files_say_of_its_port(name: str, path: str, case: dict[str, Any]) -> None:
    files = {path: case["text"].encode()}
    configured = BACKENDS[name](root="/nonexistent").port_configuration("eth0", kernel(), files)
    found = vars(layer3_of(kernel(), "eth1", configured))
    assert {key: found[key] for key in case["inherits"]} == case["inherits"]


@given(before=_LINES, after=_LINES)
def test_an_edit_is_taken_back(before: bytes, after: bytes) -> None:
    assert take_back("file", before, after, after) == before
    assert take_back("file", before, after, before) == before


@given(before=_LINES, after=_LINES, note=st.sampled_from([b"# one\n", b"# two\n"]))
def test_no_line_is_lost_that_somebody_added(before: bytes, after: bytes, note: bytes) -> None:
    try:
        found = take_back("file", before, after, after + note)
    except ConflictError:
        return
    assert sorted(found.splitlines()) == sorted((before + note).splitlines())
