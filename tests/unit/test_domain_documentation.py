# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each documentation fragment of the domain says what its piece of the argument spec says."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import yaml

from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_options import spec

PIECES = ("IDENTITY", "MACHINE", "COMPUTE", "DISKS", "INTERFACES", "DEVICES")
FACTS = ("type", "elements", "choices", "default", "required")


@pytest.mark.parametrize("piece", PIECES)
def test_the_fragment_matches_the_spec(piece: str) -> None:
    fragment = import_module(f"ansible_collections.nestbox.virt.plugins.doc_fragments.domain_{piece.lower()}")
    documented = yaml.safe_load(fragment.ModuleDocFragment.DOCUMENTATION)["options"]
    assert _facts(documented, "suboptions") == _facts(getattr(spec, piece).options, "options")


def _facts(options: dict[str, Any], below: str) -> dict[str, Any]:
    return {
        name: {
            **{fact: option[fact] for fact in FACTS if fact in option},
            "options": _facts(option.get(below, {}), below),
        }
        for name, option in options.items()
    }
