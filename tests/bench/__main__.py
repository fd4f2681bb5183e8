# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bench by hand: python -m tests.bench daemon start|stop|status NAME."""

from __future__ import annotations

import importlib
import sys

# a part of the bench and the file whose main() takes the rest of the line
_PARTS = {"daemon": "daemon"}


def main() -> int:
    """Hands the line over to the part that it names."""
    if len(sys.argv) < 2 or sys.argv[1] not in _PARTS:
        print(f"usage: python -m tests.bench {'|'.join(sorted(_PARTS))} …", file=sys.stderr)
        return 2
    part = importlib.import_module(f".{_PARTS[sys.argv[1]]}", __package__)
    return int(part.main(sys.argv[2:]))


sys.exit(main())
