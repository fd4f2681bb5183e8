# Copyright (c) 2026, the nestbox.virt founders
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of _libvirt/network_options.options_spec."""

from __future__ import annotations


class ModuleDocFragment:
    """The typed options of a network."""

    DOCUMENTATION = r"""
options:
  mode:
    description:
      - How guests reach the world.
      - V(nat) translates their addresses, V(route) and V(open) route them (V(open) without firewall rules),
        V(isolated) keeps them
        among themselves.
      - V(bridge) plugs guests into the host's Linux bridge O(bridge), V(ovs) into the Open vSwitch bridge O(bridge),
        and V(macvtap)
        puts them directly on O(interfaces).
      - When the mode changes between those with a bridge of libvirt's own and the others, what the new mode can't have
        goes, such as
        addresses.
    type: str
    choices: [nat, route, open, isolated, bridge, macvtap, ovs]
  macvtap_mode:
    description: How a macvtap network forwards between guests. The default for V(macvtap) is V(bridge).
    type: str
    choices: [bridge, private, vepa, passthrough]
  interfaces:
    description:
      - Interfaces of the host. For O(mode=macvtap) the pool from which guests get theirs, for V(nat) and V(route) the
        one through which
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
            description:
              - The server's IP address. Without it, O(dns.forwarders[].domain) is asked of the host's DNS servers.
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
      - The addresses of the host on the network, each with the DHCP server for its subnet. The list is the whole list,
        and an entry is
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
                description:
                  - How long an address is lent, in seconds; V(0) is for ever. libvirt's own default is one hour.
                type: int
          hosts:
            description:
              - Hosts that always get the same address. The list is the whole list. A change takes effect at once.
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
    description:
      - Settings among which an interface of a guest chooses. The list is the whole list. A change takes effect for
        interfaces that are plugged in later.
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
"""
