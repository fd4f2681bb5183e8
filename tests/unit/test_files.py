# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._files import write_whole


def _rights(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid


def test_a_new_file_has_the_rights_that_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "new"
    own = (os.geteuid(), os.getegid())
    other = (65534, 65534) if own[0] == 0 else own
    write_whole(str(path), b"text", 0o640, other)
    assert (path.read_bytes(), _rights(path)) == (b"text", (0o640, *other))


@pytest.mark.parametrize(("keep", "mode"), [(True, 0o604), (False, 0o640)])
def test_a_file_that_is_there_keeps_its_rights_unless_others_are_asked_for(
    tmp_path: Path, keep: bool, mode: int
) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"before")
    path.chmod(0o604)
    os.utime(path, (1, 1))
    write_whole(str(path), b"after", 0o640, keep_rights=keep)
    assert (path.read_bytes(), stat.S_IMODE(path.stat().st_mode)) == (b"after", mode)
    assert path.stat().st_mtime > 1, "it is as new as its content"


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    (tmp_path / "place").mkdir()
    with pytest.raises(IsADirectoryError):
        write_whole(str(tmp_path / "place"), b"text", 0o600)
    assert [path.name for path in tmp_path.iterdir()] == ["place"]
