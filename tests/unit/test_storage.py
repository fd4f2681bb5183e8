# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pure parts of pools and volumes: tables, headers, checksums, holes, and options as they are documented."""

from __future__ import annotations

import hashlib
import struct
import tempfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nestbox.virt.plugins.module_utils._errors import DeclarationError
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.image_header import read_header
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.storage_declaration import declared_volume
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.volume_new import is_url, shown_url
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.volume_transfer import (
    BLOCK_BYTES,
    Checksum,
    Hasher,
    LocalFile,
    without_zeros,
)
from ansible_collections.nestbox.virt.plugins.module_utils._xml.compare import differences
from ansible_collections.nestbox.virt.plugins.module_utils._xml.document import parse
from ansible_collections.nestbox.virt.plugins.module_utils._xml.merge import merge, normalise
from ansible_collections.nestbox.virt.plugins.module_utils._xml.storage_tables import POOL, VOLUME
from ansible_collections.nestbox.virt.plugins.modules import pool, pool_info, volume, volume_info

TABLES = {"pool": POOL, "volume": VOLUME}
MERGES = yaml.safe_load((Path(__file__).with_name("storage") / "merges.yml").read_text())


@pytest.mark.parametrize("case", MERGES, ids=[case["name"] for case in MERGES])
def test_a_declaration_changes_what_it_says_and_nothing_else(case: dict[str, Any]) -> None:
    tables = TABLES[case["kind"]]
    current, declared = parse(case["current"]), parse(case["declared"])
    merged = merge(current, declared, tables)
    found = [one.path for one in differences(normalise(current, tables), merged, tables)]
    assert found == case["differs"]
    assert differences(merged, merge(merged, declared, tables), tables) == [], "laid over again, nothing changes"


def qcow2(size: int, backing: bytes = b"") -> bytes:
    """A header of version 3."""
    return (
        struct.pack(">4sIQIIQ", b"QFI\xfb", 3, 512 if backing else 0, len(backing), 16, size).ljust(512, b"\0")
        + backing
    )


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"", ("raw", None, None, None)),
        (b"\0" * 1000, ("raw", None, None, None)),
        (b"QFI", ("raw", None, None, None)),
        (qcow2(2**40), ("qcow2", 2**40, None, None)),
        (qcow2(1, b"/base.img"), ("qcow2", 1, None, "/base.img")),
        (b"KDMV" + bytes(100), ("vmdk", None, None, None)),
        (b"\0" * 32769 + b"CD001", ("iso", None, None, None)),
        (b"LUKS\xba\xbe\0\1", ("luks", None, None, None)),
        (b"\x1f\x8b\x08", ("raw", None, "gzip", None)),
        (b"\xfd7zXZ\x00", ("raw", None, "xz", None)),
    ],
)
def test_image_headers(head: bytes, expected: tuple[Any, ...]) -> None:
    header = read_header(head)
    assert (header.format, header.virtual_size, header.packed, header.backing) == expected


def test_checksums_are_read_and_refused() -> None:
    digest = hashlib.sha256(b"").hexdigest()
    assert str(Checksum.parse(f" SHA256:{digest.upper()} ")) == f"sha256:{digest}"
    for text in ("", digest, "sha256:", "sha256:12", f"md6:{digest}", f"sha256:{digest[:-1]}g", "shake_128:00"):
        with pytest.raises(DeclarationError):
            Checksum.parse(text)


@given(st.lists(st.one_of(st.binary(max_size=200), st.integers(min_value=0, max_value=3 * BLOCK_BYTES)), max_size=6))
def test_a_hole_hashes_as_its_zeros(blocks: list[bytes | int]) -> None:
    hasher = Hasher("sha256")
    for block in blocks:
        hasher.add(block)
    content = b"".join(block if isinstance(block, bytes) else bytes(block) for block in blocks)
    assert hasher.hexdigest() == hashlib.sha256(content).hexdigest()


@given(
    st.lists(st.tuples(st.integers(0, 300_000), st.binary(min_size=1, max_size=50)), max_size=5),
    st.integers(0, 400_000),
)
def test_a_sparse_file_is_read_as_it_is(writes: list[tuple[int, bytes]], size: int) -> None:
    with tempfile.TemporaryDirectory(prefix="nbt-") as directory:
        path = Path(directory) / "image"
        with path.open("wb") as file:
            for start, data in writes:
                file.seek(start)
                file.write(data)
            file.truncate(size)
        source = LocalFile(str(path))
        blocks = list(source.blocks())
        source.close()
        assert b"".join(block if isinstance(block, bytes) else bytes(block) for block in blocks) == path.read_bytes()
        assert all(len(block) <= BLOCK_BYTES for block in blocks if isinstance(block, bytes))
        assert source.size == size


def test_zeros_become_a_hole() -> None:
    assert list(without_zeros(bytes(5))) == [5]
    assert list(without_zeros(bytes(BLOCK_BYTES))) == [BLOCK_BYTES]
    assert list(without_zeros(bytes(4) + b"x")) == [bytes(4) + b"x"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/a?b=c", "https://host/a?b=c"),
        ("http://user:pass@host:8080/a@b", "http://host:8080/a@b"),
        ("http://user:pa@ss@host", "http://host"),
    ],
)
def test_a_url_is_shown_without_its_password(url: str, shown: str) -> None:
    assert shown_url(url) == shown


def test_what_is_fetched_and_what_is_a_file() -> None:
    assert [is_url(text) for text in ("HTTP://a", "https://a", "/a", "file:///a", "a")] == [
        True,
        True,
        False,
        False,
        False,
    ]


def test_sizes_of_xml_and_options_are_counted_in_bytes() -> None:
    params = dict.fromkeys(volume.SPEC.options)
    xml = "<volume><name>v</name><capacity unit='GiB'>1</capacity><allocation unit='k'>4</allocation></volume>"
    name, tree = declared_volume({**params, "xml": xml})
    assert (name, tree.findtext("capacity"), tree.findtext("allocation")) == ("v", str(2**30), "4096")
    _name, tree = declared_volume({**params, "xml": xml, "capacity": "2 GiB"})
    assert (tree.findtext("capacity"), tree.findtext("allocation")) == (str(2**31), "4096")


@pytest.mark.parametrize("module", [pool, pool_info, volume, volume_info], ids=lambda module: module.__name__)
def test_every_option_is_documented_and_every_returned_key(module: Any) -> None:
    documented = yaml.safe_load(module.DOCUMENTATION)["options"]
    own = {name for name in module.SPEC.options if name in documented}
    assert set(documented) == own
    for name in own:
        spec, text = module.SPEC.options[name], documented[name]
        assert spec.get("type", "str") == text["type"]
        assert spec.get("choices") == text.get("choices")
        assert spec.get("default") == text.get("default")
        assert set(spec.get("options", {})) == set(text.get("suboptions", {}))
