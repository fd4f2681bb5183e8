#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds a cloud-init seed image."""

from __future__ import annotations

DOCUMENTATION = r"""
module: cloud_init_seed
short_description: Build a cloud-init seed image
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Builds the ISO image from which cloud-init in a guest reads its configuration at the first boot (the NoCloud
    data source). The image carries the label C(cidata), and is given to the guest as a CD-ROM.
  - The same options give the same file, to the byte, on any host and at any time. The file is replaced only when a
    document differs.
  - The file is written under another name with mode C(0600), and appears at O(dest) complete and with its final
    owner and mode, or not at all.
  - Nothing of the documents is returned, logged or shown in a diff, except their names and sizes.
requirements:
  - pycdlib on the host that executes the module (the package C(python3-pycdlib) of Debian, Ubuntu and Fedora, or
    C(pip install pycdlib))
options:
  dest:
    description:
      - The path of the image on the host. Its directory must exist.
      - An existing file that is not a cloud-init seed is neither replaced nor removed. The module fails then.
    type: path
    required: true
  state:
    description:
      - With V(present), the image exists with these documents, owner and mode.
      - With V(absent), it does not exist. The documents are then ignored.
    type: str
    choices: [present, absent]
    default: present
  user_data:
    description:
      - What cloud-init does in the guest. A dictionary is written as cloud-config, below the header
        C(#cloud-config). Text is taken as it is, so that it may also be a script, an include or a MIME archive.
      - When it is left out, an empty cloud-config is written, for cloud-init ignores a seed without it.
    type: raw
  meta_data:
    description:
      - Facts about the guest, for instance C(local-hostname), as a dictionary or as text.
      - Without an C(instance-id), one is added that depends on all documents, so that cloud-init in the guest takes
        a seed with any change in it for a new instance, and runs again at the next boot. This also makes new SSH
        host keys in the guest.
      - With an C(instance-id) of your own you decide yourself when cloud-init runs again.
    type: raw
  network_config:
    description:
      - The network configuration of the guest in version 1 or 2 of cloud-init's format, as a dictionary or as text.
      - When it is left out, the guest configures its first interface by DHCP.
    type: raw
  vendor_data:
    description:
      - Like O(user_data), for what the provider of the guest wants. What O(user_data) says goes before it.
    type: raw
  mode:
    description:
      - The mode of the file, in octal digits and in quotes. The documents often hold passwords and keys, so leave
        it as it is unless somebody else must read them. libvirt gives the file to QEMU's user when a domain starts.
    type: raw
    default: "0600"
  owner:
    description:
      - The user who owns the file, as a name or a number.
      - When it is left out, an existing file keeps its owner, and a new one belongs to the user who executes the
        module.
    type: str
  group:
    description:
      - The group of the file, as a name or a number.
      - When it is left out, an existing file keeps its group.
    type: str
notes:
  - A running guest keeps the image that it started with. It sees the new one when its CD-ROM is changed or when it
    is started again.
  - Keys of dictionaries are sorted, so their order does not matter.
extends_documentation_fragment:
  - nestbox.virt.attributes
seealso:
  - module: nestbox.virt.domain
  - name: The NoCloud data source
    description: Which documents cloud-init reads, and what they mean.
    link: https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html
"""

EXAMPLES = r"""
- name: Build a seed for a guest with one user
  nestbox.virt.cloud_init_seed:
    dest: /var/lib/libvirt/images/web1-seed.iso
    user_data:
      users:
        - name: ansible
          ssh_authorized_keys: ["{{ lookup('ansible.builtin.file', '~/.ssh/id_ed25519.pub') }}"]
          sudo: ALL=(ALL) NOPASSWD:ALL
    meta_data:
      local-hostname: web1

- name: Build a seed with a fixed address, which cloud-init reads only once
  nestbox.virt.cloud_init_seed:
    dest: /var/lib/libvirt/images/db1-seed.iso
    user_data: "{{ lookup('ansible.builtin.file', 'db1.yml') }}"
    meta_data:
      instance-id: db1
      local-hostname: db1
    network_config:
      version: 2
      ethernets:
        primary:
          match: {name: "en*"}
          addresses: [198.51.100.20/24]
          routes: [{to: default, via: 198.51.100.1}]

- name: Remove the seed
  nestbox.virt.cloud_init_seed:
    dest: /var/lib/libvirt/images/web1-seed.iso
    state: absent
"""

RETURN = r"""
seed:
  description: The image. It is null when it does not exist. In check mode it is what exists now.
  returned: success
  type: dict
  contains:
    dest:
      description: The path of the image.
      type: str
      sample: /var/lib/libvirt/images/web1-seed.iso
    label:
      description: The label of the image, by which cloud-init finds it.
      type: str
      sample: cidata
    documents:
      description: The names of the documents in it.
      type: list
      elements: str
      sample: [meta-data, user-data]
    size:
      description: The size of the file, in bytes.
      type: int
      sample: 374784
    mode:
      description: The mode of the file, in octal digits.
      type: str
      sample: "0600"
    owner:
      description: The user who owns the file. It is a number where the host has no name for it.
      type: str
      sample: root
    group:
      description: The group of the file. It is a number where the host has no name for it.
      type: str
      sample: root
steps:
  description:
    - What was changed, or would be changed in check mode. The verbs are V(create), V(replace), V(permit) and V(remove).
  returned: success
  type: list
  elements: dict
  sample: [{target: seed /var/lib/libvirt/images/web1-seed.iso, verb: create, effect: now}]
restart_required:
  description: Always V(false). The other modules of this collection return it too.
  returned: success
  type: bool
  sample: false
restart_reasons:
  description: Always empty.
  returned: success
  type: list
  elements: str
  sample: []
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_local
from ansible_collections.nestbox.virt.plugins.module_utils._seed import SeedResource

SPEC = ArgumentSpec(
    options={
        "dest": {"type": "path", "required": True},
        "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        "user_data": {"type": "raw", "no_log": True},
        "meta_data": {"type": "raw", "no_log": True},
        "network_config": {"type": "raw", "no_log": True},
        "vendor_data": {"type": "raw", "no_log": True},
        "mode": {"type": "raw", "default": "0600"},
        "owner": {"type": "str"},
        "group": {"type": "str"},
    }
)


def main() -> None:
    """Runs the module."""
    withheld = tuple(name for name, option in SPEC.options.items() if option.get("no_log"))
    run_local(SPEC, SeedResource, key="seed", withheld=withheld)


if __name__ == "__main__":
    main()
