#!/usr/bin/python
# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module nestbox.virt.bridge."""

from __future__ import annotations

DOCUMENTATION = r"""
module: bridge
short_description: Declare Linux bridges of a host
version_added: "0.1.0"
author:
  - the nestbox.virt founders (@nestbox)
description:
  - Makes, changes and removes a Linux bridge, in the running kernel and in the files of the host's network manager.
  - The plan compares both with the declaration. Every difference is a step of its own.
  - What a task does not declare is left alone.
notes:
  - The host needs C(ip) and C(bridge) of iproute2, and rights to change the network
    (C(CAP_NET_ADMIN), root for the files).
  - What was written, and what the files were before, is kept in C(/var/lib/nestbox.virt/bridges), or in
    C(/run/nestbox.virt/bridges) with O(persist=none). O(state=absent) puts the files back from there.
  - The old state is kept in C(/run/nestbox.virt/switch) until the change is confirmed or undone, and with systemd the
    old files also in C(/var/lib/nestbox.virt/switch), from where they are put back when the host is restarted in
    between. A report of what was undone is shown by the next run that finds one which no task could show.
  - Links of guests (taps, C(vnet*), C(vif*), veth) that nobody declared stay under the bridge, whatever O(ports) says.
extends_documentation_fragment:
  - nestbox.virt.attributes
options:
  name:
    description: The name of the bridge, at most 15 characters.
    type: str
    required: true
  state:
    description:
      - V(absent) removes the bridge, the ports that this module made for it, and its files. Each port gets back the
        addresses and routes that it had when it came under the bridge, and files that were edited are as they were.
        Addresses that no port had before go with the bridge; it is an error when the host has no others, or its only
        default route goes over them.
      - A bridge that somebody else made gives its addresses to its only port. It is an error when it has several ports,
        or when somebody else's configuration file would bring it back, unless O(persist=none).
      - Guests whose links are under the bridge are cut off. A warning names them, in check mode too - the domain where
        libvirt knows it (C(qemu:///system)), else the link.
    type: str
    choices: [present, absent]
    default: present
  ports:
    description:
      - The links under the bridge, the whole list. It is left alone when it is left out.
      - A port of kind V(macvlan) or V(vxlan) is made by this module. One that is another than declared is made anew.
    type: list
    elements: dict
    suboptions:
      name:
        description: The name of the link, at most 15 characters.
        type: str
        required: true
      kind:
        description:
          - V(plain) is a link that exists, such as a network card, a bond or a VLAN.
          - V(macvlan) is a second face of O(ports[].device).
          - V(vxlan) is a tunnel to other hosts, which joins bridges of several hypervisors.
        type: str
        choices: [plain, macvlan, vxlan]
        default: plain
      device:
        description: The link on which a macvlan lies (required there), or over which a tunnel sends to its
          O(ports[].group).
        type: str
      mode:
        description: The mode of a macvlan. V(passthru) when it is left out.
        type: str
        choices: [passthru, bridge, vepa, private]
      id:
        description: The network identifier of a tunnel, from 0 to 16777215, the same on all hosts.
        type: int
      remotes:
        description: The addresses of the other hosts of a tunnel. Either this or O(ports[].group).
        type: list
        elements: str
      group:
        description: The multicast group of a tunnel. It needs O(ports[].device).
        type: str
      local:
        description: The address from which a tunnel sends.
        type: str
      port:
        description: The UDP port of a tunnel. 4789, as RFC 7348 has it, when it is left out.
        type: int
      pvid:
        description: The VLAN that untagged frames belong to, from 1 to 4094. Needs O(vlan_filtering=true) to have an
          effect.
        type: int
      untagged:
        description:
          - VLANs that leave the port without a tag, as numbers or ranges such as V(100-120). O(ports[].pvid) when it
            is left out.
        type: list
        elements: str
      tagged:
        description: VLANs that leave the port with their tag, as numbers or ranges.
        type: list
        elements: str
  inherit:
    description:
      - Takes over what the port has - its static addresses, routes, MAC, DHCP and name servers.
      - One port of kind V(plain) may have addresses.
    type: bool
    default: false
  addresses:
    description:
      - The addresses of the host on the bridge, IPv4 and IPv6, each with its prefix length. The whole list of static
        ones.
      - It is said together with O(dhcp4) and O(dhcp6). Who gives one of the three means none of the others.
    type: list
    elements: str
  dhcp4:
    description: Whether the bridge gets an IPv4 address by DHCP, which the network manager does.
    type: bool
  dhcp6:
    description: Whether the bridge gets an IPv6 address by DHCP, which the network manager does.
    type: bool
  accept_ra:
    description: Whether IPv6 router advertisements are followed. The manager's default when it is left out.
    type: bool
  gateway4:
    description: The IPv4 router, which has to lie in a network of O(addresses).
    type: str
  gateway6:
    description: The IPv6 router, which has to lie in a network of O(addresses), or be link-local.
    type: str
  routes:
    description: Further routes over the bridge. With O(gateway4) and O(gateway6) it is the whole list of static ones.
    type: list
    elements: dict
    suboptions:
      to:
        description: The network.
        type: str
        required: true
      via:
        description: The router. The network is on the link itself when it is left out.
        type: str
      metric:
        description: The metric. The manager's default when it is left out.
        type: int
      table:
        description: The number of the routing table. The main table when it is left out.
        type: int
  dns_servers:
    description: The addresses of name servers. Needs a manager (not O(persist=none)).
    type: list
    elements: str
  dns_search:
    description: The domains in which short names are looked for. Needs a manager (not O(persist=none)).
    type: list
    elements: str
  mac:
    description: The MAC of the bridge. With O(inherit=true) it is that of the port when it is left out.
    type: str
  stp:
    description: Whether the bridge takes part in the spanning tree protocol. A new bridge does not when it is left out.
    type: bool
  forward_delay:
    description: Seconds in each of the states before a port forwards, from 0 to 30, and at least 2 with O(stp=true).
    type: int
  priority:
    description:
      - The priority of the bridge in the spanning tree protocol, from 0 to 65535. The lowest becomes the root.
      - Switches know multiples of 4096 only, for the other bits are the VLAN's there since IEEE 802.1t. The Linux
        bridge takes all numbers, as in IEEE 802.1D before that, and compares them as they are.
    type: int
  ageing:
    description: Seconds after which a MAC that was not seen is forgotten.
    type: int
  mtu:
    description: The largest frame in bytes, from 68 to 65535, of the bridge and of its ports.
    type: int
  vlan_filtering:
    description:
      - Whether the bridge tells VLANs apart. The kernel must have C(CONFIG_BRIDGE_VLAN_FILTERING).
      - Ports of which no VLAN is declared, and the bridge itself, are in VLAN 1.
      - A guest's tap starts in VLAN 1 when every list of VLANs that is declared contains it. When one of them does not,
        the bridge has no default VLAN, and a tap is in none until somebody puts it into one, as libvirt does from 11.0
        on. This is so with each manager, and with O(persist=none).
    type: bool
  vlans:
    description: The VLANs of the bridge itself, which is the host's own port.
    type: dict
    suboptions:
      pvid:
        description: The VLAN in which the host is with the addresses of the bridge.
        type: int
      untagged:
        description: VLANs that reach the host without a tag. O(vlans.pvid) when it is left out.
        type: list
        elements: str
      tagged:
        description: VLANs that reach the host with their tag, for VLAN links on the bridge.
        type: list
        elements: str
  multicast_snooping:
    description: Whether multicast goes only to ports that asked for it.
    type: bool
  persist:
    description:
      - Which network manager keeps the bridge over a reboot. V(none) changes the running kernel only.
      - V(auto) is the manager that kept it so far, or that holds its ports, or that the host runs. It is an error when
        two managers hold one port.
    type: str
    choices: [auto, networkd, networkmanager, ifupdown, netplan, none]
    default: auto
  timeout:
    description:
      - Seconds to wait for the network manager, and for a lease.
      - When the manager is late, the kernel is changed without it, and a warning says what it left undone.
    type: int
    default: 30
  confirm_timeout:
    description:
      - Seconds within which a change has to be confirmed over a new connection. They count from the first step, so they
        have to be enough for the change itself, a lease and the spanning tree included.
      - The action plugin drops its connection, makes a new one and confirms. Without a confirmation the host puts
        everything back by itself, files included, and the task fails. It fails too, and says so, when the change itself
        fails.
      - V(0) turns this off. The change is then made while the module runs, and stays.
    type: int
    default: 60
seealso:
  - module: nestbox.virt.bridge_info
  - module: nestbox.virt.network
"""

