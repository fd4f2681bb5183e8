# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which file changes how: the table of drafts.yml, on files below a root of the test's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._errors import ConflictError, DeclarationError
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.autoload import read_autoload
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.declaration import declaration
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.draft import Draft, draft_options
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.effective import effective
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.files import Host, read_configuration
from ansible_collections.nestbox.virt.plugins.module_utils._kmod.parameters import Parameter
from ansible_collections.nestbox.virt.plugins.modules.kernel_module import SPEC

ROWS: list[dict[str, Any]] = yaml.safe_load(Path(__file__).with_name("drafts.yml").read_text(encoding="utf-8"))
KNOWN = {name: Parameter(name, kind) for name, kind in (("nested", "int"), ("npt", "bool"), ("mode", "charp"))}
DEFAULTS = {name: option.get("default") for name, option in SPEC.options.items()}


def _write(root: Path, files: dict[str, str | None]) -> None:
    for name in ("etc/modprobe.d", "usr/lib/modprobe.d"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            path.unlink()
        else:
            path.write_bytes(text.encode())


def _draft(root: Path, task: dict[str, Any]) -> Draft:
    declared = declaration({**DEFAULTS, "name": "kvm_amd", **task})
    draft = Draft(declared, read_configuration(Host(root)))
    wanted = {name: (KNOWN[name], KNOWN[name].text(value)) for name, value in declared.wanted.items()}
    draft_options(draft, wanted)
    if declared.blacklisted is not None:
        draft.set_blacklisted(declared.blacklisted)
    if declared.softdep is not None:
        draft.set_softdep(declared.softdep)
    return draft


@pytest.mark.parametrize("row", ROWS, ids=[row["name"].replace(" ", "-") for row in ROWS])
def test_files(row: dict[str, Any], tmp_path: Path) -> None:
    _write(tmp_path, row["before"])
    if "error" in row:
        with pytest.raises(ConflictError) as caught:
            _draft(tmp_path, row["task"])
        assert row["error"] in caught.value.message
        return
    draft = _draft(tmp_path, row["task"])
    changes = {path: None if data is None else data.decode() for path, data in draft.changes.items()}
    assert changes == row["after"]
    # what was foreseen is what the files say once they are written, and then there is nothing left to do
    foreseen = effective(draft.after, "kvm_amd")
    _write(tmp_path, changes)
    assert effective(read_configuration(Host(tmp_path)), "kvm_amd").options == foreseen.options
    assert _draft(tmp_path, row["task"]).changes == {}


def test_a_link_out_of_etc_is_not_followed(tmp_path: Path) -> None:
    """Its file may belong to a package; overwriting the link would be no better."""
    _write(tmp_path, {"usr/share/kvm_amd.conf": "options kvm_amd nested=0\n"})
    (tmp_path / "etc/modprobe.d/kvm_amd.conf").symlink_to("../../usr/share/kvm_amd.conf")
    with pytest.raises(ConflictError, match=r"/etc/modprobe.d/kvm_amd.conf is a link to a file outside of /etc"):
        _draft(tmp_path, {"options": {"nested": 1}})


def test_a_link_to_dev_null_hides_its_namesake(tmp_path: Path) -> None:
    _write(tmp_path, {"usr/lib/modprobe.d/a.conf": "options kvm_amd nested=0\n"})
    (tmp_path / "etc/modprobe.d/a.conf").symlink_to("/dev/null")
    assert effective(read_configuration(Host(tmp_path)), "kvm_amd").options == {}


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "../kvm"}, "Give the name of one module"),
    ({"name": "kvm amd"}, "Give the name of one module"),
    ({"name": ""}, "Give the name of one module"),
    ({"file": "/etc/modprobe.conf"}, "modprobe would not read"),
    ({"file": "/etc/modprobe.d/kvm"}, "modprobe would not read"),
    ({"file": "/etc/modprobe.d/sub/kvm.conf"}, "modprobe would not read"),
    ({"file": "/etc/modprobe.d/.conf"}, "modprobe would not read"),
    ({"options": {"a-b": 1, "a_b": 2}}, "names a parameter twice"),
    ({"options": {"a b": 1}}, "no parameter's name"),
    ({"options_exclusive": True}, "there are no options"),
    ({"persistent": True, "blacklisted": True}, "both persistent and blacklisted"),
    ({"timeout": -1}, "not negative"),
    ({"softdep": {"pre": ["a b"], "post": []}}, "no module's name"),
]


@pytest.mark.parametrize(("task", "message"), BAD, ids=[message for _task, message in BAD])
def test_a_declaration_that_can_not_be(task: dict[str, Any], message: str) -> None:
    with pytest.raises(DeclarationError, match=message):
        declaration({**DEFAULTS, "name": "kvm_amd", **task})


AUTOLOAD: list[tuple[str, dict[str, str | None], bool, dict[str, str | None]]] = [
    ("added", {}, True, {"/etc/modules-load.d/kvm_amd.conf": "kvm_amd\n"}),
    ("there", {"usr/lib/modules-load.d/a.conf": "# x\nkvm-amd\n"}, True, {}),
    ("commented out", {"etc/modules-load.d/kvm_amd.conf": "#kvm_amd"}, True,
     {"/etc/modules-load.d/kvm_amd.conf": "#kvm_amd\nkvm_amd\n"}),
    ("removed", {"etc/modules-load.d/kvm_amd.conf": "kvm_amd\n"}, False, {"/etc/modules-load.d/kvm_amd.conf": None}),
    ("removed from others", {"etc/modules-load.d/a.conf": "; x\nkvm_amd\nnbd\n"}, False,
     {"/etc/modules-load.d/a.conf": "; x\nnbd\n"}),
    ("hidden", {"usr/lib/modules-load.d/a.conf": "kvm_amd\nnbd\n"}, False, {"/etc/modules-load.d/a.conf": "nbd\n"}),
    ("not there", {"etc/modules-load.d/a.conf": "nbd\n"}, False, {}),
]  # fmt: skip


@pytest.mark.parametrize(("before", "wanted", "after"), [row[1:] for row in AUTOLOAD], ids=[row[0] for row in AUTOLOAD])
def test_autoload(before: dict[str, str | None], wanted: bool, after: dict[str, str | None], tmp_path: Path) -> None:
    _write(tmp_path, before)
    changes = read_autoload(Host(tmp_path)).changes("kvm_amd", wanted)
    found = {path: None if data is None else data.decode() for path, data in changes.items()}
    assert found == after
    _write(tmp_path, found)
    assert bool(read_autoload(Host(tmp_path)).names("kvm_amd")) is wanted
