# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first bytes of an image file say. Private to this collection."""

from __future__ import annotations

import struct
from dataclasses import dataclass

HEADER_BYTES = 64 * 1024  # enough for every signature below

# offset and signature of the formats that libvirt names (its util/virstoragefile.c reads the same places)
_SIGNATURES: tuple[tuple[str, int, bytes], ...] = (
    ("qcow2", 0, b"QFI\xfb"),
    ("vmdk", 0, b"KDMV"),
    ("vdi", 64, b"\x7f\x10\xda\xbe"),
    ("vpc", 0, b"conectix"),
    ("vhdx", 0, b"vhdxfile"),
    ("luks", 0, b"LUKS\xba\xbe"),
    ("iso", 32769, b"CD001"),
)
# files that a person may take for an image, and that no guest can read
_PACKED: tuple[tuple[str, bytes], ...] = (
    ("gzip", b"\x1f\x8b"),
    ("xz", b"\xfd7zXZ\x00"),
    ("zstd", b"\x28\xb5\x2f\xfd"),
    ("bzip2", b"BZh"),
    ("zip", b"PK\x03\x04"),
)

# version, backing file's offset and length, cluster bits, virtual size (docs/interop/qcow2.txt of QEMU)
_QCOW2 = struct.Struct(">4sIQIIQ")


@dataclass(frozen=True)
class Header:
    """The format, and what can be known of it without reading the rest."""

    format: str
    virtual_size: int | None = None  # None: the size of the file
    packed: str | None = None  # how the file is compressed
    backing: str | None = None


def read_header(head: bytes) -> Header:
    """What `head`, the first HEADER_BYTES of an image or all of a shorter one, says."""
    packed = next((name for name, magic in _PACKED if head.startswith(magic)), None)
    if packed:
        return Header("raw", packed=packed)
    found = next((name for name, offset, magic in _SIGNATURES if head[offset:].startswith(magic)), "raw")
    if found == "qcow2" and len(head) >= _QCOW2.size:
        _magic, _version, backing_offset, backing_length, _bits, size = _QCOW2.unpack_from(head)
        backing = head[backing_offset : backing_offset + backing_length].decode("utf-8", "replace")
        return Header("qcow2", virtual_size=size, backing=backing if backing_offset else None)
    return Header(found)
