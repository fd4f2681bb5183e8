# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of _argspec.CONNECTION."""

from __future__ import annotations


class ModuleDocFragment:
    """The option that every libvirt module has."""

    DOCUMENTATION = r"""
options:
  uri:
    description:
      - The hypervisor, as a libvirt connection URI, used as it is written.
      - Set it once for a play with C(module_defaults) and the action group C(nestbox.virt.libvirt).
      - See U(https://libvirt.org/uri.html).
    type: str
    default: qemu:///system
requirements:
  - python3-libvirt on the managed host (libvirt 7.0 or later)
  - python3-lxml on the managed host
"""
