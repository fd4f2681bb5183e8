# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of domain_options.spec.IDENTITY."""

from __future__ import annotations


class ModuleDocFragment:
    """What a domain is called besides its name."""

    DOCUMENTATION = r"""
options:
  title:
    description: A short title, without line breaks. An empty text removes it.
    type: str
  description:
    description: A text of any length. An empty text removes it.
    type: str
  tags:
    description:
      - Words to find the domain by, for instance with O(nestbox.virt.domain_info#module:tags). They are kept in the
        domain's own metadata.
      - The list is a set, and it is the whole set. An empty list removes all tags.
    type: list
    elements: str
"""
