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
  - A network is declared by typed options, by O(xml), or by both; the options are laid over the XML. With neither, the task only
    acts on a network that exists, for instance to start it.
  - What the declaration does not name is left as it is, UUID, MAC address and bridge included. A list that it does name, such as
    O(addresses), is the whole list; an empty list removes all entries.
  - A difference is applied. DHCP hosts and ranges, DNS hosts, TXT and SRV records, port groups, and the interfaces of macvtap networks change
    in the running network and in its definition at once. Other changes of an active network wait for its restart, which
    RV(restart_required) says; see O(restart).
  - An element that was removed from O(xml) since the last change is removed from the network. For that, the XML is remembered in
    the network's C(<metadata>) together with a change, and never by itself. Typed options are not remembered. What is left out of them
    is left as it is.
extends_documentation_fragment:
  - nestbox.virt.connection
  - nestbox.virt.declaration
  - nestbox.virt.attributes
options:
  state:
    description:
      - V(present) defines the network and leaves it active or inactive, as it is. A transient network becomes persistent.
      - V(active) also starts it.
      - V(inactive) stops it, and defines it when something is declared.
      - V(absent) stops it and removes its definition. A network that is already gone is unchanged.
    type: str
    choices: [present, active, inactive, absent]
    default: present
  autostart:
    description:
      - Whether the network starts with the host's libvirt. It is honoured in every state but V(absent), and left as it is when it is not given.
    type: bool
  restart:
    description:
      - V(never) leaves an active network running with its old settings where a change needs a restart, and says so.
      - V(if_required) restarts it then, also for a difference that an earlier change left behind. Interfaces of running guests
        are plugged in again; they see a lost carrier for a moment.
    type: str
    choices: [never, if_required]
    default: never
  force:
    description:
      - Allows stopping or removing a network that running guests use. They lose their connection, and get it back with their next start.
      - Without it, the task fails and names the guests.
    type: bool
    default: false
  mode:
    description:
      - How guests reach the world.
      - V(nat) translates their addresses, V(route) and V(open) route them (V(open) without firewall rules), V(isolated) keeps them
        among themselves.
      - V(bridge) plugs guests into the host's Linux bridge O(bridge), V(ovs) into the Open vSwitch bridge O(bridge), and V(macvtap)
        puts them directly on O(interfaces).
      - When the mode changes between those with a bridge of libvirt's own and the others, what the new mode can't have goes, such as
        addresses.
    type: str
    choices: [nat, route, open, isolated, bridge, macvtap, ovs]
  macvtap_mode:
    description: How a macvtap network forwards between guests. The default for V(macvtap) is V(bridge).
    type: str
    choices: [bridge, private, vepa, passthrough]
  interfaces:
    description:
      - Interfaces of the host. For O(mode=macvtap) the pool from which guests get theirs, for V(nat) and V(route) the one through which
        traffic may leave.
    type: list
    elements: str
  nat:
    description: Details of address translation.
    type: dict
    suboptions:
      ipv6:
        description: Whether IPv6 is translated too.
        type: bool
      addresses:
        description: The IPv4 addresses that are used outside.
        type: dict
        suboptions:
          start:
            description: The first address.
            type: str
            required: true
          end:
            description: The last address.
            type: str
            required: true
      ports:
        description: The ports that are used outside.
        type: dict
        suboptions:
          start:
            description: The first port, 1 to 65535.
            type: int
            required: true
          end:
            description: The last port, 1 to 65535.
            type: int
            required: true
  bridge:
    description:
      - The name of the bridge, at most 15 characters. When it is left out, libvirt chooses one such as C(virbr1).
      - For O(mode=bridge) and V(ovs) a bridge that the host has.
    type: str
  stp:
    description: Whether the bridge runs the Spanning Tree Protocol. libvirt's own default is yes.
    type: bool
  stp_delay:
    description: The forward delay of the bridge, in seconds.
    type: int
  mac_table_manager:
    description: Who keeps the bridge's table of MAC addresses. V(libvirt) avoids flooding.
    type: str
    choices: [kernel, libvirt]
  zone:
    description: The firewalld zone of the bridge.
    type: str
  mac:
    description: The MAC address of the bridge. When it is left out, libvirt chooses one.
    type: str
  mtu:
    description: The largest packet, in bytes.
    type: int
  domain:
    description: The DNS domain of the guests.
    type: dict
    suboptions:
      name:
        description: The domain's name.
        type: str
        required: true
      local_only:
        description: Whether names of this domain are never asked of the host's DNS servers.
        type: bool
  dns:
    description: The DNS server of the network.
    type: dict
    suboptions:
      enabled:
        description: Whether there is one. libvirt's own default is yes.
        type: bool
      forward_plain_names:
        description: Whether names without a dot are asked of the host's DNS servers.
        type: bool
      forwarders:
        description: The DNS servers that are asked, in this order. The list is the whole list.
        type: list
        elements: dict
        suboptions:
          address:
            description: The server's IP address. Without it, O(dns.forwarders[].domain) is asked of the host's DNS servers.
            type: str
          domain:
            description: Only names of this domain are asked of this server.
            type: str
      hosts:
        description: Names of hosts. The list is the whole list. A change takes effect at once.
        type: list
        elements: dict
        suboptions:
          ip:
            description: The IP address.
            type: str
            required: true
          hostnames:
            description: All names of this address.
            type: list
            elements: str
            required: true
      txt:
        description: TXT records. The list is the whole list. A change takes effect at once.
        type: list
        elements: dict
        suboptions:
          name:
            description: The record's name.
            type: str
            required: true
          value:
            description: The record's text.
            type: str
            required: true
      srv:
        description: SRV records. The list is the whole list. A change takes effect at once.
        type: list
        elements: dict
        suboptions:
          service:
            description: The service, such as C(ldap).
            type: str
            required: true
          protocol:
            description: The protocol.
            type: str
            choices: [tcp, udp]
            required: true
          domain:
            description: The domain of the record. The default is the network's own.
            type: str
          target:
            description: The host that offers the service.
            type: str
          port:
            description: The port of the service.
            type: int
          priority:
            description: The priority of the target; the lowest is tried first.
            type: int
          weight:
            description: The weight among targets of one priority.
            type: int
  addresses:
    description:
      - The addresses of the host on the network, each with the DHCP server for its subnet. The list is the whole list, and an entry is
        found again by its address.
    type: list
    elements: dict
    suboptions:
      address:
        description: The address with its prefix length, such as V(198.51.100.1/24) or V(2001:db8::1/64).
        type: str
        required: true
      local_ptr:
        description: Whether reverse look-ups of this subnet are never asked of the host's DNS servers.
        type: bool
      tftp_root:
        description: The directory that is offered by TFTP.
        type: path
      dhcp:
        description: The DHCP server for this subnet.
        type: dict
        suboptions:
          ranges:
            description: Addresses that are handed out. The list is the whole list. A change takes effect at once.
            type: list
            elements: dict
            suboptions:
              start:
                description: The first address.
                type: str
                required: true
              end:
                description: The last address.
                type: str
                required: true
              lease_time:
                description: How long an address is lent, in seconds; V(0) is for ever. libvirt's own default is one hour.
                type: int
          hosts:
            description: Hosts that always get the same address. The list is the whole list. A change takes effect at once.
            type: list
            elements: dict
            suboptions:
              ip:
                description: The address that the host gets.
                type: str
                required: true
              mac:
                description: The MAC address of the host. An IPv4 entry needs it.
                type: str
              id:
                description: The DHCP unique identifier (DUID) of the host, for IPv6.
                type: str
              name:
                description: The host name that the host gets.
                type: str
              lease_time:
                description: How long the address is lent, in seconds; V(0) is for ever.
                type: int
          boot_file:
            description: The file that a host boots over the network.
            type: str
          boot_server:
            description: The server of O(addresses[].dhcp.boot_file). The default is the host itself.
            type: str
  routes:
    description: Static routes of the host through the network. The list is the whole list.
    type: list
    elements: dict
    suboptions:
      destination:
        description: The network that is reached, with its prefix length, such as V(203.0.113.0/24).
        type: str
        required: true
      gateway:
        description: The gateway, an address in one of O(addresses).
        type: str
        required: true
      metric:
        description: The metric of the route.
        type: int
  isolated_ports:
    description: Whether guests are kept from talking to each other.
    type: bool
  guest_ipv6:
    description: Whether guests may talk IPv6 with each other though the network has no IPv6 address.
    type: bool
  trust_guest_rx_filters:
    description: Whether the host follows the guests' own changes of their receive filters (macvtap).
    type: bool
  vlan: &vlan
    description: The VLAN of the guests, where the network has VLANs (O(mode=ovs), or passthrough of SR-IOV functions).
    type: dict
    suboptions:
      trunk:
        description: Whether the guests see the tags. More than one tag needs it, and libvirt sets it then.
        type: bool
      tags:
        description: The VLANs. The list is the whole list.
        type: list
        elements: dict
        suboptions:
          id:
            description: The number of the VLAN, 0 to 4095.
            type: int
            required: true
          native_mode:
            description: Makes this VLAN the native one, and says whether its own packets are tagged.
            type: str
            choices: [tagged, untagged]
  virtual_port: &virtual_port
    description: The profile of the connection to a switch.
    type: dict
    suboptions:
      type:
        description: The kind of switch. O(mode=ovs) sets V(openvswitch).
        type: str
        choices: [802.1Qbg, 802.1Qbh, openvswitch, midonet]
      profile_id:
        description: The profile (802.1Qbh, openvswitch).
        type: str
      interface_id:
        description: The UUID of the interface (openvswitch, midonet).
        type: str
      manager_id:
        description: The VSI manager (802.1Qbg).
        type: int
      type_id:
        description: The VSI type (802.1Qbg).
        type: int
      type_id_version:
        description: The version of the VSI type (802.1Qbg).
        type: int
      instance_id:
        description: The UUID of the VSI instance (802.1Qbg).
        type: str
  bandwidth: &bandwidth
    description: The rate of all guests together, or of each guest of a port group.
    type: dict
    suboptions:
      inbound: &rates
        description: Traffic to the guests, or from them. Inbound is to the guests.
        type: dict
        suboptions:
          average:
            description: The rate in KiB per second.
            type: int
          peak:
            description: The highest rate, in KiB per second.
            type: int
          burst:
            description: How much may be sent at the highest rate, in KiB.
            type: int
      outbound: *rates
  port_groups:
    description: Settings among which an interface of a guest chooses. The list is the whole list. A change takes effect for interfaces that are plugged in later.
    type: list
    elements: dict
    suboptions:
      name:
        description: The name of the group.
        type: str
        required: true
      default:
        description: Whether interfaces that name no group are in this one.
        type: bool
      trust_guest_rx_filters:
        description: Whether the host follows the guests' own changes of their receive filters (macvtap).
        type: bool
      vlan: *vlan
      virtual_port: *virtual_port
      bandwidth: *bandwidth
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
    - Beside the keys that are listed here, it has one for each typed option, in the form in which the task takes it; what the network does
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
