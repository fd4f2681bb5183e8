# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each back end writes for each option: golden files, and properties that hold for all of them.

NESTBOX_WRITE_GOLDEN=1 writes the golden files anew: read the difference before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends import BACKENDS, Backend, Change, shown
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.backends.nm_settings import modification
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.edits import take_back
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import parse
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.record import Edit, Record, read_record, record_path
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.target import (
    PortConfiguration,
    Target,
    layer3_of,
    resolve,
)
from ansible_collections.nestbox.virt.plugins.module_utils._errors import ConflictError, UnsupportedError

from .help import DATA, HOST, kernel, params

_GOLDEN = Path(__file__).with_name("golden")
_PAIRS = [(manager, case) for manager in BACKENDS for case in DATA["cases"]]
_NOTHING = "/nonexistent"  # no file of this machine


def _files(manager: str) -> dict[str, bytes]:
    return {path: text.encode() for path, text in HOST["files"][manager].items()}


def _target(backend: Backend, case: dict[str, Any], files: dict[str, bytes]) -> Target:
    now = kernel(case)
    declaration = parse(params(case["options"]))
    configured = backend.port_configuration("eth0", now, files) if declaration.inherit else PortConfiguration()
    return resolve(declaration, now, None, None, configured)


def _render(manager: str, name: str) -> tuple[dict[str, bytes], dict[str, bytes | None]]:
    backend = BACKENDS[manager](root=_NOTHING)
    case = DATA["cases"][name]
    files = _files(manager)
    return files, backend.render(_target(backend, case, files), kernel(case), files)


def _text(changes: dict[str, bytes | None]) -> str:
    """Each file with its lines behind a bar, so that nothing takes a golden file for what it holds."""
    rows = []
    for path, content in sorted(changes.items()):
        rows.append(f"{path}:")
        rows += ["(removed)"] if content is None else [f"| {line}".rstrip() for line in content.decode().split("\n")]
    return "\n".join(rows) + "\n"


def test_a_profile_of_netplan_has_no_client_id_of_ours() -> None:
    target = _target(BACKENDS["networkmanager"](root=_NOTHING), DATA["cases"]["dhcp"], {})
    said = [{word for word in modification(target.written, ours=ours) if "client-id" in word} for ours in (True, False)]
    assert said == [{"ipv4.dhcp-client-id"}, set()]


def _compare(path: Path, text: str) -> None:
    if os.environ.get("NESTBOX_WRITE_GOLDEN"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8")


@pytest.mark.parametrize(("manager", "name"), _PAIRS)
def test_rendering(manager: str, name: str) -> None:
    refused = DATA["cases"][name].get("refused", {}).get(manager)
    if refused:
        with pytest.raises(UnsupportedError, match=refused):
            _render(manager, name)
        return
    _compare(_GOLDEN / manager / f"{name}.txt", _text(_render(manager, name)[1]))


@pytest.mark.parametrize("name", DATA["cases"])
def test_what_networkmanager_is_told_of_a_living_bridge(name: str) -> None:
    backend = BACKENDS["networkmanager"](root=_NOTHING)
    target = _target(backend, DATA["cases"][name], _files("networkmanager"))
    change = Change("br0", present=True, ports=(), released=(), files={}, written=target.written)
    *words, last = backend.activate(change).after
    assert words == [("nmcli", "connection", "reload")]
    pairs = zip(last[4::2], last[5::2])
    _compare(_GOLDEN / "nmcli" / f"{name}.txt", "\n".join([" ".join(last[:4]), *map(" = ".join, pairs), ""]))


@pytest.mark.parametrize(("manager", "name"), _PAIRS)
def test_rendering_again_on_the_result_changes_nothing(manager: str, name: str) -> None:
    if DATA["cases"][name].get("refused", {}).get(manager):
        return
    files, changes = _render(manager, name)
    case = DATA["cases"][name]
    backend = BACKENDS[manager](root=_NOTHING)
    target = _target(backend, case, files)
    written = {**files, **{path: content for path, content in changes.items() if content is not None}}
    again = backend.render(target, kernel(case), written)
    assert {path: content for path, content in again.items() if written.get(path) != content} == {}


@pytest.mark.parametrize(("manager", "name"), _PAIRS)
def test_every_edit_can_be_taken_back(manager: str, name: str) -> None:
    if DATA["cases"][name].get("refused", {}).get(manager):
        return
    files, changes = _render(manager, name)
    for path, before in files.items():
        after = changes.get(path)
        if after is not None:
            assert take_back(path, before, after, after) == before
            note = b"\n# a line of somebody else's\n"
            assert take_back(path, before, after, after + note) == before + note


@pytest.mark.parametrize("manager", BACKENDS)
def test_a_record_holds_what_was_there(manager: str, tmp_path: Path) -> None:
    files, changes = _render(manager, "inherit")
    edits = {path: Edit(files.get(path), content) for path, content in changes.items()}
    target = _target(BACKENDS[manager](root=_NOTHING), DATA["cases"]["vlans"], files)
    record = Record(
        name="br0",
        manager=manager,
        written=target.written,
        giver="eth0",
        edits=edits,
        mtus={"eth0": 1500},
        statics=("198.51.100.2/24",),
        ours={"eth0": "plain"},
        taken={"eth0": layer3_of(kernel(), "eth0")},
        adopted=True,
    )
    path = Path(record_path("br0", persistent=True, root=str(tmp_path)))
    path.parent.mkdir(parents=True)
    path.write_bytes(record.as_json())
    assert read_record("br0", str(tmp_path)) == record


def test_a_server_knows_the_bridge_by_what_it_knew_the_port() -> None:
    declaration = parse(params({"ports": [{"name": "eth0"}], "inherit": True}))
    target = resolve(declaration, kernel(), None, None, PortConfiguration(dhcp4=True, client="3735928559"))
    text = _text(BACKENDS["networkd"](root=_NOTHING).render(target, kernel(), _files("networkd")))
    assert "ClientIdentifier=duid\n| IAID=3735928559" in text


def test_a_file_that_networkd_reads_before_ours_is_an_error() -> None:
    files = {"/etc/systemd/network/00-a.network": b"[Match]\nName=eth1\n"}
    backend = BACKENDS["networkd"](root=_NOTHING)
    target = _target(backend, {"options": {"ports": [{"name": "eth1"}], "addresses": []}}, files)
    with pytest.raises(ConflictError, match=r"00-a\.network configures eth1, and its name comes before"):
        backend.render(target, kernel(), files)


def test_secrets_are_not_shown() -> None:
    content = b"[wifi-security]\npsk = open sesame\n[ipv4]\nmethod=auto\n"
    said = shown("/etc/NetworkManager/system-connections/a.nmconnection", content)
    assert said == "[wifi-security]\npsk=(not shown)\n[ipv4]\nmethod=auto\n"
    assert shown("/etc/network/interfaces", content) == content.decode()
    assert shown("/etc/netplan/1.yaml", None) is None
