# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All bridges of a host as the _info module returns them. Private to this collection."""

from __future__ import annotations

from typing import Any

from .._errors import NotFoundError
from .describe import describe
from .guests import guests_by_tap
from .kernel import read_kernel
from .record import read_record


def read_bridges(params: dict[str, Any]) -> dict[str, Any]:
    """The result of bridge_info."""
    kernel = read_kernel()
    known = sorted(link.name for link in kernel.links.values() if link.kind == "bridge")
    names = params["name"] or known
    missing = [name for name in names if name not in known]
    if missing and not params["ignore_missing"]:
        raise NotFoundError(
            f"The bridge {missing[0]} was asked for, and this host has no bridge of that name. Its bridges: "
            f"{', '.join(known) or 'none'}.",
            details={"missing": missing},
        )
    guests = guests_by_tap(params["uri"])
    found = [describe(name, kernel, read_record(name), guests) for name in names if name in known]
    return {"bridges": found, "vlan_filtering_supported": kernel.has_vlan_filtering}
