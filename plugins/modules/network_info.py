#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.network_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: network_info
short_description: Read libvirt networks
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Returns one, several or all networks, active or not, transient or not, from one list.
  - A network has all its settings in the form in which M(nestbox.virt.network) takes them, the guests on it, and its
    DHCP leases.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.attributes.info
options:
  name:
    description: The names of the networks to return, in this order. All networks, sorted by name, when it is left out.
    type: list
    elements: str
    default: []
  ignore_missing:
    description: Leaves out names that do not exist; otherwise such a name is an error.
    type: bool
    default: false
  xml:
    description: Whether the inactive and the live XML are returned too.
    type: bool
    default: false
seealso:
  - module: nestbox.virt.network
"""

EXAMPLES = r"""
- name: Read all networks
  nestbox.virt.network_info:
  register: found

- name: The definition of a network, as libvirt writes it
  nestbox.virt.network_info:
    name: [lab]
    xml: true
  register: lab

- name: Name the networks that wait for a restart
  ansible.builtin.debug:
    msg: "{{ found.networks | selectattr('restart_required') | map(attribute='name') }}"
"""

RETURN = r"""
networks:
  description:
    - The networks; each is what M(nestbox.virt.network) returns as RV(nestbox.virt.network#module:network).
    - Beside the keys that are listed here, it has one for each typed option of that module, in the form in which the
      module takes it.
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
    active:
      description: Whether it runs.
      type: bool
    persistent:
      description: Whether it is defined; a transient network is gone when it ends.
      type: bool
    autostart:
      description: Whether it starts with the host's libvirt.
      type: bool
    mode:
      description: The mode, a word of O(nestbox.virt.network#module:mode), or V(hostdev).
      type: str
    forward:
      description: The mode in libvirt's word; null for an isolated network.
      type: str
    bridge:
      description: The bridge; null where there is none.
      type: str
    addresses:
      description:
        - The addresses with their DHCP ranges and hosts, as O(nestbox.virt.network#module:addresses) takes them.
      type: list
      elements: dict
    guests:
      description: Interfaces of running guests on the network, each with C(domain), C(uuid) and C(mac).
      type: list
      elements: dict
    leases:
      description: DHCP leases, each with C(ip), C(mac), C(hostname), C(client_id) and C(expires) (seconds since 1970).
      type: list
      elements: dict
    restart_required:
      description: Whether the running network differs from what is defined.
      type: bool
    restart_reasons:
      description: In what it differs.
      type: list
      elements: str
    xml:
      description: C(inactive) and C(live); null where the network has no definition, or is not active.
      returned: when O(xml=true)
      type: dict
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.network_state import read_networks
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_info

SPEC = CONNECTION + ArgumentSpec(
    options={
        "name": {"type": "list", "elements": "str", "default": []},
        "ignore_missing": {"type": "bool", "default": False},
        "xml": {"type": "bool", "default": False},
    }
)


def main() -> None:
    """Runs the module."""
    run_info(SPEC, read_networks)


if __name__ == "__main__":
    main()
