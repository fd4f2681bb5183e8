#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Define, change, start, stop and remove libvirt domains."""

from __future__ import annotations

DOCUMENTATION = r"""
module: domain
short_description: Define, change, start, stop and remove libvirt domains
version_added: 0.1.0
author:
  - The nestbox.virt founders (@nestbox)
description:
  - Brings one libvirt domain (a virtual machine or a container) to the state that you declare, by libvirt XML, by
    options, or by both.
  - The declaration is laid over what is there. What it does not name is kept, for instance UUID, MAC addresses, and
    devices of
    kinds that it does not mention. A declared list, such as the disks, is the whole list.
  - An element that was in O(xml) the last time and no longer is, is removed from the domain. For this the last applied
    declaration is
    remembered in the domain's own metadata, together with a change and never by itself.
  - On a running domain, what can be changed at once is changed at once; for the rest, RV(restart_required) is true and
    RV(restart_reasons) says why.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.declaration
  - nestbox.virt.attributes
  - nestbox.virt.domain_identity
  - nestbox.virt.domain_machine
  - nestbox.virt.domain_compute
  - nestbox.virt.domain_disks
  - nestbox.virt.domain_interfaces
  - nestbox.virt.domain_devices
options:
  state:
    description:
      - V(present) defines the domain and leaves its power alone.
      - V(running) also starts it, resumes it when it is paused, or lets it go on from its saved memory.
      - V(paused) stops a running domain in the middle, or starts it without letting it run.
      - V(stopped) shuts it down from inside, by ACPI or the guest agent. See O(force).
      - V(saved) writes the memory of a running domain to a file (managed save), from which the next start goes on.
      - V(restarted) shuts it down and starts it again, so that the whole definition takes effect; a domain that does
        not run is started. Saved memory would keep the definition from taking effect, so a saved domain is an error,
        unless O(remove) has V(managed_save), by which its saved memory is lost.
      - V(absent) shuts it down and removes its definition. See O(remove). A domain that is gone already is unchanged.
    type: str
    choices: [present, running, paused, stopped, saved, restarted, absent]
    default: present
  transient:
    description:
      - Start the domain from the declaration without defining it, so that it is gone when it stops.
    type: bool
    default: false
  autostart:
    description:
      - Whether the domain starts with the host. Holds in every state but V(absent).
    type: bool
  validate:
    description:
      - Check the XML against libvirt's own schema before anything is done, so that a misspelt element is an error.
      - The schema is read from the host on which the module runs. When O(uri) is that of another host, or the schema
        is missing, only libvirt itself checks the XML, which it does not in check mode; a warning says so there.
    type: bool
    default: false
  live:
    description:
      - Whether what can be changed on the running domain is changed at once. With V(false), it all waits for the next
        start.
    type: bool
    default: true
  restart:
    description:
      - What to do when a difference can only take effect by a restart.
      - V(never) says so in RV(restart_required). V(if_required) shuts the domain down and starts it again.
    type: str
    choices: [never, if_required]
    default: never
  force:
    description:
      - Pull the plug when the domain is still running O(timeout) seconds after it was asked to shut down. Without
        this, the task fails then.
    type: bool
    default: false
  wait_for:
    description:
      - Wait after the change until the domain has an V(address), its guest V(agent) answers, or it has V(stopped) by
        itself.
      - Not waited for in check mode.
    type: str
    choices: [address, agent, stopped]
  timeout:
    description:
      - How long each wait may last, in seconds; not negative.
    type: int
    default: 300
  remove:
    description:
      - What else to remove with O(state=absent). A part that the domain has, that would be lost or left over and that
        is in neither
        O(remove) nor O(keep), is an error that names it.
      - V(storage) deletes the disk images that are volumes of a pool. CD-ROMs, read-only and shareable disks are never
        deleted, and
        when another domain or overlay uses one of the images, nothing is.
      - V(managed_save) also counts with O(state=restarted).
    type: list
    elements: str
    choices: [storage, nvram, tpm, snapshots, managed_save, checkpoints]
    default: []
  keep:
    description:
      - What to leave on the host with O(state=absent), for a domain of the same name and UUID that comes later. TPM
        state that is not
        in O(remove) is always kept.
    type: list
    elements: str
    choices: [nvram, tpm]
    default: []
  adopt:
    description:
      - Remember the declaration for an existing domain even if nothing else changes, so that what is later taken out
        of O(xml) is removed. Counts as a
        change, once.
    type: bool
    default: false
seealso:
  - module: nestbox.virt.domain_info
  - module: nestbox.virt.network
  - module: nestbox.virt.volume
"""

EXAMPLES = r"""
- name: A guest with one disk on the default network
  nestbox.virt.domain:
    name: web1
    state: running
    memory: 2 GiB
    vcpus: 2
    disks:
      - {pool: default, volume: web1.qcow2}
    interfaces:
      - network: default
    wait_for: address

- name: A domain from its XML file, restarted if the change needs it
  nestbox.virt.domain:
    xml: "{{ lookup('ansible.builtin.file', 'web2.xml') }}"
    state: running
    restart: if_required

- name: More memory for the XML's domain
  nestbox.virt.domain:
    xml: "{{ lookup('ansible.builtin.file', 'web2.xml') }}"
    memory: 4 GiB

- name: Remove a domain with its disks and UEFI variables
  nestbox.virt.domain:
    name: web1
    state: absent
    remove: [storage, nvram]
"""

RETURN = r"""
domain:
  description: The domain as M(nestbox.virt.domain_info) returns it, after the change; in check mode, as it is. None
    when it does not exist.
  returned: success
  type: dict
steps:
  description: What was changed, or in check mode would be, in this order.
  returned: success
  type: list
  elements: dict
  sample: [{"target": "domain web1", "verb": "define", "effect": "now"}]
restart_required:
  description: Whether something that is declared takes effect only with the next start.
  returned: success
  type: bool
restart_reasons:
  description: What waits for the next start.
  returned: success
  type: list
  elements: str
  sample: ["memory is declared differently: it takes effect at the next start"]
error:
  description: The failure for programs. C(code) is stable; the rest depends on it, such as libvirt's own code and text.
  returned: failure
  type: dict
  sample: {"code": "refused", "needed": ["nvram"]}
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, DECLARATION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain import DomainResource
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_options.spec import DOMAIN_OPTIONS
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_libvirt

LIFE = ArgumentSpec(
    options={
        "state": {
            "type": "str",
            "choices": ["present", "running", "paused", "stopped", "saved", "restarted", "absent"],
            "default": "present",
        },
        "transient": {"type": "bool", "default": False},
        "autostart": {"type": "bool"},
        "validate": {"type": "bool", "default": False},
        "live": {"type": "bool", "default": True},
        "restart": {"type": "str", "choices": ["never", "if_required"], "default": "never"},
        "force": {"type": "bool", "default": False},
        "wait_for": {"type": "str", "choices": ["address", "agent", "stopped"]},
        "timeout": {"type": "int", "default": 300},
        "remove": {
            "type": "list",
            "elements": "str",
            "choices": ["storage", "nvram", "tpm", "snapshots", "managed_save", "checkpoints"],
            "default": [],
        },
        "keep": {"type": "list", "elements": "str", "choices": ["nvram", "tpm"], "default": []},
        "adopt": {"type": "bool", "default": False},
    }
)


def main() -> None:
    """Runs the module."""
    run_libvirt(CONNECTION + DECLARATION + DOMAIN_OPTIONS + LIFE, DomainResource, key="domain")


if __name__ == "__main__":
    main()
