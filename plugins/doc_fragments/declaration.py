# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of _argspec.DECLARATION."""

from __future__ import annotations


class ModuleDocFragment:
    """The options with which a resource is named and declared as XML."""

    DOCUMENTATION = r"""
options:
  name:
    description:
      - The name. It can be left out when O(xml) has it; when both have it, they must agree.
    type: str
  uuid:
    description:
      - The UUID of a new resource, or a check that the existing one has it. Letter case and dashes do not matter.
      - When the name is taken under another UUID, the task fails.
    type: str
  xml:
    description:
      - The declaration as libvirt XML, or the part of it that matters. The other options are laid over it.
      - What the XML does not name is left as it is. A repeated element that it names, such as a disk,
        is the whole list.
      - Values that mean the same are equal, for instance C(1 GiB) and C(1048576 KiB), or C(yes) and C(on).
    type: str
"""
