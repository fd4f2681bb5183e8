#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.volume."""

from __future__ import annotations

DOCUMENTATION = r"""
module: volume
short_description: Declare volumes of libvirt storage pools
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Makes, fills, grows, shrinks and removes volumes of a storage pool.
  - A volume is declared by typed options, by O(xml), or by both; the options are laid over the XML.
  - Size and permissions of an existing volume follow the declaration. What can't be changed afterwards (format,
    backing file, encryption) is an error when it differs.
  - O(source) and O(clone_of) give a new volume its content. The content of an existing volume belongs to its guest,
    and is neither compared nor written.
  - A volume whose making was interrupted, even by the end of the daemon or of the host, is made anew by the next run.
    Until it is whole, an empty volume with the suffix C(.nestbox-partial) lies beside it.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.fetch
  - nestbox.virt.attributes
options:
  state:
    description:
      - V(present) makes the volume, or changes its size and permissions.
      - V(absent) deletes it. It is refused while a domain, running or not, or an overlay uses it. A volume that is
        already gone is unchanged.
    type: str
    choices: [present, absent]
    default: present
  pool:
    description: The name of the pool, which must be active.
    type: str
    required: true
  name:
    description: The name. It can be left out when O(xml) has it; when both have it, they must agree.
    type: str
  xml:
    description:
      - The declaration as libvirt volume XML, or the part of it that matters. The other options are laid over it.
      - What the XML does not name is left as it is.
    type: str
  capacity:
    description:
      - The size that a guest sees, for instance V(20 GiB); a bare number counts bytes.
      - An existing volume grows to it, and the disk of a running guest does so at once. A smaller value is refused
        without O(shrink).
      - Defaults to the size of O(backing), O(clone_of) or O(source); otherwise a new volume needs it.
    type: str
  allocation:
    description: The space that a new volume takes at once; a bare number counts bytes. It is not compared later.
    type: str
  format:
    description:
      - The format, for instance V(raw) or V(qcow2).
      - Defaults to V(qcow2) with O(backing), to the format of O(clone_of) or O(source), and otherwise to libvirt's
        default for the pool.
    type: str
  backing:
    description: Makes the volume an overlay, which holds only what differs from this image.
    type: dict
    suboptions:
      volume:
        description: The name of a volume.
        type: str
      pool:
        description: Its pool, when it is another one.
        type: str
      path:
        description: The path of an image, instead of a volume.
        type: path
      format:
        description: The format of the image. It must be given for a path that lies in no active pool.
        type: str
  clone_of:
    description:
      - A volume of which a new one is a full copy. Another O(format) converts it.
      - It is refused while a running domain may write to it.
    type: str
  clone_pool:
    description: The pool of O(clone_of), when it is another one.
    type: str
  source:
    description:
      - An image with which a new volume is filled, as it is; a file of the managed host, or an C(http) or C(https) URL.
      - The bytes go to libvirt in a stream, with holes as holes, in bounded memory and without a temporary copy.
      - A broken connection to a server that can send parts of a file is taken up again.
    type: str
  checksum:
    description:
      - What O(source) must be, as an algorithm and a digest, for instance V(sha256:2c26b46b68ffc68f…). It is computed
        on the way; when it differs, nothing of the volume is kept.
      - Without it a server must say how long its file is.
    type: str
  permissions:
    description:
      - Rights of the volume's file. libvirt sets them on a new volume; those of an existing one are changed when its
        file is on the managed host, and left alone while a running domain uses it.
    type: dict
    suboptions:
      mode:
        description: The octal mode in quotation marks, for instance V('0640').
        type: str
      owner:
        description: The numeric user ID.
        type: int
      group:
        description: The numeric group ID.
        type: int
      label:
        description: The SELinux label of a new volume.
        type: str
  encryption:
    description:
      - Makes a new volume an encrypted one (LUKS), of the formats V(raw) or V(qcow2).
    type: dict
    suboptions:
      passphrase:
        description:
          - The passphrase. It is kept as a private libvirt secret for the volume's path, and goes with the volume.
          - It is used when the volume is made; the passphrase of an existing volume is not changed.
        type: str
      secret:
        description: The UUID of a libvirt secret that you keep, instead of a passphrase.
        type: str
  shrink:
    description: Allows a smaller O(capacity). What lies behind the new end of the volume is lost.
    type: bool
    default: false
  wipe:
    description: Overwrites the volume before it is deleted.
    type: bool
    default: false
  wipe_algorithm:
    description:
      - How O(wipe) overwrites. All but V(zero) and V(trim) need the program C(scrub) on the host of the daemon.
    type: str
    choices: [zero, nnsa, dod, bsi, gutmann, schneier, pfitzner7, pfitzner33, random, trim]
    default: zero
seealso:
  - module: nestbox.virt.volume_info
  - module: nestbox.virt.pool
"""

EXAMPLES = r"""
- name: A base image from a web server
  nestbox.virt.volume:
    pool: images
    name: debian-12.qcow2
    source: https://images.example.com/debian-12-generic-amd64.qcow2
    checksum: sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae

- name: A guest's disk as an overlay on it, larger than the base
  nestbox.virt.volume:
    pool: images
    name: web1.qcow2
    capacity: 40 GiB
    backing:
      volume: debian-12.qcow2

- name: An encrypted data disk
  nestbox.virt.volume:
    pool: images
    name: web1-data.qcow2
    format: qcow2
    capacity: 100 GiB
    encryption:
      passphrase: "{{ vault_web1_data }}"

- name: Overwrite and remove it
  nestbox.virt.volume:
    pool: images
    name: web1-data.qcow2
    state: absent
    wipe: true
"""

RETURN = r"""
volume:
  description: The volume, as M(nestbox.virt.volume_info) returns it; null when it does not exist.
  returned: success
  type: dict
  sample:
    name: web1.qcow2
    pool: images
    key: /srv/images/web1.qcow2
    path: /srv/images/web1.qcow2
    type: file
    capacity_bytes: 42949672960
    allocation_bytes: 200704
    physical_bytes: 196616
    format: qcow2
    backing: {path: /srv/images/debian-12.qcow2, format: qcow2}
    permissions: {mode: "0600", owner: 0, group: 0, label: null}
    encrypted: false
    encryption: null
steps:
  description: The changes in their order.
  returned: success
  type: list
  elements: dict
  sample: [{target: volume images/web1.qcow2, verb: create, effect: now}]
restart_required:
  description: Always false; every change of a volume takes effect at once.
  returned: success
  type: bool
restart_reasons:
  description: Always empty.
  returned: success
  type: list
  elements: str
"""

from typing import Any

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._fetch import FETCH, Download
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.connection import Connection
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.storage_arguments import VOLUME
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.volume import VolumeResource
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_libvirt

SPEC: ArgumentSpec = CONNECTION + VOLUME + FETCH


def main() -> None:
    """Runs the module."""

    def build(connection: Connection, params: dict[str, Any]) -> VolumeResource:
        return VolumeResource(connection, params, lambda url: Download(url, params))

    run_libvirt(SPEC, build, key="volume")


if __name__ == "__main__":
    main()
