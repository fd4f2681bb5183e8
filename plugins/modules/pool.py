#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.pool."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pool
short_description: Declare libvirt storage pools
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Defines, changes, builds, starts, stops and removes storage pools of libvirt.
  - A pool is declared by typed options, by O(xml), or by both; the options are laid over the XML. With neither, the
    task only acts on a pool that exists, for instance to stop it.
  - What the declaration does not name is left as it is. A difference is applied; libvirt uses a changed definition of
    an active pool from its next start on, which RV(restart_required) says.
  - No data is deleted, unless O(remove) says so.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.declaration
  - nestbox.virt.attributes
options:
  state:
    description:
      - V(present) defines the pool and leaves it running or stopped, as it is.
      - V(active) also starts it.
      - V(inactive) defines it and stops it. Stopping deletes nothing.
      - V(absent) stops it and removes its definition, but no data, unless O(remove) says so. A pool that is already
        gone is unchanged.
      - A pool of any type but V(dir) is not stopped while running domains use its volumes.
    type: str
    choices: [present, active, inactive, absent]
    default: present
  type:
    description:
      - The kind of pool. V(dir), V(fs), V(netfs), V(logical) and V(disk) can be declared by options alone; what else
        a kind needs, such as authentication, comes from O(xml).
      - The type of an existing pool can't be changed.
    type: str
    choices: [dir, fs, netfs, logical, disk, iscsi, iscsi-direct, scsi, mpath, rbd, gluster, zfs]
  target:
    description:
      - The path at which the volumes appear. For V(dir) it is the directory, for V(fs) and V(netfs) the mount point.
      - libvirt derives the path of V(logical) and V(zfs) by itself.
    type: str
  source:
    description: What the pool lies on.
    type: dict
    suboptions:
      devices:
        description: Block devices, or the IQN of an iSCSI target. The list is the whole list.
        type: list
        elements: str
      host:
        description: The name or address of a server.
        type: str
      directory:
        description: The directory that a server exports.
        type: str
      name:
        description: The name of the volume group, file system or remote pool. For V(logical) it defaults to the
          pool's name.
        type: str
      format:
        description: The format, for instance V(ext4) for O(type=fs), V(nfs) for O(type=netfs) or V(gpt) for
          O(type=disk).
        type: str
  permissions:
    description:
      - Rights of the target directory. They are set when the pool is built, so a change of an active pool waits for a
        restart.
    type: dict
    suboptions:
      mode:
        description: The octal mode in quotation marks, for instance V('0711').
        type: str
      owner:
        description: The numeric user ID.
        type: int
      group:
        description: The numeric group ID.
        type: int
      label:
        description: The SELinux label.
        type: str
  build:
    description:
      - What may be made before the pool starts; O(state=present) and O(state=inactive) build nothing.
      - V(auto) makes a missing target directory of the types V(dir), V(fs) and V(netfs), and never formats anything.
      - V(never) makes nothing; a missing directory is an error.
      - V(empty) also formats a device that holds nothing (file system, volume group or partition table), and refuses
        one that holds something else.
      - V(overwrite) formats the device whatever it holds, but only when this task makes the pool.
    type: str
    choices: [auto, never, empty, overwrite]
    default: auto
  autostart:
    description: Whether libvirt starts the pool with the host. It is honoured in every state but V(absent).
    type: bool
  refresh:
    description: Lets libvirt read the volumes of an active pool again, at the end. This never counts as a change.
    type: bool
    default: false
  restart:
    description:
      - V(if_required) restarts an active pool when its definition and what is in use differ. Files that running
        domains have open stay open.
      - V(never) leaves it to you, and RV(restart_required) says so.
    type: str
    choices: [never, if_required]
    default: never
  remove:
    description:
      - What O(state=absent) deletes besides the definition.
      - V(storage) deletes every volume of the pool, and then what it lay on (the directory, the volume group). Each
        file is a step of the plan, so check mode lists them all. The pool must be active for that, and nothing may be
        deleted that a domain, or an overlay in another pool, uses.
    type: list
    elements: str
    choices: [storage]
    default: []
seealso:
  - module: nestbox.virt.pool_info
  - module: nestbox.virt.volume
"""

EXAMPLES = r"""
- name: A directory for images
  nestbox.virt.pool:
    name: images
    type: dir
    target: /srv/images
    state: active
    autostart: true

- name: A volume group made of two empty disks
  nestbox.virt.pool:
    name: vg_guests
    type: logical
    source:
      devices: [/dev/sdb, /dev/sdc]
    build: empty
    state: active

- name: An iSCSI target, as XML
  nestbox.virt.pool:
    xml: "{{ lookup('file', 'iscsi.xml') }}"
    state: active

- name: See what the removal of a pool would delete
  nestbox.virt.pool:
    name: images
    state: absent
    remove: [storage]
  check_mode: true
  diff: true
"""

RETURN = r"""
pool:
  description: The pool, as M(nestbox.virt.pool_info) returns it; null when it does not exist.
  returned: success
  type: dict
  sample:
    name: images
    uuid: 69ef915f-d54e-4344-b827-5140c5c9c03f
    type: dir
    state: active
    active: true
    persistent: true
    autostart: true
    path: /srv/images
    capacity_bytes: 270553174016
    allocation_bytes: 25663795200
    available_bytes: 244889378816
    volumes: 3
    source: {hosts: [], devices: [], directory: null, name: null, format: null}
    permissions: {mode: "0711", owner: 0, group: 0, label: null}
    xml: "<pool type='dir'> …"
steps:
  description: The changes in their order.
  returned: success
  type: list
  elements: dict
  sample: [{target: pool images, verb: define, effect: now}]
restart_required:
  description: Whether the pool must be stopped and started for its definition to be in use.
  returned: success
  type: bool
restart_reasons:
  description: What is not in use yet.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, DECLARATION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.pool import PoolResource
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.storage_arguments import POOL
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_libvirt

SPEC: ArgumentSpec = CONNECTION + DECLARATION + POOL


def main() -> None:
    """Runs the module."""
    run_libvirt(SPEC, PoolResource, key="pool")


if __name__ == "__main__":
    main()
