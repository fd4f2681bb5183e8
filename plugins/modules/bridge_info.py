#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.bridge_info."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bridge_info
short_description: Read the Linux bridges of a host
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Returns one, several or all bridges, whoever made them, with their ports, addresses and VLANs.
  - Where libvirt answers, each tap of a guest has the guest's name.
notes:
  - The host needs C(ip) and C(bridge) of iproute2. Libvirt is not needed.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.attributes.info
options:
  name:
    description: The names of the bridges to return, in this order. All bridges, sorted by name, when it is left out.
    type: list
    elements: str
    default: []
  ignore_missing:
    description: Leaves out names that do not exist; otherwise such a name is an error.
    type: bool
    default: false
seealso:
  - module: nestbox.virt.bridge
"""

EXAMPLES = r"""
- name: Read all bridges
  nestbox.virt.bridge_info:
  register: found

- name: Name the guests on a bridge
  ansible.builtin.debug:
    msg: "{{ (found.bridges | selectattr('name', 'equalto', 'br0') | first).ports | map(attribute='guest') | select }}"
"""

RETURN = r"""
bridges:
  description: The bridges; each is what M(nestbox.virt.bridge) returns as RV(nestbox.virt.bridge#module:bridge).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: The name.
      type: str
    up:
      description: Whether it is up.
      type: bool
    mac:
      description: The MAC.
      type: str
    mtu:
      description: The MTU in bytes.
      type: int
    stp:
      description: Whether it takes part in the spanning tree protocol.
      type: bool
    forward_delay:
      description: The forward delay in seconds.
      type: int
    priority:
      description: The priority in the spanning tree protocol.
      type: int
    ageing:
      description: The ageing time in seconds.
      type: int
    vlan_filtering:
      description: Whether it tells VLANs apart.
      type: bool
    default_vlan:
      description: The VLAN in which a link starts that comes under it. Null for none.
      type: int
    multicast_snooping:
      description: Whether multicast goes only to ports that asked for it.
      type: bool
    ports:
      description:
        - The links under it, guests' taps included, each with C(name), C(kind), C(link_kind) (the kernel's word),
          C(mac),
          C(mtu), C(up), C(pvid), C(untagged), C(tagged), C(of_guest) and C(guest)
          (the C(name) and C(uuid) of the domain
          where libvirt knows it).
        - A tunnel also has C(id), C(remotes), C(group), C(local), C(port) and C(device), a macvlan C(device) and
          C(mode).
      type: list
      elements: dict
    vlans:
      description: The VLANs of the bridge itself, C(pvid), C(untagged) and C(tagged).
      type: dict
    addresses:
      description: All its addresses with their prefix lengths, without link-local ones.
      type: list
      elements: str
    dynamic_addresses:
      description: Those of them that come from a lease or an advertisement.
      type: list
      elements: str
    gateway4:
      description: The IPv4 router over the bridge, or null.
      type: str
    gateway6:
      description: The IPv6 router over the bridge, or null.
      type: str
    routes:
      description: The routes over it, each with C(to), C(via), C(metric) and C(table) (null for the main table).
      type: list
      elements: dict
    dns_servers:
      description: The name servers that this module wrote for it.
      type: list
      elements: str
    dns_search:
      description: The search domains that this module wrote for it.
      type: list
      elements: str
    fdb_entries:
      description: The number of entries in its forwarding table.
      type: int
    persist:
      description: The manager in whose files this module keeps it, or V(none). Null for a bridge that somebody else
        made.
      type: str
vlan_filtering_supported:
  description: Whether the kernel tells VLANs apart on a bridge. Null where its configuration can't be read.
  returned: success
  type: bool
  sample: true
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.listing import read_bridges
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_local_info

SPEC = CONNECTION + ArgumentSpec(
    options={
        "name": {"type": "list", "elements": "str", "default": []},
        "ignore_missing": {"type": "bool", "default": False},
    }
)


def main() -> None:
    """Runs the module."""
    run_local_info(SPEC, read_bridges)


if __name__ == "__main__":
    main()
