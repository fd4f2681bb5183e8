#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.pool_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pool_info
short_description: Read libvirt storage pools
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Returns one, several or all storage pools, running or not, from one list.
  - The figures of an active pool are those of its last refresh; M(nestbox.virt.pool) with
    O(nestbox.virt.pool#module:refresh) makes libvirt read it again.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.attributes.info
options:
  name:
    description: The names of the pools to return, in this order. All pools, sorted by name, when it is left out.
    type: list
    elements: str
    default: []
  ignore_missing:
    description: Leaves out names that do not exist; otherwise such a name is an error.
    type: bool
    default: false
seealso:
  - module: nestbox.virt.pool
"""

EXAMPLES = r"""
- name: Read all pools
  nestbox.virt.pool_info:
  register: found

- name: Stop when the pool of the images gets full
  nestbox.virt.pool_info:
    name: [images]
  register: images
  failed_when: images.pools[0].available_bytes < 10 * 1024 ** 3
"""

RETURN = r"""
pools:
  description: The pools; each is what M(nestbox.virt.pool) returns as RV(nestbox.virt.pool#module:pool).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
    uuid:
      description: The UUID.
      type: str
    type:
      description: The kind, for instance V(dir).
      type: str
    state:
      description: V(inactive), V(building), V(active), V(degraded) or V(inaccessible).
      type: str
    active:
      description: Whether the pool runs.
      type: bool
    persistent:
      description: Whether it has a definition that outlives a stop.
      type: bool
    autostart:
      description: Whether libvirt starts it with the host.
      type: bool
    path:
      description: The target path.
      type: str
    capacity_bytes:
      description: Size in bytes; 0 while the pool has never run.
      type: int
    allocation_bytes:
      description: Bytes in use.
      type: int
    available_bytes:
      description: Bytes that are free.
      type: int
    volumes:
      description: The number of volumes; null while the pool is inactive.
      type: int
    source:
      description: What the pool lies on.
      type: dict
    permissions:
      description: Rights of the target, as numbers.
      type: dict
    xml:
      description: The definition, as libvirt writes it.
      type: str
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.pool_describe import read_pools
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.storage_arguments import POOL_INFO
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_info

SPEC: ArgumentSpec = CONNECTION + POOL_INFO


def main() -> None:
    """Runs the module."""
    run_info(SPEC, read_pools)


if __name__ == "__main__":
    main()
