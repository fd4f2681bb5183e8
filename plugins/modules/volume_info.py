#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.volume_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume_info
short_description: Read volumes of libvirt storage pools
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Returns one, several or all volumes of active pools, from one list for each pool.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.attributes.info
options:
  pool:
    description: The pools to look into. All active pools, when it is left out.
    type: list
    elements: str
    default: []
  name:
    description: The names of the volumes to return. All volumes, when it is left out.
    type: list
    elements: str
    default: []
  used_by:
    description: Adds who uses each volume, which reads the XML of all domains and the volumes of all active pools.
    type: bool
    default: false
  refresh:
    description:
      - Lets libvirt look at the pools' files again first, so that those that were put there by hand are found.
      - This needs the right to write to the connection, and is left out in check mode.
    type: bool
    default: false
  ignore_missing:
    description: Leaves out names that do not exist; otherwise such a name is an error. A missing pool always is one.
    type: bool
    default: false
seealso:
  - module: nestbox.virt.volume
"""

EXAMPLES = r"""
- name: Read the volumes of one pool
  nestbox.virt.volume_info:
    pool: [images]
  register: images

- name: See who uses a base image
  nestbox.virt.volume_info:
    pool: [images]
    name: [debian-12.qcow2]
    used_by: true
"""

RETURN = r"""
volumes:
  description: The volumes; each is what M(nestbox.virt.volume) returns as RV(nestbox.virt.volume#module:volume).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
    pool:
      description: The pool.
      type: str
    key:
      description: What identifies the volume for the storage; for files, the path.
      type: str
    path:
      description: The path.
      type: str
    type:
      description: V(file), V(block), V(dir), V(network), V(netdir) or V(ploop).
      type: str
    capacity_bytes:
      description: The size that a guest sees.
      type: int
    allocation_bytes:
      description: The space in use.
      type: int
    physical_bytes:
      description: The size of the file or device.
      type: int
    format:
      description: The format, for instance V(qcow2).
      type: str
    backing:
      description: Path and format of the backing file; null without one.
      type: dict
    permissions:
      description: Rights of the file, as numbers.
      type: dict
    encrypted:
      description: Whether the volume is encrypted.
      type: bool
    encryption:
      description: Its format and the UUID of the libvirt secret, when libvirt knows one; null when it is not encrypted.
      type: dict
    used_by:
      description: Domains and overlays that use the volume, with kind, name, device, and whether it is running.
      type: list
      elements: dict
      returned: when O(used_by) is true
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.storage_arguments import VOLUME_INFO
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.volume_describe import read_volumes
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_info

SPEC: ArgumentSpec = CONNECTION + VOLUME_INFO


def main() -> None:
    """Runs the module."""
    run_info(SPEC, read_volumes)


if __name__ == "__main__":
    main()
