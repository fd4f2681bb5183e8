# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Nested virtualisation: declared in files, used by the next load, and live. Private to this collection."""

from __future__ import annotations

import re
from typing import Any

from .._kmod.effective import effective
from .._kmod.files import Host, read_configuration
from .files import switch

_FALSE = ("0", "n", "no", "off", "false")
# kvm_intel has it on by itself since Linux 4.20 (commit 1e58e5e59148); kvm_amd since 2.6.36 (commit 4b6e4dca7011)
_ON_SINCE = {"kvm_intel": (4, 20), "kvm_amd": (2, 6)}


def read_nested(host: Host, module: str | None) -> dict[str, Any]:
    """All three of the module that this CPU needs."""
    if module is None:
        return {"module": None, "declared": [], "effective": None, "effective_from": None, "live": None}
    places = effective(read_configuration(host), module).all_of("nested")
    declared = [
        {"value": place.value, "file": place.origin.path, "line": place.origin.line or None} for place in places
    ]
    by_default = _release(host.release) >= _ON_SINCE[module]
    return {
        "module": module,
        "declared": declared,
        "effective": _boolean(places[-1].value) if places else by_default,
        "effective_from": str(places[-1].origin) if places else "default",
        "live": switch(host.path(f"sys/module/{module}/parameters/nested")),
    }


def _boolean(value: str | None) -> bool:
    """A parameter without a value is on."""
    return value is None or value.lower() not in _FALSE


def _release(release: str) -> tuple[int, ...]:
    found = re.match(r"(\d+)\.(\d+)", release)
    return (int(found[1]), int(found[2])) if found else (0, 0)
