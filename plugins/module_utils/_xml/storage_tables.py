# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the XML of pools and volumes means (https://libvirt.org/formatstorage.html). Private to this collection."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .document import remove
from .tables import ListRow, SizeRow, Tables
from .values import same_caseless, same_integer, same_uuid

if TYPE_CHECKING:
    from lxml.etree import _Element as Element

# kinds whose target path libvirt derives from the source, whatever is written
_DERIVED_TARGET = ("logical", "zfs")


def same_path(first: str, second: str) -> bool:
    """The same path as text: libvirt drops doubled and trailing slashes."""
    return _plain_path(first) == _plain_path(second)


def same_mode(first: str, second: str) -> bool:
    """The same octal file mode: 0711 is 711."""
    try:
        return int(first, 8) == int(second, 8)
    except ValueError:
        return first == second


def same_volume_format(first: str, second: str) -> bool:
    """Equal, or both without a container: libvirt finds an ISO image by its content, and calls an unknown one raw."""
    plain = {"raw", "iso", "unknown"}
    return first == second or {first, second} <= plain


def _plain_path(path: str) -> str:
    return re.sub("/+", "/", path).rstrip("/") or "/"


def _drop_derived_target(pool: Element) -> None:
    if pool.get("type") not in _DERIVED_TARGET:
        return
    for path in pool.findall("target/path"):
        remove(path)


_PERMISSION_VALUES = {
    "target/permissions/mode": same_mode,
    "target/permissions/owner": same_integer,
    "target/permissions/group": same_integer,
}
# -1 stands for "whatever the file has", and is not written
_PERMISSION_DEFAULTS = {"target/permissions/owner": "-1", "target/permissions/group": "-1"}

POOL = Tables(
    root="pool",
    lists={
        "source/host": ListRow(keys=("@name,@port", "@name")),
        "source/device": ListRow(keys=("@path",)),
        "ns:mount_opts/ns:option": ListRow(keys=("@name",)),
        "ns:config_opts/ns:option": ListRow(keys=("@name",)),
    },
    values={
        "uuid": same_uuid,
        "target/path": same_path,
        "source/dir/@path": same_path,
        "source/device/@path": same_path,
        "source/auth/secret/@uuid": same_uuid,
        "source/adapter/@wwnn": same_caseless,
        "source/adapter/@wwpn": same_caseless,
        **_PERMISSION_VALUES,
    },
    # figures of the moment, which libvirt ignores in a definition
    volatile=("capacity", "allocation", "available", "source/device/freeExtent"),
    defaults=_PERMISSION_DEFAULTS,
    kept=("uuid",),
    rewrites=(_drop_derived_target,),
)

# for laying typed options over XML: nothing is left out, since a new volume is made from all of it
VOLUME_DECLARATION = Tables(root="volume", sizes={"capacity": SizeRow("bytes", granularity=1)})

VOLUME = Tables(
    root="volume",
    values={
        "backingStore/path": same_path,
        "target/format/@type": same_volume_format,
        "backingStore/format/@type": same_volume_format,
        "target/encryption/secret/@uuid": same_uuid,
        **_PERMISSION_VALUES,
    },
    sizes={"capacity": SizeRow("bytes", granularity=1)},
    volatile=(
        # figures and names that follow from others
        "/@type",
        "key",
        "physical",
        "source",
        "target/path",
        "target/timestamps",
        "backingStore/permissions",
        "backingStore/timestamps",
        # only used when a volume is made: libvirt does not keep them, or reports what is in use at the moment
        "allocation",
        "target/clusterSize",
        "target/nocow",
        "target/permissions/label",
        "target/encryption/cipher",
        "target/encryption/ivgen",
    ),
    # what qemu-img writes when nothing is said
    defaults={**_PERMISSION_DEFAULTS, "target/compat": "0.10"},
)
