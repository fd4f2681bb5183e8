#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.domain_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: domain_info
short_description: Read libvirt domains
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Returns one, several or all domains, running or not, persistent or not, with their state, devices and addresses.
  - The domains are listed and their states are read in bulk, however many there are. O(gather) chooses the parts that
    cost more.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.attributes.info
options:
  name:
    description: The names of the domains to return, in this order. All domains, sorted by name, when it is left out.
    type: list
    elements: str
    default: []
  uuid:
    description: Only return domains with one of these UUIDs. A UUID that no domain has is no error.
    type: list
    elements: str
    default: []
  tags:
    description: Only return domains that have all of these tags. See O(nestbox.virt.domain#module:tags).
    type: list
    elements: str
    default: []
  state:
    description:
      - Only return domains in one of these states.
      - V(active) stands for every state in which a process of the domain runs, paused or not; V(inactive) for the
        others.
    type: list
    elements: str
    choices: [active, inactive, running, idle, paused, in shutdown, shut off, crashed, pmsuspended]
    default: []
  gather:
    description:
      - The parts that cost more than the rest.
      - V(addresses) looks up the addresses of running domains. Guest agents are only asked where they are connected,
        outside check mode, and where the user of the task may write to the hypervisor.
      - V(chains) looks up the backing files of stopped domains in the storage pools. Running domains always have them.
      - V(statistics) reads all statistics that libvirt has.
      - V(xml) returns the definitions as XML.
    type: list
    elements: str
    choices: [addresses, chains, statistics, xml]
    default: [addresses]
  ignore_missing:
    description: Leaves out names that do not exist; otherwise such a name is an error.
    type: bool
    default: false
seealso:
  - module: nestbox.virt.domain
"""

EXAMPLES = r"""
- name: Read all domains, running or not
  nestbox.virt.domain_info:
  register: found

- name: Print the address of a domain
  nestbox.virt.domain_info:
    name: [web1]
  register: web

- name: Show it
  ansible.builtin.debug:
    msg: "{{ web.domains[0].interfaces | map(attribute='addresses') | flatten | map(attribute='address') }}"

- name: The running domains of a lab, by tag
  nestbox.virt.domain_info:
    tags: [lab]
    state: [running]
    gather: []
  register: lab

- name: Save the definition of a domain, as virsh dumpxml --inactive prints it
  nestbox.virt.domain_info:
    name: [web1]
    gather: [xml]
  register: web

- name: Write it
  ansible.builtin.copy:
    content: "{{ web.domains[0].xml.inactive }}"
    dest: /root/web1.xml
    mode: "0600"
"""

RETURN = r"""
domains:
  description: The domains; each is what M(nestbox.virt.domain) returns as RV(nestbox.virt.domain#module:domain).
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
    id:
      description: The number of the running domain; null when it does not run.
      type: int
    state:
      description: The state, in the word of C(virsh domstate), such as V(running) or V(shut off).
      type: str
    reason:
      description: How it came to this state, in the word of C(virsh domstate --reason), such as V(booted).
      type: str
    active:
      description: Whether a process of it runs, paused or not.
      type: bool
    persistent:
      description: Whether it is defined; a transient domain is gone when it ends.
      type: bool
    autostart:
      description: Whether it starts with the host.
      type: bool
    managed_save:
      description: Whether there is saved memory from which its next start goes on.
      type: bool
    snapshots:
      description: The number of its snapshots.
      type: int
    type:
      description: How it is run, such as V(kvm) or V(qemu).
      type: str
    os_type:
      description: What it boots, such as V(hvm).
      type: str
    arch:
      description: The architecture.
      type: str
    machine:
      description: The concrete machine type, such as V(pc-q35-7.2).
      type: str
    title:
      description: The title; null without one.
      type: str
    description:
      description: The description; null without one.
      type: str
    tags:
      description: The tags.
      type: list
      elements: str
    memory_kib:
      description: The memory in KiB that it has, or has after its next start.
      type: int
    maximum_memory_kib:
      description: The memory in KiB up to which it can grow.
      type: int
    vcpus:
      description: The number of active vCPUs.
      type: int
    maximum_vcpus:
      description: The number of vCPUs up to which it can grow.
      type: int
    disks:
      description: The disks and drives.
      type: list
      elements: dict
      contains:
        target:
          description: The name of the disk, such as V(vda).
          type: str
        bus:
          description: The bus.
          type: str
        device:
          description: V(disk), V(cdrom), V(floppy) or V(lun).
          type: str
        type:
          description: The kind of source, such as V(file), V(block), V(volume) or V(network).
          type: str
        source:
          description: The path, or the name of the volume or the image; null for an empty drive.
          type: str
        pool:
          description: The pool of the volume; null for other sources.
          type: str
        format:
          description: The format of the image.
          type: str
        serial:
          description: The serial number; null without one.
          type: str
        readonly:
          description: Whether the guest can only read.
          type: bool
        chain:
          description:
            - The images below this one, the nearest first, each with C(source) and C(format).
            - For a domain that does not run, only with V(chains) in O(gather), and as far as they lie in active pools.
          type: list
          elements: dict
    interfaces:
      description: The network interfaces.
      type: list
      elements: dict
      contains:
        mac:
          description: The MAC address.
          type: str
        type:
          description: V(network), V(bridge), V(direct), V(user) or another of libvirt's.
          type: str
        source:
          description: The network, bridge or device; null where there is none.
          type: str
        portgroup:
          description: The port group of the network; null without one.
          type: str
        model:
          description: The model.
          type: str
        target:
          description: The device on the host while it runs, such as V(vnet0).
          type: str
        link:
          description: V(up) or V(down).
          type: str
        alias:
          description: The name of the device.
          type: str
        addresses:
          description:
            - The addresses of a running domain, with V(addresses) in O(gather); each with C(address), C(prefix), and
              C(source).
            - C(source) is V(lease) (DHCP of a libvirt network), V(agent) (the guest's own word) or V(arp) (what the
              host has seen), in this order; an address that has several is only listed under the first. ARP is only
              looked at when an interface has no address yet.
          type: list
          elements: dict
          sample: [{"address": "198.51.100.10", "prefix": 24, "source": "lease"}]
    graphics:
      description: The screens.
      type: list
      elements: dict
      contains:
        type:
          description: V(vnc), V(spice) or another of libvirt's.
          type: str
        listen:
          description: The address that it listens on.
          type: str
        port:
          description: The port; null when it has none, as before the start.
          type: int
        tls_port:
          description: The port for TLS; null when it has none.
          type: int
        socket:
          description: The socket on the host; null when it has none.
          type: str
        display:
          description: What C(virsh vncdisplay) prints, such as V(127.0.0.1:0); null for other kinds, and before the
            start.
          type: str
        uri:
          description: The URI for a viewer, such as V(vnc://127.0.0.1:5900); null before the start.
          type: str
    console:
      description: The terminal of the console, as C(virsh ttyconsole) prints it; null when the domain does not run.
      type: str
    console_log:
      description: The file into which the console's output is written; null without one.
      type: str
    agent:
      description: Whether the guest agent is V(connected) or V(disconnected); null without a channel, or when it
        does not run.
      type: str
    statistics:
      description: The statistics, named as C(virsh domstats) names them.
      returned: when V(statistics) is in O(gather)
      type: dict
      sample: {"balloon.current": 1048576, "block.0.rd.bytes": 4096, "state.state": 1}
    xml:
      description:
        - C(inactive) and C(live), as C(virsh dumpxml) prints them, without passwords.
        - C(inactive) is null for a transient domain, C(live) for one that does not run.
      returned: when V(xml) is in O(gather)
      type: dict
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_facts import GATHER, read_domains
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.domain_words import STATE_WORDS
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_info

SPEC = CONNECTION + ArgumentSpec(
    options={
        "name": {"type": "list", "elements": "str", "default": []},
        "uuid": {"type": "list", "elements": "str", "default": []},
        "tags": {"type": "list", "elements": "str", "default": []},
        "state": {
            "type": "list",
            "elements": "str",
            "choices": ["active", "inactive", *STATE_WORDS[1:]],
            "default": [],
        },
        "gather": {"type": "list", "elements": "str", "choices": list(GATHER), "default": ["addresses"]},
        "ignore_missing": {"type": "bool", "default": False},
    }
)


def main() -> None:
    """Runs the module."""
    run_info(SPEC, read_domains)


if __name__ == "__main__":
    main()
