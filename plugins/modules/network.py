#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.network."""

from __future__ import annotations

DOCUMENTATION = r"""
module: network
short_description: Declare libvirt networks
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Defines, changes, starts, stops and removes virtual networks of libvirt.
  - A network is declared by typed options, by O(xml), or by both; the options are laid over the XML. With neither, the
    task only
    acts on a network that exists, for instance to start it.
  - What the declaration does not name is left as it is, UUID, MAC address and bridge included. A list that it does
    name, such as
    O(addresses), is the whole list; an empty list removes all entries.
  - A difference is applied. DHCP hosts and ranges, DNS hosts, TXT and SRV records, port groups, and the interfaces of
    macvtap networks change
    in the running network and in its definition at once. Other changes of an active network wait for its restart, which
    RV(restart_required) says; see O(restart).
  - An element that was removed from O(xml) since the last change is removed from the network. For that, the XML is
    remembered in
    the network's C(<metadata>) together with a change, and never by itself. Typed options are not remembered. What is
    left out of them
    is left as it is.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.declaration
  - nestbox.virt.network_options
  - nestbox.virt.attributes
options:
  state:
    description:
      - V(present) defines the network and leaves it active or inactive, as it is. A transient network becomes
        persistent.
      - V(active) also starts it.
      - V(inactive) stops it, and defines it when something is declared.
      - V(absent) stops it and removes its definition. A network that is already gone is unchanged.
    type: str
    choices: [present, active, inactive, absent]
    default: present
  autostart:
    description:
      - Whether the network starts with the host's libvirt. It is honoured in every state but V(absent), and left as it
        is when it is not given.
    type: bool
  restart:
    description:
      - V(never) leaves an active network running with its old settings where a change needs a restart, and says so.
      - V(if_required) restarts it then, also for a difference that an earlier change left behind. Interfaces of
        running guests
        are plugged in again; they see a lost carrier for a moment.
    type: str
    choices: [never, if_required]
    default: never
  force:
    description:
      - Allows stopping or removing a network that running guests use. They lose their connection, and get it back with
        their next start.
      - Without it, the task fails and names the guests.
    type: bool
    default: false
seealso:
  - module: nestbox.virt.network_info
  - name: libvirt's network XML
    description: What the elements of O(xml) mean.
    link: https://libvirt.org/formatnetwork.html
"""

EXAMPLES = r"""
- name: A NAT network with DHCP, started now and with the host
  nestbox.virt.network:
    name: lab
    state: active
    autostart: true
    mode: nat
    domain:
      name: lab.example
    addresses:
      - address: 198.51.100.1/24
        dhcp:
          ranges:
            - start: 198.51.100.100
              end: 198.51.100.199
          hosts:
            - {mac: "52:54:00:12:34:56", ip: 198.51.100.10, name: web1}

- name: More names, without a restart and without touching the rest of the network
  nestbox.virt.network:
    name: lab
    dns:
      hosts:
        - ip: 198.51.100.1
          hostnames: [gateway, gateway.lab.example]

- name: Guests on the host's own bridge
  nestbox.virt.network:
    name: lan
    state: active
    mode: bridge
    bridge: br0

- name: A network from a file; jumbo frames now, guests stay connected
  nestbox.virt.network:
    xml: "{{ lookup('ansible.builtin.file', 'storage-network.xml') }}"
    mtu: 9000
    state: active
    restart: if_required

- name: Gone, whether or not it was there
  nestbox.virt.network:
    name: lab
    state: absent
"""

RETURN = r"""
network:
  description:
    - The network as it is after the task (in check mode, as it is before it); null when it does not exist.
    - Beside the keys that are listed here, it has one for each typed option, in the form in which the task takes it;
      what the network does
      not have is null, or an empty list.
  returned: success
  type: dict
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
      description: The mode, a word of O(mode), or V(hostdev).
      type: str
    forward:
      description: The mode in libvirt's word; null for an isolated network.
      type: str
    bridge:
      description: The bridge; null where there is none.
      type: str
    addresses:
      description: The addresses with their DHCP ranges and hosts, as O(addresses) takes them.
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
steps:
  description: What was done, or in check mode would be, in this order. C(effect) is V(now) or V(restart).
  returned: success
  type: list
  elements: dict
  sample:
    - {target: network lab ip/dhcp/host, verb: add, effect: now}
restart_required:
  description: Whether the network has to be restarted before all that is declared is in effect.
  returned: success
  type: bool
restart_reasons:
  description: What waits for the restart.
  returned: success
  type: list
  elements: str
  sample: ["mtu: the running network has size=1500, defined is size=9000"]
error:
  description: Of a failure, C(code), and facts such as libvirt's own code and text.
  returned: failure
  type: dict
"""

from ansible_collections.nestbox.virt.plugins.module_utils._argspec import CONNECTION, DECLARATION, ArgumentSpec
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.network import NetworkResource
from ansible_collections.nestbox.virt.plugins.module_utils._libvirt.network_options import options_spec
from ansible_collections.nestbox.virt.plugins.module_utils._runner import run_libvirt

SPEC = (
    CONNECTION
    + DECLARATION
    + ArgumentSpec(
        options={
            "state": {"type": "str", "choices": ["present", "active", "inactive", "absent"], "default": "present"},
            "autostart": {"type": "bool"},
            "restart": {"type": "str", "choices": ["never", "if_required"], "default": "never"},
            "force": {"type": "bool", "default": False},
            **options_spec(),
        }
    )
)


def main() -> None:
    """Runs the module."""
    run_libvirt(SPEC, NetworkResource, key="network")


if __name__ == "__main__":
    main()
