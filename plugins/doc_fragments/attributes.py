# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of what every module of the collection supports."""

from __future__ import annotations


class ModuleDocFragment:
    """Check mode and diff mode."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Predicts all changes, and makes none.
    support: full
    details:
      - The plan is the same as outside check mode; a connection to libvirt is read-only.
  diff_mode:
    description: Returns what changes, before and after, for each step.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Changes nothing, in check mode and outside it.
    support: full
  diff_mode:
    description: Returns what changes, before and after.
    support: N/A
    details:
      - This module changes nothing.
"""
