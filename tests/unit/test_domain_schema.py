# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can't be checked against the schema is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.connection import Connection
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_schema import check_schema
from ansible_collections.nestbox.virt.plugins.module_utils._xml.document import parse, to_text
from ansible_collections.nestbox.virt.plugins.module_utils._xml.domain_tables import DOMAIN
from ansible_collections.nestbox.virt.plugins.module_utils._xml.merge import normalise

FILES = sorted((Path(__file__).parents[1] / "integration" / "domains").glob("*.xml"))
HERE = Connection("qemu:///system", read_only=True)


def _is_valid(text: str) -> bool:
    try:
        return check_schema(HERE, "a", text) is None
    except DeclarationError:
        return False


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_what_is_valid_as_written_is_valid_as_it_is_defined(file: Path) -> None:
    tree = parse(file.read_text())
    assert _is_valid(to_text(normalise(tree, DOMAIN))) or not _is_valid(to_text(tree))


def test_a_misspelt_element_is_not_valid() -> None:
    assert not _is_valid("<domain type='qemu'><name>a</name><memmory>1</memmory></domain>")


def test_another_hosts_schema_is_not_ours() -> None:
    elsewhere = Connection("qemu+ssh://elsewhere/system", read_only=True)
    assert "was not checked" in (check_schema(elsewhere, "a", "<domain/>") or "")