EXAMPLES = r"""
- name: Put the only network card under a bridge, which takes over all that it has
  nestbox.virt.bridge:
    name: br0
    ports:
      - name: eth0
    inherit: true

- name: A bridge with an address of its own
  nestbox.virt.bridge:
    name: br1
    ports:
      - name: eth1
    addresses: [198.51.100.10/24, "2001:db8::10/64"]
    gateway4: 198.51.100.1
    dns_servers: [198.51.100.1]

- name: A trunk with VLANs, of which guests choose one
  nestbox.virt.bridge:
    name: trunk
    vlan_filtering: true
    ports:
      - name: bond0
        pvid: 1
        tagged: [10, 100-120]
    vlans:
      pvid: 10

- name: A bridge that spans three hypervisors
  nestbox.virt.bridge:
    name: lab
    ports:
      - name: vxlab
        kind: vxlan
        id: 77
        local: 203.0.113.11
        remotes: [203.0.113.12, 203.0.113.13]
    mtu: 1450

- name: Remove the bridge, and give the card back what it had before
  nestbox.virt.bridge:
    name: br0
    state: absent
"""

RETURN = r"""
bridge:
  description: The bridge. It is null when there is none. In check mode it is what exists now.
  returned: success
  type: dict
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
confirmation:
  description: How the change was confirmed.
  returned: when something was changed with O(confirm_timeout) over 0, outside check mode
  type: dict
  contains:
    state:
      description: V(confirmed). In a task that failed, V(restored) or V(unknown).
      type: str
    attempts:
      description: The number of new connections that were tried.
      type: int
    seconds:
      description: The seconds from the module's answer to the end.
      type: float
    report:
      description: What was tried, why it was undone, and what could not be put back (C(differences)).
      type: dict
  sample: {state: confirmed, attempts: 2, seconds: 3.4}
steps:
  description:
    - What was changed, or would be changed in check mode, one step for each file and for each difference in the kernel.
  returned: success
  type: list
  elements: dict
  sample: [{target: bridge br0, verb: create, effect: now}]
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

from ansible_collections.nestbox.virt.plugins.module_utils._bridge.options import SPEC
from ansible_collections.nestbox.virt.plugins.module_utils._bridge.resource import BridgeResource
from ansible_collections.nestbox.virt.plugins.module_utils._guarded_runner import run_guarded


def main() -> None:
    """Runs the module."""
    run_guarded(SPEC, BridgeResource, key="bridge")


if __name__ == "__main__":
    main()
